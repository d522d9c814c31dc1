//! The provisioning service (`iot-hub-wire.md` §3).

use crate::{client::Client, support::TestHub};
use rmqtt_codec::{
    types::QoS,
    v3::{Connect, ConnectAckReason, SubscribeReturnCode},
};
use serde_json::json;

const ANSWERS: (&str, QoS) = ("$dps/registrations/res/#", QoS::ExactlyOnce);
const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=r-1";

#[tokio::test]
async fn a_device_registers_with_its_groups_key_and_connects() {
    let hub = TestHub::start().await;
    let login = hub.registration("sn-7").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    assert_eq!(client.subscribe(&[ANSWERS]).await, [SubscribeReturnCode::Success(QoS::AtLeastOnce)]);
    client.publish(REGISTER, json!({"registrationId": "sn-7", "payload": null}).to_string(), 1).await;
    client.acked(1).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$dps/registrations/res/200/?$rid=r-1");
    assert_eq!(body["status"], "assigned", "{body}");
    assert_eq!(body["registrationState"]["deviceId"], "sn-7");
    assert_eq!(body["registrationState"]["assignedHub"], crate::support::HOST);
    let operation = body["operationId"].as_str().expect("an operation").to_owned();

    let topic = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r-2&operationId={operation}");
    client.publish(&topic, " ", 2).await;
    client.acked(2).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$dps/registrations/res/200/?$rid=r-2");
    assert_eq!(body["registrationState"]["status"], "assigned");
    let foreign = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=r-3&operationId=5.0.other";
    client.publish(foreign, " ", 3).await;
    client.acked(3).await;
    let (topic, body) = client.message().await;
    assert!(topic.starts_with("$dps/registrations/res/404/?$rid=r-3"), "{topic}: {body}");

    let (mut device, _) = Client::accepted(hub.address, hub.login("sn-7").await.connect()).await;
    device.ping().await;
}

#[tokio::test]
async fn a_bad_key_or_scope_is_refused_with_code_5() {
    let hub = TestHub::start().await;
    let login = hub.registration("sn-7").await;
    for connect in [
        Connect { password: Some("SharedAccessSignature sr=a&sig=b&se=1".into()), ..login.connect() },
        Connect { password: None, ..login.connect() },
        Connect { username: Some("0ne00000000/registrations/sn-7/api-version=1".into()), ..login.connect() },
    ] {
        assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::NotAuthorized);
    }
    let connect = Connect { client_id: "other".into(), ..login.connect() };
    assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::IdentifierRejected);
}

#[tokio::test]
async fn a_bad_request_is_answered_with_its_error() {
    let hub = TestHub::start().await;
    let (mut client, _) = Client::accepted(hub.address, hub.registration("sn-7").await.connect()).await;
    assert_eq!(
        client.subscribe(&[("$iothub/twin/res/#", QoS::AtMostOnce), ANSWERS]).await,
        [SubscribeReturnCode::Failure, SubscribeReturnCode::Success(QoS::AtLeastOnce)]
    );
    client.publish(REGISTER, "[", 0).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$dps/registrations/res/400/?$rid=r-1");
    assert_eq!(body["errorCode"], 400_004);
    client.publish("devices/sn-7/messages/events/", "x", 1).await;
    client.closed().await;
}

//! Subscriptions outlive connections and the hub (`iot-hub-wire.md` §0.1).

use crate::{client::Client, support::TestHub};
use rmqtt_codec::{
    types::QoS,
    v3::{Connect, Packet, SubscribeReturnCode},
};
use std::num::NonZeroU16;

const TWIN_ANSWERS: &str = "$iothub/twin/res/#";

#[tokio::test]
async fn filters_are_granted_or_refused_one_by_one() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let codes = client
        .subscribe(&[
            (TWIN_ANSWERS, QoS::AtMostOnce),
            ("$iothub/methods/POST/#", QoS::ExactlyOnce),
            ("devices/d-1/messages/devicebound/#", QoS::AtLeastOnce),
            ("devices/d-2/messages/devicebound/#", QoS::AtLeastOnce),
            ("#", QoS::AtMostOnce),
        ])
        .await;
    let granted = SubscribeReturnCode::Success;
    let refused = SubscribeReturnCode::Failure;
    let expected = [granted(QoS::AtMostOnce), granted(QoS::AtLeastOnce), granted(QoS::AtLeastOnce), refused, refused];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_reconnected_device_is_answered_without_subscribing_again() {
    let mut hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(!present);
    client.subscribe(&[(TWIN_ANSWERS, QoS::AtMostOnce)]).await;
    for restart in [false, true] {
        if restart {
            hub.restart().await;
        }
        let mut client = Client::open(hub.address).await;
        client.send(login.connect().into()).await;
        client.publish("$iothub/twin/GET/?$rid=1", " ", 1).await;
        assert!(matches!(client.packet().await, Some(Packet::ConnectAck(ack)) if ack.session_present));
        client.acked(1).await;
        assert_eq!(client.message().await.0, "$iothub/twin/res/200/?$rid=1");
    }
}

#[tokio::test]
async fn a_clean_session_forgets() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(&[(TWIN_ANSWERS, QoS::AtMostOnce)]).await;
    let clean = Connect { clean_session: true, ..login.connect() };
    let (mut client, present) = Client::accepted(hub.address, clean).await;
    assert!(!present);
    client.subscribe(&[(TWIN_ANSWERS, QoS::AtMostOnce)]).await;
    let (_, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(!present);
}

#[tokio::test]
async fn an_unsubscribed_device_is_not_answered() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(&[(TWIN_ANSWERS, QoS::AtMostOnce), ("$iothub/methods/POST/#", QoS::AtMostOnce)]).await;
    let packet_id = NonZeroU16::MIN;
    client.send(Packet::Unsubscribe { packet_id, topic_filters: vec![TWIN_ANSWERS.into()] }).await;
    assert_eq!(client.packet().await, Some(Packet::UnsubscribeAck { packet_id }));
    client.publish("$iothub/twin/GET/?$rid=1", "", 1).await;
    client.acked(1).await;
    // Requests are answered in order: when this one is, the one before it was not.
    client.subscribe(&[(TWIN_ANSWERS, QoS::AtMostOnce)]).await;
}

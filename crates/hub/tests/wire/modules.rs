//! Modules of devices (`iot-hub-wire.md` §1, §2).

use crate::{
    client::{Client, Login},
    support::{HOST, TestHub, sign},
};
use muster_engine::{
    methods::{self, Invocation},
    modules::{self, ModuleIdentity},
    precondition::IfMatch,
    twins_service as twins,
};
use muster_model::{Address, DeviceId, ModuleId, wire::twin::ServiceChange};
use rmqtt_codec::{types::QoS, v3::SubscribeReturnCode};
use serde_json::json;
use std::time::Duration;

const FILTERS: &[(&str, QoS)] = &[
    ("$iothub/twin/res/#", QoS::AtMostOnce),
    ("$iothub/twin/PATCH/properties/desired/#", QoS::AtMostOnce),
    ("$iothub/methods/POST/#", QoS::AtMostOnce),
];

/// Makes the module of the device `d-1`; how it connects.
async fn module(hub: &TestHub, id: &str) -> Login {
    let (device, module) = (DeviceId::parse("d-1").expect("an id"), ModuleId::parse(id).expect("an id"));
    let service = hub.service().await;
    let made = modules::create(hub.engine(), &service, (&device, &module), ModuleIdentity::default()).await;
    let made = made.expect("a module");
    let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().expect("a key");
    Login {
        client_id: format!("d-1/{id}"),
        username: format!("{HOST}/d-1/{id}/?api-version=2019-10-01&DeviceClientType=test"),
        password: Some(sign(&format!("{HOST}/devices/d-1/modules/{id}"), key, hub.expiry(3600))),
    }
}

#[tokio::test]
async fn a_module_speaks_beside_its_device() {
    let mut hub = TestHub::start().await;
    let device = hub.device("d-1").await;
    let login = module(&hub, "motor").await;
    let (mut own, _) = Client::accepted(hub.address, device.connect()).await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(FILTERS).await;
    client.publish("devices/d-1/modules/motor/messages/events/$.on=out&a=1&$.cmid=valve", "{}", 1).await;
    client.acked(1).await;
    let message = hub.message().await;
    let (_, key) = hub.keys_of("d-1").await;
    assert_eq!((message.device, message.device_id.as_str()), (key, "d-1"), "its telemetry is its device's");
    assert_eq!(message.module.as_ref().map(ModuleId::as_str), Some("motor"), "whatever it says it is");
    assert_eq!(message.bag, "$.on=out&a=1&$.cmid=valve", "as it was sent");

    let address = Address::from((DeviceId::parse("d-1").expect("an id"), ModuleId::parse("motor").expect("an id")));
    let change = ServiceChange { desired: json!({"speed": 3}).as_object().cloned(), ..ServiceChange::default() };
    twins::change(hub.engine(), &hub.service().await, &address, change, &IfMatch::Any).await.expect("changed");
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    assert_eq!(body, json!({"speed": 3, "$version": 2}));
    client.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", r#"{"rpm":900}"#, 2).await;
    client.acked(2).await;
    assert_eq!(client.message().await.0, "$iothub/twin/res/204/?$rid=1&$version=2");

    let (service, payload) = (hub.service().await, json!(5));
    let invocation = Invocation {
        address: &address,
        name: "spin",
        payload: &payload,
        response_timeout: Duration::from_secs(20),
        connect_timeout: Duration::ZERO,
    };
    let (answer, ()) = tokio::join!(methods::invoke(hub.engine(), &service, invocation), async {
        let (topic, _) = client.message().await;
        let rid = topic.strip_prefix("$iothub/methods/POST/spin/?$rid=").expect("a method");
        client.publish(&format!("$iothub/methods/res/200/?$rid={rid}"), "6", 3).await;
        client.acked(3).await;
    });
    assert_eq!(answer.expect("an answer").payload, json!(6));
    // The device has heard nothing of it, and both are still there.
    own.ping().await;

    // What it subscribed to outlives the connection and the hub.
    drop(client);
    hub.restart().await;
    let (mut client, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(present);
    client.publish("$iothub/twin/GET/?$rid=9", "", 0).await;
    let (_, twin) = client.message().await;
    assert_eq!((&twin["desired"]["speed"], &twin["reported"]["rpm"]), (&json!(3), &json!(900)));
}

#[tokio::test]
async fn a_module_has_its_own_topics_only() {
    let hub = TestHub::start().await;
    hub.device("d-1").await;
    let login = module(&hub, "motor").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let codes = client
        .subscribe(&[
            ("devices/d-1/modules/motor/inputs/#", QoS::AtLeastOnce),
            ("devices/d-1/modules/motor/#", QoS::AtLeastOnce),
            ("devices/d-1/messages/devicebound/#", QoS::AtLeastOnce),
            ("devices/d-1/modules/valve/inputs/#", QoS::AtLeastOnce),
        ])
        .await;
    let granted = SubscribeReturnCode::Success(QoS::AtLeastOnce);
    assert_eq!(codes, [granted, granted, SubscribeReturnCode::Failure, SubscribeReturnCode::Failure]);
    client.publish("devices/d-1/messages/events/", "{}", 0).await;
    client.closed().await;
}

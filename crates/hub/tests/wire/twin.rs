//! A device's own twin (`iot-hub-wire.md` §2).

use crate::{client::Client, support::TestHub};
use muster_model::push::{Push, PushAction};
use rmqtt_codec::types::QoS;
use serde_json::json;

const FILTERS: &[(&str, QoS)] =
    &[("$iothub/twin/res/#", QoS::AtMostOnce), ("$iothub/twin/PATCH/properties/desired/#", QoS::AtMostOnce)];

#[tokio::test]
async fn reported_properties_are_merged_and_read_back() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(FILTERS).await;
    client.publish("$iothub/twin/GET/?$rid=a-1", " ", 1).await;
    client.acked(1).await;
    let (topic, twin) = client.message().await;
    assert_eq!(topic, "$iothub/twin/res/200/?$rid=a-1");
    let version = twin["reported"]["$version"].as_i64().expect("a version");
    assert!(twin["desired"]["$version"].is_i64());

    client.publish("$iothub/twin/PATCH/properties/reported/?$rid=2", r#"{"fan":{"on":true}}"#, 2).await;
    client.acked(2).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, format!("$iothub/twin/res/204/?$rid=2&$version={}", version + 1));
    assert_eq!(body, json!(null));

    client.publish("$iothub/twin/GET/?$rid=3", "", 0).await;
    let (_, twin) = client.message().await;
    assert_eq!(twin["reported"]["fan"], json!({"on": true}));
    assert_eq!(twin["reported"]["$version"], version + 1);
}

#[tokio::test]
async fn a_bad_patch_is_answered_with_its_error() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(FILTERS).await;
    client.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", "{not json", 0).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$iothub/twin/res/400/?$rid=1");
    assert!(body["errorCode"].as_u64().is_some_and(|code| code / 1000 == 400), "{body}");
    assert!(body["message"].is_string() && body["trackingId"].is_string() && body["timestampUtc"].is_string());
}

#[tokio::test]
async fn too_many_requests_are_throttled_and_each_is_answered() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(FILTERS).await;
    for rid in 0..200 {
        client.publish(&format!("$iothub/twin/GET/?$rid={rid}"), "", 0).await;
    }
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let (topic, body) = client.message().await;
        let (status, rid) =
            topic.strip_prefix("$iothub/twin/res/").and_then(|rest| rest.split_once("/?$rid=")).expect("an answer");
        assert!(status == "200" || (status == "429" && body["errorCode"] == 429_001), "{topic} {body}");
        assert!(answered.insert(rid.to_owned()), "{rid} was answered twice");
    }
    client.ping().await;
}

#[tokio::test]
async fn desired_properties_are_pushed_to_the_subscribed_device() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(FILTERS).await;
    let (tenant, device) = hub.keys_of("d-1").await;
    let patch = json!({"target": 21, "old": null}).as_object().expect("an object").clone();
    hub.push(&Push { tenant, device, epoch: 0, action: PushAction::Desired { patch, version: 5 } }).await;
    let (topic, body) = client.message().await;
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=5");
    assert_eq!(body, json!({"target": 21, "old": null, "$version": 5}));
}

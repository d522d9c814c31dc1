//! Direct methods (`iot-hub-wire.md` §2).

use crate::{client::Client, support::TestHub};
use muster_engine::methods::{self, Invocation, InvokeError, MAX_PAYLOAD_BYTES, MethodAnswer};
use rmqtt_codec::types::QoS;
use serde_json::{Value, json};
use std::time::Duration;

const METHODS: &[(&str, QoS)] = &[("$iothub/methods/POST/#", QoS::AtMostOnce)];
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// Invokes a method of the device `d-1`.
async fn invoke(
    hub: &TestHub,
    name: &str,
    payload: Value,
    (response_timeout, connect_timeout): (Duration, Duration),
) -> Result<MethodAnswer, InvokeError> {
    let address = "d-1".parse().expect("an address");
    let invocation = Invocation { address: &address, name, payload: &payload, response_timeout, connect_timeout };
    methods::invoke(hub.engine(), &hub.service().await, invocation).await
}

/// The request id in a method's topic.
fn rid<'a>(topic: &'a str, name: &str) -> &'a str {
    topic.strip_prefix(&format!("$iothub/methods/POST/{name}/?$rid=")).expect("a method's topic")
}

#[tokio::test]
async fn a_method_reaches_the_device_and_its_answer_the_caller() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(METHODS).await;
    let service = invoke(&hub, "thermostat1*reboot", json!({"delay": 5}), (LONG, Duration::ZERO));
    let device = async {
        let (topic, payload) = client.message().await;
        assert_eq!(payload, json!({"delay": 5}));
        let rid = rid(&topic, "thermostat1*reboot");
        client.publish(&format!("$iothub/methods/res/-3/?$rid={rid}"), r#"{"ok":true}"#, 1).await;
        client.acked(1).await;
        // Nobody waits for a second answer.
        client.publish(&format!("$iothub/methods/res/200/?$rid={rid}"), "", 2).await;
        client.acked(2).await;
    };
    let (answer, ()) = tokio::join!(service, device);
    assert_eq!(answer.expect("an answer"), MethodAnswer { status: -3, payload: json!({"ok": true}) });

    let (answer, ()) = tokio::join!(invoke(&hub, "stop", Value::Null, (LONG, Duration::ZERO)), async {
        let (topic, payload) = client.message().await;
        assert_eq!(payload, Value::Null);
        client.publish(&format!("$iothub/methods/res/200/?$rid={}", rid(&topic, "stop")), "", 0).await;
    });
    assert_eq!(answer.expect("an answer"), MethodAnswer { status: 200, payload: Value::Null });
}

#[tokio::test]
async fn a_device_that_is_away_or_deaf_is_not_online() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let away = invoke(&hub, "stop", Value::Null, (LONG, Duration::ZERO)).await;
    assert!(matches!(away, Err(InvokeError::NotOnline { .. })), "{away:?}");
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let deaf = invoke(&hub, "stop", Value::Null, (LONG, SHORT)).await;
    assert!(matches!(deaf, Err(InvokeError::NotOnline { waited }) if waited == SHORT), "{deaf:?}");
    client.ping().await;
}

#[tokio::test]
async fn a_device_that_connects_in_time_gets_the_method() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (answer, ()) = tokio::join!(invoke(&hub, "stop", Value::Null, (LONG, LONG)), async {
        let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
        client.subscribe(METHODS).await;
        let (topic, _) = client.message().await;
        client.publish(&format!("$iothub/methods/res/200/?$rid={}", rid(&topic, "stop")), "1", 1).await;
        client.acked(1).await;
    });
    assert_eq!(answer.expect("an answer").payload, json!(1));
}

#[tokio::test]
async fn the_subscription_outlives_the_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut first, _) = Client::accepted(hub.address, login.connect()).await;
    first.subscribe(METHODS).await;
    let (mut client, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(present);
    let (answer, ()) = tokio::join!(invoke(&hub, "stop", Value::Null, (LONG, LONG)), async {
        let (topic, _) = client.message().await;
        client.publish(&format!("$iothub/methods/res/200/?$rid={}", rid(&topic, "stop")), "", 0).await;
    });
    assert_eq!(answer.expect("an answer").status, 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(METHODS).await;
    let silent = invoke(&hub, "stop", Value::Null, (SHORT, Duration::ZERO)).await;
    assert!(matches!(silent, Err(InvokeError::TimedOut { waited }) if waited == SHORT), "{silent:?}");
    let (topic, _) = client.message().await;
    assert!(topic.starts_with("$iothub/methods/POST/stop/?$rid="), "{topic}");
    let bad = invoke(&hub, "a/b", Value::Null, (LONG, LONG)).await;
    assert!(matches!(bad, Err(InvokeError::Refused(_))), "{bad:?}");
    let large = invoke(&hub, "stop", json!("x".repeat(MAX_PAYLOAD_BYTES)), (LONG, LONG)).await;
    assert!(matches!(large, Err(InvokeError::TooLarge)), "{large:?}");
    let (answer, ()) = tokio::join!(invoke(&hub, "stop", Value::Null, (LONG, LONG)), async {
        let (topic, _) = client.message().await;
        client.publish(&format!("$iothub/methods/res/200/?$rid={}", rid(&topic, "stop")), "{no json", 1).await;
        client.acked(1).await;
    });
    assert!(matches!(answer, Err(InvokeError::Unreadable)), "{answer:?}");
}

//! MQTT over WebSocket, and what else the HTTPS listener says (`iot-hub-wire.md` §1, §6, §11).

use crate::{client::Client, support::TestHub, tls};
use rmqtt_codec::types::QoS;
use rustls::{
    ClientConfig,
    version::{TLS12, TLS13},
};

const PATH: &str = "/$iothub/websocket";

fn secure(hub: &TestHub) -> ClientConfig {
    tls::client(hub.ca_pem(), &[&TLS12, &TLS13])
}

#[tokio::test]
async fn devices_connect_over_websocket() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    for path in [PATH, "/$iothub/websocket?iothub-no-client-cert=true"] {
        let opened = Client::open_websocket(hub.https_address(), secure(&hub), path, Some("mqtt")).await;
        let mut device = opened.expect("a WebSocket");
        device.log_in(login.connect()).await;
        device.subscribe(&[("$iothub/twin/res/#", QoS::AtMostOnce)]).await;
        device.publish("devices/d-1/messages/events/", vec![b' '; 100_000], 1).await;
        device.acked(1).await;
        assert_eq!(hub.message().await.payload.len(), 100_000);
        device.publish("$iothub/twin/GET/?$rid=1", "", 0).await;
        assert_eq!(device.message().await.0, "$iothub/twin/res/200/?$rid=1");
        device.ping().await;
    }
}

#[tokio::test]
async fn a_connection_over_websocket_takes_over_and_is_taken_over() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut plain, _) = Client::accepted(hub.address, login.connect()).await;
    let mut device = Client::open_websocket(hub.https_address(), secure(&hub), PATH, Some("mqtt, other"))
        .await
        .expect("a WebSocket");
    device.log_in(login.connect()).await;
    plain.closed().await;
    let _plain = Client::accepted(hub.address, login.connect()).await;
    device.closed().await;
}

#[tokio::test]
async fn connections_over_websocket_end_with_the_hub() {
    let mut hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let opened = Client::open_websocket(hub.https_address(), secure(&hub), PATH, Some("mqtt")).await;
    let mut device = opened.expect("a WebSocket");
    device.log_in(login.connect()).await;
    let stopped = hub.stop();
    device.closed().await;
    stopped.await;
}

#[tokio::test]
async fn everything_else_is_refused_with_a_reason() {
    let hub = TestHub::start().await;
    for (path, protocol, status, code) in [
        ("/$iothub/other", Some("mqtt"), "404 Not Found", "NotFound"),
        ("/", Some("mqtt"), "404 Not Found", "NotFound"),
        (PATH, None, "400 Bad Request", "BadRequest"),
        (PATH, Some("AMQPWSB10"), "400 Bad Request", "BadRequest"),
    ] {
        let opened = Client::open_websocket(hub.https_address(), secure(&hub), path, protocol).await;
        let Err(head) = opened else { panic!("{path} {protocol:?} was opened") };
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        assert!(head.contains(&format!("iothub-errorcode: {code}\r\n")), "{head}");
        assert!(head.contains("application/json"), "{head}");
    }
}

//! Whoever does too much in a second is slowed, and refused last.

use crate::{client::Client, support::TestHub};
use futures::future::join_all;
use muster_hub::{HubConfig, Rates};
use rmqtt_codec::{
    types::QoS,
    v3::{ConnectAckReason, Packet},
};
use std::time::{Duration, Instant};

/// With one in a second, who comes first passes at once and five wait.
const PASS: usize = 6;
const COME: usize = 8;

#[tokio::test]
async fn a_device_that_sends_too_much_is_read_more_slowly() {
    let device_rates = Rates { messages: 20, ..Rates::default() };
    let hub = TestHub::start_with(HubConfig { device_rates, ..HubConfig::default() }).await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let start = Instant::now();
    for packet in 1..=40 {
        client.publish("devices/d-1/messages/events/", "{}", packet).await;
    }
    for packet in 1..=40 {
        client.acked(packet).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    client.ping().await;
}

#[tokio::test]
async fn devices_that_send_too_much_together_are_closed_last() {
    let tenant_rates = Rates { messages: 1, ..Rates::default() };
    let hub = TestHub::start_with(HubConfig { tenant_rates, ..HubConfig::default() }).await;
    for number in 0..COME {
        let id = format!("d-{number}");
        let (mut client, _) = Client::accepted(hub.address, hub.device(&id).await.connect()).await;
        client.publish(&format!("devices/{id}/messages/events/"), "{}", 1).await;
        if number < PASS {
            client.acked(1).await;
        } else {
            client.closed().await;
        }
    }
}

#[tokio::test]
async fn too_many_connects_wait_and_are_refused_last_with_code_3() {
    let tenant_rates = Rates { connects: 1, ..Rates::default() };
    let mut hub = TestHub::start().await;
    let mut connects = Vec::new();
    for number in 0..COME {
        connects.push(hub.device(&format!("d-{number}")).await.connect());
    }
    hub.restart_with(HubConfig { tenant_rates, ..HubConfig::default() }).await;
    let address = hub.address;
    let answers = join_all(connects.into_iter().map(|connect| async move {
        let mut client = Client::open(address).await;
        client.send(connect.into()).await;
        match client.packet().await {
            Some(Packet::ConnectAck(ack)) => ack.return_code,
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }))
    .await;
    let count = |code| answers.iter().filter(|answer| **answer == code).count();
    assert_eq!(count(ConnectAckReason::ConnectionAccepted), PASS, "{answers:?}");
    assert_eq!(count(ConnectAckReason::ServiceUnavailable), COME - PASS, "{answers:?}");
}

#[tokio::test]
async fn changes_of_a_twin_are_answered_more_slowly() {
    let device_rates = Rates { twin_writes: 1, ..Rates::default() };
    let hub = TestHub::start_with(HubConfig { device_rates, ..HubConfig::default() }).await;
    let (mut client, _) = Client::accepted(hub.address, hub.device("d-1").await.connect()).await;
    client.subscribe(&[("$iothub/twin/res/#", QoS::AtMostOnce)]).await;
    let start = Instant::now();
    for rid in 0..3 {
        client
            .publish(&format!("$iothub/twin/PATCH/properties/reported/?$rid={rid}"), format!("{{\"n\":{rid}}}"), 0)
            .await;
    }
    client.send(Packet::PingRequest).await;
    let (mut rids, mut ping_after) = (Vec::new(), None);
    while rids.len() < 3 {
        match client.packet().await {
            Some(Packet::PingResponse) => ping_after = Some(rids.len()),
            Some(Packet::Publish(answer)) => {
                let rid = answer.topic.strip_prefix("$iothub/twin/res/204/?$rid=").and_then(|rest| rest.get(..1));
                rids.push(rid.expect("an answer of success").to_owned());
            }
            other => panic!("expected an answer, got {other:?}"),
        }
    }
    assert_eq!(rids, ["0", "1", "2"]);
    assert!(ping_after.is_some_and(|answers| answers < 3), "pings do not wait: {ping_after:?}");
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
}

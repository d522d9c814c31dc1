//! Telemetry: what is taken, what is acknowledged and when (`iot-hub-wire.md` §1, §2).

use crate::{
    client::{Client, message},
    support::TestHub,
};
use bytes::Bytes;
use rmqtt_codec::{
    types::QoS,
    v3::{Connect, LastWill, Packet},
};
use std::num::NonZeroU16;

const EVENTS: &str = "devices/d-1/messages/events/";

#[tokio::test]
async fn a_message_is_acknowledged_only_when_it_is_safe_and_pings_do_not_wait() {
    let hub = TestHub::start_held_back().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    for id in 1..=3 {
        client.publish(EVENTS, format!("{{\"n\":{id}}}"), id).await;
        // The answer to the ping is the proof that no acknowledgement came before it.
        client.ping().await;
    }
    let mut bus = hub.consume().await;
    for id in 1..=3 {
        client.acked(id).await;
        assert_eq!(bus.message().await.payload, format!("{{\"n\":{id}}}"));
    }
}

#[tokio::test]
async fn a_long_pipeline_is_acknowledged_in_order() {
    let hub = TestHub::start_held_back().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    // More than the window, less than the window and what may wait behind it.
    for id in 1..=100 {
        client.publish(EVENTS, id.to_string(), id).await;
    }
    client.ping().await;
    for id in 101..=1000 {
        client.publish(EVENTS, id.to_string(), id).await;
    }
    let mut bus = hub.consume().await;
    for id in 1..=1000 {
        client.acked(id).await;
        assert_eq!(bus.message().await.payload, id.to_string());
    }
    client.ping().await;
}

#[tokio::test]
async fn a_message_carries_its_device_and_its_properties() {
    let hub = TestHub::start().await;
    let mut login = hub.device("d-1").await;
    login.username.push_str("&model-id=dtmi%3Acom%3Aa%3B1");
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let before = hub.now_ms();
    client.publish("devices/d-1/messages/events/%24.ct=application%2Fjson&a=1", "{}", 7).await;
    client.acked(7).await;
    let message = hub.message().await;
    let (tenant, device) = hub.keys_of("d-1").await;
    assert_eq!((message.tenant, message.device), (tenant, device));
    assert_eq!((message.device_id.as_str(), message.model_id.as_str()), ("d-1", "dtmi:com:a;1"));
    assert_eq!(message.bag, "%24.ct=application%2Fjson&a=1");
    assert!((before..=hub.now_ms()).contains(&message.enqueued_ms));
}

#[tokio::test]
async fn messages_without_acknowledgement_arrive_in_great_number() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    for n in 0..500 {
        client.publish(EVENTS, n.to_string(), 0).await;
    }
    for n in 0..500 {
        assert_eq!(hub.message().await.payload, n.to_string());
    }
    client.ping().await;
}

#[tokio::test]
async fn a_message_followed_at_once_by_disconnect_is_kept() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.publish(EVENTS, "last", 0).await;
    client.send(Packet::Disconnect).await;
    client.closed().await;
    assert_eq!(hub.message().await.payload, "last");
}

#[tokio::test]
async fn retain_becomes_a_property() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let Packet::Publish(mut publish) = message("devices/d-1/messages/events/a=1", "x", 1) else { panic!("a message") };
    publish.retain = true;
    client.send(Packet::Publish(publish)).await;
    client.acked(1).await;
    assert_eq!(hub.message().await.bag, "a=1&mqtt-retain=true");
}

#[tokio::test]
async fn a_will_is_said_only_when_the_connection_breaks() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let last_will =
        LastWill { qos: QoS::AtLeastOnce, retain: false, topic: EVENTS.into(), message: Bytes::from_static(b"gone") };
    let connect = Connect { last_will: Some(last_will), ..login.connect() };
    let (mut polite, _) = Client::accepted(hub.address, connect.clone()).await;
    polite.send(Packet::Disconnect).await;
    polite.closed().await;
    let (mut rude, _) = Client::accepted(hub.address, connect.clone()).await;
    rude.publish(EVENTS, "first", 0).await;
    rude.ping().await;
    drop(rude);
    assert_eq!(hub.message().await.payload, "first");
    let will = hub.message().await;
    assert_eq!((&*will.payload, will.bag.as_str()), (&b"gone"[..], "iothub-MessageType=Will"));
    // A foreign will is no reason to wait for the end.
    let last_will = connect.last_will.map(|will| LastWill { topic: "devices/d-2/messages/events/".into(), ..will });
    let mut client = Client::open(hub.address).await;
    client.send(Connect { last_will, ..login.connect() }.into()).await;
    client.closed().await;
}

#[tokio::test]
async fn the_largest_message_is_taken_and_a_larger_one_ends_the_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.publish(EVENTS, vec![b' '; 262_144], 1).await;
    client.acked(1).await;
    assert_eq!(hub.message().await.payload.len(), 262_144);
    for (topic, bytes) in [(EVENTS, 262_145), (EVENTS, 300 * 1024), (EVENTS, 400 * 1024)] {
        client.publish(topic, vec![b' '; bytes], 2).await;
        client.closed().await;
        (client, _) = Client::accepted(hub.address, login.connect()).await;
    }
    client.publish("devices/d-1/messages/events/a=bc", vec![b' '; 262_142], 3).await;
    client.closed().await;
}

#[tokio::test]
async fn what_a_device_may_not_publish_ends_the_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let Packet::Publish(mut exactly_once) = message(EVENTS, "x", 1) else { panic!("a message") };
    exactly_once.qos = QoS::ExactlyOnce;
    for packet in [
        message("devices/d-2/messages/events/", "x", 1),
        message("devices/d-1/modules/m/messages/events/", "x", 1),
        message("devices/d-1/messages/devicebound/", "x", 1),
        message("some/topic", "x", 1),
        message("$iothub/twin/GET/", "", 1),
        message("$dps/registrations/PUT/iotdps-register/?$rid=1", "", 1),
        Packet::Publish(exactly_once),
        login.connect().into(),
        Packet::PingResponse,
        Packet::PublishReceived { packet_id: NonZeroU16::MIN },
    ] {
        let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
        client.send(packet).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_message_that_can_not_be_made_safe_ends_the_connection() {
    let hub = TestHub::start_held_back().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.publish(EVENTS, "x", 1).await;
    client.ping().await;
    hub.end_bus();
    client.closed().await;
}

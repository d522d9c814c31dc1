//! Cloud-to-device messages (`iot-hub-wire.md` §2).

use crate::{client::Client, support::TestHub};
use muster_engine::c2d::{self, NewMessage, SendError};
use muster_model::{
    DeviceId,
    c2d::{Envelope, Feedback, MAX_BYTES, MAX_PENDING, Outcome},
};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::Packet,
};

const AT_LEAST_ONCE: &[(&str, QoS)] = &[("devices/d-1/messages/devicebound/#", QoS::AtLeastOnce)];
const AT_MOST_ONCE: &[(&str, QoS)] = &[("devices/d-1/messages/devicebound/#", QoS::AtMostOnce)];

fn d1() -> DeviceId {
    DeviceId::parse("d-1").expect("a device id")
}

fn message(id: &str, payload: &[u8]) -> NewMessage {
    let envelope = Envelope { message_id: id.into(), feedback: Feedback::Full, ..Envelope::default() };
    NewMessage { envelope, payload: payload.to_vec() }
}

async fn send(hub: &TestHub, id: &str) {
    c2d::send(hub.engine(), &hub.service().await, &d1(), message(id, id.as_bytes())).await.expect("sent");
}

/// The next message, which the test says is a cloud-to-device one.
async fn receive(client: &mut Client) -> Box<Publish> {
    match client.packet().await {
        Some(Packet::Publish(publish)) => publish,
        other => panic!("expected a message, got {other:?}"),
    }
}

async fn acknowledge(client: &mut Client, publish: &Publish) {
    let packet_id = publish.packet_id.expect("a packet id");
    client.send(Packet::PublishAck { packet_id }).await;
}

/// What the service hears of its messages, once as much is there.
async fn feedback(hub: &TestHub, count: usize) -> Vec<(String, Outcome)> {
    let caller = hub.service().await;
    let mut heard = Vec::new();
    while heard.len() < count {
        match c2d::receive_feedback(hub.engine(), &caller).await.expect("received") {
            Some(batch) => {
                heard.extend(batch.records.into_iter().map(|record| (record.message_id, record.outcome)));
                c2d::complete_feedback(hub.engine(), &caller, batch.token).await.expect("completed");
            }
            None => tokio::task::yield_now().await,
        }
    }
    heard
}

#[tokio::test]
async fn a_message_waits_for_the_subscription_and_is_acknowledged_once() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    send(&hub, "m-1").await;
    client.ping().await;
    client.subscribe(AT_LEAST_ONCE).await;
    let publish = receive(&mut client).await;
    assert_eq!(
        publish.topic,
        "devices/d-1/messages/devicebound/%24.mid=m-1&%24.to=%2Fdevices%2Fd-1%2Fmessages%2FdeviceBound&iothub-ack=full"
    );
    assert_eq!((publish.qos, publish.dup, &publish.payload[..]), (QoS::AtLeastOnce, false, &b"m-1"[..]));
    acknowledge(&mut client, &publish).await;
    assert_eq!(feedback(&hub, 1).await, [("m-1".to_owned(), Outcome::Success)]);
    send(&hub, "m-2").await;
    let publish = receive(&mut client).await;
    assert_eq!(&publish.payload[..], b"m-2", "the first one does not come again");
    acknowledge(&mut client, &publish).await;
    client.ping().await;
}

#[tokio::test]
async fn a_message_without_properties_keeps_the_slash_and_odd_ones_are_encoded() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(AT_MOST_ONCE).await;
    let properties = vec![("a/b".to_owned(), Some("x y&=%ä".to_owned())), ("k".to_owned(), None)];
    let envelope = Envelope { message_id: "m".into(), properties, ..Envelope::default() };
    let sent = NewMessage { envelope, payload: Vec::new() };
    c2d::send(hub.engine(), &hub.service().await, &d1(), sent).await.expect("sent");
    let publish = receive(&mut client).await;
    let bag = publish.topic.strip_prefix("devices/d-1/messages/devicebound/").expect("a topic");
    assert!(bag.ends_with("&a%2Fb=x%20y%26%3D%25%C3%A4&k"), "{bag}");
    assert_eq!((publish.qos, publish.packet_id), (QoS::AtMostOnce, None));
    client.ping().await;
    // With QoS 0 it is done when it is written.
    client.subscribe(AT_LEAST_ONCE).await;
    send(&hub, "m-2").await;
    assert_eq!(&receive(&mut client).await.payload[..], b"m-2");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_in_order() {
    let mut hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut first, _) = Client::accepted(hub.address, login.connect()).await;
    first.subscribe(AT_LEAST_ONCE).await;
    for id in ["m-1", "m-2", "m-3"] {
        send(&hub, id).await;
    }
    let (one, two) = (receive(&mut first).await, receive(&mut first).await);
    assert_eq!((&one.payload[..], &two.payload[..]), (&b"m-1"[..], &b"m-2"[..]));
    acknowledge(&mut first, &two).await;
    assert_eq!(feedback(&hub, 1).await, [("m-2".to_owned(), Outcome::Success)]);

    // Taken over: no SUBSCRIBE is needed.
    let (mut second, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(present);
    let again = receive(&mut second).await;
    assert_eq!(&again.payload[..], b"m-1");
    acknowledge(&mut second, &again).await;
    assert_eq!(feedback(&hub, 1).await, [("m-1".to_owned(), Outcome::Success)]);

    // Restarted: the rest is still there.
    hub.restart().await;
    let (mut third, present) = Client::accepted(hub.address, login.connect()).await;
    assert!(present);
    let again = receive(&mut third).await;
    assert_eq!(&again.payload[..], b"m-3");
    acknowledge(&mut third, &again).await;
    assert_eq!(feedback(&hub, 1).await, [("m-3".to_owned(), Outcome::Success)]);
}

#[tokio::test]
async fn a_full_queue_is_delivered_through_the_window() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    for number in 0..MAX_PENDING {
        send(&hub, &format!("m-{number:02}")).await;
    }
    let caller = hub.service().await;
    let refused = c2d::send(hub.engine(), &caller, &d1(), message("x", b"")).await;
    assert!(matches!(refused, Err(SendError::QueueFull)), "{refused:?}");
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(AT_LEAST_ONCE).await;
    for number in 0..MAX_PENDING {
        let publish = receive(&mut client).await;
        assert_eq!(publish.payload, format!("m-{number:02}"));
        acknowledge(&mut client, &publish).await;
    }
    assert_eq!(feedback(&hub, MAX_PENDING as usize).await.len(), MAX_PENDING as usize);
    client.ping().await;
}

#[tokio::test]
async fn a_clean_session_forgets_that_it_listened_but_not_the_message() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut first, _) = Client::accepted(hub.address, login.connect()).await;
    first.subscribe(AT_LEAST_ONCE).await;
    let mut clean = login.connect();
    clean.clean_session = true;
    let (mut second, present) = Client::accepted(hub.address, clean).await;
    assert!(!present);
    send(&hub, "m-1").await;
    second.ping().await;
    second.subscribe(AT_LEAST_ONCE).await;
    assert_eq!(&receive(&mut second).await.payload[..], b"m-1");
}

#[tokio::test]
async fn a_purge_takes_messages_back_and_tells() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    send(&hub, "m-1").await;
    send(&hub, "m-2").await;
    assert_eq!(c2d::purge(hub.engine(), &hub.service().await, &d1()).await.expect("purged"), 2);
    let told = [("m-1".to_owned(), Outcome::Purged), ("m-2".to_owned(), Outcome::Purged)];
    assert_eq!(feedback(&hub, 2).await, told);
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.subscribe(AT_LEAST_ONCE).await;
    client.ping().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let hub = TestHub::start().await;
    hub.device("d-1").await;
    let caller = hub.service().await;
    let refused = c2d::send(hub.engine(), &caller, &d1(), message("m", &vec![0; MAX_BYTES])).await;
    assert!(matches!(refused, Err(SendError::TooLarge)), "{refused:?}");
    let properties = vec![("k".to_owned(), Some("ä".repeat(15_000)))];
    let envelope = Envelope { message_id: "m".into(), properties, ..Envelope::default() };
    let refused = c2d::send(hub.engine(), &caller, &d1(), NewMessage { envelope, payload: Vec::new() }).await;
    assert!(matches!(refused, Err(SendError::TooLarge)), "its topic would be too long: {refused:?}");
    let unknown = DeviceId::parse("nobody").expect("a device id");
    let refused = c2d::send(hub.engine(), &caller, &unknown, message("m", b"")).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}

//! Bytes of strangers: whatever comes, the hub stays and serves others.

use crate::{
    client::{Client, message},
    support::TestHub,
};
use bytes::BytesMut;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rmqtt_codec::v3::{Codec, Packet};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::codec::Encoder;

const THREADS: &str = "hostile-hub";

#[tokio::test]
async fn packets_before_connect_end_the_connection() {
    let hub = TestHub::start().await;
    for packet in [
        message("devices/d-1/messages/events/", "x", 1),
        Packet::PingRequest,
        Packet::Disconnect,
        Packet::PublishAck { packet_id: std::num::NonZeroU16::MIN },
    ] {
        let mut client = Client::open(hub.address).await;
        client.send(packet).await;
        client.closed().await;
    }
}

#[tokio::test]
async fn malformed_packets_end_the_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let malformed: &[&[u8]] = &[
        b"\x00\x00",
        b"\xff\xff\xff\xff\xff",
        b"\x10\x04\x00\x04MQ",
        b"\x30\x02\x00\x00",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x82\x02\x00\x01",
        b"\x82\x06\x00\x00\x00\x01a\x00",
        b"\x40\x03\x00\x01\x00",
        b"\x30\x05\x00\x02\xff\xfe\x00",
        b"\x30\xff\xff\xff\x7f",
    ];
    let mut browser = Client::open(hub.address).await;
    browser.raw(b"GET / HTTP/1.1\r\n\r\n").await;
    browser.closed().await;
    for bytes in malformed {
        let mut stranger = Client::open(hub.address).await;
        stranger.raw(bytes).await;
        stranger.closed().await;
        let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
        client.raw(bytes).await;
        client.closed().await;
    }
}

#[test]
fn random_bytes_do_no_harm() {
    count_panics();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).thread_name(THREADS).enable_all().build().expect("a runtime");
    let hub = runtime.block_on(TestHub::start());
    let login = runtime.block_on(hub.device("d-1"));
    let mut connect = BytesMut::new();
    Codec::new(0).encode(login.connect().into(), &mut connect).expect("a packet");
    let bytes = proptest::collection::vec(any::<u8>(), 0..512);
    // Random headers seldom get anywhere, so half of the cases begin with a known packet type and its true length.
    let framed = (0x1u8..=0xf, 0u8..=0xf, proptest::collection::vec(any::<u8>(), 0..120))
        .prop_map(|(kind, flags, body)| [vec![kind << 4 | flags, body.len() as u8], body].concat());
    let packets = proptest::collection::vec(framed, 1..5).prop_map(|packets| packets.concat());
    let cases = (any::<bool>(), prop_oneof![bytes, packets]);
    let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&cases, |(after_connect, bytes)| {
        runtime.block_on(async {
            let mut client = Client::open(hub.address).await;
            if after_connect {
                client.raw(&connect).await;
            }
            client.raw(&bytes).await;
        });
        Ok(())
    });
    outcome.expect("no case fails");
    runtime.block_on(async {
        let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
        client.publish("devices/d-1/messages/events/", "still here", 1).await;
        client.acked(1).await;
        while hub.message().await.payload != "still here" {}
    });
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a connection's task panicked");
}

/// Panics on the threads of the one runtime in this program that has its own: the hub above.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some(THREADS) {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
}

//! The load generator against a small broker in the same process.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

use bytes::BytesMut;
use muster_loadgen::{Activity, DeviceLogin, Endpoint, Fleet, LoadConfig, Payload, Quality, churn, run};
use rmqtt_codec::v3::{Codec, ConnectAck, ConnectAckReason, Packet};
use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::codec::{Decoder, Encoder};

/// Acknowledges and counts; refuses some, and loses patience with others.
struct Broker {
    url: String,
    received: Arc<AtomicU64>,
    /// Ended when everybody is to be dropped.
    open: watch::Sender<()>,
}

impl Broker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("mqtt://{}", listener.local_addr().expect("an address"));
        let received = Arc::new(AtomicU64::new(0));
        let counter = received.clone();
        let open = watch::Sender::new(());
        let drops = open.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut dropped, counter) = (drops.subscribe(), counter.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve(stream, counter) => {}
                        _ = dropped.changed() => {}
                    }
                });
            }
        });
        Self { url, received, open }
    }

    async fn config(&self, prefix: &str, devices: usize, activity: Activity) -> LoadConfig {
        let login = |index| DeviceLogin {
            client_id: format!("{prefix}-{index}"),
            username: None,
            password: None,
            topic: format!("devices/{prefix}-{index}/messages/events/"),
        };
        LoadConfig {
            endpoint: Endpoint::parse(&self.url, None).await.expect("an endpoint"),
            devices: (0..devices).map(login).collect(),
            activity,
            duration: Duration::from_secs(1),
        }
    }
}

async fn serve(mut stream: TcpStream, received: Arc<AtomicU64>) {
    let (mut codec, mut incoming, mut outgoing) = (Codec::new(0), BytesMut::new(), BytesMut::new());
    let mut patience = u64::MAX;
    while stream.read_buf(&mut incoming).await.is_ok_and(|read| read > 0) {
        while let Ok(Some((packet, _))) = codec.decode(&mut incoming) {
            match packet {
                Packet::Connect(connect) => {
                    let refused = connect.client_id.starts_with("stranger");
                    patience = if connect.client_id.starts_with("flood") { 3 } else { u64::MAX };
                    let return_code =
                        if refused { ConnectAckReason::NotAuthorized } else { ConnectAckReason::ConnectionAccepted };
                    let ack = ConnectAck { return_code, session_present: false };
                    codec.encode(Packet::ConnectAck(ack), &mut outgoing).expect("a packet");
                }
                Packet::Publish(publish) => {
                    if patience == 0 {
                        return;
                    }
                    patience -= 1;
                    received.fetch_add(1, Ordering::Relaxed);
                    serde_json::from_slice::<serde_json::Value>(&publish.payload).expect("JSON");
                    if let Some(packet_id) = publish.packet_id {
                        codec.encode(Packet::PublishAck { packet_id }, &mut outgoing).expect("a packet");
                    }
                }
                Packet::PingRequest => codec.encode(Packet::PingResponse, &mut outgoing).expect("a packet"),
                _ => return,
            }
        }
        if stream.write_all_buf(&mut outgoing).await.is_err() {
            return;
        }
    }
}

fn send(rate: Option<f64>, quality: Quality) -> Activity {
    let window = NonZeroU16::new(4).expect("a window");
    Activity::Send { window, rate, payload: Payload::parse(Payload::DEFAULT), quality }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_acknowledged_and_counted() {
    let broker = Broker::start().await;
    let report = run(broker.config("pump", 50, send(None, Quality::AtLeastOnce)).await).await.expect("a report");
    assert_eq!((report.connected, report.errors.len()), (50, 0));
    assert!(report.acknowledged > 200, "{report:?}");
    assert_eq!(report.acknowledged, report.sent);
    assert_eq!(report.acknowledged, broker.received.load(Ordering::Relaxed));
    // By Little's law: what is under way, by the rate, is how long each took.
    let expected_ms = 50.0 * 4.0 / report.acknowledged_per_second * 1000.0;
    assert!(report.latency_max_ms >= expected_ms / 2.0, "{report:?}, expected about {expected_ms} ms");
    assert!(report.latency_p50_ms > 0.0 && report.latency_p50_ms <= report.latency_p99_ms, "{report:?}");
    assert!(report.latency_p99_ms <= report.latency_max_ms * 1.01, "{report:?}");
    let rate = report.acknowledged as f64 / report.seconds;
    assert!((report.acknowledged_per_second - rate).abs() < 1.0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_a_limit() {
    let broker = Broker::start().await;
    let config = broker.config("pump", 10, send(Some(100.0), Quality::AtLeastOnce)).await;
    let report = run(config).await.expect("a report");
    // Ten devices, ten messages a second each, the first at once.
    assert!((50..=100).contains(&report.sent), "{report:?}");
    assert_eq!(report.acknowledged, report.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_acknowledgements_messages_are_sent_all_the_same() {
    let broker = Broker::start().await;
    let config = broker.config("pump", 5, send(Some(50.0), Quality::AtMostOnce)).await;
    let report = run(config).await.expect("a report");
    assert_eq!(report.acknowledged, 0);
    assert!(report.sent >= 25, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_devices_hold_their_connections() {
    let broker = Broker::start().await;
    let report = run(broker.config("pump", 20, Activity::Hold).await).await.expect("a report");
    assert_eq!((report.connected, report.sent, report.errors.len()), (20, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told() {
    let broker = Broker::start().await;
    let strangers = broker.config("stranger", 3, Activity::Hold).await;
    let error = Fleet::connect(strangers.endpoint.clone(), strangers.devices.clone()).await.err().expect("an error");
    assert!(format!("{error:#}").contains("not authorized"), "{error:#}");

    let mut mixed = broker.config("pump", 5, send(None, Quality::AtLeastOnce)).await;
    mixed.devices.extend(strangers.devices);
    let report = run(mixed).await.expect("a report");
    assert_eq!((report.connected, report.errors.values().sum()), (5, 3_u64));

    let cut = run(broker.config("flood", 4, send(None, Quality::AtLeastOnce)).await).await.expect("a report");
    assert_eq!(cut.errors.values().sum::<u64>(), 4, "{cut:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_come_and_go() {
    let broker = Broker::start().await;
    let config = broker.config("pump", 3, Activity::Hold).await;
    let report = churn(config.endpoint.clone(), config.devices, 50).await.expect("a report");
    assert_eq!((report.sent, report.acknowledged, report.errors.len()), (50, 50, 0));
    let strangers = broker.config("stranger", 2, Activity::Hold).await.devices;
    let report = churn(config.endpoint, strangers, 10).await.expect("a report");
    assert_eq!((report.acknowledged, report.errors.values().sum()), (0, 10_u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_dropped_connects_again() {
    let broker = Broker::start().await;
    let config = broker.config("pump", 40, Activity::Hold).await;
    let fleet = Fleet::connect(config.endpoint, config.devices).await.expect("a fleet");
    let back = tokio::spawn(fleet.outlast(Duration::from_secs(30)));
    broker.open.send_replace(());
    let report = back.await.expect("a task").expect("a report");
    assert_eq!((report.connected, report.acknowledged, report.errors.len()), (40, 40, 0));
    assert!(report.sent >= 40, "{report:?}");
}

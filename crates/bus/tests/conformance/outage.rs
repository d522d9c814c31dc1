//! A broker that is not there, hangs, or dies.

use crate::{
    cases::{assert_same, ids_of, send_all, take},
    world::{BUDGET, LONG, World},
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesOrdered};
use muster_bus::{Bus, BusError, BusHealth, Consumer, InstanceId, Topic};
use muster_testkit::Broker;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Batches that each sender of the load keeps in flight.
const IN_FLIGHT: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_waited_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let world = World::at(&format!("amqp://someone:secret@127.0.0.1:{port}"));
    let bus = world.connect().await;
    let reason = reason_to_wait(&bus, "refused").await;
    assert!(!reason.contains("secret"), "{reason}");
    let mut sent = send_all(&bus, 0, 1);
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut sent).await.is_err());
    let other = InstanceId("other".into());
    assert!(
        matches!(bus.push(&other, Bytes::new()).await, Err(BusError::Unavailable { .. })),
        "a push fails rather than waits"
    );
    sent.abort();
    world.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told() {
    let Some(world) = World::rabbit("a_wrong_password_is_told") else { return };
    let (scheme, address) = world.url.split_once("://").expect("an address");
    let host = address.rsplit('@').next().expect("a host");
    let stranger = World::at(&format!("{scheme}://stranger:wrong-secret@{host}"));
    let bus = stranger.connect().await;
    let reason = reason_to_wait(&bus, "ACCESS_REFUSED").await;
    assert!(!reason.contains("wrong-secret"), "{reason}");
    stranger.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_queue_is_made_again_and_nothing_in_flight_is_lost() {
    let Some(world) = World::rabbit("a_lost_queue_is_made_again_and_nothing_in_flight_is_lost") else { return };
    world
        .run(async |world| {
            let bus = world.connect().await;
            send_all(&bus, 0, 1).await.expect("a sender");
            let connection = lapin::Connection::connect(&world.url, lapin::ConnectionProperties::default()).await;
            let channel = connection.expect("a connection").create_channel().await.expect("a channel");
            let queue = format!("{}.ingest.0", world.namespace);
            channel.queue_delete(queue.into(), Default::default()).await.expect("a queue deleted");
            // The broker confirms what it can not route: only `mandatory` tells.
            let ids = send_all(&bus, 0, 20).await.expect("a sender");
            let mut consumer = bus.consume(0).await.expect("a consumer");
            let mut received = take(&mut consumer, 20).await;
            received.dedup_by_key(|delivery| delivery.id);
            assert_eq!(ids_of(&received), ids);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_killed_under_load_loses_nothing_and_doubles_nothing() {
    let name = "a_broker_killed_under_load_loses_nothing_and_doubles_nothing";
    let Some(mut broker) = Broker::prepare(name) else { return };
    let world = World::at(&broker.url());
    let bus = world.connect().await;
    let waiting = send_all(&bus, 0, 3);
    reason_to_wait(&bus, "refused").await;
    broker.start().await;
    in_time("what was sent before the broker was there", waiting).await.expect("a sender");

    hangs(&world, &bus, &broker).await;
    killed_under_load(&world, &bus, &mut broker).await;
    world.stop.cancel();
}

/// Nothing is confirmed while it hangs, what is unconfirmed is bounded, and nothing is lost.
async fn hangs(world: &World, bus: &Bus, broker: &Broker) {
    broker.freeze();
    let body = Bytes::from(vec![1; BUDGET / 4]);
    let sending: Vec<_> = (0..6)
        .map(|_| {
            let (bus, body) = (bus.clone(), body.clone());
            tokio::spawn(async move { bus.send(1, Uuid::now_v7(), body).await })
        })
        .collect();
    tokio::time::timeout(Duration::from_millis(500), std::future::pending::<()>()).await.expect_err("a while");
    assert!(sending.iter().all(|sent| !sent.is_finished()), "nothing is safe at a broker that hangs");
    broker.thaw();
    for sent in sending {
        in_time("what was sent while it hung", sent).await.expect("a task").expect("a send");
    }
    let mut consumer = world.connect().await.consume(1).await.expect("a consumer");
    let six = in_time("six batches", take(&mut consumer, 6)).await;
    consumer.ack(six).await.expect("an ack");
}

async fn killed_under_load(world: &World, bus: &Bus, broker: &mut Broker) {
    let receiver = world.connect().await;
    let mut notices = receiver.subscribe(Topic::Notice).await.expect("a subscription");
    let mut pushes = receiver.pushes().await.expect("pushes");
    let mut reconnects = receiver.reconnects();

    let (enough, confirmed) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let senders = [0, 1].map(|partition| tokio::spawn(load(bus.clone(), partition, enough.clone(), confirmed.clone())));
    let drained = CancellationToken::new();
    let consumers = [0, 1].map(|partition| {
        let (receiver, drained) = (receiver.clone(), drained.clone());
        tokio::spawn(async move { drain(receiver.consume(partition).await.expect("a consumer"), drained).await })
    });

    for round in 1..=2 {
        count_to(&confirmed, confirmed.load(Ordering::Relaxed) + 300).await;
        broker.kill();
        reason_to_wait(bus, "").await;
        broker.start().await;
        count_to(&confirmed, confirmed.load(Ordering::Relaxed) + 300).await;
        // A broker killed again before would count once.
        in_time("subscriptions come back", reconnects.wait_for(|count| *count >= round)).await.expect("a count");
    }
    enough.cancel();
    let mut sent = Vec::new();
    for sender in senders {
        sent.push(in_time("all that was sent is safe", sender).await.expect("a sender"));
    }
    in_time("everything is received", async {
        while receiver.depth().await.map_or(true, |depth| depth > 0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    drained.cancel();
    for (sent, consumer) in sent.into_iter().zip(consumers) {
        let received = in_time("the consumer ends", consumer).await.expect("a consumer");
        let (lost, stray) = (missing(&sent, &received), missing(&received, &sent));
        println!("{} batches safe, {} received, repeats not counted", sent.len(), received.len());
        assert!(lost.is_empty() && stray.is_empty(), "lost {lost:?}, never sent {stray:?}");
        assert_same(&sent, &received);
    }

    bus.publish(Topic::Notice, Bytes::from_static(b"again")).await;
    assert_eq!(in_time("a notice", notices.recv()).await.expect("a notice"), &b"again"[..]);
    let instance = InstanceId(format!("instance-{}", world.last_instance()));
    bus.push(&instance, Bytes::from_static(b"again")).await.expect("a push");
    assert_eq!(in_time("a push", pushes.recv()).await.expect("a push"), &b"again"[..]);
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.unwrap_or_else(|_| panic!("waited {LONG:?} in vain: {what}"))
}

/// Sends until it is enough; returns all ids, each of which is safe, in the order of sending.
async fn load(bus: Bus, partition: u16, enough: CancellationToken, confirmed: Arc<AtomicUsize>) -> Vec<Uuid> {
    let (mut ids, mut sending) = (Vec::new(), FuturesOrdered::new());
    loop {
        while sending.len() < IN_FLIGHT && !enough.is_cancelled() {
            let (bus, id) = (bus.clone(), Uuid::now_v7());
            sending.push_back(async move {
                bus.send(partition, id, Bytes::from(vec![9; 1000])).await.expect("a send");
                id
            });
        }
        let Some(id) = sending.next().await else { return ids };
        ids.push(id);
        confirmed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Receives and acknowledges; returns the ids in the order in which each came first.
async fn drain(mut consumer: Consumer, drained: CancellationToken) -> Vec<Uuid> {
    let (mut received, mut seen) = (Vec::new(), HashSet::new());
    loop {
        let deliveries = tokio::select! {
            deliveries = consumer.next(16) => deliveries.expect("batches"),
            () = drained.cancelled() => return received,
        };
        // Those of the first step of the test are not part of the load.
        received.extend(deliveries.iter().filter(|d| d.body.len() == 1000 && seen.insert(d.id)).map(|d| d.id));
        consumer.ack(deliveries).await.expect("an ack");
    }
}

fn missing(some: &[Uuid], others: &[Uuid]) -> Vec<Uuid> {
    let others: HashSet<&Uuid> = others.iter().collect();
    some.iter().filter(|id| !others.contains(id)).copied().collect()
}

async fn count_to(counter: &AtomicUsize, goal: usize) {
    let counting = async {
        while counter.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, counting).await.expect("batches are confirmed again");
}

/// Waits until the bus reports trouble that contains `text`.
async fn reason_to_wait(bus: &Bus, text: &str) -> String {
    let looking = async {
        loop {
            match bus.health() {
                BusHealth::Waiting { reason, .. } if reason.contains(text) => return reason,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("a reason")
}

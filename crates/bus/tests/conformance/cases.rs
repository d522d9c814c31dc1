//! What every backend must do.

use crate::world::{BUDGET, LONG, PARTITIONS, World};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::FuturesOrdered};
use muster_bus::{Bus, BusConfig, BusError, BusHealth, Consumer, Delivery, InstanceId, Topic};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long to look whether something happens that must not.
const A_MOMENT: Duration = Duration::from_millis(200);

pub async fn a_batch_is_safe_when_send_resolves(world: World) {
    let bus = world.connect().await;
    let mut sent = send_all(&bus, 0, 1);
    if world.is_embedded() {
        assert!(tokio::time::timeout(A_MOMENT, &mut sent).await.is_err(), "nobody has stored it yet");
        assert_eq!(bus.depth().await.expect("a depth"), 1);
        let mut consumer = bus.consume(0).await.expect("a consumer");
        let deliveries = take(&mut consumer, 1).await;
        assert!(tokio::time::timeout(A_MOMENT, &mut sent).await.is_err(), "handed out is not stored");
        consumer.ack(deliveries).await.expect("an ack");
        sent.await.expect("a sender");
    } else {
        let ids = sent.await.expect("a sender");
        assert_eq!(bus.depth().await.expect("a depth"), 1);
        bus.close().await;
        let mut consumer = world.connect().await.consume(0).await.expect("a consumer");
        assert_eq!(ids_of(&take(&mut consumer, 1).await), ids, "it outlives its sender");
    }
}

pub async fn an_unacknowledged_batch_comes_again_in_order(world: World) {
    let bus = world.connect().await;
    let sent = send_all(&bus, 0, 10);
    let mut crashing = bus.consume(0).await.expect("a consumer");
    let mut first = take(&mut crashing, 10).await;
    let ids = ids_of(&first);
    crashing.ack(first.drain(..3).collect()).await.expect("an ack");
    drop(crashing);

    let mut consumer = bus.consume(0).await.expect("a consumer");
    let again = take(&mut consumer, 7).await;
    assert_eq!(ids_of(&again), ids[3..]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
    consumer.ack(again).await.expect("an ack");
    assert_eq!(sent.await.expect("a sender"), ids);
    assert_eq!(bus.depth().await.expect("a depth"), 0);
}

pub async fn a_batch_given_back_comes_again_before_newer_ones(world: World) {
    let bus = world.connect().await;
    let sent = send_all(&bus, 1, 6);
    let mut consumer = bus.consume(1).await.expect("a consumer");
    let mut held = take(&mut consumer, 4).await;
    let back = held.split_off(1);
    let (first, expected) = (ids_of(&held), ids_of(&back));
    // Not in their order: the bus restores it.
    consumer.nack(back.into_iter().rev().collect()).await.expect("a nack");
    let again = take(&mut consumer, 3).await;
    assert_eq!(ids_of(&again), expected);
    assert!(again.iter().all(|delivery| delivery.redelivered));
    let newer = take(&mut consumer, 2).await;
    let all: Vec<Uuid> = [first, expected, ids_of(&newer)].concat();
    for deliveries in [newer, again, held] {
        consumer.ack(deliveries).await.expect("an ack");
    }
    assert_eq!(sent.await.expect("a sender"), all);
    drop(consumer);
    let mut consumer = bus.consume(1).await.expect("a consumer");
    let nothing = tokio::time::timeout(A_MOMENT, consumer.next(1)).await;
    assert!(nothing.is_err(), "all was acknowledged");
}

pub async fn one_consumer_is_active_and_the_next_takes_over(world: World) {
    let bus = world.connect().await;
    let mut active = bus.consume(0).await.expect("a consumer");
    let first = send_all(&bus, 0, 2);
    let held = take(&mut active, 2).await;

    let other = world.connect().await;
    let mut waiting = other.consume(0).await.expect("a consumer");
    let second = send_all(&bus, 0, 3);
    assert!(tokio::time::timeout(A_MOMENT, waiting.next(10)).await.is_err(), "the partition has an owner");
    let ids = ids_of(&held);
    drop((active, held));

    let all = take(&mut waiting, 5).await;
    assert_eq!(ids_of(&all)[..2], ids, "what the first held comes before newer ones");
    waiting.ack(all).await.expect("an ack");
    first.await.expect("a sender");
    second.await.expect("a sender");
}

/// As a `select!` gives up what is slower: at any point, also before the consumer has begun.
pub async fn waiting_may_be_given_up_at_any_time(world: World) {
    const COUNT: usize = 50;
    let bus = world.connect().await;
    let mut consumer = bus.consume(0).await.expect("a consumer");
    let sent = send_all(&bus, 0, COUNT);
    let mut received = Vec::new();
    let receiving = async {
        while received.len() < COUNT {
            let Some(lot) = consumer.next(7).now_or_never() else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let lot = lot.expect("batches");
            received.extend(ids_of(&lot));
            consumer.ack(lot).await.expect("an ack");
        }
    };
    tokio::time::timeout(LONG, receiving).await.expect("all batches");
    assert_same(&sent.await.expect("a sender"), &received);
}

pub async fn order_is_kept_within_a_partition(world: World) {
    const COUNT: usize = 500;
    let bus = world.connect().await;
    let senders = [send_all(&bus, 0, COUNT), send_all(&bus, 1, COUNT)];
    for (partition, sender) in (0..PARTITIONS).zip(senders) {
        let mut consumer = bus.consume(partition).await.expect("a consumer");
        let mut received = Vec::new();
        while received.len() < COUNT {
            // Other sizes each time, and every third lot is given back once.
            let lot = consumer.next(1 + received.len() % 7).await.expect("batches");
            if received.len() % 3 == 0 && !lot[0].redelivered {
                consumer.nack(lot).await.expect("a nack");
                continue;
            }
            received.extend(ids_of(&lot));
            consumer.ack(lot).await.expect("an ack");
        }
        assert_same(&sender.await.expect("a sender"), &received);
    }
}

pub async fn unconfirmed_bytes_are_bounded(world: World) {
    let bus = world.connect().await;
    let body = Bytes::from(vec![7; BUDGET / 3 + 1]);
    let sending = (0..4).map(|_| {
        let (bus, body) = (bus.clone(), body.clone());
        tokio::spawn(async move { bus.send(0, Uuid::now_v7(), body).await })
    });
    let sending: Vec<_> = sending.collect();
    let mut consumer = bus.consume(0).await.expect("a consumer");
    if world.is_embedded() {
        let two = take(&mut consumer, 2).await;
        assert!(tokio::time::timeout(A_MOMENT, consumer.next(1)).await.is_err(), "a third does not fit");
        consumer.ack(two).await.expect("an ack");
        let two = take(&mut consumer, 2).await;
        consumer.ack(two).await.expect("an ack");
    } else {
        let four = take(&mut consumer, 4).await;
        consumer.ack(four).await.expect("an ack");
    }
    for sent in sending {
        sent.await.expect("a task").expect("a send");
    }
}

pub async fn closing_drains(world: World) {
    let bus = world.connect().await;
    let sent = send_all(&bus, 0, 5);
    let mut consumer = bus.consume(0).await.expect("a consumer");
    let held = take(&mut consumer, 5).await;
    let mut closing = Box::pin(bus.close());
    assert!(futures::poll!(&mut closing).is_pending());
    assert!(matches!(bus.send(0, Uuid::now_v7(), Bytes::new()).await, Err(BusError::Closed)));
    assert!(tokio::time::timeout(A_MOMENT, &mut closing).await.is_err(), "a consumer still holds batches");
    let ids = ids_of(&held);
    consumer.ack(held).await.expect("an ack while draining");
    assert_eq!(sent.await.expect("a sender"), ids);
    let (ended, ()) = tokio::join!(
        async {
            let ended = consumer.next(1).await;
            drop(consumer);
            ended
        },
        closing
    );
    assert!(matches!(ended, Err(BusError::Closed)));
    assert!(matches!(bus.consume(0).await, Err(BusError::Closed)));
    if !world.is_embedded() {
        let again = world.connect().await;
        assert_eq!(again.depth().await.expect("a depth"), 0, "the acks arrived");
    }
}

pub async fn stopping_fails_what_is_unconfirmed(world: World) {
    let stop = CancellationToken::new();
    let bus = Bus::connect(world.config(), stop.clone()).await.expect("a bus");
    let mut consumer = bus.consume(0).await.expect("a consumer");
    let mut pushes = bus.pushes().await.expect("pushes");
    let mut live = bus.subscribe(Topic::Live).await.expect("a subscription");
    let (consumed, sent) = tokio::join!(
        async { consumer.next(1).await.map(|held| stop.cancel_after(held)) },
        bus.send(0, Uuid::now_v7(), Bytes::from_static(b"x"))
    );
    consumed.expect("a batch");
    if world.is_embedded() {
        assert!(matches!(sent, Err(BusError::Closed)), "nobody stored it");
    }
    assert!(matches!(consumer.next(1).await, Err(BusError::Closed)));
    assert!(matches!(bus.send(0, Uuid::now_v7(), Bytes::new()).await, Err(BusError::Closed)));
    assert!(matches!(bus.pushes().await, Err(BusError::Closed)));
    if !world.is_embedded() {
        assert_eq!(pushes.recv().await, None);
    }
    assert_eq!(live.recv().await, None);
    drop(consumer);
    bus.close().await;
}

pub async fn fan_outs_reach_every_subscriber(world: World) {
    let (one, other) = (world.connect().await, world.connect().await);
    let mut notices = [subscribe(&one, Topic::Notice).await, subscribe(&other, Topic::Notice).await];
    let mut live = subscribe(&other, Topic::Live).await;
    one.publish(Topic::Live, Bytes::from_static(b"live")).await;
    for number in 0..100_u8 {
        one.publish(Topic::Notice, Bytes::from(vec![number])).await;
    }
    for subscriber in &mut notices {
        for number in 0..100_u8 {
            assert_eq!(subscriber.recv().await.expect("a notice"), [number][..]);
        }
    }
    assert_eq!(live.recv().await.expect("a live value"), &b"live"[..]);
    // Nobody listens: that is fine.
    one.publish(Topic::Interest, Bytes::new()).await;
}

pub async fn pushes_reach_their_instance(world: World) {
    let cfg = world.config();
    let name = cfg.instance.clone();
    let bus = Bus::connect(cfg, world.stop.clone()).await.expect("a bus");
    let sender = if world.is_embedded() { bus.clone() } else { world.connect().await };
    let body = Bytes::from_static(b"hello");
    assert!(matches!(sender.push(&name, body.clone()).await, Err(BusError::NoInstance(_))), "it does not receive yet");

    let mut pushes = bus.pushes().await.expect("pushes");
    assert!(matches!(bus.pushes().await, Err(BusError::Taken(_))));
    for _ in 0..3 {
        sender.push(&name, body.clone()).await.expect("a push");
        assert_eq!(pushes.recv().await.expect("a push"), body);
    }
    let nobody = InstanceId("nobody".into());
    assert!(matches!(sender.push(&nobody, body.clone()).await, Err(BusError::NoInstance(to)) if to == nobody));

    let mut refused = false;
    for _ in 0..5000 {
        match sender.push(&name, body.clone()).await {
            Ok(()) => {}
            Err(BusError::Full(_)) => {
                refused = true;
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused, "a reader that sleeps must not fill the memory");
    drop(pushes);
    while !matches!(sender.push(&name, body.clone()).await, Err(BusError::NoInstance(_))) {
        tokio::task::yield_now().await;
    }
    bus.pushes().await.expect("pushes again");
}

pub async fn a_large_body_is_carried(world: World) {
    // Larger than a frame, and larger than the whole budget.
    let body = Bytes::from(vec![42; 2 * BUDGET]);
    let bus = world.connect().await;
    let mut consumer = bus.consume(0).await.expect("a consumer");
    let (sent, ()) = tokio::join!(bus.send(0, Uuid::now_v7(), body.clone()), async {
        let deliveries = take(&mut consumer, 1).await;
        assert_eq!(deliveries[0].body, body);
        consumer.ack(deliveries).await.expect("an ack");
    });
    sent.expect("a send");
}

pub async fn wrong_use_is_refused(world: World) {
    let bus = world.connect().await;
    let unknown = bus.send(PARTITIONS, Uuid::now_v7(), Bytes::new()).await;
    assert!(matches!(unknown, Err(BusError::UnknownPartition { partition: PARTITIONS, partitions: PARTITIONS })));
    assert!(matches!(bus.consume(PARTITIONS).await, Err(BusError::UnknownPartition { .. })));
    let huge = Bytes::from(vec![0; 16 * 1024 * 1024 + 1]);
    assert!(matches!(bus.send(0, Uuid::now_v7(), huge).await, Err(BusError::TooLarge { .. })));

    let wrong: [fn(&mut BusConfig); 6] = [
        |cfg| cfg.url = "http://localhost".into(),
        |cfg| cfg.url = "amqp://:not a port".into(),
        |cfg| cfg.namespace = "a b".into(),
        |cfg| cfg.instance = InstanceId(String::new()),
        |cfg| cfg.partitions = 0,
        |cfg| cfg.max_unconfirmed_bytes = 0,
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let mut cfg = world.config();
        change(&mut cfg);
        let refused = Bus::connect(cfg, CancellationToken::new()).await;
        assert!(matches!(refused, Err(BusError::Invalid(_))), "{number}");
    }
    while bus.health() != BusHealth::Connected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

trait CancelAfter {
    fn cancel_after(&self, held: Vec<Delivery>);
}

impl CancelAfter for CancellationToken {
    /// Stops while the batches are held.
    fn cancel_after(&self, held: Vec<Delivery>) {
        self.cancel();
        drop(held);
    }
}

/// Sends so many batches, all in flight at once, and returns their ids in order once all are safe.
pub fn send_all(bus: &Bus, partition: u16, count: usize) -> JoinHandle<Vec<Uuid>> {
    let bus = bus.clone();
    tokio::spawn(async move {
        let send = |number: usize| {
            let (bus, id) = (bus.clone(), Uuid::now_v7());
            async move { bus.send(partition, id, Bytes::from(number.to_string())).await.map(|()| id) }
        };
        let mut sending: FuturesOrdered<_> = (0..count).map(send).collect();
        let mut ids = Vec::new();
        while let Some(sent) = sending.next().await {
            ids.push(sent.expect("a send"));
        }
        ids
    })
}

/// Takes exactly so many batches.
pub async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.extend(consumer.next(count - deliveries.len()).await.expect("batches"));
    }
    deliveries
}

pub fn ids_of(deliveries: &[Delivery]) -> Vec<Uuid> {
    deliveries.iter().map(|delivery| delivery.id).collect()
}

/// Like `assert_eq`, without printing them all.
pub fn assert_same(sent: &[Uuid], received: &[Uuid]) {
    let different = sent.iter().zip(received).position(|(sent, received)| sent != received);
    assert_eq!((different, sent.len()), (None, received.len()), "first difference, count");
}

async fn subscribe(bus: &Bus, topic: Topic) -> tokio::sync::mpsc::Receiver<Bytes> {
    bus.subscribe(topic).await.expect("a subscription")
}

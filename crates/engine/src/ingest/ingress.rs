//! From the sockets to the bus: messages of a partition are gathered into batches, and every message is answered
//! for once its batch is safe.
//!
//! # Invariants
//! - [`AckSink::done`] is called exactly once for each message that was accepted, in the order of acceptance, and
//!   with `true` only after [`Bus::send`] has resolved.
//! - Bytes that are accepted and not answered for are bounded; [`Ingress::submit`] waits, so the sockets do too.
//! - On stop nothing new is accepted, and what was accepted is sent and answered for within the deadline; what could
//!   not be sent by then is answered with `false`.

use futures::{StreamExt, stream::FuturesOrdered};
use muster_bus::Bus;
use muster_model::batch::{Encoder, Inbound, MAX_MESSAGES};
use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// A batch waits at most this long for company while another is on its way; when none is, it goes at once.
const GATHER: Duration = Duration::from_millis(5);
/// Batches of a partition that may be unconfirmed before no more messages are taken from its queue.
const IN_FLIGHT: usize = 64;
/// Messages that may wait in a partition's queue.
const QUEUE: usize = 4 * MAX_MESSAGES;
/// Bytes of a partition that may be accepted and not answered for.
const UNCONFIRMED_BYTES: usize = 32 * 1024 * 1024;

/// Whoever waits for the fate of messages: a device's connection.
pub trait AckSink: Send + Sync {
    /// The message is safe (`ok`), or its fate is unknown and the device must send it again. Must not block.
    fn done(&self, packet: u32, ok: bool);
}

/// Whom to tell about a message.
pub struct Ack {
    /// The waiting connection.
    pub sink: Arc<dyn AckSink>,
    /// What the connection calls the message.
    pub packet: u32,
}

/// Why a message was not accepted. Its [`Ack`] is never called then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IngressError {
    /// Muster is stopping; the device finds another instance.
    #[error("ingest is closed")]
    Closed,
    /// A partition beyond those of this installation.
    #[error("partition {0} does not exist")]
    UnknownPartition(u16),
}

/// What [`Ingress::try_submit`] gives back.
#[derive(Debug)]
pub enum Refused {
    /// The queue is full: reserve a [`Slot`] and send the message with it.
    Full(Inbound),
    /// It can not be accepted at all.
    Error(IngressError),
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub struct Ingress {
    shards: Arc<[Shard]>,
}

struct Shard {
    queue: mpsc::Sender<Item>,
    budget: Arc<Semaphore>,
}

struct Item {
    message: Inbound,
    ack: Ack,
    cost: u32,
}

impl Ingress {
    /// Starts one batcher for each partition. They end after `stop`, at most `drain` later; the bus must outlive them.
    pub fn start(bus: &Bus, partitions: u16, drain: Duration, stop: &CancellationToken, tasks: &TaskTracker) -> Self {
        let shards = (0..partitions).map(|partition| {
            let (queue, items) = mpsc::channel(QUEUE);
            let budget = Arc::new(Semaphore::new(UNCONFIRMED_BYTES));
            let batcher = Batcher { bus: bus.clone(), partition, items, budget: budget.clone() };
            tasks.spawn(batcher.run(stop.clone(), drain));
            Shard { queue, budget }
        });
        Self { shards: shards.collect() }
    }

    /// Accepts a message; waits while the partition's queue is full.
    ///
    /// # Errors
    /// [`IngressError`]; `ack` is not called then.
    pub async fn submit(&self, partition: u16, message: Inbound, ack: Ack) -> Result<(), IngressError> {
        self.reserve(partition, message.encoded_len()).await?.send(message, ack);
        Ok(())
    }

    /// Accepts a message if there is room now.
    ///
    /// # Errors
    /// [`Refused::Full`] with the message, or why it can not be accepted; the sink is not called then.
    pub fn try_submit(&self, partition: u16, message: Inbound, ack: Ack) -> Result<(), Refused> {
        let shard = self.shard(partition).map_err(Refused::Error)?;
        let cost = cost(message.encoded_len());
        let Ok(bytes) = shard.budget.try_acquire_many(cost) else { return Err(Refused::Full(message)) };
        match shard.queue.try_reserve() {
            Ok(place) => {
                bytes.forget();
                place.send(Item { message, ack, cost });
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(())) => Err(Refused::Full(message)),
            Err(mpsc::error::TrySendError::Closed(())) => Err(Refused::Error(IngressError::Closed)),
        }
    }

    /// A place for a message of `bytes` ([`Inbound::encoded_len`]). The future stands in line until it is dropped.
    ///
    /// # Errors
    /// [`IngressError`].
    pub fn reserve(
        &self,
        partition: u16,
        bytes: usize,
    ) -> impl Future<Output = Result<Slot, IngressError>> + Send + use<> {
        let shard = self.shard(partition).map(|shard| (shard.queue.clone(), shard.budget.clone()));
        let cost = cost(bytes);
        async move {
            let (queue, budget) = shard?;
            let bytes = budget.acquire_many_owned(cost).await.map_err(|_: AcquireError| IngressError::Closed)?;
            let place = queue.reserve_owned().await.map_err(|_| IngressError::Closed)?;
            Ok(Slot { place, bytes })
        }
    }

    fn shard(&self, partition: u16) -> Result<&Shard, IngressError> {
        self.shards.get(usize::from(partition)).ok_or(IngressError::UnknownPartition(partition))
    }
}

/// A reserved place in a partition's queue.
pub struct Slot {
    place: mpsc::OwnedPermit<Item>,
    bytes: OwnedSemaphorePermit,
}

impl Slot {
    /// Accepts a message of the size that was reserved.
    pub fn send(self, message: Inbound, ack: Ack) {
        let cost = self.bytes.num_permits() as u32;
        self.bytes.forget();
        self.place.send(Item { message, ack, cost });
    }
}

/// What a message takes of the budget; no message is larger than the whole of it.
fn cost(bytes: usize) -> u32 {
    bytes.min(UNCONFIRMED_BYTES) as u32
}

/// Gathers the messages of one partition.
struct Batcher {
    bus: Bus,
    partition: u16,
    items: mpsc::Receiver<Item>,
    budget: Arc<Semaphore>,
}

/// The batch that is being filled.
#[derive(Default)]
struct Open {
    encoder: Encoder,
    answer: Answer,
    due: Option<Instant>,
}

/// Whom to tell about a batch, and what it gives back to the budget.
#[derive(Default)]
struct Answer {
    acks: Vec<Ack>,
    cost: usize,
}

impl Open {
    fn push(&mut self, item: Item) {
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        self.encoder.push(&item.message);
        self.answer.cost += item.cost as usize;
        self.answer.acks.push(item.ack);
    }
}

impl Batcher {
    async fn run(mut self, stop: CancellationToken, drain: Duration) {
        let mut open = Open::default();
        let mut arrived = Vec::new();
        let mut sending = FuturesOrdered::new();
        // The answers of the batches in `sending`, in the same order.
        let mut answers: VecDeque<Answer> = VecDeque::new();
        let mut give_up: Option<Instant> = None;
        let mut ended = false;
        while !(ended && answers.is_empty()) {
            let may_send = sending.len() < IN_FLIGHT;
            let room = MAX_MESSAGES.saturating_sub(open.encoder.len()).max(1);
            let mut due = false;
            tokio::select! {
                biased;
                Some(ok) = sending.next(), if !sending.is_empty() => {
                    if let Some(answer) = answers.pop_front() {
                        self.settle(answer, ok);
                    }
                }
                count = self.items.recv_many(&mut arrived, room), if may_send && !ended => ended = count == 0,
                () = at(open.due), if may_send => due = true,
                () = stop.cancelled(), if give_up.is_none() => {
                    self.items.close();
                    give_up = Some(Instant::now() + drain);
                }
                () = at(give_up) => break,
            }
            for item in arrived.drain(..) {
                open.push(item);
                if open.encoder.is_full() {
                    sending.push_back(self.start(&mut open, &mut answers));
                }
            }
            if !open.encoder.is_empty() && (due || ended || sending.is_empty()) {
                sending.push_back(self.start(&mut open, &mut answers));
            }
        }
        answers.push_back(open.answer);
        self.refuse(answers);
    }

    /// Closes the open batch and returns the future that sends it.
    fn start(&self, open: &mut Open, answers: &mut VecDeque<Answer>) -> impl Future<Output = bool> + use<> {
        metrics::histogram!("muster_ingest_batch_messages").record(open.encoder.len() as f64);
        open.due = None;
        answers.push_back(std::mem::take(&mut open.answer));
        let (bus, partition, id, body) = (self.bus.clone(), self.partition, Uuid::now_v7(), open.encoder.finish());
        async move {
            match bus.send(partition, id, body).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(batch.id = %id, partition, %error, "a batch was not confirmed, its devices send again");
                    false
                }
            }
        }
    }

    fn settle(&self, answer: Answer, ok: bool) {
        self.budget.add_permits(answer.cost);
        for ack in answer.acks {
            ack.sink.done(ack.packet, ok);
        }
    }

    /// Answers for all that is left after the deadline. A batch on its way may still arrive, so it may be doubled by
    /// its device, but it is not lost.
    fn refuse(mut self, answers: VecDeque<Answer>) {
        self.items.close();
        for answer in answers {
            self.settle(answer, false);
        }
        while let Ok(item) = self.items.try_recv() {
            item.ack.sink.done(item.ack.packet, false);
        }
    }
}

/// Resolves at the instant; never without one.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use muster_bus::{BusConfig, Consumer, Delivery, InstanceId};
    use muster_model::{
        DeviceKey, TenantKey,
        batch::{self, Auth, Kind},
    };
    use std::sync::Mutex;

    /// Notes what it is told, and passes it on.
    struct Told(mpsc::UnboundedSender<(u32, bool)>);

    impl AckSink for Told {
        fn done(&self, packet: u32, ok: bool) {
            self.0.send((packet, ok)).expect("the test listens");
        }
    }

    struct Setup {
        ingress: Ingress,
        consumer: Consumer,
        sink: Arc<dyn AckSink>,
        told: Mutex<mpsc::UnboundedReceiver<(u32, bool)>>,
        stop: CancellationToken,
        tasks: TaskTracker,
    }

    impl Setup {
        async fn new(drain: Duration) -> Self {
            let config = BusConfig {
                url: "embedded".into(),
                namespace: "test".into(),
                partitions: 1,
                instance: InstanceId("test".into()),
                max_unconfirmed_bytes: 256 * 1024 * 1024,
            };
            let bus = Bus::connect(config, CancellationToken::new()).await.expect("a bus");
            let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
            let ingress = Ingress::start(&bus, 1, drain, &stop, &tasks);
            tasks.close();
            let (told, heard) = mpsc::unbounded_channel();
            let consumer = bus.consume(0).await.expect("a consumer");
            Self { ingress, consumer, sink: Arc::new(Told(told)), told: Mutex::new(heard), stop, tasks }
        }

        fn ack(&self, packet: u32) -> Ack {
            Ack { sink: self.sink.clone(), packet }
        }

        async fn submit(&self, packet: u32, payload: Vec<u8>) {
            self.ingress.submit(0, inbound(payload), self.ack(packet)).await.expect("an open ingress");
        }

        async fn take(&mut self) -> Vec<Delivery> {
            self.consumer.next(16).await.expect("a batch")
        }

        fn told(&self) -> Vec<(u32, bool)> {
            let mut told = self.told.lock().expect("one thread");
            std::iter::from_fn(|| told.try_recv().ok()).collect()
        }

        /// Consumes until `count` messages were answered for; the payloads in the order of the bus.
        async fn confirm(&mut self, count: usize) -> (Vec<Vec<u8>>, Vec<(u32, bool)>) {
            let (mut payloads, mut answers) = (Vec::new(), Vec::new());
            while payloads.len() < count {
                let deliveries = self.take().await;
                for delivery in &deliveries {
                    let batch = batch::decode(delivery.body.clone()).expect("a batch");
                    payloads.extend(batch.messages.into_iter().map(|message| message.payload.to_vec()));
                }
                self.consumer.ack(deliveries).await.expect("a bus");
            }
            while answers.len() < count {
                tokio::task::yield_now().await;
                answers.extend(self.told());
            }
            (payloads, answers)
        }
    }

    fn inbound(payload: Vec<u8>) -> Inbound {
        Inbound {
            tenant: TenantKey(1),
            device: DeviceKey(1),
            device_id: "d".into(),
            model_id: String::new(),
            module: None,
            enqueued_ms: 0,
            auth: Auth::default(),
            kind: Kind::Telemetry,
            bag: String::new(),
            payload: Bytes::from(payload),
        }
    }

    #[tokio::test]
    async fn messages_are_answered_for_once_they_are_stored_and_in_order() {
        let mut setup = Setup::new(Duration::from_secs(5)).await;
        setup.submit(0, b"0".to_vec()).await;
        let first = setup.take().await;
        assert_eq!(first.len(), 1, "a lone message does not wait for company");
        for packet in 1..1500u32 {
            setup.submit(packet, packet.to_string().into_bytes()).await;
        }
        assert_eq!(setup.told(), [], "nothing is stored yet");
        setup.consumer.nack(first).await.expect("a bus");
        let (payloads, answers) = setup.confirm(1500).await;
        assert_eq!(payloads, (0..1500).map(|packet| packet.to_string().into_bytes()).collect::<Vec<_>>());
        assert_eq!(answers, (0..1500).map(|packet| (packet, true)).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn large_messages_close_a_batch_early() {
        let mut setup = Setup::new(Duration::from_secs(5)).await;
        for packet in 0..6 {
            setup.submit(packet, vec![b' '; 200 * 1024]).await;
        }
        let (payloads, _) = setup.confirm(6).await;
        assert_eq!(payloads.len(), 6);
    }

    #[tokio::test]
    async fn a_full_partition_makes_wait_until_messages_are_stored() {
        let mut setup = Setup::new(Duration::from_secs(5)).await;
        let mut accepted = 0;
        let full = loop {
            match setup.ingress.try_submit(0, inbound(vec![b' '; 256 * 1024]), setup.ack(accepted)) {
                Ok(()) => accepted += 1,
                Err(Refused::Full(message)) => break message,
                Err(Refused::Error(error)) => panic!("{error}"),
            }
        };
        assert!((100..=128).contains(&accepted), "{accepted} messages of 256 KiB fit the budget");
        let slot = setup.ingress.reserve(0, full.encoded_len());
        let mut slot = std::pin::pin!(slot);
        assert!(futures::poll!(slot.as_mut()).is_pending());
        let (payloads, answers) = setup.confirm(accepted as usize).await;
        assert_eq!((payloads.len(), answers.len()), (accepted as usize, accepted as usize));
        slot.await.expect("a place").send(full, setup.ack(accepted));
        assert_eq!(setup.confirm(1).await.1, [(accepted, true)]);
    }

    #[tokio::test]
    async fn a_stop_sends_what_was_accepted_and_takes_no_more() {
        let mut setup = Setup::new(Duration::from_secs(20)).await;
        for packet in 0..700 {
            setup.submit(packet, vec![b'x']).await;
        }
        setup.stop.cancel();
        let (payloads, answers) = setup.confirm(700).await;
        assert_eq!((payloads.len(), answers.len()), (700, 700));
        setup.tasks.wait().await;
        let late = setup.ingress.submit(0, inbound(Vec::new()), setup.ack(700)).await;
        assert_eq!(late, Err(IngressError::Closed));
        assert_eq!(setup.told(), []);
    }

    #[tokio::test]
    async fn what_is_not_stored_by_the_deadline_is_refused() {
        let setup = Setup::new(Duration::ZERO).await;
        for packet in 0..3 {
            setup.submit(packet, vec![b'x']).await;
        }
        setup.stop.cancel();
        setup.tasks.wait().await;
        assert_eq!(setup.told(), [(0, false), (1, false), (2, false)]);
    }

    #[tokio::test]
    async fn a_partition_that_does_not_exist_is_refused() {
        let setup = Setup::new(Duration::ZERO).await;
        let refused = setup.ingress.submit(1, inbound(Vec::new()), setup.ack(1)).await;
        assert_eq!(refused, Err(IngressError::UnknownPartition(1)));
    }
}

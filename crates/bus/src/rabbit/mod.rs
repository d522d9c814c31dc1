//! The bus on RabbitMQ.
//!
//! ```text
//! {namespace}.ingest.{partition}   quorum queue, single active consumer; batches with their id as message id
//! {namespace}.push.{instance}      exclusive queue of one instance, refuses what does not fit
//! {namespace}.{topic}              fan-out exchange; every subscriber binds an exclusive queue of its own
//! ```

mod address;
mod board;
mod consumer;
mod fan_out;
mod link;
mod names;
mod publisher;
mod push;
mod socket;

pub(crate) use consumer::Consumer;

use crate::{BusError, BusHealth, InstanceId, Topic, backoff::Backoff, shared::Shared};
use address::Address;
use board::Board;
use bytes::Bytes;
use futures::StreamExt;
use lapin::Channel;
use link::Link;
use publisher::Pending;
use push::Pusher;
use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use uuid::Uuid;

/// How long one question to the broker may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a channel is looked at, besides what lapin reports by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a subscription is waited for; it goes on by itself when the broker is away.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// The RabbitMQ backend.
pub(crate) struct Rabbit {
    shared: Arc<Shared>,
    board: Arc<Board>,
    publishing: Link,
    receiving: Link,
    partitions: Vec<mpsc::Sender<Pending>>,
    pusher: Pusher,
    fan_out: fan_out::Publisher,
    pushes: Mutex<Option<mpsc::WeakSender<Bytes>>>,
    held: Arc<AtomicU64>,
    reconnects: watch::Sender<u64>,
}

impl Rabbit {
    /// Starts to connect; being connected is a matter of [`Rabbit::health`].
    pub(crate) fn start(shared: Arc<Shared>, url: &str) -> Result<Self, BusError> {
        let address = Address::parse(url)?;
        let board = Arc::new(Board::default());
        let publishing = Link::start("publishing", address.clone(), board.clone(), &shared);
        let receiving = Link::start("receiving", address, board.clone(), &shared);
        let prepared = prepare(&shared, publishing.clone(), board.clone());
        let publisher =
            |partition| publisher::start(&shared, publishing.clone(), board.clone(), prepared.clone(), partition);
        Ok(Self {
            partitions: (0..shared.partitions).map(publisher).collect(),
            pusher: Pusher::start(&shared, publishing.clone()),
            fan_out: fan_out::Publisher::start(&shared, publishing.clone()),
            pushes: Mutex::default(),
            held: Arc::default(),
            reconnects: watch::channel(0).0,
            shared,
            board,
            publishing,
            receiving,
        })
    }

    pub(crate) fn health(&self) -> BusHealth {
        self.board.health()
    }

    pub(crate) fn reconnects(&self) -> watch::Receiver<u64> {
        self.reconnects.subscribe()
    }

    /// Hands the batch to the publisher of its partition; the receiver resolves with the confirm.
    pub(crate) async fn enqueue(
        &self,
        partition: u16,
        id: Uuid,
        body: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<()>, BusError> {
        let partitions = self.shared.partitions;
        let unknown = BusError::UnknownPartition { partition, partitions };
        let publisher = self.partitions.get(usize::from(partition)).ok_or(unknown)?;
        let (confirmed, is_confirmed) = oneshot::channel();
        let pending = Pending { id, body, confirmed, _permit: permit };
        tokio::select! {
            sent = publisher.send(pending) => sent.map_err(|_| BusError::Closed)?,
            () = self.shared.closing.cancelled() => return Err(BusError::Closed),
        }
        Ok(is_confirmed)
    }

    pub(crate) fn consume(&self, partition: u16) -> Consumer {
        let (link, board) = (self.receiving.clone(), self.board.clone());
        Consumer::new(self.shared.clone(), link, board, partition, self.held.clone())
    }

    pub(crate) async fn push(&self, to: &InstanceId, body: Bytes) -> Result<(), BusError> {
        self.pusher.push(to, body).await
    }

    pub(crate) async fn pushes(&self) -> Result<mpsc::Receiver<Bytes>, BusError> {
        if self.shared.stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let (receiver, ready) = {
            let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
            let earlier = pushes.as_ref().and_then(mpsc::WeakSender::upgrade);
            if earlier.is_some_and(|sender| !sender.is_closed()) {
                return Err(BusError::Taken(self.shared.instance.clone()));
            }
            let (receiver, ready, sender) = push::receive(&self.shared, self.receiving.clone(), self.board.clone());
            *pushes = Some(sender);
            (receiver, ready)
        };
        wait_until(ready).await;
        Ok(receiver)
    }

    pub(crate) fn publish(&self, topic: Topic, body: Bytes) {
        self.fan_out.publish(topic, body);
    }

    pub(crate) async fn subscribe(&self, topic: Topic) -> Result<mpsc::Receiver<Bytes>, BusError> {
        if self.shared.stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let (link, board) = (self.receiving.clone(), self.board.clone());
        let (receiver, ready) = fan_out::subscribe(&self.shared, link, board, topic, self.reconnects.clone());
        wait_until(ready).await;
        Ok(receiver)
    }

    pub(crate) async fn depth(&self) -> Result<u64, BusError> {
        let asking = async {
            let channel = self.receiving.channel().await?;
            let mut depth = self.held.load(Ordering::Relaxed);
            for partition in 0..self.shared.partitions {
                let queue = names::declare_ingest(&channel, &names::ingest(&self.shared, partition)).await?;
                depth += u64::from(queue.message_count());
            }
            Ok(depth)
        };
        let asked = tokio::time::timeout(CALL_TIMEOUT, asking).await;
        asked.unwrap_or_else(|_| Err(unavailable("count the batches", "no answer in time")))
    }

    pub(crate) async fn disconnect(&self) {
        self.publishing.close().await;
        self.receiving.close().await;
    }
}

/// Starts to make the ingest queues; the receiver turns true when there is one for every partition.
fn prepare(shared: &Arc<Shared>, link: Link, board: Arc<Board>) -> watch::Receiver<bool> {
    const PART: &str = "ingest queues";
    let (prepared, is_prepared) = watch::channel(false);
    let (tasks, stop, shared) = (shared.tasks.clone(), shared.stop.clone(), shared.clone());
    let preparing = async move {
        let mut backoff = Backoff::default();
        while let Err(error) = names::prepare_ingest(&link, &shared).await {
            board.waits(PART, reason(&error));
            backoff.pause().await;
        }
        board.works(PART);
        prepared.send_replace(true);
    };
    tasks.spawn(async move {
        tokio::select! {
            () = preparing => {}
            () = stop.cancelled() => {}
        }
    });
    is_prepared
}

async fn wait_until(ready: oneshot::Receiver<()>) {
    if tokio::time::timeout(READY_TIMEOUT, ready).await.is_err() {
        tracing::warn!("broker is away, a subscription will stand when it is back");
    }
}

/// One question to the broker, with a time limit.
async fn call<T>(action: &'static str, future: impl Future<Output = lapin::Result<T>>) -> Result<T, BusError> {
    match tokio::time::timeout(CALL_TIMEOUT, future).await {
        Ok(answer) => answer.map_err(|error| unavailable(action, error)),
        Err(_) => Err(unavailable(action, "no answer in time")),
    }
}

/// Resolves when the channel can not be used any more, whoever was told of it.
async fn lost(channel: &Channel) {
    while channel.status().connected() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The next message, or none when the subscription is over.
async fn next(channel: &Channel, messages: &mut lapin::Consumer) -> Option<lapin::message::Delivery> {
    tokio::select! {
        message = messages.next() => message?.ok(),
        () = lost(channel) => None,
    }
}

fn unavailable(action: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> BusError {
    BusError::Unavailable { action, source: source.into() }
}

/// An error with its causes, in one line.
fn reason(error: &BusError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

//! The consumer of one partition's queue.

use super::{board::Board, call, link::Link, names};
use crate::{BusError, Delivery, backoff::Backoff, shared::Shared};
use futures::{FutureExt, StreamExt};
use lapin::{
    Channel,
    message::Delivery as Message,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{FieldTable, ShortString},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Batches that the broker hands out ahead.
const PREFETCH: u16 = 64;

/// A consumer; it makes its channel again when that breaks.
pub(crate) struct Consumer {
    shared: Arc<Shared>,
    link: Link,
    board: Arc<Board>,
    part: String,
    queue: ShortString,
    session: Option<Session>,
    /// The next session. It is made apart from whoever waits for it: one given up half made would leave the broker
    /// with a consumer that nobody reads, and that one would be the active one.
    opening: Option<JoinHandle<Result<Opened, BusError>>>,
    sessions: u64,
    backoff: Backoff,
    /// How long to wait before the next session is made.
    pause: Duration,
    /// Given back by the caller, to be handed out again; for the broker they are still with us.
    returned: BTreeMap<u64, Delivery>,
    /// Over all consumers of this process: what is handed out and not acknowledged.
    held_here: Arc<AtomicU64>,
}

/// One channel and what it brought.
struct Session {
    number: u64,
    channel: Channel,
    messages: lapin::Consumer,
    /// Tags handed out and not acknowledged.
    held: BTreeSet<u64>,
}

/// A channel and a subscription on it.
struct Opened {
    channel: Channel,
    messages: lapin::Consumer,
}

impl Consumer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        link: Link,
        board: Arc<Board>,
        partition: u16,
        held_here: Arc<AtomicU64>,
    ) -> Self {
        Self {
            part: format!("consumer {partition}"),
            queue: names::ingest(&shared, partition),
            shared,
            link,
            board,
            session: None,
            opening: None,
            sessions: 0,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
            returned: BTreeMap::new(),
            held_here,
        }
    }

    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let draining = self.shared.draining.clone();
        tokio::select! {
            biased;
            () = draining.cancelled() => Err(BusError::Closed),
            deliveries = self.receive(max) => Ok(deliveries),
        }
    }

    async fn receive(&mut self, max: usize) -> Vec<Delivery> {
        loop {
            if !self.returned.is_empty() {
                return self.again(max);
            }
            let Some(session) = &mut self.session else {
                self.open().await;
                continue;
            };
            let message = tokio::select! {
                message = session.messages.next() => message,
                () = super::lost(&session.channel) => None,
            };
            match message {
                Some(Ok(first)) => {
                    self.backoff.reset();
                    return self.collect(first, max);
                }
                Some(Err(error)) => self.lose(&error.to_string()),
                None => self.lose("broker ended the subscription"),
            }
        }
    }

    pub(crate) async fn ack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        if self.shared.stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let Some(session) = &mut self.session else { return Ok(()) };
        let number = session.number;
        let tags: BTreeSet<u64> =
            deliveries.iter().filter(|d| d.session == number && session.held.remove(&d.tag)).map(|d| d.tag).collect();
        let settled = settle(session, &tags).await;
        self.held_here.fetch_sub(tags.len() as u64, Ordering::Relaxed);
        if let Err(error) = settled {
            // They come again, and are dropped by their ids: nothing for the caller to do.
            self.lose(&super::reason(&error));
        }
        Ok(())
    }

    pub(crate) fn nack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        if self.shared.stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let Some(session) = &self.session else { return Ok(()) };
        for delivery in deliveries {
            if delivery.session == session.number && session.held.contains(&delivery.tag) {
                self.returned.insert(delivery.tag, Delivery { redelivered: true, ..delivery });
            }
        }
        Ok(())
    }

    fn again(&mut self, max: usize) -> Vec<Delivery> {
        std::iter::from_fn(|| self.returned.pop_first()).map(|(_, delivery)| delivery).take(max).collect()
    }

    /// The first message and those that are there already.
    fn collect(&mut self, first: Message, max: usize) -> Vec<Delivery> {
        let Some(session) = &mut self.session else { return Vec::new() };
        let mut deliveries = vec![delivery(session.number, first)];
        while deliveries.len() < max
            && let Some(Some(Ok(message))) = session.messages.next().now_or_never()
        {
            deliveries.push(delivery(session.number, message));
        }
        session.held.extend(deliveries.iter().map(|delivery| delivery.tag));
        self.held_here.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
        deliveries
    }

    /// Makes a session; may be given up and called again at any point.
    async fn open(&mut self) {
        let opening = match &mut self.opening {
            Some(opening) => opening,
            None => {
                let open = open(std::mem::take(&mut self.pause), self.link.clone(), self.queue.clone());
                self.opening.insert(self.shared.tasks.spawn(open))
            }
        };
        let opened = opening.await;
        self.opening = None;
        match opened.map_err(|error| super::unavailable("open a channel", error)).flatten() {
            Ok(Opened { channel, messages }) => {
                self.sessions += 1;
                self.session = Some(Session { number: self.sessions, channel, messages, held: BTreeSet::new() });
                self.board.works(&self.part);
            }
            Err(error) => {
                self.board.waits(&self.part, super::reason(&error));
                self.pause = self.backoff.next();
            }
        }
    }

    /// Gives the channel up: the broker hands out again what was not acknowledged.
    fn lose(&mut self, reason: &str) {
        self.board.waits(&self.part, reason.to_owned());
        self.release();
    }

    fn release(&mut self) {
        self.returned.clear();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(opening) = self.opening.take() {
            let closing = async move {
                if let Ok(Ok(opened)) = opening.await {
                    close(opened.channel).await;
                }
            };
            self.shared.tasks.spawn_on(closing, &runtime);
        }
        let Some(session) = self.session.take() else { return };
        self.held_here.fetch_sub(session.held.len() as u64, Ordering::Relaxed);
        // The channel is closed before the subscription is dropped: cancelling the subscription first would let the
        // next consumer have later batches before the unacknowledged ones are back in the queue.
        let closing = async move {
            close(session.channel).await;
            drop(session.messages);
        };
        self.shared.tasks.spawn_on(closing, &runtime);
    }
}

/// Subscribes to a queue after a pause.
async fn open(pause: Duration, link: Link, queue: ShortString) -> Result<Opened, BusError> {
    tokio::time::sleep(pause).await;
    let channel = link.channel().await?;
    match subscribe(&channel, queue).await {
        Ok(messages) => Ok(Opened { channel, messages }),
        Err(error) => {
            // What was asked for may have come about all the same.
            close(channel).await;
            Err(error)
        }
    }
}

async fn subscribe(channel: &Channel, queue: ShortString) -> Result<lapin::Consumer, BusError> {
    names::declare_ingest(channel, &queue).await?;
    call("set the prefetch", channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let options = BasicConsumeOptions::default();
    call("consume a partition", channel.basic_consume(queue, "".into(), options, FieldTable::default())).await
}

async fn close(channel: Channel) {
    if !channel.status().connected() {
        return;
    }
    if let Err(error) = call("close a channel", channel.close(200, "released".into())).await {
        tracing::debug!(error = super::reason(&error), "channel of a consumer was gone already");
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.release();
        self.board.works(&self.part);
    }
}

/// One acknowledgement for all where nothing older is still held, else one each.
async fn settle(session: &Session, tags: &BTreeSet<u64>) -> Result<(), BusError> {
    let Some(last) = tags.last().copied() else { return Ok(()) };
    let ack = async |tag, multiple| {
        call("acknowledge batches", session.channel.basic_ack(tag, BasicAckOptions { multiple })).await
    };
    if session.held.first().is_none_or(|first| *first > last) {
        return ack(last, true).await;
    }
    for tag in tags {
        ack(*tag, false).await?;
    }
    Ok(())
}

fn delivery(session: u64, message: Message) -> Delivery {
    let given = message.properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
    let id = given.unwrap_or_else(|| {
        metrics::counter!("muster_bus_without_id_total").increment(1);
        tracing::warn!("a batch came without a valid id, repeats of it can not be recognized");
        Uuid::now_v7()
    });
    Delivery { id, body: message.data.into(), redelivered: message.redelivered, session, tag: message.delivery_tag }
}

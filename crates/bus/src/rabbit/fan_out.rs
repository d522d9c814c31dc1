//! Fan-outs: published without confirms, received by every subscriber that keeps up.

use super::{board::Board, call, link::Link, names};
use crate::{BusError, Topic, backoff::Backoff, ring::Ring, shared::Shared};
use bytes::Bytes;
use lapin::{
    BasicProperties, Channel,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions},
    types::FieldTable,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Entries that wait to be published.
const OUTGOING: usize = 1024;
/// Entries that wait for one subscriber in this process.
const INCOMING: usize = 4096;

/// The sending side.
pub(crate) struct Publisher {
    outgoing: mpsc::Sender<(Topic, Bytes)>,
}

impl Publisher {
    pub(crate) fn start(shared: &Arc<Shared>, link: Link) -> Self {
        let (outgoing, incoming) = mpsc::channel(OUTGOING);
        let stop = shared.stop.clone();
        let sending = send(shared.clone(), link, incoming);
        shared.tasks.spawn(async move {
            tokio::select! {
                () = sending => {}
                () = stop.cancelled() => {}
            }
        });
        Self { outgoing }
    }

    /// Never waits: what does not fit is dropped and counted.
    pub(crate) fn publish(&self, topic: Topic, body: Bytes) {
        if self.outgoing.try_send((topic, body)).is_err() {
            metrics::counter!("muster_bus_dropped_total", "topic" => topic.name()).increment(1);
        }
    }
}

async fn send(shared: Arc<Shared>, link: Link, mut incoming: mpsc::Receiver<(Topic, Bytes)>) {
    let mut channel: Option<Channel> = None;
    while let Some((topic, body)) = incoming.recv().await {
        if let Err(error) = publish(&shared, &link, &mut channel, topic, &body).await {
            metrics::counter!("muster_bus_dropped_total", "topic" => topic.name()).increment(1);
            tracing::debug!(topic = topic.name(), error = super::reason(&error), "fan-out entry dropped");
        }
    }
}

async fn publish(
    shared: &Shared,
    link: &Link,
    channel: &mut Option<Channel>,
    topic: Topic,
    body: &[u8],
) -> Result<(), BusError> {
    let open = match channel.take().filter(|channel| channel.status().connected()) {
        Some(open) => open,
        None => {
            let open = link.channel().await?;
            for topic in [Topic::Notice, Topic::Live, Topic::Interest] {
                names::declare_fan_out(&open, &names::fan_out(shared, topic)).await?;
            }
            open
        }
    };
    let (exchange, options) = (names::fan_out(shared, topic), BasicPublishOptions::default());
    let publishing = open.basic_publish(exchange, "".into(), options, body, BasicProperties::default());
    call("publish to a fan-out", publishing).await?;
    *channel = Some(open);
    Ok(())
}

/// Starts a subscription; `ready` resolves when it stands at the broker.
pub(crate) fn subscribe(
    shared: &Arc<Shared>,
    link: Link,
    board: Arc<Board>,
    topic: Topic,
    reconnects: watch::Sender<u64>,
) -> (mpsc::Receiver<Bytes>, oneshot::Receiver<()>) {
    let (ring, receiver) = Ring::new(topic.name(), INCOMING, shared.stop.clone(), &shared.tasks);
    let (ready, is_ready) = oneshot::channel();
    let subscription = Subscription { shared: shared.clone(), link, board, topic, reconnects };
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        tokio::select! {
            () = subscription.run(&ring, ready) => {}
            () = ring.unread() => {}
            () = stop.cancelled() => {}
        }
        subscription.board.works(topic.name());
    });
    (receiver, is_ready)
}

struct Subscription {
    shared: Arc<Shared>,
    link: Link,
    board: Arc<Board>,
    topic: Topic,
    reconnects: watch::Sender<u64>,
}

impl Subscription {
    async fn run(&self, ring: &Ring, ready: oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let mut backoff = Backoff::default();
        loop {
            match self.open().await {
                Ok((channel, mut messages)) => {
                    self.board.works(self.topic.name());
                    backoff.reset();
                    match ready.take() {
                        Some(ready) => drop(ready.send(())),
                        // Only now does nothing get lost any more: whoever keeps caches reads again.
                        None => self.reconnects.send_modify(|count| *count += 1),
                    }
                    while let Some(message) = super::next(&channel, &mut messages).await {
                        ring.push(message.data.into());
                    }
                    self.board.waits(self.topic.name(), "connection lost".into());
                }
                Err(error) => self.board.waits(self.topic.name(), super::reason(&error)),
            }
            backoff.pause().await;
        }
    }

    async fn open(&self) -> Result<(Channel, lapin::Consumer), BusError> {
        let channel = self.link.channel().await?;
        let exchange = names::fan_out(&self.shared, self.topic);
        names::declare_fan_out(&channel, &exchange).await?;
        let queue = names::declare_subscriber(&channel).await?.name().clone();
        let binding =
            channel.queue_bind(queue.clone(), exchange, "".into(), QueueBindOptions::default(), FieldTable::default());
        call("bind a subscription", binding).await?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consuming = channel.basic_consume(queue, "".into(), options, FieldTable::default());
        let messages = call("receive a fan-out", consuming).await?;
        Ok((channel, messages))
    }
}

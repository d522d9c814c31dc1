//! The ordered publisher of one partition.
//!
//! It keeps every batch until its confirm. Whatever goes wrong with one of them (refused, returned, connection lost)
//! ends the channel; on the next one all unconfirmed batches go out again, in their old order, under their old ids,
//! before newer ones.

use super::{board::Board, call, link::Link, names};
use crate::{BusError, backoff::Backoff, shared::QUEUE_BATCHES, shared::Shared};
use bytes::Bytes;
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

/// Without any confirm for so long, the channel is given up and everything is published again. A broker that has just
/// restarted may take a message for a queue that is not up yet, and never say another word about it.
const STALLED: Duration = Duration::from_secs(10);
/// AMQP's mark of a message that is to survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// A batch on its way.
pub(crate) struct Pending {
    pub(crate) id: Uuid,
    pub(crate) body: Bytes,
    pub(crate) confirmed: oneshot::Sender<()>,
    /// Its part of the budget, given back with the confirm.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// Starts the publisher; it ends with the bus.
pub(crate) fn start(
    shared: &Arc<Shared>,
    link: Link,
    board: Arc<Board>,
    prepared: watch::Receiver<bool>,
    partition: u16,
) -> mpsc::Sender<Pending> {
    let (sender, incoming) = mpsc::channel(QUEUE_BATCHES);
    let publisher = Publisher {
        part: format!("publisher {partition}"),
        queue: names::ingest(shared, partition),
        link,
        board,
        prepared,
        incoming,
        unconfirmed: BTreeMap::new(),
        last: 0,
    };
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        tokio::select! {
            () = publisher.run() => {}
            () = stop.cancelled() => {}
        }
    });
    sender
}

struct Publisher {
    part: String,
    queue: ShortString,
    link: Link,
    board: Arc<Board>,
    /// Whether the queue is there.
    prepared: watch::Receiver<bool>,
    incoming: mpsc::Receiver<Pending>,
    /// By their order of arrival.
    unconfirmed: BTreeMap<u64, Pending>,
    last: u64,
}

type Confirms = FuturesUnordered<BoxFuture<'static, (u64, lapin::Result<Confirmation>)>>;

impl Publisher {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        if self.prepared.wait_for(|prepared| *prepared).await.is_err() {
            return;
        }
        // An instance that never sends opens no channel.
        while self.receive().await {
            let before = self.last - self.unconfirmed.len() as u64;
            let Err(error) = self.session().await else { return };
            if self.last - self.unconfirmed.len() as u64 > before {
                backoff.reset();
            }
            self.board.waits(&self.part, super::reason(&error));
            metrics::counter!("muster_bus_republished_total").increment(self.unconfirmed.len() as u64);
            backoff.pause().await;
        }
    }

    /// Makes sure that there is something to publish; `false` when there never will be.
    async fn receive(&mut self) -> bool {
        if self.unconfirmed.is_empty() {
            let Some(pending) = self.incoming.recv().await else { return false };
            self.keep(pending);
        }
        true
    }

    fn keep(&mut self, pending: Pending) -> u64 {
        self.last += 1;
        self.unconfirmed.insert(self.last, pending);
        self.last
    }

    /// Publishes on one channel until that fails; `Ok` when the bus is dropped.
    async fn session(&mut self) -> Result<(), BusError> {
        let channel = names::open_ingest(&self.link, &self.queue).await?;
        call("ask for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let mut confirms = Confirms::new();
        for number in self.unconfirmed.keys().copied().collect::<Vec<u64>>() {
            self.publish(&channel, number, &mut confirms).await?;
        }
        let mut progress = Instant::now();
        loop {
            let room = confirms.len() < QUEUE_BATCHES && !self.link.blocked();
            tokio::select! {
                Some((number, outcome)) = confirms.next() => {
                    self.settle(number, outcome)?;
                    progress = Instant::now();
                }
                pending = self.incoming.recv(), if room => {
                    let Some(pending) = pending else { return Ok(()) };
                    if confirms.is_empty() {
                        progress = Instant::now();
                    }
                    let number = self.keep(pending);
                    self.publish(&channel, number, &mut confirms).await?;
                }
                () = tokio::time::sleep_until(progress + STALLED), if !confirms.is_empty() => {
                    if !self.link.blocked() {
                        return Err(super::unavailable("wait for a confirm", "none came for 10 s"));
                    }
                    progress = Instant::now();
                }
                () = super::lost(&channel) => return Err(super::unavailable("get a batch confirmed", "channel lost")),
                // A blocked connection is looked at again soon: being unblocked wakes nobody here.
                () = tokio::time::sleep(Duration::from_millis(200)), if !room => {}
            }
        }
    }

    async fn publish(&self, channel: &Channel, number: u64, confirms: &mut Confirms) -> Result<(), BusError> {
        let Some(pending) = self.unconfirmed.get(&number) else { return Ok(()) };
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_message_id(pending.id.to_string().into());
        let publishing = channel.basic_publish("".into(), self.queue.clone(), options, &pending.body, properties);
        // Without a time limit: a broker that is short of memory makes it wait, and that is meant.
        let published = tokio::select! {
            published = publishing => published.map_err(|error| super::unavailable("publish a batch", error)),
            () = super::lost(channel) => Err(super::unavailable("publish a batch", "channel lost")),
        };
        let confirm = published?;
        confirms.push(confirm.map(move |outcome| (number, outcome)).boxed());
        Ok(())
    }

    fn settle(&mut self, number: u64, outcome: lapin::Result<Confirmation>) -> Result<(), BusError> {
        const CONFIRM: &str = "get a batch confirmed";
        match outcome.map_err(|error| super::unavailable(CONFIRM, error))? {
            Confirmation::Ack(None) => {
                if let Some(pending) = self.unconfirmed.remove(&number) {
                    // A sender that no longer waits is none of our business.
                    let _ = pending.confirmed.send(());
                }
                self.board.works(&self.part);
                Ok(())
            }
            // The broker confirms what it could not route, and returns it: nobody has it.
            Confirmation::Ack(Some(returned)) => Err(super::unavailable(CONFIRM, returned.reply_text.to_string())),
            Confirmation::Nack(_) => Err(super::unavailable(CONFIRM, "broker refused it")),
            Confirmation::NotRequested => Err(super::unavailable(CONFIRM, "channel gives no confirms")),
        }
    }
}

//! One partition of the embedded bus: a bounded queue with a single active consumer.

use crate::{BusError, Delivery, shared::QUEUE_BATCHES};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The queue. Its entries are numbered in the order of arrival; the number is the delivery's tag.
pub(crate) struct Partition {
    state: Mutex<State>,
    changed: Notify,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    last_tag: u64,
    last_consumer: u64,
    /// Entries to hand out, by tag.
    waiting: BTreeMap<u64, Entry>,
    /// Entries that the active consumer holds, by tag.
    held: BTreeMap<u64, Entry>,
    /// Consumers in the order of their arrival; the first is active.
    consumers: VecDeque<u64>,
}

struct Entry {
    id: Uuid,
    body: Bytes,
    redelivered: bool,
    stored: oneshot::Sender<()>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Default for Partition {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: Notify::new(), room: Arc::new(Semaphore::new(QUEUE_BATCHES)) }
    }
}

impl Partition {
    /// Adds a batch once there is room; the receiver resolves when it is acknowledged.
    pub(crate) async fn add(
        &self,
        id: Uuid,
        body: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<()>, BusError> {
        let room = self.room.clone().acquire_owned().await.map_err(|_| BusError::Closed)?;
        let (stored, resolved) = oneshot::channel();
        let mut state = self.lock();
        state.last_tag += 1;
        let tag = state.last_tag;
        state.waiting.insert(tag, Entry { id, body, redelivered: false, stored, _room: (room, permit) });
        drop(state);
        self.changed.notify_waiters();
        Ok(resolved)
    }

    /// Batches that are not acknowledged yet.
    pub(crate) fn depth(&self) -> u64 {
        let state = self.lock();
        (state.waiting.len() + state.held.len()) as u64
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer of the partition.
pub(crate) struct Consumer {
    partition: Arc<Partition>,
    number: u64,
    draining: CancellationToken,
}

impl Consumer {
    pub(crate) fn new(partition: Arc<Partition>, draining: CancellationToken) -> Self {
        let mut state = partition.lock();
        state.last_consumer += 1;
        let number = state.last_consumer;
        state.consumers.push_back(number);
        drop(state);
        Self { partition, number, draining }
    }

    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            // Registered before the look at the queue, so that an entry added in between wakes us.
            let changed = self.partition.changed.notified();
            if self.draining.is_cancelled() {
                return Err(BusError::Closed);
            }
            let deliveries = self.take(max);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            tokio::select! {
                () = changed => {}
                () = self.draining.cancelled() => return Err(BusError::Closed),
            }
        }
    }

    pub(crate) fn ack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        let mut state = self.partition.lock();
        for delivery in deliveries {
            if let Some(entry) = state.held.remove(&delivery.tag) {
                // A sender that no longer waits is none of our business.
                let _ = entry.stored.send(());
            }
        }
        Ok(())
    }

    pub(crate) fn nack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        let mut state = self.partition.lock();
        for delivery in deliveries {
            state.give_back(delivery.tag);
        }
        Ok(())
    }

    fn take(&self, max: usize) -> Vec<Delivery> {
        let mut state = self.partition.lock();
        if state.consumers.front() != Some(&self.number) {
            return Vec::new();
        }
        let mut deliveries = Vec::new();
        while deliveries.len() < max
            && let Some((tag, entry)) = state.waiting.pop_first()
        {
            let Entry { id, redelivered, .. } = entry;
            deliveries.push(Delivery { id, body: entry.body.clone(), redelivered, session: self.number, tag });
            state.held.insert(tag, entry);
        }
        deliveries
    }
}

impl State {
    fn give_back(&mut self, tag: u64) {
        if let Some(mut entry) = self.held.remove(&tag) {
            entry.redelivered = true;
            self.waiting.insert(tag, entry);
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let mut state = self.partition.lock();
        if state.consumers.front() == Some(&self.number) {
            let held: Vec<u64> = state.held.keys().copied().collect();
            held.into_iter().for_each(|tag| state.give_back(tag));
        }
        let number = self.number;
        state.consumers.retain(|consumer| *consumer != number);
        drop(state);
        self.partition.changed.notify_waiters();
    }
}

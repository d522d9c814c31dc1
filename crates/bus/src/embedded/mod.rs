//! The bus inside one process: channels, no broker, no spool.
//!
//! A batch is safe when the consumer has acknowledged it, so `send` waits for that; a process that dies has
//! acknowledged nothing to the devices, and they send again.

mod partition;

pub(crate) use partition::Consumer;

use crate::{BusError, InstanceId, Topic, ring::Ring, shared::Shared};
use bytes::Bytes;
use partition::Partition;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use uuid::Uuid;

/// Pushes that wait for the instance.
const PUSHES: usize = 1024;
/// Fan-out entries that wait for one subscriber.
const FAN_OUT: usize = 4096;

/// The embedded backend.
pub(crate) struct Embedded {
    shared: Arc<Shared>,
    partitions: Vec<Arc<Partition>>,
    pushes: Mutex<Option<mpsc::Sender<Bytes>>>,
    subscribers: Mutex<HashMap<Topic, Vec<Ring>>>,
    reconnects: watch::Sender<u64>,
}

impl Embedded {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let partitions = (0..shared.partitions).map(|_| Arc::new(Partition::default())).collect();
        Self {
            shared,
            partitions,
            pushes: Mutex::default(),
            subscribers: Mutex::default(),
            reconnects: watch::channel(0).0,
        }
    }

    pub(crate) fn reconnects(&self) -> watch::Receiver<u64> {
        self.reconnects.subscribe()
    }

    /// Puts the batch into its partition; the receiver resolves when it is acknowledged.
    pub(crate) async fn enqueue(
        &self,
        partition: u16,
        id: Uuid,
        body: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<()>, BusError> {
        tokio::select! {
            stored = self.partition(partition)?.add(id, body, permit) => stored,
            () = self.shared.closing.cancelled() => Err(BusError::Closed),
        }
    }

    pub(crate) fn consume(&self, partition: u16) -> Result<Consumer, BusError> {
        Ok(Consumer::new(self.partition(partition)?.clone(), self.shared.draining.clone()))
    }

    pub(crate) fn push(&self, to: &InstanceId, body: Bytes) -> Result<(), BusError> {
        let pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = pushes.as_ref().filter(|_| *to == self.shared.instance) else {
            return Err(BusError::NoInstance(to.clone()));
        };
        sender.try_send(body).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => BusError::Full(to.clone()),
            mpsc::error::TrySendError::Closed(_) => BusError::NoInstance(to.clone()),
        })
    }

    pub(crate) fn pushes(&self) -> Result<mpsc::Receiver<Bytes>, BusError> {
        if self.shared.stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let mut pushes = self.pushes.lock().unwrap_or_else(PoisonError::into_inner);
        if pushes.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return Err(BusError::Taken(self.shared.instance.clone()));
        }
        let (sender, receiver) = mpsc::channel(PUSHES);
        *pushes = Some(sender);
        Ok(receiver)
    }

    pub(crate) fn publish(&self, topic: Topic, body: Bytes) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rings) = subscribers.get_mut(&topic) {
            rings.retain(|ring| ring.push(body.clone()));
        }
    }

    pub(crate) fn subscribe(&self, topic: Topic) -> Result<mpsc::Receiver<Bytes>, BusError> {
        let stop = self.shared.stop.clone();
        if stop.is_cancelled() {
            return Err(BusError::Closed);
        }
        let (ring, receiver) = Ring::new(topic.name(), FAN_OUT, stop, &self.shared.tasks);
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).entry(topic).or_default().push(ring);
        Ok(receiver)
    }

    pub(crate) fn depth(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.depth()).sum()
    }

    fn partition(&self, partition: u16) -> Result<&Arc<Partition>, BusError> {
        let partitions = self.shared.partitions;
        self.partitions.get(usize::from(partition)).ok_or(BusError::UnknownPartition { partition, partitions })
    }
}

//! Taking batches from one partition.

use crate::{Bus, BusError, embedded, rabbit};
use bytes::Bytes;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

/// A batch handed to the consumer; it comes again unless it is acknowledged.
#[derive(Debug)]
pub struct Delivery {
    /// The id that the sender gave; the same batch may come twice, always under this id.
    pub id: Uuid,
    /// The bytes.
    pub body: Bytes,
    /// Whether it was handed out before, to whomever.
    pub redelivered: bool,
    /// Which connection of the consumer it came by; after a reconnect the broker hands it out again.
    pub(crate) session: u64,
    /// Its place in the partition's order, within the session.
    pub(crate) tag: u64,
}

/// The consumer of one partition. Of several, over all instances, one is active; the others wait in [`Consumer::next`].
///
/// Dropping it hands what is unacknowledged to the next consumer, in order.
pub struct Consumer {
    backend: Backend,
    // Bus::close waits for it; the bus lives as long as its consumers.
    _alive: (TaskTrackerToken, Bus),
}

enum Backend {
    Embedded(embedded::Consumer),
    Rabbit(Box<rabbit::Consumer>),
}

impl Consumer {
    pub(crate) fn embedded(consumer: embedded::Consumer, alive: TaskTrackerToken, bus: Bus) -> Self {
        Self { backend: Backend::Embedded(consumer), _alive: (alive, bus) }
    }

    pub(crate) fn rabbit(consumer: rabbit::Consumer, alive: TaskTrackerToken, bus: Bus) -> Self {
        Self { backend: Backend::Rabbit(Box::new(consumer)), _alive: (alive, bus) }
    }

    /// Waits for at least one batch and returns those that are already there, at most `max`, in order.
    ///
    /// Dropping the future loses nothing. A lost connection is waited out.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the bus closes; what was handed out before may still be acknowledged.
    pub async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let deliveries = match &mut self.backend {
            Backend::Embedded(consumer) => consumer.next(max.max(1)).await,
            Backend::Rabbit(consumer) => consumer.next(max.max(1)).await,
        }?;
        metrics::counter!("muster_bus_delivered_total").increment(deliveries.len() as u64);
        let again = deliveries.iter().filter(|delivery| delivery.redelivered).count();
        metrics::counter!("muster_bus_redelivered_total").increment(again as u64);
        Ok(deliveries)
    }

    /// Says that the batches are stored; they do not come again.
    ///
    /// Where the connection that brought them is lost, they do come again: the receiver drops them by id.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the bus is over.
    pub async fn ack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        let acked = deliveries.len() as u64;
        match &mut self.backend {
            Backend::Embedded(consumer) => consumer.ack(deliveries),
            Backend::Rabbit(consumer) => consumer.ack(deliveries).await,
        }?;
        metrics::counter!("muster_bus_acked_total").increment(acked);
        Ok(())
    }

    /// Gives the batches back: [`Consumer::next`] returns them again, in their old order, before newer ones.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the bus is over.
    pub async fn nack(&mut self, deliveries: Vec<Delivery>) -> Result<(), BusError> {
        match &mut self.backend {
            Backend::Embedded(consumer) => consumer.nack(deliveries),
            Backend::Rabbit(consumer) => consumer.nack(deliveries),
        }
    }
}

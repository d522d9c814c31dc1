//! What both backends need: lifecycle, limits and the budget of unconfirmed bytes.

use crate::{BusConfig, BusError, InstanceId};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The largest body that is carried; a batch is closed at 256 KiB, but one message in it may be larger.
pub(crate) const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Batches that wait per partition before `send` waits.
pub(crate) const QUEUE_BATCHES: usize = 64;

/// State common to both backends and to all clones of a bus.
pub(crate) struct Shared {
    pub(crate) namespace: String,
    pub(crate) partitions: u16,
    pub(crate) instance: InstanceId,
    pub(crate) budget: Budget,
    /// One permit per partition: who waits for room is served in the order of arrival.
    turns: Vec<Semaphore>,
    /// No new `send`.
    pub(crate) closing: CancellationToken,
    /// Consumers get nothing new, but may acknowledge what they hold.
    pub(crate) draining: CancellationToken,
    /// Everything ends now.
    pub(crate) stop: CancellationToken,
    /// Tasks of the bus itself.
    pub(crate) tasks: TaskTracker,
    /// One token for each living consumer.
    pub(crate) consumers: TaskTracker,
}

impl Shared {
    pub(crate) fn new(cfg: &BusConfig, stop: &CancellationToken) -> Result<Self, BusError> {
        check(cfg)?;
        let stop = stop.child_token();
        let draining = stop.child_token();
        Ok(Self {
            namespace: cfg.namespace.clone(),
            partitions: cfg.partitions,
            instance: cfg.instance.clone(),
            budget: Budget::new(cfg.max_unconfirmed_bytes),
            turns: (0..cfg.partitions).map(|_| Semaphore::new(1)).collect(),
            closing: draining.child_token(),
            draining,
            stop,
            tasks: TaskTracker::new(),
            consumers: TaskTracker::new(),
        })
    }

    pub(crate) fn check_partition(&self, partition: u16) -> Result<(), BusError> {
        if partition < self.partitions {
            Ok(())
        } else {
            Err(BusError::UnknownPartition { partition, partitions: self.partitions })
        }
    }

    pub(crate) fn check_size(bytes: usize) -> Result<(), BusError> {
        if bytes <= MAX_BODY_BYTES { Ok(()) } else { Err(BusError::TooLarge { bytes, limit: MAX_BODY_BYTES }) }
    }

    /// The turn to send to the partition; the next in line gets it when this is dropped.
    pub(crate) async fn turn(&self, partition: u16) -> Result<SemaphorePermit<'_>, BusError> {
        self.check_partition(partition)?;
        let turn = self.turns.get(usize::from(partition)).ok_or(BusError::Closed)?;
        let turn = async {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => Err(BusError::Closed),
                turn = turn.acquire() => turn.map_err(|_| BusError::Closed),
            }
        };
        // A task that has used up its share of tokio's time would not queue at its first poll, and lose its place.
        tokio::task::unconstrained(turn).await
    }

    /// Room for a body that is about to be sent; waits while the bound is reached.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BusError> {
        Self::check_size(bytes)?;
        tokio::select! {
            permit = self.budget.reserve(bytes) => permit,
            () = self.closing.cancelled() => Err(BusError::Closed),
        }
    }

    /// Ends sending, waits for confirms, then for consumers to let go. The caller sets the deadline.
    pub(crate) async fn drain(&self) {
        let draining = async {
            self.closing.cancel();
            self.budget.all_returned().await;
            self.draining.cancel();
            self.consumers.close();
            self.consumers.wait().await;
        };
        tokio::select! {
            () = draining => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Ends everything and waits for the tasks of the bus.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn check(cfg: &BusConfig) -> Result<(), BusError> {
    let name = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !text.is_empty() && text.len() <= 100 && text.chars().all(allowed)
    };
    if !name(&cfg.namespace) {
        return Err(BusError::Invalid(format!(
            "namespace '{}' must be 1 to 100 of a-z, 0-9, '-', '_', '.'",
            cfg.namespace
        )));
    }
    if !name(&cfg.instance.0) {
        return Err(BusError::Invalid(format!(
            "instance '{}' must be 1 to 100 of a-z, 0-9, '-', '_', '.'",
            cfg.instance
        )));
    }
    if !(1..=1024).contains(&cfg.partitions) {
        return Err(BusError::Invalid(format!("partitions must be 1 to 1024, not {}", cfg.partitions)));
    }
    if cfg.max_unconfirmed_bytes == 0 {
        return Err(BusError::Invalid("max_unconfirmed_bytes must not be 0".into()));
    }
    Ok(())
}

/// Bytes that may be unconfirmed at one time.
pub(crate) struct Budget {
    semaphore: Arc<Semaphore>,
    limit: u32,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        let limit = u32::try_from(bytes).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS.try_into().unwrap_or(u32::MAX));
        Self { semaphore: Arc::new(Semaphore::new(limit as usize)), limit }
    }

    /// A body larger than the whole budget takes all of it, so that it goes alone instead of never.
    async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BusError> {
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.limit);
        self.semaphore.clone().acquire_many_owned(wanted).await.map_err(|_| BusError::Closed)
    }

    async fn all_returned(&self) {
        // The semaphore is never closed, so this can not fail.
        drop(self.semaphore.acquire_many(self.limit).await);
    }

    /// Bytes that are unconfirmed now.
    pub(crate) fn used(&self) -> usize {
        self.limit as usize - self.semaphore.available_permits()
    }
}

//! The bus as the rest of Muster sees it.

use crate::{
    BusConfig, BusError, BusHealth, Consumer, InstanceId, Topic, embedded::Embedded, rabbit::Rabbit, shared::Shared,
};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A connection to the bus; clones share it. It ends with its last clone, [`Bus::close`], or its stop token.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    backend: Backend,
    _stop: DropGuard,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("health", &self.health()).finish_non_exhaustive()
    }
}

enum Backend {
    Embedded(Embedded),
    Rabbit(Rabbit),
}

impl Bus {
    /// Starts the bus. A broker that is down does not fail it: connecting goes on in the background, with backoff, and
    /// [`Bus::health`] says what it waits for, while `send` waits and consumers get nothing.
    ///
    /// `stop` ends the bus at once: unconfirmed sends fail with [`BusError::Closed`]. To drain, call [`Bus::close`].
    ///
    /// # Errors
    /// [`BusError::Invalid`] for a configuration that can not work.
    pub async fn connect(cfg: BusConfig, stop: CancellationToken) -> Result<Self, BusError> {
        let shared = Arc::new(Shared::new(&cfg, &stop)?);
        let guard = shared.stop.clone().drop_guard();
        let backend = if cfg.url == "embedded" {
            Backend::Embedded(Embedded::new(shared.clone()))
        } else if cfg.url.starts_with("amqp://") || cfg.url.starts_with("amqps://") {
            Backend::Rabbit(Rabbit::start(shared.clone(), &cfg.url)?)
        } else {
            return Err(BusError::Invalid("url must be 'embedded' or start with amqp:// or amqps://".into()));
        };
        Ok(Self { inner: Arc::new(Inner { shared, backend, _stop: guard }) })
    }

    /// Whether the bus can carry anything now.
    pub fn health(&self) -> BusHealth {
        match &self.inner.backend {
            Backend::Embedded(_) => BusHealth::Connected,
            Backend::Rabbit(rabbit) => rabbit.health(),
        }
    }

    /// Counts lost and restored connections: after a change, fan-outs may have been missed and caches are re-read.
    pub fn reconnects(&self) -> watch::Receiver<u64> {
        match &self.inner.backend {
            Backend::Embedded(embedded) => embedded.reconnects(),
            Backend::Rabbit(rabbit) => rabbit.reconnects(),
        }
    }

    /// Sends a batch and resolves only when it is safe. Within a partition, batches keep the order in which their
    /// `send` was first polled, so many may be in flight.
    ///
    /// Waits while the bound of unconfirmed bytes is reached or the broker is away. A caller that drops the future
    /// does not take the batch back: it is still sent.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the bus ends before the confirm, [`BusError::UnknownPartition`],
    /// [`BusError::TooLarge`].
    pub async fn send(&self, partition: u16, id: Uuid, body: Bytes) -> Result<(), BusError> {
        let shared = &self.inner.shared;
        let confirmed = {
            let _turn = shared.turn(partition).await?;
            let permit = shared.reserve(body.len()).await?;
            match &self.inner.backend {
                Backend::Embedded(embedded) => embedded.enqueue(partition, id, body, permit).await,
                Backend::Rabbit(rabbit) => rabbit.enqueue(partition, id, body, permit).await,
            }?
        };
        metrics::counter!("muster_bus_sent_total").increment(1);
        metrics::gauge!("muster_bus_unconfirmed_bytes").set(shared.budget.used() as f64);
        tokio::select! {
            outcome = confirmed => outcome.map_err(|_| BusError::Closed)?,
            () = shared.stop.cancelled() => return Err(BusError::Closed),
        }
        metrics::counter!("muster_bus_confirmed_total").increment(1);
        metrics::gauge!("muster_bus_unconfirmed_bytes").set(shared.budget.used() as f64);
        Ok(())
    }

    /// Becomes a consumer of the partition: the active one, or the next in line.
    ///
    /// # Errors
    /// [`BusError::UnknownPartition`], [`BusError::Closed`].
    pub async fn consume(&self, partition: u16) -> Result<Consumer, BusError> {
        let shared = &self.inner.shared;
        shared.check_partition(partition)?;
        if shared.draining.is_cancelled() {
            return Err(BusError::Closed);
        }
        let alive = shared.consumers.token();
        Ok(match &self.inner.backend {
            Backend::Embedded(embedded) => Consumer::embedded(embedded.consume(partition)?, alive, self.clone()),
            Backend::Rabbit(rabbit) => Consumer::rabbit(rabbit.consume(partition), alive, self.clone()),
        })
    }

    /// Sends to the queue of one instance; resolves when it is there.
    ///
    /// # Errors
    /// [`BusError::NoInstance`], [`BusError::Full`], [`BusError::TooLarge`], [`BusError::Unavailable`],
    /// [`BusError::Closed`].
    pub async fn push(&self, to: &InstanceId, body: Bytes) -> Result<(), BusError> {
        Shared::check_size(body.len())?;
        match &self.inner.backend {
            Backend::Embedded(embedded) => embedded.push(to, body),
            Backend::Rabbit(rabbit) => rabbit.push(to, body).await,
        }
    }

    /// What is pushed to this instance. Survives reconnects; pushes made while it is away fail at the sender.
    ///
    /// # Errors
    /// [`BusError::Taken`] while an earlier receiver lives, [`BusError::Closed`].
    pub async fn pushes(&self) -> Result<mpsc::Receiver<Bytes>, BusError> {
        match &self.inner.backend {
            Backend::Embedded(embedded) => embedded.pushes(),
            Backend::Rabbit(rabbit) => rabbit.pushes().await,
        }
    }

    /// Tells all subscribers of the topic, at best: what can not be sent now is dropped and counted.
    pub async fn publish(&self, topic: Topic, body: Bytes) {
        match &self.inner.backend {
            Backend::Embedded(embedded) => embedded.publish(topic, body),
            Backend::Rabbit(rabbit) => rabbit.publish(topic, body),
        }
    }

    /// What is published from now on. Survives reconnects; a receiver that lags loses the oldest.
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub async fn subscribe(&self, topic: Topic) -> Result<mpsc::Receiver<Bytes>, BusError> {
        match &self.inner.backend {
            Backend::Embedded(embedded) => embedded.subscribe(topic),
            Backend::Rabbit(rabbit) => rabbit.subscribe(topic).await,
        }
    }

    /// Batches that wait in all partitions, including those that consumers of this process have not acknowledged.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the broker can not be asked, [`BusError::Closed`].
    pub async fn depth(&self) -> Result<u64, BusError> {
        match &self.inner.backend {
            Backend::Embedded(embedded) => Ok(embedded.depth()),
            Backend::Rabbit(rabbit) => rabbit.depth().await,
        }
    }

    /// Drains and ends the bus: new sends fail, unconfirmed ones are waited for (consumers of the embedded bus must
    /// still run), then consumers get [`BusError::Closed`] and are waited for until they are dropped.
    ///
    /// The caller sets the deadline by a timeout around it and then cancels the stop token.
    pub async fn close(&self) {
        self.inner.shared.drain().await;
        if let Backend::Rabbit(rabbit) = &self.inner.backend {
            rabbit.disconnect().await;
        }
        self.inner.shared.finish().await;
    }
}

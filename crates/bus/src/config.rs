//! What a bus is told at its start, and the words of its interface.

use std::{fmt, time::Instant};

/// How to reach the bus.
#[derive(Clone)]
pub struct BusConfig {
    /// `embedded`, `amqp://user:password@host:port/vhost` or `amqps://…`. The query parameter `cacertfile=PATH` names
    /// a PEM file with the authorities that sign the broker's certificate.
    pub url: String,
    /// Prefix of all queue and exchange names (default `muster`).
    pub namespace: String,
    /// Ingest partitions, 1 to 1024; the same number at every instance.
    pub partitions: u16,
    /// This process, unique among all that share the namespace.
    pub instance: InstanceId,
    /// Bytes that may wait for their confirm before [`crate::Bus::send`] waits.
    pub max_unconfirmed_bytes: usize,
}

impl BusConfig {
    /// The prefix of names that installations use unless they share a broker.
    pub const DEFAULT_NAMESPACE: &'static str = "muster";
}

impl fmt::Debug for BusConfig {
    // The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusConfig")
            .field("namespace", &self.namespace)
            .field("partitions", &self.partitions)
            .field("instance", &self.instance)
            .field("max_unconfirmed_bytes", &self.max_unconfirmed_bytes)
            .finish_non_exhaustive()
    }
}

/// The name of one running process on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fan-out: what is published reaches every subscriber of it, at best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// "This changed": receivers drop it from their caches.
    Notice,
    /// Live values for browsers; the oldest are dropped when a receiver lags.
    Live,
    /// Which tenants have a listener for live values.
    Interest,
}

impl Topic {
    /// The name used in exchanges, queues and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Live => "live",
            Self::Interest => "interest",
        }
    }
}

/// Whether the bus can carry anything now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusHealth {
    /// It can.
    Connected,
    /// It tries to; nothing is lost meanwhile.
    Waiting {
        /// Since when.
        since: Instant,
        /// Why, readable by an operator, without secrets.
        reason: String,
    },
}

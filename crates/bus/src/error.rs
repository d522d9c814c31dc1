//! What can go wrong on the bus, named by what the caller can do about it.

use crate::InstanceId;
use std::error::Error;

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The configuration can not work; retrying is useless.
    #[error("bus configuration: {0}")]
    Invalid(String),
    /// The bus is closing or closed; what was not confirmed must be sent again after the next start.
    #[error("bus is closed")]
    Closed,
    /// No running instance of that name takes pushes.
    #[error("no instance '{0}' on the bus")]
    NoInstance(InstanceId),
    /// The instance is there but its queue is full; try later.
    #[error("queue of instance '{0}' is full")]
    Full(InstanceId),
    /// Pushes of this instance are already received elsewhere in this process.
    #[error("pushes of instance '{0}' are already received")]
    Taken(InstanceId),
    /// A partition beyond those configured.
    #[error("partition {partition} does not exist, there are {partitions}")]
    UnknownPartition {
        /// The partition asked for.
        partition: u16,
        /// How many there are.
        partitions: u16,
    },
    /// A body larger than the bus carries.
    #[error("body of {bytes} bytes is larger than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size that is carried.
        limit: usize,
    },
    /// The broker can not be reached or refused for now; trying again later may help.
    #[error("broker unavailable while trying to {action}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

//! The ingest queue and the way back to devices.
//!
//! One contract with two backends: channels inside one process (`embedded`), and RabbitMQ (`amqp://`, `amqps://`).
//! This crate moves bytes; what they mean is the business of `muster_model::batch` and of the engine.
//!
//! # Invariants
//! - [`Bus::send`] resolves with `Ok` only when the batch is safe: confirmed by a quorum queue, or acknowledged by
//!   the consumer of the embedded bus. Until then the batch is kept and published again under the same id.
//! - Delivery is at least once and in order within a partition; the receiver drops repeats by [`Delivery::id`].
//! - Unconfirmed bytes are bounded: `send` waits, and so do the sockets behind it.
//! - Fan-outs ([`Bus::publish`]) are best effort and never hold up the ingest path.

mod backoff;
mod bus;
mod config;
mod consumer;
mod embedded;
mod error;
mod rabbit;
mod ring;
mod shared;

pub use bus::Bus;
pub use config::{BusConfig, BusHealth, InstanceId, Topic};
pub use consumer::{Consumer, Delivery};
pub use error::BusError;

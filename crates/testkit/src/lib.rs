//! The real product in-process, for tests: a [`TestApp`] on its own folder, ports and databases, [`Client`]s that act
//! as somebody, a [`Device`] that speaks MQTT, and sinks that take what the product sends out.
//!
//! Tests wait with [`eventually`], never with a fixed sleep.

#![expect(
    clippy::expect_used,
    reason = "a test harness stops with a reason where the machine does not give what it needs"
)]

mod app;
mod backend;
mod broker;
mod client;
mod device;
mod gate;
mod mail;
mod processes;
mod webhook;

pub use app::{Bootstrapped, Servers, TestApp, own_address, servers};
pub use backend::{Backend, skip};
pub use broker::Broker;
pub use client::{Client, Reply};
pub use device::{Device, DeviceError};
pub use gate::Gate;
pub use mail::MailSink;
pub use processes::{Process, Processes};
pub use webhook::WebhookSink;

use std::{future::Future, time::Duration};

/// How long [`eventually`] waits: far longer than anything should take, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` again and again until it gives a value.
///
/// # Panics
/// Where it gives none for 30 seconds; the message names `what`.
pub async fn eventually<T, F, Fut>(what: &str, mut probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain: {what}"))
}

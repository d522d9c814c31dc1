//! What others leave for a connection: confirms, pushes, the order to end.

use muster_engine::ingest::AckSink;
use muster_model::push::MethodCall;
use serde_json::{Map, Value};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Pushes that may wait for a connection; one that falls further behind is closed and reads its twin anew.
const MAX_PUSHES: usize = 64;

/// A connection's mailbox. Whoever writes wakes the connection once, however much is left before it looks.
#[derive(Default)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    wake: Notify,
}

/// Everything left since the last look.
#[derive(Default)]
pub(crate) struct Mail {
    /// Messages that are safe, or are not, in the order of sending.
    pub(crate) confirms: Vec<(u32, bool)>,
    /// Changes of desired properties, in order.
    pub(crate) desired: Vec<Desired>,
    /// Direct methods to be run, in order.
    pub(crate) calls: Vec<MethodCall>,
    /// Cloud-to-device messages wait in the database.
    pub(crate) messages: bool,
    /// The order to end; the first one stands.
    pub(crate) close: Option<Close>,
}

/// A change of desired properties.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    /// As it was sent, nulls included.
    pub(crate) patch: Map<String, Value>,
    /// The desired version after it.
    pub(crate) version: i64,
}

/// Why a connection is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Close {
    /// The device connected again.
    TakenOver,
    /// The service wants it: blocked, deleted, key changed.
    Service(String),
    /// The device does not take its pushes.
    Behind,
    /// The hub stops: finish what is acknowledged, read no more.
    Stopping,
}

impl Mailbox {
    /// Resolves when there is mail and takes it. May be dropped and asked again.
    pub(crate) async fn take(&self) -> Mail {
        self.wake.notified().await;
        std::mem::take(&mut *self.lock())
    }

    /// Leaves the order to end.
    pub(crate) fn close(&self, close: Close) {
        self.lock().close.get_or_insert(close);
        self.wake.notify_one();
    }

    /// Leaves a change of desired properties.
    pub(crate) fn desired(&self, desired: Desired) {
        let mut mail = self.lock();
        if mail.desired.len() < MAX_PUSHES {
            mail.desired.push(desired);
        } else {
            mail.close.get_or_insert(Close::Behind);
        }
        drop(mail);
        self.wake.notify_one();
    }

    /// Leaves a direct method to be run; one too many comes back.
    pub(crate) fn call(&self, call: MethodCall) -> Result<(), MethodCall> {
        {
            let mut mail = self.lock();
            if mail.calls.len() >= MAX_PUSHES {
                return Err(call);
            }
            mail.calls.push(call);
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Leaves word that cloud-to-device messages wait.
    pub(crate) fn messages(&self) {
        self.lock().messages = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AckSink for Mailbox {
    fn done(&self, packet: u32, ok: bool) {
        // Packet 0 is a message that its device does not wait for (QoS 0).
        if packet == 0 {
            return;
        }
        let first = {
            let mut mail = self.lock();
            mail.confirms.push((packet, ok));
            mail.confirms.len() == 1
        };
        // One wake for all confirms of a batch.
        if first {
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn mail_is_kept_until_it_is_taken() {
        let mailbox = Mailbox::default();
        mailbox.done(1, true);
        mailbox.done(0, true);
        mailbox.done(2, false);
        mailbox.close(Close::TakenOver);
        mailbox.close(Close::Stopping);
        let mail = mailbox.take().await;
        assert_eq!(mail.confirms, [(1, true), (2, false)]);
        assert_eq!(mail.close, Some(Close::TakenOver));
        mailbox.done(3, true);
        assert_eq!(mailbox.take().await.confirms, [(3, true)]);
    }

    #[tokio::test]
    async fn a_device_that_falls_behind_is_closed() {
        let mailbox = Mailbox::default();
        for version in 0..=MAX_PUSHES as i64 {
            mailbox.desired(Desired { patch: Map::new(), version });
        }
        let mail = mailbox.take().await;
        assert_eq!(mail.desired.len(), MAX_PUSHES);
        assert_eq!(mail.close, Some(Close::Behind));
    }
}

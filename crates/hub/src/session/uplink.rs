//! A device's messages on their way in: the window of unconfirmed ones, those behind it, and the order of
//! acknowledgements.

use crate::mailbox::Mailbox;
use muster_engine::ingest::{Ack, Ingress, IngressError, Refused, Slot};
use muster_model::batch::Inbound;
use std::{collections::VecDeque, future::Future, num::NonZeroU16, pin::Pin, sync::Arc};

/// Messages given to the ingress and not confirmed. Above the windows of common clients (10 to 20).
const WINDOW: usize = 64;
/// Messages read beyond the window, so that pings and twin requests behind them are still seen.
const MAX_WAITING: usize = 64;
/// Their bytes.
const MAX_WAITING_BYTES: usize = 512 * 1024;
/// Acknowledgements owed. Those of twin requests wait for those of messages sent before them.
const MAX_OWED: usize = 256;

/// The messages of one connection between its socket and the ingress.
pub(super) struct Uplink {
    ingress: Ingress,
    partition: u16,
    mailbox: Arc<Mailbox>,
    /// Acknowledgements owed, in the order of arrival, which is the order that MQTT wants them in.
    owed: VecDeque<Owed>,
    unconfirmed: usize,
    waiting: VecDeque<(Inbound, u32)>,
    waiting_bytes: usize,
    /// Our place in the line where the ingress is full.
    line: Option<Line>,
}

type Line = Pin<Box<dyn Future<Output = Result<Slot, IngressError>> + Send>>;

struct Owed {
    packet: NonZeroU16,
    due: bool,
}

/// A message's fate is unknown: the connection must end, so that the device sends it again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unconfirmed;

impl Uplink {
    pub(super) fn new(ingress: Ingress, partition: u16, mailbox: Arc<Mailbox>) -> Self {
        Self {
            ingress,
            partition,
            mailbox,
            owed: VecDeque::new(),
            unconfirmed: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            line: None,
        }
    }

    /// Whether another packet may be read.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING && self.waiting_bytes < MAX_WAITING_BYTES && self.owed.len() < MAX_OWED
    }

    /// Whether every message has been answered for.
    pub(super) fn is_idle(&self) -> bool {
        self.unconfirmed == 0 && self.waiting.is_empty()
    }

    /// Takes a message; `packet` is owed an acknowledgement once it is confirmed.
    pub(super) fn accept(&mut self, message: Inbound, packet: Option<NonZeroU16>) {
        if let Some(packet) = packet {
            self.owed.push_back(Owed { packet, due: false });
        }
        self.waiting_bytes += message.encoded_len();
        self.waiting.push_back((message, packet.map_or(0, |packet| packet.get().into())));
    }

    /// Owes an acknowledgement that needs no confirm.
    pub(super) fn owe(&mut self, packet: Option<NonZeroU16>) {
        if let Some(packet) = packet {
            self.owed.push_back(Owed { packet, due: true });
        }
    }

    /// Gives messages to the ingress, as far as window and ingress take them.
    pub(super) fn forward(&mut self) -> Result<(), IngressError> {
        while self.line.is_none()
            && self.unconfirmed < WINDOW
            && let Some((message, packet)) = self.waiting.pop_front()
        {
            let bytes = message.encoded_len();
            match self.ingress.try_submit(self.partition, message, self.ack(packet)) {
                Ok(()) => self.submitted(bytes, packet),
                Err(Refused::Full(message)) => {
                    self.waiting.push_front((message, packet));
                    self.line = Some(Box::pin(self.ingress.reserve(self.partition, bytes)));
                }
                Err(Refused::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for our turn at a full ingress; never resolves while not in line. May be dropped and asked again.
    pub(super) async fn turn(&mut self) -> Result<(), IngressError> {
        let Some(line) = &mut self.line else { return std::future::pending().await };
        let slot = line.await;
        self.line = None;
        let slot = slot?;
        if let Some((message, packet)) = self.waiting.pop_front() {
            let bytes = message.encoded_len();
            slot.send(message, self.ack(packet));
            self.submitted(bytes, packet);
        }
        Ok(())
    }

    /// Gives all that is left to the ingress, when the connection has ended.
    pub(super) async fn finish(&mut self) -> Result<(), IngressError> {
        self.line = None;
        while let Some((message, packet)) = self.waiting.pop_front() {
            self.ingress.submit(self.partition, message, self.ack(packet)).await?;
        }
        Ok(())
    }

    /// Forgets what the ingress has not got; the device sends it again.
    pub(super) fn abandon(&mut self) {
        self.line = None;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// Notes confirms, which come in the order of sending.
    pub(super) fn confirm(&mut self, confirms: Vec<(u32, bool)>) -> Result<(), Unconfirmed> {
        let mut next = 0;
        for (packet, ok) in confirms {
            self.unconfirmed = self.unconfirmed.saturating_sub(1);
            if !ok {
                return Err(Unconfirmed);
            }
            // Acknowledgements that are due already belong to twin requests; the first other one is this message's.
            while let Some(owed) = self.owed.get_mut(next) {
                next += 1;
                if !owed.due && u32::from(owed.packet.get()) == packet {
                    owed.due = true;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The next acknowledgement that may be sent.
    pub(super) fn next_due(&mut self) -> Option<NonZeroU16> {
        if self.owed.front()?.due { self.owed.pop_front().map(|owed| owed.packet) } else { None }
    }

    fn submitted(&mut self, bytes: usize, packet: u32) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.unconfirmed += usize::from(packet != 0);
    }

    fn ack(&self, packet: u32) -> Ack {
        Ack { sink: self.mailbox.clone(), packet }
    }
}

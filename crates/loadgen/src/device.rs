//! One device under load.

use crate::{
    connection::{Connection, PING_EVERY},
    fleet::Quality,
    payload::Payload,
    report::Totals,
};
use anyhow::{Context, Result, bail};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::Packet,
};
use std::{
    num::NonZeroU16,
    time::{Duration, Instant},
};

/// How long the last acknowledgements are waited for.
const DRAIN: Duration = Duration::from_secs(10);

/// What all devices do.
pub(crate) struct Plan {
    pub(crate) start: Instant,
    pub(crate) duration: Duration,
    /// Messages of one device that may be under way.
    pub(crate) window: NonZeroU16,
    pub(crate) quality: Quality,
    pub(crate) payload: Payload,
    pub(crate) pace: Pace,
}

/// When a device sends.
pub(crate) enum Pace {
    /// As soon as the window has room.
    Unlimited,
    /// So far apart, the devices one after the other.
    Every { interval: Duration, devices: usize },
    /// Never: it only holds its connection.
    Never,
}

impl Pace {
    /// When the message of this number is due; `None` for never.
    fn due(&self, start: Instant, device: usize, sequence: u64) -> Option<Instant> {
        match self {
            Self::Unlimited => Some(start),
            Self::Every { interval, devices } => {
                let offset = *interval * u32::try_from(device).ok()? / u32::try_from(*devices).ok()?.max(1);
                Some(start + offset + interval.checked_mul(u32::try_from(sequence).ok()?)?)
            }
            Self::Never => None,
        }
    }
}

/// Runs the plan on one connection, to its end.
pub(crate) async fn run(connection: Connection, topic: &str, index: usize, plan: &Plan, totals: &Totals) -> Result<()> {
    let window = usize::from(plan.window.get());
    let mut device = Device {
        connection,
        topic: topic.to_owned().into_bytes().into(),
        index,
        plan,
        totals,
        due: vec![None; window],
        free: (1..=plan.window.get()).rev().filter_map(NonZeroU16::new).collect(),
        sequence: 0,
    };
    let mut heard = Instant::now();
    loop {
        let now = Instant::now();
        let sending = now < plan.start + plan.duration;
        let wake = if sending { device.send(now)? } else { plan.start + plan.duration + DRAIN };
        if !sending && device.free.len() == window {
            return device.connection.close().await;
        }
        if now >= heard + PING_EVERY {
            device.connection.queue(Packet::PingRequest)?;
            heard = now;
        }
        device.connection.flush().await?;
        let wake = wake.min(heard + PING_EVERY);
        tokio::select! {
            filled = device.connection.fill() => {
                filled?;
                device.take_acknowledgements()?;
            }
            () = tokio::time::sleep_until(wake.into()) => {
                if !sending && Instant::now() >= plan.start + plan.duration + DRAIN {
                    bail!("{} messages were never acknowledged", window - device.free.len());
                }
            }
        }
    }
}

struct Device<'a> {
    connection: Connection,
    topic: bytes::Bytes,
    index: usize,
    plan: &'a Plan,
    totals: &'a Totals,
    /// By packet id, from 1: when the message under way was due.
    due: Vec<Option<Instant>>,
    free: Vec<NonZeroU16>,
    sequence: u64,
}

impl Device<'_> {
    /// Queues what is due and has room in the window; returns when to look again.
    fn send(&mut self, now: Instant) -> Result<Instant> {
        let end = self.plan.start + self.plan.duration;
        // Some at a time: a write for each message would cost us more than the message.
        if matches!(self.plan.pace, Pace::Unlimited) && self.free.len() * 2 < usize::from(self.plan.window.get()) {
            return Ok(end);
        }
        let mut sent = 0;
        let wake = loop {
            let Some(due) = self.plan.pace.due(self.plan.start, self.index, self.sequence) else { break end };
            if due > now {
                break due.min(end);
            }
            if sent == u64::from(self.plan.window.get()) {
                break now;
            }
            let packet_id = match self.plan.quality {
                Quality::AtMostOnce => None,
                Quality::AtLeastOnce => {
                    let Some(packet_id) = self.free.pop() else { break end };
                    if let Some(slot) = self.due.get_mut(usize::from(packet_id.get()) - 1) {
                        *slot = Some(if due == self.plan.start { now } else { due });
                    }
                    Some(packet_id)
                }
            };
            self.queue(packet_id)?;
            sent += 1;
        };
        self.totals.sent(sent);
        Ok(wake)
    }

    fn queue(&mut self, packet_id: Option<NonZeroU16>) -> Result<()> {
        let publish = Publish {
            dup: false,
            retain: false,
            qos: if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
            topic: self.topic.clone().try_into().context("topic")?,
            packet_id,
            payload: self.plan.payload.make(self.index, self.sequence),
            properties: None,
        };
        self.sequence += 1;
        self.connection.queue(publish.into())
    }

    fn take_acknowledgements(&mut self) -> Result<()> {
        let mut acknowledged = Vec::new();
        while let Some(packet) = self.connection.packet()? {
            // Other packets (ping answers, commands) are none of a load generator's business.
            let Packet::PublishAck { packet_id } = packet else { continue };
            let slot = self.due.get_mut(usize::from(packet_id.get()) - 1);
            let due = slot.and_then(Option::take).context("server acknowledged what was not sent")?;
            acknowledged.push(due);
            self.free.push(packet_id);
        }
        self.totals.acknowledged(self.index, self.plan.start, acknowledged.into_iter());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_spread_over_devices_and_time() {
        let start = Instant::now();
        let pace = Pace::Every { interval: Duration::from_secs(1), devices: 4 };
        let due = |device, sequence| pace.due(start, device, sequence).map(|due| due - start);
        assert_eq!(due(0, 0), Some(Duration::ZERO));
        assert_eq!(due(1, 0), Some(Duration::from_millis(250)));
        assert_eq!(due(3, 2), Some(Duration::from_millis(2750)));
        assert_eq!(Pace::Never.due(start, 0, 0), None);
    }
}

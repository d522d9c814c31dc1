//! Packet ids of messages that a device has to acknowledge.

use std::{collections::HashMap, num::NonZeroU16};

/// The messages of one connection that its device has not acknowledged, by packet id.
#[derive(Default)]
pub(super) struct Packets {
    sent: HashMap<NonZeroU16, i64>,
    last: u16,
}

impl Packets {
    /// A packet id for a message. There are far more ids than messages that may be open.
    pub(super) fn sent(&mut self, sequence: i64) -> NonZeroU16 {
        loop {
            self.last = self.last.wrapping_add(1);
            if let Some(packet) = NonZeroU16::new(self.last)
                && !self.sent.contains_key(&packet)
            {
                self.sent.insert(packet, sequence);
                return packet;
            }
        }
    }

    /// The message that the device has acknowledged by this packet; nothing where it was none.
    pub(super) fn acknowledged(&mut self, packet: NonZeroU16) -> Option<i64> {
        let sequence = self.sent.remove(&packet);
        if self.sent.is_empty() {
            // An idle connection keeps nothing.
            self.sent = HashMap::new();
        }
        sequence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_given_twice_while_they_are_open() {
        let mut packets = Packets { last: u16::MAX - 1, ..Packets::default() };
        let ids: Vec<u16> = (1..=3).map(|sequence| packets.sent(sequence).get()).collect();
        assert_eq!(ids, [u16::MAX, 1, 2]);
        packets.last = u16::MAX;
        assert_eq!(packets.sent(4).get(), 3);
        let one = NonZeroU16::MIN;
        assert_eq!((packets.acknowledged(one), packets.acknowledged(one)), (Some(2), None));
    }
}

//! What the hub counts. Handles are made once: looking them up by name costs more than the message.

use metrics::{Counter, Gauge, counter, gauge};

/// Counters of a hub instance.
pub(crate) struct Meters {
    connections: Gauge,
    /// Telemetry messages read from sockets.
    pub(crate) received: Counter,
    /// Telemetry messages acknowledged to devices.
    pub(crate) acknowledged: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            connections: gauge!("muster_hub_connections"),
            received: counter!("muster_hub_messages_received_total"),
            acknowledged: counter!("muster_hub_messages_acknowledged_total"),
        }
    }

    /// Counts an open connection until the guard is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.connections.increment(1);
        OpenConnection { connections: self.connections.clone() }
    }
}

/// Counts a connection as open.
pub(crate) struct OpenConnection {
    connections: Gauge,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.decrement(1);
    }
}

/// Counts a CONNECT by its CONNACK code.
pub(crate) fn count_connect(code: u8) {
    counter!("muster_hub_connects_total", "code" => code.to_string()).increment(1);
}

/// Counts the end of a connection.
pub(crate) fn count_end(reason: &'static str) {
    counter!("muster_hub_disconnects_total", "reason" => reason).increment(1);
}

/// Counts a connection that was closed before it was served.
pub(crate) fn count_turned_away(reason: &'static str) {
    counter!("muster_hub_turned_away_total", "reason" => reason).increment(1);
}

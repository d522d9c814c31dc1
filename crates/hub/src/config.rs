//! Limits of a hub instance.

use std::time::Duration;

/// What the hub is told at its start; the default suits most installations.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Connections held at one time; more are closed at once.
    pub max_connections: usize,
    /// New connections taken in a second at each listener; more wait in the kernel's queue.
    pub connects_per_second: u32,
    /// Time for the TLS handshake.
    pub handshake_timeout: Duration,
    /// Time from the open connection to its CONNECT.
    pub connect_timeout: Duration,
    /// Time for outstanding acknowledgements when the hub stops.
    pub drain_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            connects_per_second: 5_000,
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

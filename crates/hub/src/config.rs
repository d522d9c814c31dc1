//! Limits of a hub instance.

use crate::Rates;
use std::time::Duration;

/// What the hub is told at its start; the default suits most installations.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Connections held at one time; more are closed at once.
    pub max_connections: usize,
    /// New connections taken in a second at each listener; more wait in the kernel's queue.
    pub connects_per_second: u32,
    /// What one device may do at this process.
    pub device_rates: Rates,
    /// What all devices and services of one tenant may do at this process.
    pub tenant_rates: Rates,
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
            device_rates: Rates::default(),
            tenant_rates: Rates::default(),
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

//! Where a process listens: printed, and written for scripts.

use serde::Serialize;
use std::{fmt, io, net::SocketAddr, path::Path};

/// The real addresses, port 0 resolved. What is absent is off or another process's role.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// The web app and the REST API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// The same over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<SocketAddr>,
    /// MQTT over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtts: Option<SocketAddr>,
    /// Plain MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<SocketAddr>,
    /// HTTPS for devices and back-end services, and MQTT over WebSocket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_https: Option<SocketAddr>,
}

impl Addresses {
    /// Writes `addresses.json`, whole or not at all.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let temporary = data_dir.join("addresses.json.new");
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(temporary, data_dir.join("addresses.json"))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("web app and REST API", "http://", self.http),
            ("web app and REST API", "https://", self.https),
            ("devices, MQTT over TLS", "mqtts://", self.mqtts),
            ("devices, plain MQTT", "mqtt://", self.mqtt),
            ("devices, HTTPS, WebSocket", "https://", self.hub_https),
        ];
        for (what, scheme, address) in lines {
            if let Some(address) = address {
                writeln!(f, "  {what:<28}{scheme}{address}")?;
            }
        }
        Ok(())
    }
}

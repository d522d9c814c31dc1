//! The live stream, `GET …/api/live`: server-sent events, each with one of these as its data.

use crate::device::ConnectionState;
use chrono::{DateTime, Utc};
use muster_model::{AlertId, DeviceId, alert::AlertState, rule::Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Something that happened just now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LiveEvent {
    /// A message was stored.
    Telemetry {
        /// The device.
        device: DeviceId,
        /// The message's time.
        timestamp: DateTime<Utc>,
        /// Its values, by telemetry key.
        values: BTreeMap<String, Value>,
    },
    /// A device connected, disconnected or was changed.
    #[serde(rename_all = "camelCase")]
    Device {
        /// The device.
        device: DeviceId,
        /// Is it connected now?
        connection_state: ConnectionState,
    },
    /// An alert was opened, acknowledged or cleared.
    #[serde(rename_all = "camelCase")]
    Alert {
        /// The alert.
        id: AlertId,
        /// The device.
        device: DeviceId,
        /// The rule's name.
        rule_name: String,
        /// How bad it is.
        severity: Severity,
        /// Where it stands.
        state: AlertState,
    },
    /// A device's properties changed: read them again.
    Properties {
        /// The device.
        device: DeviceId,
    },
    /// Events were left out because the client was too slow: read everything again.
    Reload,
}

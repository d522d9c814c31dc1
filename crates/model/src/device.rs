//! Devices, their twins and their credentials.

use crate::{DeviceId, DeviceKey, ModuleId, TemplateId};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A device of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its number in the database.
    pub key: DeviceKey,
    /// Its id, as it connects with.
    pub id: DeviceId,
    /// The name shown to people.
    pub display_name: String,
    /// Its template, if one is assigned.
    pub template: Option<TemplateId>,
    /// May it connect? `false` is "blocked" in the web app.
    pub enabled: bool,
    /// Has it come through provisioning (or connected) once?
    pub provisioned: bool,
    /// Is it driven by the simulator?
    pub simulated: bool,
    /// Hex of a counter raised with each change.
    pub etag: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last heard of (a message, a connect), if ever.
    pub last_seen: Option<DateTime<Utc>>,
    /// Is it connected now?
    pub connected: bool,
    /// Distinguishes a device from an earlier one of the same id.
    pub generation: String,
    /// Why it is enabled or not, where somebody said so.
    pub status_reason: Option<String>,
    /// When `enabled` changed, if ever.
    pub status_changed_at: Option<DateTime<Utc>>,
    /// When it connected, or disconnected, the last time.
    pub connection_changed_at: Option<DateTime<Utc>>,
}

/// A module of a device: it connects, has a twin and answers methods as a device does.
#[derive(Debug, Clone, PartialEq)]
pub struct Module {
    /// Its id inside its device.
    pub id: ModuleId,
    /// What it has as a device has it: number, etag, generation, times, connection. The id in it is its device's, and it may
    /// connect where its device may.
    pub identity: Device,
    /// Who manages it, where somebody said so.
    pub managed_by: Option<String>,
}

/// The one status shown for a device (`iot-central.md` §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum DeviceStatus {
    /// Known, has not connected yet.
    Registered,
    /// Has been provisioned.
    Provisioned,
    /// Registered itself and awaits approval.
    WaitingForApproval,
    /// Refused until unblocked.
    Blocked,
}

impl Device {
    /// The one status shown for it.
    pub fn status(&self) -> DeviceStatus {
        match (self.enabled, self.provisioned) {
            (true, true) => DeviceStatus::Provisioned,
            (true, false) => DeviceStatus::Registered,
            (false, true) => DeviceStatus::Blocked,
            (false, false) => DeviceStatus::WaitingForApproval,
        }
    }
}

/// A pair of symmetric keys, base64 of 16 to 64 bytes. Its `Debug` shows no key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SymmetricKeys {
    /// The first key.
    pub primary_key: String,
    /// The second key, for rolling.
    pub secondary_key: String,
}

impl std::fmt::Debug for SymmetricKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SymmetricKeys(…)")
    }
}

/// A device's twin: what it should be (desired), what it says it is (reported), what we note about it (tags; cloud
/// properties live there).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Twin {
    /// Desired properties, without `$metadata` and `$version`.
    pub desired: Map<String, Value>,
    /// Raised with each change of `desired`; 1 at first.
    pub desired_version: i64,
    /// When each desired property changed (same tree as `desired`, leaves hold `$lastUpdated`).
    pub desired_metadata: Map<String, Value>,
    /// Reported properties, without `$metadata` and `$version`.
    pub reported: Map<String, Value>,
    /// Raised with each change of `reported`; 1 at first.
    pub reported_version: i64,
    /// When each reported property changed.
    pub reported_metadata: Map<String, Value>,
    /// Tags; cloud properties are stored under their names.
    pub tags: Map<String, Value>,
    /// The configurations that are applied to it, by their ids.
    pub configurations: Map<String, Value>,
    /// The model id the device announced.
    pub model_id: Option<String>,
    /// Raised with each change of anything in the twin.
    pub version: i64,
    /// Raised with each change of tags and desired properties.
    pub service_version: i64,
}

impl Twin {
    /// What a service compares to change only what is still as it saw it: tags and desired properties.
    pub fn etag(&self) -> String {
        BASE64.encode(self.service_version.to_be_bytes())
    }
}

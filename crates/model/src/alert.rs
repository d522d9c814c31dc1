//! Alerts: a rule became true for a device.

use crate::{AlertId, DeviceId, DeviceKey, RuleId, rule::Severity};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// An alert. At most one is open for a rule and a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// The rule.
    pub rule: RuleId,
    /// The rule's name when it fired.
    pub rule_name: String,
    /// The device.
    pub device: DeviceKey,
    /// The device's id.
    pub device_id: DeviceId,
    /// The device's name when it fired.
    pub device_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlertState,
    /// When the condition became true.
    pub opened_at: DateTime<Utc>,
    /// When it was cleared, by the values or by a person.
    pub cleared_at: Option<DateTime<Utc>>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// When it was acknowledged.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// The values that made it fire, by telemetry key.
    pub values: serde_json::Map<String, serde_json::Value>,
    /// The condition as a sentence.
    pub reason: String,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum AlertState {
    /// True now, nobody has looked at it.
    Open,
    /// True now, somebody has looked at it.
    Acknowledged,
    /// Over.
    Cleared,
}

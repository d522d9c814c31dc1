//! Alerts (ours).

use chrono::{DateTime, Utc};
use muster_model::{AlertId, DeviceId, RuleId, alert as model, rule::Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use muster_model::alert::AlertState;

/// An alert: a rule became true for a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// The rule.
    pub rule: RuleId,
    /// The rule's name when it fired.
    pub rule_name: String,
    /// The device.
    pub device: DeviceId,
    /// The device's name when it fired.
    pub device_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: AlertState,
    /// When the condition became true.
    pub opened_at: DateTime<Utc>,
    /// When it was cleared, by the values or by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<DateTime<Utc>>,
    /// Who acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// When it was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// The values that made it fire, by telemetry key.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub values: Map<String, Value>,
    /// The condition as a sentence.
    pub reason: String,
}

impl From<model::Alert> for Alert {
    fn from(alert: model::Alert) -> Self {
        Self {
            id: alert.id,
            rule: alert.rule,
            rule_name: alert.rule_name,
            device: alert.device_id,
            device_name: alert.device_name,
            severity: alert.severity,
            state: alert.state,
            opened_at: alert.opened_at,
            cleared_at: alert.cleared_at,
            acknowledged_by: alert.acknowledged_by,
            acknowledged_at: alert.acknowledged_at,
            values: alert.values,
            reason: alert.reason,
        }
    }
}

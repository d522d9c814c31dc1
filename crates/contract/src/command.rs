//! Commands of devices, in IoT Central's shape.

use chrono::{DateTime, Utc};
use muster_model::{CommandRunId, command as model};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use muster_model::command::RunState;

/// `POST /api/devices/{id}/commands/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandInput {
    /// Seconds to wait for a device that is away, 0 to 30; 0 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_timeout: Option<u32>,
    /// Seconds to wait for its answer, 5 to 30; 30 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_timeout: Option<u32>,
    /// The parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub request: Option<Value>,
}

/// A run of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceCommand {
    /// Its id.
    pub id: CommandRunId,
    /// The parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub request: Option<Value>,
    /// The device's answer; of a command that went on, what it reported in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub response: Option<Value>,
    /// The device's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_code: Option<i64>,
    /// Where it stands (ours, read-only).
    pub state: RunState,
    /// Why it failed (ours, read-only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Does the answer fit what the template says (ours, read-only)?
    #[serde(default)]
    pub fits: bool,
    /// Who asked for it (ours, read-only).
    pub asked_by: String,
    /// When it was asked for (ours, read-only).
    pub asked_at: DateTime<Utc>,
    /// When it ended (ours, read-only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
}

impl From<model::CommandRun> for DeviceCommand {
    fn from(run: model::CommandRun) -> Self {
        Self {
            id: run.id,
            request: run.request,
            response: run.response,
            response_code: run.status,
            state: run.state,
            reason: run.reason,
            fits: run.fits,
            asked_by: run.asked_by,
            asked_at: run.asked_at,
            ended_at: run.ended_at,
        }
    }
}

//! What happened to devices, and what went wrong with them (ours).

use chrono::{DateTime, Utc};
use muster_model::{DeviceId, ModuleId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use muster_model::event::{FailureCode, Operation};

/// One entry of a device's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum DeviceEvent {
    /// Something happened.
    Event {
        /// When.
        timestamp: DateTime<Utc>,
        /// The device.
        device: DeviceId,
        /// The module on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        module: Option<ModuleId>,
        /// What.
        operation: Operation,
        /// What services are told of it.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        body: Value,
    },
    /// Something went wrong, once or many times.
    Failure {
        /// The last time.
        timestamp: DateTime<Utc>,
        /// The id that the device gave; there may be no such device.
        device: DeviceId,
        /// What.
        code: FailureCode,
        /// How often.
        count: u64,
        /// Since when.
        since: DateTime<Utc>,
    },
}

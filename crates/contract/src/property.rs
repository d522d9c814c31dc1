//! A device's properties: an open JSON object, so there are names for its parts and no struct.
//!
//! `GET` gives `{name: value, "$metadata": {name: {…}}, component: {name: value, "$metadata": {…}}}`, cloud
//! properties included. `PUT` and `PATCH` take `{name: value, component: {name: value}}` and answer 202.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Property values by name.
pub type Properties = Map<String, Value>;

/// The member of [`Properties`] that holds a [`PropertyMetadata`] for each name.
pub const METADATA: &str = "$metadata";

/// What is known about one property beside its value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PropertyMetadata {
    /// What it should become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_value: Option<Value>,
    /// The version of that wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_version: Option<i64>,
    /// The version of the wish that the device answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_version: Option<i64>,
    /// The device's answer, an HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_code: Option<i64>,
    /// The device's answer in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack_description: Option<String>,
    /// When the value changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<DateTime<Utc>>,
}

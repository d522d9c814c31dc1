//! What devices sent, held against their template (ours).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /api/devices/{id}/templateProposal`: a template guessed from what a device has sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateProposal {
    /// The template in IoT Central's JSON, to be `PUT`; of a device with a template, that one and what it lacks.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub document: Value,
    /// What was guessed, and from what.
    pub guesses: Vec<Guess>,
    /// What was sent and can be no capability.
    pub left_out: Vec<LeftOut>,
    /// How many messages were looked at.
    pub messages: u32,
}

/// One guessed capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Guess {
    /// Its key: `temperature`, or `thermostat1.temperature` inside a component.
    pub key: String,
    /// `Telemetry` or `Property`.
    pub kind: String,
    /// Its schema in one word: `double`, `enum`, `object`, …
    pub schema: String,
    /// Its semantic type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic_type: Option<String>,
    /// Its unit, by its name in DTDL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How many values it was guessed from.
    pub count: u32,
    /// A few of them.
    pub examples: Vec<Value>,
    /// Were there values of other types, too? They will not be known to the template.
    #[serde(default)]
    pub mixed: bool,
}

/// Something that can be no capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// `GET /api/devices/{id}/unmodeled` and `GET /api/deviceTemplates/{id}/unmodeled`: what was sent that the template does
/// not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnmodeledReport {
    /// From when on.
    pub since: DateTime<Utc>,
    /// How many messages were looked at.
    pub messages: u32,
    /// Are these all messages since then? Else the newest.
    pub complete: bool,
    /// The values, most frequent first.
    pub values: Vec<UnmodeledValue>,
}

/// Values under one key that the template does not know, or not of this type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnmodeledValue {
    /// The flattened key.
    pub key: String,
    /// The type that the template has under this key, in one word; absent where it has nothing there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was sent last: `boolean`, `integer`, `double`, `string`, `array`, `object` or `null`.
    pub seen: String,
    /// How often.
    pub count: u64,
    /// By how many devices.
    pub devices: u32,
    /// The newest value.
    pub last_value: Value,
    /// When it was sent.
    pub last_time: DateTime<Utc>,
}

//! Telemetry: last values, history, raw and rejected messages.

use chrono::{DateTime, Utc};
use muster_model::DeviceId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `GET /api/devices/{id}/telemetry/{name}`: the last known value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TelemetryValue {
    /// The value; absent where the device has sent none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<DateTime<Utc>>,
}

/// The last known values of one device; `GET /api/telemetry-latest` gives a page of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LatestValues {
    /// The device.
    pub device: DeviceId,
    /// The name shown to people.
    pub display_name: String,
    /// By telemetry key, for example `temperature` or `thermostat1.temperature`.
    pub values: BTreeMap<String, TelemetryValue>,
}

/// `GET /api/telemetry-history` and `GET /api/devices/{id}/telemetry-history`: numbers folded into buckets of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TelemetryHistory {
    /// The start of the first bucket.
    pub from: DateTime<Utc>,
    /// The end of the last bucket.
    pub to: DateTime<Utc>,
    /// How long a bucket is, in seconds.
    pub bucket_seconds: f64,
    /// One for each device and key.
    pub series: Vec<Series>,
    /// Devices that match and are not drawn because of the limit; say so where it is not 0.
    #[serde(default)]
    pub devices_left_out: u32,
}

/// The history of one telemetry key of one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// The device.
    pub device: DeviceId,
    /// The device's name.
    pub device_name: String,
    /// The telemetry key.
    pub key: String,
    /// The capability's name shown to people; the key where the template has none.
    pub display_name: String,
    /// The unit's symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How long a bucket of this series is, in milliseconds; 0 where each point is one value as it was sent.
    pub width_ms: i64,
    /// By time; a bucket without values is left out, so a hole between two points is a gap in the data.
    pub points: Vec<Point>,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// The bucket's start in milliseconds since 1970; the value's own time where `widthMs` is 0.
    pub t: i64,
    /// The mean.
    pub avg: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many values.
    pub count: u32,
}

/// A message as it was understood; `GET /api/devices/{id}/messages` gives a page, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RawMessage {
    /// When the hub took it.
    pub enqueued_time: DateTime<Utc>,
    /// The component it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Values that the template knows, by name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub telemetry: Map<String, Value>,
    /// Values that it does not know.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub unmodeled: Map<String, Value>,
    /// The message's own properties.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub properties: Map<String, Value>,
}

/// A message that could not be understood; `GET /api/devices/{id}/rejected` gives a page, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RejectedMessage {
    /// When the hub took it.
    pub enqueued_time: DateTime<Utc>,
    /// A stable code, for example `notJson`.
    pub reason: String,
    /// The message's own properties, as the device sent them.
    pub properties: String,
    /// The payload where it is text, cut to 4 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How long the whole payload is.
    pub size_bytes: u64,
}

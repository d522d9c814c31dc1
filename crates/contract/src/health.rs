//! Is the process ready, and how does the tenant fare? (ours)

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// `GET /health/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Can it do its work?
    pub ready: bool,
    /// What was asked, and what is wrong with it.
    pub checks: Vec<Check>,
}

/// Something that the process depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What: `database`, `schema`, `bus`.
    pub name: String,
    /// What is wrong with it; absent where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// `GET /api/health/series`: the tenant's health over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HealthSeries {
    /// The length of an interval, ISO 8601.
    pub interval: String,
    /// One for each metric.
    pub series: Vec<MetricSeries>,
}

/// A metric over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MetricSeries {
    /// Its name, as IoT Central's metrics are called where there is one of that name.
    pub metric: String,
    /// Its values, in the order of time: of a count what came within the interval, of a state the last value.
    pub points: Vec<MetricPoint>,
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MetricPoint {
    /// The interval's last minute.
    pub timestamp: DateTime<Utc>,
    /// The value.
    pub value: i64,
}

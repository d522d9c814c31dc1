//! Dashboards and their tiles, in IoT Central's shapes (`iot-central.md` §10).

use crate::{DashboardId, DeviceId, TemplateId};
use serde::{Deserialize, Serialize};

/// A dashboard. Stored as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// Its id.
    pub id: DashboardId,
    /// The name shown to people.
    pub display_name: String,
    /// At most 100 tiles.
    pub tiles: Vec<Tile>,
    /// Shown first in the list.
    #[serde(default)]
    pub favorite: bool,
    /// Raised with each change.
    #[serde(default)]
    pub version: i64,
}

/// A tile on the dashboard's grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tile {
    /// Unique on its dashboard; made by the server where absent.
    #[serde(default)]
    pub id: String,
    /// The title.
    pub display_name: String,
    /// What it shows.
    pub configuration: TileConfiguration,
    /// Column, 0 to 100.
    pub x: u16,
    /// Row, 0 to 100.
    pub y: u16,
    /// Columns, 1 to 12.
    pub width: u16,
    /// Rows, 1 to 12.
    pub height: u16,
}

/// What a tile shows. Devices and capabilities name what is drawn; an empty device list means all of the template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum TileConfiguration {
    /// Lines over time.
    LineChart {
        /// What is drawn.
        source: TileSource,
        /// How far back.
        range: TileRange,
    },
    /// One number over a range.
    Kpi {
        /// What is counted.
        source: TileSource,
        /// How.
        aggregate: Aggregate,
        /// How far back.
        range: TileRange,
    },
    /// The last known value.
    #[serde(rename_all = "camelCase")]
    Lkv {
        /// What is shown.
        source: TileSource,
        /// Draw a small trend under it?
        #[serde(default)]
        show_trend: bool,
    },
    /// Positions on a map.
    MapTelemetry {
        /// The devices and the location capability.
        source: TileSource,
    },
    /// How many devices.
    DeviceCount {
        /// Of which template; all where absent.
        template: Option<TemplateId>,
    },
    /// Free text.
    Markdown {
        /// The text; no HTML.
        text: String,
    },
}

/// Which devices and capabilities a tile draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TileSource {
    /// The template of the devices.
    pub template: TemplateId,
    /// The devices; empty = all of the template (at most 20 are drawn, and the tile says so).
    #[serde(default)]
    pub devices: Vec<DeviceId>,
    /// Telemetry keys.
    pub capabilities: Vec<String>,
}

/// How far back a tile looks, as an ISO 8601 duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TileRange {
    /// 30 minutes.
    #[serde(rename = "PT30M")]
    HalfHour,
    /// An hour.
    #[serde(rename = "PT1H")]
    Hour,
    /// 12 hours.
    #[serde(rename = "PT12H")]
    HalfDay,
    /// A day.
    #[serde(rename = "P1D")]
    Day,
    /// A week.
    #[serde(rename = "P1W")]
    Week,
    /// 30 days.
    #[serde(rename = "P30D")]
    Month,
}

/// How values are folded into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Aggregate {
    /// Mean.
    Avg,
    /// Smallest.
    Min,
    /// Largest.
    Max,
    /// Sum.
    Sum,
    /// Number of values.
    Count,
}

//! Dashboards, in the shape of IoT Central's preview API.

use muster_model::{DashboardId, dashboard as model};
use serde::{Deserialize, Serialize};

pub use muster_model::dashboard::{Aggregate, Tile, TileConfiguration, TileRange, TileSource};

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// Its id.
    pub id: DashboardId,
    /// Changes with each change of the dashboard.
    pub etag: String,
    /// The name shown to people.
    pub display_name: String,
    /// At most 100 tiles.
    pub tiles: Vec<Tile>,
    /// Is it shown first in the list?
    pub favorite: bool,
    /// Is it seen by one person only? Not yet possible, so always `false` (read-only).
    pub personal: bool,
}

impl From<model::Dashboard> for Dashboard {
    fn from(dashboard: model::Dashboard) -> Self {
        Self {
            id: dashboard.id,
            etag: format!("{:x}", dashboard.version),
            display_name: dashboard.display_name,
            tiles: dashboard.tiles,
            favorite: dashboard.favorite,
            personal: false,
        }
    }
}

/// `PUT /api/dashboards/{id}`. Read-only fields of [`Dashboard`] may be sent and are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DashboardInput {
    /// The name shown to people.
    pub display_name: String,
    /// At most 100 tiles.
    #[serde(default)]
    pub tiles: Vec<Tile>,
    /// Is it shown first in the list?
    #[serde(default)]
    pub favorite: bool,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl DashboardInput {
    /// The dashboard with this id; its version is the store's to give.
    pub fn into_dashboard(self, id: DashboardId) -> model::Dashboard {
        model::Dashboard { id, display_name: self.display_name, tiles: self.tiles, favorite: self.favorite, version: 0 }
    }
}

/// `PATCH /api/dashboards/{id}`, a merge patch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DashboardPatch {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Other tiles, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Vec<Tile>>,
    /// Shown first in the list?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub favorite: Option<bool>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

//! Device groups, in IoT Central's shape.

use muster_model::{DeviceGroupId, TemplateId, group as model};
use serde::{Deserialize, Serialize};

/// A device group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceGroup {
    /// Its id.
    pub id: DeviceGroupId,
    /// The name shown to people.
    pub display_name: String,
    /// The query: `SELECT * FROM devices WHERE $template = "dtmi:…" AND …`.
    pub filter: String,
    /// What it is for.
    pub description: String,
    /// Changes with each change of the group.
    pub etag: String,
    /// The template that it came with and goes with (ours, read-only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automatic_of: Option<TemplateId>,
}

impl From<model::DeviceGroup> for DeviceGroup {
    fn from(group: model::DeviceGroup) -> Self {
        Self {
            id: group.id,
            display_name: group.display_name,
            filter: group.filter,
            description: group.description,
            etag: format!("{:x}", group.version),
            automatic_of: group.automatic_of,
        }
    }
}

/// `PUT /api/deviceGroups/{id}`. Read-only fields of [`DeviceGroup`] may be sent and are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceGroupInput {
    /// The name shown to people.
    pub display_name: String,
    /// The query; at most 100 conditions.
    pub filter: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `PATCH /api/deviceGroups/{id}`, a merge patch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceGroupPatch {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Another query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `POST /api/deviceGroupPreview` (ours).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceGroupPreview {
    /// The query to be tried.
    pub filter: String,
}

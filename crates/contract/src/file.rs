//! Files that a device has uploaded (ours).

use chrono::{DateTime, Utc};
use muster_model::FileName;
use serde::{Deserialize, Serialize};

/// A file of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceFile {
    /// Its name; `/` parts folders.
    pub name: FileName,
    /// How long it is.
    pub size_bytes: u64,
    /// What the device says is in it.
    pub content_type: String,
    /// Changes with its bytes.
    pub etag: String,
    /// When a file of this name was first there.
    pub created: DateTime<Utc>,
    /// When these bytes came.
    pub last_modified: DateTime<Utc>,
}

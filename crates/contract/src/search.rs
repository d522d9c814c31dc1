//! Search over everything, `GET /api/search?q=` (ours).

use serde::{Deserialize, Serialize};

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// What it is.
    pub kind: SearchKind,
    /// Its id.
    pub id: String,
    /// The name shown to people.
    pub display_name: String,
    /// What tells it from others of the same name.
    pub hint: String,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum SearchKind {
    /// A device.
    Device,
    /// A device template.
    Template,
    /// A rule.
    Rule,
    /// A dashboard.
    Dashboard,
}

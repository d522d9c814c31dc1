//! The life of a device template (ours): drafts, versions, what a change would break, moves of devices.

use chrono::{DateTime, Utc};
use muster_model::{
    DeviceId, JobId, TemplateId,
    template::{Change, ReferrerKind},
};
use serde::{Deserialize, Serialize};

/// What a change or a delete of a template would do, and to whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateImpact {
    /// Each change, and what names the capability that it is about.
    pub changes: Vec<ImpactedChange>,
    /// Would it break anything by its nature? Then it can only become a new version.
    pub breaking: bool,
    /// Does anything use the template? Then it cannot be deleted.
    pub in_use: bool,
    /// How many devices have the template.
    pub devices: i64,
    /// The rules and dashboards that name the template.
    pub uses: Vec<TemplateUse>,
    /// Newer versions of the template, for whose devices the untouched capabilities go on.
    pub newer: Vec<TemplateId>,
}

/// A change, and what it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImpactedChange {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// The rules and dashboards that name this capability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<TemplateUse>,
}

/// A rule or a dashboard that names a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateUse {
    /// What it is.
    pub kind: ReferrerKind,
    /// Its id.
    pub id: String,
    /// The name shown to people.
    pub display_name: String,
    /// The paths that it names: `temperature`, `place.lat`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Is one of them hit by a breaking change?
    #[serde(default)]
    pub broken: bool,
}

/// One version of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TemplateVersion {
    /// The template's id.
    pub id: TemplateId,
    /// The `n` of its id.
    pub number: u32,
    /// The name shown to people.
    pub display_name: String,
    /// Can devices have it?
    pub published: bool,
    /// Does a draft wait beside what is published?
    pub draft: bool,
    /// How many devices have it.
    pub devices: i64,
    /// What was published of it, newest first; at most 100.
    pub publications: Vec<Publication>,
}

/// What was published when, by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// The etag that the template had then.
    pub etag: String,
    /// When.
    pub published_at: DateTime<Utc>,
    /// By whom; empty where it is not known.
    pub published_by: String,
    /// What it changed: against what was published before, or against the version it was made from.
    pub changes: Vec<Change>,
}

/// Which devices are to move to another template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMigration {
    /// The template that they get.
    pub to: TemplateId,
    /// The devices, at most 1000; all that have the template where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<DeviceId>>,
}

/// A move of devices from one template to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Its id.
    pub id: JobId,
    /// The template that the devices had.
    pub from: Option<TemplateId>,
    /// The template that they get.
    pub to: Option<TemplateId>,
    /// `scheduled`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// How far it is.
    pub progress: MigrationProgress,
    /// The move that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<JobId>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
}

/// How many devices stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MigrationProgress {
    /// All.
    pub total: i64,
    /// Those whose turn has not come.
    pub pending: i64,
    /// Those that have moved.
    pub completed: i64,
    /// Those that could not, or whose turn never came.
    pub failed: i64,
}

/// What became of one device of a move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MigratedDevice {
    /// The device.
    pub device: DeviceId,
    /// `pending`, `running`, `completed`, `failed` or `canceled`.
    pub status: String,
    /// Last telemetry that the new template does not know.
    #[serde(default)]
    pub telemetry: Vec<String>,
    /// Properties that the new template does not know.
    #[serde(default)]
    pub properties: Vec<String>,
    /// Why it could not move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

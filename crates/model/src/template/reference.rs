//! Who names a template, and which of its capabilities.

use crate::{
    DashboardId, DeviceGroupId, RuleId, TemplateId, ViewId,
    dashboard::{Dashboard, TileConfiguration},
    rule::Rule,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What may name a template beside devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ReferrerKind {
    /// A rule.
    Rule,
    /// A dashboard.
    Dashboard,
    /// A device group.
    DeviceGroup,
    /// A view of the template itself.
    View,
}

impl ReferrerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Rule, Self::Dashboard, Self::DeviceGroup, Self::View];

    /// As it is stored, and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Dashboard => "dashboard",
            Self::DeviceGroup => "device group",
            Self::View => "view",
        }
    }
}

/// One thing that names templates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Referrer {
    /// What it is.
    pub kind: ReferrerKind,
    /// Its id.
    pub id: String,
    /// The name shown to people.
    pub name: String,
}

impl Referrer {
    /// The rule of this id and name.
    pub fn rule(id: RuleId, name: &str) -> Self {
        Self { kind: ReferrerKind::Rule, id: id.to_string(), name: name.to_owned() }
    }

    /// The device group of this id and name.
    pub fn device_group(id: &DeviceGroupId, name: &str) -> Self {
        Self { kind: ReferrerKind::DeviceGroup, id: id.to_string(), name: name.to_owned() }
    }

    /// The view of this id and name.
    pub fn view(template: &TemplateId, id: &ViewId, name: &str) -> Self {
        Self { kind: ReferrerKind::View, id: Self::view_id(template, id), name: name.to_owned() }
    }

    /// What tells a view from those of other templates. No id has a `/`.
    pub fn view_id(template: &TemplateId, id: &ViewId) -> String {
        format!("{template}/{id}")
    }

    /// The dashboard of this id and name.
    pub fn dashboard(id: &DashboardId, name: &str) -> Self {
        Self { kind: ReferrerKind::Dashboard, id: id.to_string(), name: name.to_owned() }
    }
}

/// A template that is named, or a path in it: `temperature`, `place.lat`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The template.
    pub template: TemplateId,
    /// The path; none for the template as such.
    pub capability: Option<String>,
}

impl Rule {
    /// What the rule names.
    pub fn references(&self) -> BTreeSet<Reference> {
        let compared = self.conditions.iter().map(|condition| Some(condition.telemetry.clone()));
        let paths = compared.chain([None]);
        paths.map(|capability| Reference { template: self.template.clone(), capability }).collect()
    }
}

impl Dashboard {
    /// What the dashboard names.
    pub fn references(&self) -> BTreeSet<Reference> {
        use TileConfiguration as Tile;
        let mut references = BTreeSet::new();
        for tile in &self.tiles {
            let (template, paths) = match &tile.configuration {
                Tile::LineChart { source, .. }
                | Tile::Kpi { source, .. }
                | Tile::Lkv { source, .. }
                | Tile::MapTelemetry { source } => (&source.template, source.capabilities.as_slice()),
                Tile::DeviceCount { template: Some(template) } => (template, &[][..]),
                Tile::DeviceCount { template: None } | Tile::Markdown { .. } => continue,
            };
            let paths = paths.iter().cloned().map(Some).chain([None]);
            references.extend(paths.map(|capability| Reference { template: template.clone(), capability }));
        }
        references
    }
}

//! Rules: IoT Central's API has none, so this shape is ours, along its conventions.

use muster_model::{RuleId, TemplateId, rule as model};
use serde::{Deserialize, Serialize};

pub use muster_model::rule::{Action, Condition, Match, Operator, Severity};

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Changes with each change of the rule.
    pub etag: String,
    /// The name shown to people.
    pub display_name: String,
    /// Is it evaluated?
    pub enabled: bool,
    /// The devices it watches: those of this template.
    pub template: TemplateId,
    /// Must all conditions hold, or any?
    pub matching: Match,
    /// One to ten conditions.
    pub conditions: Vec<Condition>,
    /// How bad it is when it fires.
    pub severity: Severity,
    /// At most five actions.
    pub actions: Vec<Action>,
    /// The rule read back as a sentence (read-only).
    pub sentence: String,
}

impl Rule {
    /// The wire form of `rule`, with its sentence.
    pub fn new(rule: model::Rule, sentence: String) -> Self {
        Self {
            id: rule.id,
            etag: format!("{:x}", rule.version),
            display_name: rule.display_name,
            enabled: rule.enabled,
            template: rule.template,
            matching: rule.matching,
            conditions: rule.conditions,
            severity: rule.severity,
            actions: rule.actions,
            sentence,
        }
    }
}

/// `PUT /api/rules/{id}`. Read-only fields of [`Rule`] may be sent and are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuleInput {
    /// The name shown to people.
    pub display_name: String,
    /// Is it evaluated? Yes where absent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The devices it watches: those of this template.
    pub template: TemplateId,
    /// Must all conditions hold, or any? All where absent.
    #[serde(default = "all")]
    pub matching: Match,
    /// One to ten conditions.
    pub conditions: Vec<Condition>,
    /// How bad it is when it fires.
    pub severity: Severity,
    /// At most five actions.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl RuleInput {
    /// The rule with this id; its version is the store's to give.
    pub fn into_rule(self, id: RuleId) -> model::Rule {
        model::Rule {
            id,
            display_name: self.display_name,
            enabled: self.enabled,
            template: self.template,
            matching: self.matching,
            conditions: self.conditions,
            severity: self.severity,
            actions: self.actions,
            version: 0,
        }
    }
}

/// `PATCH /api/rules/{id}`, a merge patch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RulePatch {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Switch it on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Another joining of conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,
    /// Other conditions, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
    /// Another severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Other actions, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

fn yes() -> bool {
    true
}

fn all() -> Match {
    Match::All
}

//! Rules: a sentence about a device's telemetry, and what happens when it becomes true.

mod evaluate;
mod sentence;
mod validate;

pub use evaluate::evaluate;
pub use sentence::{phrase, sentence};
pub use validate::{MAX_ACTIONS, MAX_CONDITIONS, MAX_RECIPIENTS, RuleProblem, is_address, validate};

use crate::{RuleId, TemplateId};
use serde::{Deserialize, Serialize};

/// A rule of a tenant. Stored as a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// The name shown to people.
    pub display_name: String,
    /// Is it evaluated?
    pub enabled: bool,
    /// The devices it watches: those of this template.
    pub template: TemplateId,
    /// Must all conditions hold, or any?
    pub matching: Match,
    /// One to ten conditions. A value that came in an earlier message counts as it was last known.
    pub conditions: Vec<Condition>,
    /// How bad it is when it fires.
    pub severity: Severity,
    /// At most five actions.
    pub actions: Vec<Action>,
    /// Raised with each change.
    #[serde(default)]
    pub version: i64,
}

/// How conditions are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Match {
    /// Every condition holds.
    All,
    /// At least one holds.
    Any,
}

/// A comparison of a telemetry value with a constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The telemetry's key, for example `temperature` or `thermostat1.temperature`.
    pub telemetry: String,
    /// The comparison.
    pub operator: Operator,
    /// The value compared with: a number, a text or a boolean.
    pub value: serde_json::Value,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Operator {
    /// `>`
    GreaterThan,
    /// `>=`
    GreaterThanOrEqual,
    /// `<`
    LessThan,
    /// `<=`
    LessThanOrEqual,
    /// `=`
    Equals,
    /// `≠`
    NotEquals,
    /// The text holds the value.
    Contains,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Information,
    /// Should be looked at.
    Warning,
    /// Must be acted on.
    Critical,
}

/// What happens when a rule fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Action {
    /// An e-mail with a picture of the telemetry.
    Email {
        /// One to twenty addresses.
        to: Vec<String>,
        /// A note put into the mail.
        #[serde(default)]
        note: String,
    },
    /// A POST with IoT Central's webhook body.
    #[serde(rename_all = "camelCase")]
    Webhook {
        /// The name shown to people.
        display_name: String,
        /// Where to.
        url: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use serde_json::{Value, json};

    pub(super) fn template() -> Template {
        let document = json!({
            "@id": "dtmi:test:room;1",
            "capabilityModel": {"@id": "dtmi:test:roomModel;1", "@type": "Interface", "contents": [
                {"@type": ["Telemetry", "Temperature"], "name": "temperature", "displayName": "Temperature", "schema": "double", "unit": "degreeCelsius"},
                {"@type": "Telemetry", "name": "position", "displayName": {"en": "Position"}, "schema": "geopoint"},
                {"@type": "Telemetry", "name": "running", "schema": "boolean"},
                {"@type": "Telemetry", "name": "note", "schema": "string"},
                {"@type": ["Telemetry", "State"], "name": "state", "displayName": "State", "schema": {"@type": "Enum", "valueSchema": "integer",
                    "enumValues": [{"name": "open", "displayName": "Door open", "enumValue": 1}]}},
                {"@type": "Property", "name": "serial", "schema": "string"},
            ]},
        });
        Template::load(document, 1).expect("a template")
    }

    pub(super) fn rule(conditions: &[(&str, Operator, Value)], matching: Match) -> Rule {
        let conditions = conditions.iter();
        Rule {
            id: RuleId(uuid::Uuid::nil()),
            display_name: "rule".into(),
            enabled: true,
            template: template().id,
            matching,
            conditions: conditions
                .map(|(telemetry, operator, value)| Condition {
                    telemetry: (*telemetry).into(),
                    operator: *operator,
                    value: value.clone(),
                })
                .collect(),
            severity: Severity::Warning,
            actions: Vec::new(),
            version: 1,
        }
    }
}

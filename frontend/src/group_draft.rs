//! A device group while it is being written: the form's texts, and the query that they make. Pure.

use muster_contract::group::{DeviceGroup, DeviceGroupInput};
use muster_contract::rule::{Match, Operator};
use muster_contract::template::{CapabilityKind, DeviceTemplate};
use muster_model::TemplateId;
use muster_model::group::{Demand, GroupQuery, Parts};
use serde_json::Value;

use crate::rule_draft::{Choice, ChoiceKind, DraftCondition, choices_of, operators};

/// A group as the form holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDraft {
    /// Its name.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Which devices.
    pub question: Question,
}

/// Which devices a group has, as the form holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Those of a template for which conditions hold.
    Form {
        /// The template's id; empty until one is chosen.
        template: String,
        /// How conditions are joined.
        matching: Match,
        /// The conditions.
        conditions: Vec<DraftCondition>,
    },
    /// Those that a query wants which no form can show.
    Text(String),
}

impl GroupDraft {
    /// A group of every device of a template.
    pub fn new(template: String) -> Self {
        let question = Question::Form { template, matching: Match::All, conditions: Vec::new() };
        Self { display_name: String::new(), description: String::new(), question }
    }

    /// The form for a group that exists.
    pub fn of(group: &DeviceGroup) -> Self {
        let parts = GroupQuery::parse(&group.filter).ok().and_then(|query| Parts::of(&query));
        let question = match parts {
            Some(Parts { template, matching, demands }) => {
                let conditions = demands.into_iter().zip(0..).map(|(demand, number)| draft(number, demand)).collect();
                Question::Form { template: template.to_string(), matching, conditions }
            }
            None => Question::Text(group.filter.clone()),
        };
        let (display_name, description) = (group.display_name.clone(), group.description.clone());
        Self { display_name, description, question }
    }

    /// The group, or the first thing that is missing or wrong, for people.
    pub fn finish(&self, choices: &[Choice]) -> Result<DeviceGroupInput, String> {
        if self.display_name.trim().is_empty() {
            return Err("Give the group a name.".to_owned());
        }
        Ok(DeviceGroupInput {
            display_name: self.display_name.trim().to_owned(),
            filter: self.question.filter(choices)?,
            description: self.description.trim().to_owned(),
            etag: None,
        })
    }
}

impl Question {
    /// The query, or the first thing that is missing or wrong, for people.
    pub fn filter(&self, choices: &[Choice]) -> Result<String, String> {
        let (template, matching, conditions) = match self {
            Self::Text(text) if text.trim().is_empty() => return Err("Write a query.".to_owned()),
            Self::Text(text) => return Ok(text.trim().to_owned()),
            Self::Form { template, matching, conditions } => (template, *matching, conditions),
        };
        let template = TemplateId::parse(template.clone()).map_err(|_| "Choose a device template.".to_owned())?;
        let demands = conditions.iter().map(|condition| {
            let condition = condition.finish(choices)?;
            Ok(Demand { path: condition.telemetry, operator: condition.operator, value: condition.value })
        });
        Ok(Parts { template, matching, demands: demands.collect::<Result<_, String>>()? }.write())
    }
}

fn draft(number: u64, demand: Demand) -> DraftCondition {
    let value = match demand.value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    DraftCondition { number, telemetry: demand.path, operator: demand.operator, value }
}

/// Everything that a group can ask of the devices of a template.
pub fn group_choices(template: &DeviceTemplate) -> Vec<Choice> {
    let asked = |kind| matches!(kind, CapabilityKind::Property | CapabilityKind::CloudProperty);
    let properties = template.capabilities.iter().filter(|capability| asked(capability.kind)).flat_map(choices_of);
    let about = [
        ("$displayName", "Device name", ChoiceKind::Text),
        ("$id", "Device ID", ChoiceKind::Text),
        ("$simulated", "Simulated", ChoiceKind::Boolean),
        ("$provisioned", "Provisioned", ChoiceKind::Boolean),
        ("$enabled", "Enabled", ChoiceKind::Boolean),
    ];
    let about =
        about.map(|(key, name, kind)| Choice { key: key.to_owned(), name: name.to_owned(), unit: String::new(), kind });
    properties.chain(about).collect()
}

/// The comparisons that the query language has.
pub fn group_operators(kind: &ChoiceKind) -> Vec<Operator> {
    operators(kind).iter().copied().filter(|operator| *operator != Operator::Contains).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(filter: &str) -> DeviceGroup {
        serde_json::from_value(serde_json::json!({
            "id": "a", "displayName": "A", "description": "", "etag": "1", "filter": filter,
        }))
        .expect("a group")
    }

    #[test]
    fn what_a_form_can_show_is_a_form() {
        let choices = [
            Choice { key: "level".into(), name: "Level".into(), unit: String::new(), kind: ChoiceKind::Number },
            Choice {
                key: "$simulated".into(),
                name: "Simulated".into(),
                unit: String::new(),
                kind: ChoiceKind::Boolean,
            },
        ];
        let filter = "SELECT * FROM devices WHERE $template = \"dtmi:a;1\" AND level < -2.5 AND $simulated = false";
        let draft = GroupDraft::of(&group(filter));
        assert!(matches!(&draft.question, Question::Form { conditions, .. } if conditions.len() == 2));
        assert_eq!(draft.finish(&choices).expect("whole").filter, filter);
        let other = "SELECT * FROM devices WHERE NOT $enabled";
        assert_eq!(GroupDraft::of(&group(other)).finish(&[]).expect("whole").filter, other);
        assert!(GroupDraft::new(String::new()).finish(&[]).is_err());
    }
}

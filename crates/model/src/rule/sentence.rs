//! A rule as people say it.

use super::{Condition, Match, Operator, Rule};
use crate::template::{Schema, Template};
use serde_json::Value;

/// The rule's conditions as a sentence: `Temperature is above 30 °C and Door is open`. Names, units and states come
/// from the template where one is given.
pub fn sentence(rule: &Rule, template: Option<&Template>) -> String {
    let parts: Vec<String> = rule.conditions.iter().map(|condition| phrase(condition, template)).collect();
    parts.join(match rule.matching {
        Match::All => " and ",
        Match::Any => " or ",
    })
}

/// One condition as a phrase.
pub fn phrase(condition: &Condition, template: Option<&Template>) -> String {
    let known = template.and_then(|template| template.telemetry(&condition.telemetry));
    let name = known.map_or_else(
        || condition.telemetry.clone(),
        |(capability, _)| {
            let part =
                condition.telemetry.strip_prefix(capability.key.as_str()).unwrap_or_default().trim_start_matches('.');
            if part.is_empty() {
                capability.display_name.clone()
            } else {
                format!("{} {part}", capability.display_name)
            }
        },
    );
    let state = known.and_then(|(capability, _)| match &capability.schema {
        Schema::Enum { values, .. } => values.iter().find(|known| known.value == condition.value),
        _ => None,
    });
    let mut value = match (state, &condition.value) {
        (Some(state), _) => state.display_name.clone(),
        (None, Value::String(text)) => format!("“{text}”"),
        (None, other) => other.to_string(),
    };
    if let Some(unit) =
        known.and_then(|(capability, _)| capability.unit.as_deref()).filter(|_| condition.value.is_number())
    {
        let space = if matches!(unit, "°" | "′" | "″") { "" } else { " " };
        value.push_str(space);
        value.push_str(unit);
    }
    format!("{name} {} {value}", words(condition.operator))
}

fn words(operator: Operator) -> &'static str {
    match operator {
        Operator::GreaterThan => "is above",
        Operator::GreaterThanOrEqual => "is at least",
        Operator::LessThan => "is below",
        Operator::LessThanOrEqual => "is at most",
        Operator::Equals => "is",
        Operator::NotEquals => "is not",
        Operator::Contains => "contains",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::{rule, template};
    use serde_json::json;

    #[test]
    fn rules_read_as_sentences() {
        use Operator as O;
        let template = template();
        for (conditions, matching, expected) in [
            (vec![("temperature", O::GreaterThan, json!(30))], Match::All, "Temperature is above 30 °C"),
            (
                vec![("temperature", O::LessThanOrEqual, json!(-1.5)), ("state", O::NotEquals, json!(1))],
                Match::Any,
                "Temperature is at most -1.5 °C or State is not Door open",
            ),
            (
                vec![("position.lat", O::GreaterThan, json!(50)), ("note", O::Contains, json!("leak"))],
                Match::All,
                "Position lat is above 50 and note contains “leak”",
            ),
            (vec![("gone", O::Equals, json!(true))], Match::All, "gone is true"),
        ] {
            assert_eq!(sentence(&rule(&conditions, matching), Some(&template)), expected);
        }
        assert_eq!(
            sentence(&rule(&[("temperature", O::GreaterThan, json!(30))], Match::All), None),
            "temperature is above 30"
        );
    }
}

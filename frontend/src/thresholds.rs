//! The limits that rules watch, for the charts of what they watch. Pure.

use muster_charts::Threshold;
use muster_contract::rule::{Operator, Rule};
use muster_model::TemplateId;

/// The limit of the most severe rule that is on and compares this telemetry with a number.
pub fn threshold(rules: &[Rule], template: &TemplateId, key: &str) -> Option<Threshold> {
    let watching = rules.iter().filter(|rule| rule.enabled && rule.template == *template);
    let limits = watching.filter_map(|rule| {
        let mut conditions = rule.conditions.iter().filter(|condition| condition.telemetry == key);
        let condition = conditions.find(|condition| is_limit(condition.operator) && condition.value.is_number())?;
        Some((rule.severity, condition.value.as_f64()?, rule.display_name.clone()))
    });
    let (_, value, label) = limits.max_by_key(|(severity, ..)| *severity)?;
    Some(Threshold { value, label })
}

fn is_limit(operator: Operator) -> bool {
    match operator {
        Operator::GreaterThan | Operator::GreaterThanOrEqual | Operator::LessThan | Operator::LessThanOrEqual => true,
        Operator::Equals | Operator::NotEquals | Operator::Contains => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(name: &str, enabled: bool, severity: &str, operator: &str, value: serde_json::Value) -> Rule {
        serde_json::from_value(json!({
            "id": "01a205b4-54c9-71e3-83d0-0043297b87df", "etag": "1", "displayName": name, "enabled": enabled,
            "template": "dtmi:a:b;1", "matching": "all", "severity": severity, "actions": [], "sentence": "",
            "conditions": [{"telemetry": "temp", "operator": operator, "value": value}]
        }))
        .unwrap()
    }

    #[test]
    fn the_most_severe_limit_is_drawn() {
        let rules = [
            rule("warm", true, "warning", "greaterThan", json!(30)),
            rule("hot", true, "critical", "greaterThan", json!(40)),
            rule("off", false, "critical", "greaterThan", json!(50)),
            rule("exact", true, "critical", "equals", json!(60)),
            rule("text", true, "critical", "greaterThan", json!("70")),
        ];
        let template = TemplateId::parse("dtmi:a:b;1").unwrap();
        let other = TemplateId::parse("dtmi:a:c;1").unwrap();
        let found = threshold(&rules, &template, "temp").map(|threshold| (threshold.value, threshold.label));
        assert_eq!(found, Some((40.0, "hot".to_owned())));
        assert_eq!(threshold(&rules, &template, "humidity"), None);
        assert_eq!(threshold(&rules, &other, "temp"), None);
    }
}

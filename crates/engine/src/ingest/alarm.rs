//! Rules on the values of a message: which alerts open, which clear, and what is to be sent.

use super::fleet::Known;
use crate::notify::{AlertFacts, Watched, Work};
use chrono::{DateTime, Utc};
use muster_model::{
    AlertId, RuleId, WorkId,
    alert::{Alert, AlertState},
    rule::{self, Action, Rule},
    template::Template,
};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What a message changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Alerts to open, each with the rule that opened it.
    pub opened: Vec<(Alert, std::sync::Arc<Rule>)>,
    /// Rules that are no longer true for the device.
    pub cleared: Vec<RuleId>,
}

/// Takes a message's values into the device's state and evaluates the rules that compare one of them.
pub fn evaluate<'a>(known: &mut Known, values: impl Iterator<Item = (&'a str, Value)>, at: DateTime<Utc>) -> Changes {
    let mut changes = Changes::default();
    let kind = std::sync::Arc::clone(&known.kind);
    let mut touched = false;
    for (key, value) in values {
        if kind.watched.contains(key) {
            known.watched.insert(key.to_owned(), value);
            touched = true;
        }
    }
    if !touched {
        return changes;
    }
    for rule in &kind.rules {
        let holds = rule::evaluate(rule, |key: &str| known.watched.get(key).cloned());
        match (holds, known.open.contains(&rule.id)) {
            (true, false) => {
                known.open.insert(rule.id);
                changes.opened.push((alert(known, rule, at), std::sync::Arc::clone(rule)));
            }
            (false, true) => {
                known.open.remove(&rule.id);
                changes.cleared.push(rule.id);
            }
            _ => {}
        }
    }
    changes
}

fn alert(known: &Known, rule: &Rule, at: DateTime<Utc>) -> Alert {
    let values: Map<_, _> = rule
        .conditions
        .iter()
        .filter_map(|condition| Some((condition.telemetry.clone(), known.watched.get(&condition.telemetry)?.clone())))
        .collect();
    Alert {
        id: AlertId(Uuid::now_v7()),
        rule: rule.id,
        rule_name: rule.display_name.clone(),
        device: known.device.key,
        device_id: known.device.id.clone(),
        device_name: known.device.display_name.clone(),
        severity: rule.severity,
        state: AlertState::Open,
        opened_at: at,
        cleared_at: None,
        acknowledged_by: None,
        acknowledged_at: None,
        values,
        reason: rule::sentence(rule, known.kind.template.as_ref()),
    }
}

/// The work of an alert's actions, except webhooks, whose body needs more than the worker keeps in mind.
pub fn mails(alert: &Alert, rule: &Rule, template: &Template, link: String) -> Vec<(WorkId, Work)> {
    let facts = AlertFacts {
        alert: alert.id,
        rule_name: rule.display_name.clone(),
        device_id: alert.device_id.to_string(),
        device_name: alert.device_name.clone(),
        severity: rule.severity,
        reason: alert.reason.clone(),
        opened_ms: alert.opened_at.timestamp_millis(),
        telemetry: rule.conditions.iter().map(|condition| watched(condition, alert, template)).collect(),
        link,
    };
    let mails = rule.actions.iter().filter_map(|action| match action {
        Action::Email { to, note } => Some(Work::Email { to: to.clone(), alert: facts.clone(), note: note.clone() }),
        Action::Webhook { .. } => None,
    });
    mails.map(|work| (WorkId(Uuid::now_v7()), work)).collect()
}

fn watched(condition: &rule::Condition, alert: &Alert, template: &Template) -> Watched {
    let capability = template.telemetry(&condition.telemetry).map(|(capability, _)| capability);
    Watched {
        key: condition.telemetry.clone(),
        display_name: capability.map_or_else(|| condition.telemetry.clone(), |found| found.display_name.clone()),
        unit: capability.and_then(|found| found.unit.clone()).unwrap_or_default(),
        value: alert.values.get(&condition.telemetry).cloned().unwrap_or(Value::Null),
        threshold: condition.value.as_f64(),
    }
}

//! Two documents of a template side by side: what changes, and what breaks by it.

use super::{Capability, Kind, Schema, Template};
use serde::{Deserialize, Serialize};

/// What a new document of a template makes different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What happens.
    pub kind: ChangeKind,
    /// The capability's key; empty for the template as a whole.
    pub path: String,
    /// The new key of what is renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Would what devices send, or what rules and dashboards name, no longer fit?
    pub breaking: bool,
    /// One sentence for people.
    pub text: String,
}

/// What happens to a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It goes away.
    Removed,
    /// It goes away, and the same comes under another name.
    Renamed,
    /// Its kind, schema, unit or direction changes.
    Retyped,
    /// Its values grow: an enum's or an object's.
    Extended,
    /// Only what people read changes.
    Cosmetic,
}

impl Change {
    /// Is `path` what changes, or a part of it?
    pub fn concerns(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// What changes between two documents of a template: what goes or stays in the order of `before`, then what is new.
pub fn compare(before: &Template, after: &Template) -> Vec<Change> {
    let mut changes: Vec<Change> = of_template(before, after).into_iter().collect();
    let is_new = |capability: &&Capability| before.capability(&capability.key).is_none();
    let mut added: Vec<&Capability> = after.capabilities.iter().filter(is_new).collect();
    for capability in &before.capabilities {
        match after.capability(&capability.key) {
            Some(other) => changes.extend(of_capability(capability, other)),
            None => {
                let renamed = added.iter().position(|other| is_renamed(capability, other));
                changes.push(gone(capability, renamed.map(|index| added.remove(index))));
            }
        }
    }
    changes.extend(added.into_iter().map(|capability| Change {
        kind: ChangeKind::Added,
        path: capability.key.clone(),
        to: None,
        breaking: false,
        text: format!("{} is added", named(capability)),
    }));
    if changes.is_empty() && before.document != after.document {
        changes.push(whole(ChangeKind::Cosmetic, "parts change that no device, rule or dashboard sees".to_owned()));
    }
    changes
}

/// Does what compares or draws this telemetry of `before` mean the same with devices of `after`?
pub fn carries(before: &Template, after: &Template, path: &str) -> bool {
    match (before.telemetry(path), after.telemetry(path)) {
        (Some((old, storage)), Some((new, same))) => {
            storage == same && !of_capability(old, new).is_some_and(|change| change.breaking)
        }
        (None, _) => match (before.capability(path), after.capability(path)) {
            (Some(old), Some(new)) => !of_capability(old, new).is_some_and(|change| change.breaking),
            _ => false,
        },
        _ => false,
    }
}

fn of_template(before: &Template, after: &Template) -> Option<Change> {
    if let (Some(old), Some(new)) = (before.model_id(), after.model_id())
        && old != new
    {
        let text = format!("the model's id changes from '{old}' to '{new}': devices that announce '{old}' lose it");
        return Some(Change { breaking: true, ..whole(ChangeKind::Retyped, text) });
    }
    let named = before.display_name != after.display_name || before.description != after.description;
    named.then(|| whole(ChangeKind::Cosmetic, "the template's name or description changes".to_owned()))
}

fn whole(kind: ChangeKind, text: String) -> Change {
    Change { kind, path: String::new(), to: None, breaking: false, text }
}

fn is_renamed(old: &Capability, new: &Capability) -> bool {
    old.kind == new.kind
        && old.component == new.component
        && old.schema == new.schema
        && old.response == new.response
        && old.unit == new.unit
        && old.semantic_type == new.semantic_type
        && (old.semantic_type.is_some() || old.display_name == new.display_name || alike(&old.name, &new.name))
}

/// The same but for case, `_` and a longer end: `temp`, `Temperature`.
fn alike(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let (one, other) = (plain(one), plain(other));
    one.starts_with(&other) || other.starts_with(&one)
}

fn gone(capability: &Capability, renamed: Option<&Capability>) -> Change {
    let name = named(capability);
    let (kind, text) = match renamed {
        Some(other) => (ChangeKind::Renamed, format!("{name} is renamed '{}'", other.key)),
        None => (ChangeKind::Removed, format!("{name} is removed")),
    };
    Change { kind, path: capability.key.clone(), to: renamed.map(|other| other.key.clone()), breaking: true, text }
}

fn of_capability(old: &Capability, new: &Capability) -> Option<Change> {
    let mut breaks = Vec::new();
    let mut grows = Vec::new();
    match (old.kind, new.kind) {
        (old, new) if old == new => {}
        (Kind::Property { .. }, Kind::Property { writable: true }) => breaks.push("becomes writable".to_owned()),
        (Kind::Property { .. }, Kind::Property { writable: false }) => breaks.push("is no longer writable".to_owned()),
        (_, new) => breaks.push(format!("becomes a {}", new.word())),
    }
    let what = if old.kind == Kind::Command { "takes" } else { "changes from" };
    of_schema(&old.schema, &new.schema, what, (&mut breaks, &mut grows));
    match (&old.response, &new.response) {
        (Some(old), Some(new)) => of_schema(old, new, "answers", (&mut breaks, &mut grows)),
        (Some(_), None) => breaks.push("answers nothing any more".to_owned()),
        (None, Some(new)) => grows.push(format!("answers {}", new.word())),
        (None, None) => {}
    }
    match (&old.unit, &new.unit) {
        (Some(from), Some(to)) if from != to => breaks.push(format!("changes its unit from {from} to {to}")),
        (Some(from), None) => breaks.push(format!("loses its unit {from}")),
        _ => {}
    }
    let (kind, breaking, what) = if !breaks.is_empty() {
        (ChangeKind::Retyped, true, breaks.join(" and "))
    } else if !grows.is_empty() {
        (ChangeKind::Extended, false, grows.join(" and "))
    } else if old != new {
        (ChangeKind::Cosmetic, false, "is described differently".to_owned())
    } else {
        return None;
    };
    let text = format!("{} {what}", named(old));
    Some(Change { kind, path: old.key.clone(), to: None, breaking, text })
}

/// What breaks, and what only grows.
type Found<'a> = (&'a mut Vec<String>, &'a mut Vec<String>);

fn of_schema(old: &Schema, new: &Schema, what: &str, (breaks, grows): Found<'_>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Schema::Enum { integer, values }, Schema::Enum { integer: other, values: others }) if integer == other => {
            for value in values {
                if !others.iter().any(|other| other.value == value.value) {
                    breaks.push(format!("loses the value {}", value.value));
                }
            }
            for other in others {
                if !values.iter().any(|value| value.value == other.value) {
                    grows.push(format!("gets the value {}", other.value));
                }
            }
        }
        (Schema::Object { fields }, Schema::Object { fields: others }) => {
            for field in fields {
                match others.iter().find(|other| other.name == field.name) {
                    None => breaks.push(format!("loses the field '{}'", field.name)),
                    Some(other) if field.unit.is_some() && field.unit != other.unit => {
                        breaks.push(format!("changes the unit of the field '{}'", field.name));
                    }
                    Some(other) => {
                        let what = format!("has a field '{}' that changes from", field.name);
                        of_schema(&field.schema, &other.schema, &what, (breaks, grows));
                    }
                }
            }
            for other in others {
                if !fields.iter().any(|field| field.name == other.name) {
                    grows.push(format!("gets the field '{}'", other.name));
                }
            }
        }
        (old, new) if what == "takes" || what == "answers" => {
            breaks.push(format!("{what} {} in place of {}", new.word(), old.word()));
        }
        (old, new) => breaks.push(format!("{what} {} to {}", old.word(), new.word())),
    }
}

fn named(capability: &Capability) -> String {
    format!("{} '{}'", capability.kind.word(), capability.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn template(contents: Value) -> Template {
        let document = json!({"@id": "dtmi:t;1", "displayName": "T",
            "capabilityModel": {"@id": "dtmi:m;1", "@type": "Interface", "contents": contents}});
        Template::load(document, 1).expect("a template")
    }

    fn states(values: &[i64]) -> Value {
        let values: Vec<_> = values.iter().map(|n| json!({"name": format!("s{n}"), "enumValue": n})).collect();
        json!({"@type": "Enum", "valueSchema": "integer", "enumValues": values})
    }

    #[test]
    fn each_change_is_told_with_what_it_breaks() {
        use ChangeKind::*;
        let double = json!({"@type": "Telemetry", "name": "temp", "schema": "double"});
        let degrees =
            |unit: &str| json!({"@type": ["Telemetry", "Temperature"], "name": "t", "schema": "double", "unit": unit});
        let property =
            |writable: bool| json!({"@type": "Property", "name": "p", "schema": "string", "writable": writable});
        let state = |values: &[i64]| json!({"@type": "Telemetry", "name": "s", "schema": states(values)});
        let object =
            |fields: Value| json!({"@type": "Telemetry", "name": "o", "schema": {"@type": "Object", "fields": fields}});
        let command =
            |schema: &str| json!({"@type": "Command", "name": "c", "request": {"name": "r", "schema": schema}});
        for (before, after, expected) in [
            (json!([double]), json!([double]), None),
            (json!([]), json!([double]), Some((Added, "temp", false))),
            (json!([double]), json!([]), Some((Removed, "temp", true))),
            (
                json!([double]),
                json!([{"@type": "Telemetry", "name": "temperature", "schema": "double"}]),
                Some((Renamed, "temp", true)),
            ),
            (
                json!([double]),
                json!([{"@type": "Telemetry", "name": "temp", "schema": "string"}]),
                Some((Retyped, "temp", true)),
            ),
            (
                json!([double]),
                json!([{"@type": "Telemetry", "name": "temp", "schema": "double", "displayName": "T"}]),
                Some((Cosmetic, "temp", false)),
            ),
            (json!([degrees("degreeCelsius")]), json!([degrees("degreeFahrenheit")]), Some((Retyped, "t", true))),
            (json!([property(true)]), json!([property(false)]), Some((Retyped, "p", true))),
            (json!([property(false)]), json!([property(true)]), Some((Retyped, "p", true))),
            (
                json!([property(false)]),
                json!([{"@type": "Telemetry", "name": "p", "schema": "string"}]),
                Some((Retyped, "p", true)),
            ),
            (json!([state(&[1])]), json!([state(&[1, 2])]), Some((Extended, "s", false))),
            (json!([state(&[1, 2])]), json!([state(&[1])]), Some((Retyped, "s", true))),
            (
                json!([object(json!([{"name": "a", "schema": "double"}]))]),
                json!([object(json!([{"name": "a", "schema": "double"}, {"name": "b", "schema": "double"}]))]),
                Some((Extended, "o", false)),
            ),
            (
                json!([object(json!([{"name": "a", "schema": "double"}]))]),
                json!([object(json!([{"name": "a", "schema": "string"}]))]),
                Some((Retyped, "o", true)),
            ),
            (json!([command("integer")]), json!([command("double")]), Some((Retyped, "c", true))),
        ] {
            let changes = compare(&template(before.clone()), &template(after.clone()));
            let found: Vec<_> =
                changes.iter().map(|change| (change.kind, change.path.as_str(), change.breaking)).collect();
            assert_eq!(found, Vec::from_iter(expected), "{before} {after} {changes:?}");
        }
    }

    #[test]
    fn another_model_breaks_and_another_name_does_not() {
        let before = template(json!([]));
        let mut document = before.document.clone();
        document["displayName"] = json!("U");
        let renamed = Template::load(document.clone(), 1).expect("a template");
        assert!(compare(&before, &renamed).iter().all(|change| !change.breaking));
        document["capabilityModel"]["@id"] = json!("dtmi:m;2");
        assert!(compare(&before, &Template::load(document, 1).expect("a template"))[0].breaking);
    }

    #[test]
    fn untouched_telemetry_carries_over() {
        let place = json!({"@type": "Telemetry", "name": "place", "schema": "geopoint"});
        let load = |schema: &str| json!({"@type": "Telemetry", "name": "load", "schema": schema});
        let (before, after) = (template(json!([place, load("double")])), template(json!([load("string"), place])));
        for (path, expected) in [("place.lat", true), ("place", true), ("load", false), ("gone", false)] {
            assert_eq!(carries(&before, &after, path), expected, "{path}");
        }
    }
}

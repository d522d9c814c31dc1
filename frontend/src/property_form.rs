//! The properties of a device as rows of a form, and the change that was made to them. Pure.

use chrono::{DateTime, Utc};
use muster_contract::property::{METADATA, Properties, PropertyMetadata};
use muster_contract::template::{Capability, CapabilityKind, EnumValue};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One property.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyRow {
    /// The component it belongs to.
    pub component: Option<String>,
    /// Its name.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
    /// The unit's symbol.
    pub unit: String,
    /// Who sets it.
    pub owner: Owner,
    /// What can be typed.
    pub input: Input,
    /// Its value, as the device reports it or as we noted it.
    pub value: Option<Value>,
    /// Where a wish of ours stands.
    pub wish: Option<Wish>,
    /// When it changed last.
    pub changed_at: Option<DateTime<Utc>>,
}

/// Who sets a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The device alone.
    Device,
    /// A wish of ours, which the device answers.
    Both,
    /// We alone; the device never sees it.
    Cloud,
}

/// What a property's value is, for its field.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A number.
    Number,
    /// Yes or no.
    Boolean,
    /// A text.
    Text,
    /// One of these.
    States(Vec<EnumValue>),
    /// Anything else, as JSON.
    Json,
}

impl Input {
    /// For values of a capability.
    pub fn of(capability: &Capability) -> Self {
        match capability.schema.as_str() {
            "boolean" => Self::Boolean,
            "enum" => Self::States(capability.enum_values.clone()),
            "string" | "date" | "dateTime" | "time" | "duration" => Self::Text,
            _ if capability.numeric => Self::Number,
            _ => Self::Json,
        }
    }

    /// The value that a field's text means.
    ///
    /// # Errors
    /// What is wrong with the text, as the rest of a sentence.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::String(text.to_owned())),
            Self::Boolean => Ok(Value::Bool(text == "true")),
            Self::Number => {
                let text = text.trim().replace(',', ".");
                let whole = text.parse::<i64>().map(Value::from).ok();
                let number = || text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
                whole.or_else(number).ok_or_else(|| "needs a number".to_owned())
            }
            Self::States(_) | Self::Json => serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}")),
        }
    }
}

/// Where a wish stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// The device has not answered.
    Pending(Value),
    /// The device took it.
    Accepted,
    /// The device refused it: its code and its words.
    Refused(i64, String),
}

impl PropertyRow {
    /// Its key in the template: `target`, `thermostat1.target`.
    pub fn key(&self) -> String {
        self.component.as_ref().map_or_else(|| self.name.clone(), |component| format!("{component}.{}", self.name))
    }

    /// What a field for it starts with: the wish where there is one, else the value.
    pub fn field_text(&self) -> String {
        let value = match &self.wish {
            Some(Wish::Pending(value)) => Some(value),
            Some(Wish::Accepted | Wish::Refused(..)) | None => self.value.as_ref(),
        };
        match (value, &self.input) {
            (None | Some(Value::Null), _) => String::new(),
            (Some(Value::String(text)), Input::Text | Input::Number | Input::Boolean) => text.clone(),
            (Some(value), _) => value.to_string(),
        }
    }

    /// The value that a field's text means.
    ///
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        self.input.parse(text).map_err(|problem| format!("“{}” {problem}.", self.display_name))
    }
}

/// The rows of a device: what its template knows in the template's order, then what the device reports beyond it.
pub fn rows(capabilities: &[Capability], properties: &Properties) -> Vec<PropertyRow> {
    let known = capabilities.iter().filter_map(|capability| known_row(capability, properties));
    let mut rows: Vec<PropertyRow> = known.collect();
    let components: Vec<&str> = capabilities.iter().filter_map(|capability| capability.component.as_deref()).collect();
    let strange = properties.iter().filter(|(name, value)| {
        let component = components.contains(&name.as_str()) && value.is_object();
        *name != METADATA && !component && !rows.iter().any(|row| row.component.is_none() && row.name == **name)
    });
    let strange: Vec<PropertyRow> = strange.map(|(name, value)| strange_row(name, value, properties)).collect();
    rows.extend(strange);
    rows
}

/// The merge patch for the fields that were changed, by their row.
///
/// # Errors
/// What is wrong with the first bad field, for people.
pub fn patch(rows: &[PropertyRow], fields: &BTreeMap<usize, String>) -> Result<Properties, String> {
    let mut patch = Map::new();
    for (index, text) in fields {
        let Some(row) = rows.get(*index).filter(|row| row.field_text() != *text) else { continue };
        let value = row.parse(text)?;
        match &row.component {
            None => {
                patch.insert(row.name.clone(), value);
            }
            Some(component) => {
                let inner = patch.entry(component.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inner) = inner {
                    inner.insert(row.name.clone(), value);
                }
            }
        }
    }
    Ok(patch)
}

fn known_row(capability: &Capability, properties: &Properties) -> Option<PropertyRow> {
    let owner = match (capability.kind, capability.writable) {
        (CapabilityKind::CloudProperty, _) => Owner::Cloud,
        (CapabilityKind::Property, true) => Owner::Both,
        (CapabilityKind::Property, false) => Owner::Device,
        (CapabilityKind::Telemetry | CapabilityKind::Command, _) => return None,
    };
    let holder = match &capability.component {
        Some(component) => properties.get(component).and_then(Value::as_object),
        None => Some(properties),
    };
    let value = holder.and_then(|holder| holder.get(&capability.name)).filter(|value| !value.is_null()).cloned();
    let metadata = holder.map(|holder| metadata(holder, &capability.name)).unwrap_or_default();
    let input = Input::of(capability);
    Some(PropertyRow {
        component: capability.component.clone(),
        name: capability.name.clone(),
        display_name: capability.display_name.clone(),
        unit: capability.unit.clone().unwrap_or_default(),
        owner,
        input,
        value,
        wish: if owner == Owner::Both { wish(&metadata) } else { None },
        changed_at: metadata.last_update_time,
    })
}

fn strange_row(name: &str, value: &Value, properties: &Properties) -> PropertyRow {
    PropertyRow {
        component: None,
        name: name.to_owned(),
        display_name: name.to_owned(),
        unit: String::new(),
        owner: Owner::Device,
        input: Input::Json,
        value: Some(value.clone()),
        wish: None,
        changed_at: metadata(properties, name).last_update_time,
    }
}

fn metadata(holder: &Properties, name: &str) -> PropertyMetadata {
    let entry = holder.get(METADATA).and_then(|all| all.get(name)).cloned();
    entry.and_then(|entry| serde_json::from_value(entry).ok()).unwrap_or_default()
}

fn wish(metadata: &PropertyMetadata) -> Option<Wish> {
    let value = metadata.desired_value.clone()?;
    let answered = metadata.ack_version.zip(metadata.desired_version).is_some_and(|(ack, desired)| ack >= desired);
    Some(match metadata.ack_code {
        Some(200..=299) if answered => Wish::Accepted,
        Some(code) if answered && code >= 400 => {
            Wish::Refused(code, metadata.ack_description.clone().unwrap_or_default())
        }
        _ => Wish::Pending(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn capabilities() -> Vec<Capability> {
        serde_json::from_value(json!([
            {"key": "target", "name": "target", "kind": "property", "writable": true, "displayName": "Target",
             "schema": "double", "unit": "°C", "numeric": true},
            {"key": "serial", "name": "serial", "kind": "property", "displayName": "Serial", "schema": "string", "numeric": false},
            {"key": "owner", "name": "owner", "kind": "cloudProperty", "displayName": "Owner", "schema": "string", "numeric": false},
            {"key": "t1.limit", "name": "limit", "component": "t1", "kind": "property", "writable": true, "displayName": "Limit",
             "schema": "integer", "numeric": true},
            {"key": "temp", "name": "temp", "kind": "telemetry", "displayName": "T", "schema": "double", "numeric": true}
        ]))
        .unwrap()
    }

    fn properties(target: Value) -> Properties {
        let document = json!({
            "target": 20.0, "serial": "S1", "extra": {"a": 1},
            "$metadata": {"target": target, "serial": {"lastUpdateTime": "2026-11-22T10:00:00Z"}},
            "t1": {"limit": 5, "$metadata": {"limit": {"desiredValue": 5, "desiredVersion": 2, "ackVersion": 2, "ackCode": 200}}}
        });
        document.as_object().cloned().unwrap()
    }

    #[test]
    fn rows_follow_the_template_and_end_with_what_it_lacks() {
        let rows = rows(&capabilities(), &properties(json!({})));
        let names: Vec<&str> = rows.iter().map(|row| row.display_name.as_str()).collect();
        assert_eq!(names, ["Target", "Serial", "Owner", "Limit", "extra"]);
        assert_eq!(rows[2].value, None);
        assert_eq!((rows[3].value.clone(), rows[3].wish.clone()), (Some(json!(5)), Some(Wish::Accepted)));
        assert!(rows[1].changed_at.is_some());
    }

    #[test]
    fn a_wish_is_pending_until_its_version_is_answered() {
        for (metadata, expected) in [
            (json!({"desiredValue": 25, "desiredVersion": 3}), Some(Wish::Pending(json!(25)))),
            (
                json!({"desiredValue": 25, "desiredVersion": 3, "ackVersion": 2, "ackCode": 200}),
                Some(Wish::Pending(json!(25))),
            ),
            (json!({"desiredValue": 25, "desiredVersion": 3, "ackVersion": 3, "ackCode": 200}), Some(Wish::Accepted)),
            (
                json!({"desiredValue": 25, "desiredVersion": 3, "ackVersion": 3, "ackCode": 400, "ackDescription": "too hot"}),
                Some(Wish::Refused(400, "too hot".to_owned())),
            ),
            (json!({}), None),
        ] {
            assert_eq!(rows(&capabilities(), &properties(metadata))[0].wish, expected);
        }
    }

    #[test]
    fn only_changed_fields_are_sent() {
        let rows = rows(&capabilities(), &properties(json!({})));
        let fields = BTreeMap::from([
            (0, "21,5".to_owned()),
            (1, "S1".to_owned()),
            (2, "Ward 3".to_owned()),
            (3, "7".to_owned()),
        ]);
        let sent = patch(&rows, &fields).unwrap();
        assert_eq!(Value::Object(sent), json!({"target": 21.5, "owner": "Ward 3", "t1": {"limit": 7}}));
        let bad = patch(&rows, &BTreeMap::from([(0, "warm".to_owned())]));
        assert_eq!(bad, Err("“Target” needs a number.".to_owned()));
    }
}

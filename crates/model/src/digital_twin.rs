//! A device's twin as a digital twin: properties and components by the Plug and Play conventions
//! (`iot-hub-wire.md` §4, §6).

use crate::{DeviceId, device::Twin, properties::Ack};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Operations in one patch.
pub const MAX_OPERATIONS: usize = 100;

/// One operation of a JSON patch (RFC 6902), as far as digital twins know them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Sets what may be there already.
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Sets what is there.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes away.
    Remove {
        /// What.
        path: String,
    },
}

/// Why a patch is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// There are too many operations, or none.
    #[error("a patch has 1 to {MAX_OPERATIONS} operations")]
    Operations,
    /// A path names no property.
    #[error("path '{0}' names no property of the twin or of a component")]
    Path(String),
    /// A component is no object.
    #[error("component '{0}' is not an object with '$metadata'")]
    Component(String),
}

/// The digital twin's document.
pub fn document(id: &DeviceId, twin: &Twin) -> Value {
    let desired = Side { properties: &twin.desired, metadata: &twin.desired_metadata };
    let reported = Side { properties: &twin.reported, metadata: &twin.reported_metadata };
    let (mut document, mut metadata) = interface(&desired, &reported, twin.desired_version);
    if let Some(model) = &twin.model_id {
        metadata.insert("$model".into(), model.as_str().into());
    }
    document.insert("$dtId".into(), id.as_str().into());
    document.insert("$metadata".into(), Value::Object(metadata));
    Value::Object(document)
}

/// The patch of desired properties that a JSON patch of the digital twin means.
///
/// # Errors
/// [`PatchError`].
pub fn desired_patch(operations: &[Operation], twin: &Twin) -> Result<Map<String, Value>, PatchError> {
    if operations.is_empty() || operations.len() > MAX_OPERATIONS {
        return Err(PatchError::Operations);
    }
    let mut patch = Map::new();
    for operation in operations {
        let (path, value) = match operation {
            Operation::Add { path, value } | Operation::Replace { path, value } => (path, Some(value)),
            Operation::Remove { path } => (path, None),
        };
        let wrong = || PatchError::Path(path.chars().take(128).collect());
        let names = path.strip_prefix('/').ok_or_else(wrong)?.split('/');
        let names: Vec<String> = names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        if names.iter().any(String::is_empty) {
            return Err(wrong());
        }
        put(&mut patch, &inner(&names, value, twin)?);
    }
    Ok(patch)
}

/// Later operations add to earlier ones; unlike in a twin, null stays.
fn put(patch: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (name, value) in more {
        match (patch.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => put(inner, value),
            _ => _ = patch.insert(name.clone(), value.clone()),
        }
    }
}

fn inner(names: &[String], value: Option<&Value>, twin: &Twin) -> Result<Map<String, Value>, PatchError> {
    let Some((first, rest)) = names.split_first() else { return Ok(Map::new()) };
    let known = twin.reported.get(first).or_else(|| twin.desired.get(first));
    let value = match (value, rest) {
        (None, _) => Value::Null,
        (Some(Value::Object(component)), []) if component.contains_key("$metadata") => {
            let mut component = component.clone();
            component.remove("$metadata");
            component.insert("__t".into(), "c".into());
            Value::Object(component)
        }
        (Some(_), []) if known.is_some_and(is_component) => return Err(PatchError::Component(first.clone())),
        (Some(value), _) => value.clone(),
    };
    let nested = rest.iter().rev().fold(value, |inner, name| Value::Object(Map::from_iter([(name.clone(), inner)])));
    let mut nested = nested;
    // A path of two names is of a component, unless the first is a property that holds an object.
    let property = known.is_some_and(|known| known.is_object() && !is_component(known));
    if let (false, false, Value::Object(component)) = (rest.is_empty(), property, &mut nested) {
        component.insert("__t".into(), "c".into());
    }
    Ok(Map::from_iter([(first.clone(), nested)]))
}

/// One section of a twin, or of a component.
struct Side<'a> {
    properties: &'a Map<String, Value>,
    metadata: &'a Map<String, Value>,
}

impl<'a> Side<'a> {
    fn component(&self, name: &str, none: &'a Map<String, Value>) -> Side<'a> {
        let object = |map: &'a Map<String, Value>| map.get(name).and_then(Value::as_object).unwrap_or(none);
        Side { properties: object(self.properties), metadata: object(self.metadata) }
    }

    fn updated(&self, name: &str) -> Option<&Value> {
        self.metadata.get(name)?.get("$lastUpdated")
    }
}

/// The properties of an interface, and what is known of them.
fn interface(desired: &Side<'_>, reported: &Side<'_>, version: i64) -> (Map<String, Value>, Map<String, Value>) {
    let (mut properties, mut metadata, none) = (Map::new(), Map::new(), Map::new());
    let names: BTreeSet<&String> = desired.properties.keys().chain(reported.properties.keys()).collect();
    for name in names.into_iter().filter(|name| *name != "__t") {
        let (wanted, found) = (desired.properties.get(name), reported.properties.get(name));
        if found.or(wanted).is_some_and(is_component) {
            let (mut component, inner) =
                interface(&desired.component(name, &none), &reported.component(name, &none), version);
            component.insert("$metadata".into(), Value::Object(inner));
            properties.insert(name.clone(), Value::Object(component));
            continue;
        }
        let mut facts = Map::new();
        let ack = found.and_then(acknowledgement);
        match (&ack, found) {
            (Some((value, ack)), _) => {
                properties.insert(name.clone(), (*value).clone());
                facts.insert("ackVersion".into(), ack.version.into());
                facts.insert("ackCode".into(), ack.code.into());
                if let Some(description) = &ack.description {
                    facts.insert("ackDescription".into(), description.as_str().into());
                }
            }
            (None, Some(value)) => _ = properties.insert(name.clone(), value.clone()),
            (None, None) => {}
        }
        if let Some(wanted) = wanted {
            let since = desired.metadata.get(name).and_then(|leaf| leaf.get("$lastUpdatedVersion"));
            facts.insert("desiredValue".into(), wanted.clone());
            facts.insert("desiredVersion".into(), since.cloned().unwrap_or_else(|| json!(version)));
        }
        if let Some(at) = reported.updated(name).or_else(|| desired.updated(name)) {
            facts.insert("lastUpdateTime".into(), at.clone());
        }
        metadata.insert(name.clone(), Value::Object(facts));
    }
    (properties, metadata)
}

/// The value in an answer to a desired property, and the answer.
fn acknowledgement(value: &Value) -> Option<(&Value, Ack)> {
    let object = value.as_object()?;
    let number = |name: &str| object.get(name).and_then(Value::as_i64);
    let ack = Ack {
        code: number("ac")?,
        version: number("av")?,
        description: object.get("ad").and_then(Value::as_str).map(str::to_owned),
    };
    Some((object.get("value")?, ack))
}

fn is_component(value: &Value) -> bool {
    value.get("__t").and_then(Value::as_str) == Some("c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::twin;
    use chrono::DateTime;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    fn thermostat() -> Twin {
        let mut twin = Twin { desired_version: 1, reported_version: 1, version: 2, ..Twin::default() };
        twin.model_id = Some("dtmi:com:example:Thermostat;1".into());
        let at = DateTime::UNIX_EPOCH;
        let desired = json!({"target": 21, "thermostat1": {"__t": "c", "target": 22}, "new": 1});
        twin::patch_desired(&mut twin, &object(desired), at).expect("patched");
        let reported = json!({
            "serial": "x", "target": {"value": 20, "ac": 200, "av": 1, "ad": "done"},
            "thermostat1": {"__t": "c", "max": 25.3},
        });
        twin::patch_reported(&mut twin, &object(reported), at).expect("patched");
        twin
    }

    #[test]
    fn a_twin_becomes_a_digital_twin() {
        let at = "1970-01-01T00:00:00.000Z";
        let expected = json!({
            "$dtId": "d",
            "$metadata": {
                "$model": "dtmi:com:example:Thermostat;1",
                "new": {"desiredValue": 1, "desiredVersion": 2, "lastUpdateTime": at},
                "serial": {"lastUpdateTime": at},
                "target": {
                    "desiredValue": 21, "desiredVersion": 2, "ackVersion": 1, "ackCode": 200, "ackDescription": "done",
                    "lastUpdateTime": at,
                },
            },
            "serial": "x",
            "target": 20,
            "thermostat1": {
                "$metadata": {
                    "max": {"lastUpdateTime": at},
                    "target": {"desiredValue": 22, "desiredVersion": 2, "lastUpdateTime": at},
                },
                "max": 25.3,
            },
        });
        assert_eq!(document(&DeviceId::parse("d").expect("an id"), &thermostat()), expected);
    }

    fn patch(operations: Value) -> Result<Value, PatchError> {
        let operations: Vec<Operation> = serde_json::from_value(operations).expect("operations");
        desired_patch(&operations, &thermostat()).map(Value::Object)
    }

    #[test]
    fn a_patch_becomes_desired_properties() {
        for (operations, expected) in [
            (json!([{"op": "add", "path": "/target", "value": 5}]), json!({"target": 5})),
            (json!([{"op": "remove", "path": "/target"}]), json!({"target": null})),
            (
                json!([{"op": "replace", "path": "/thermostat1/target", "value": 5},
                       {"op": "remove", "path": "/thermostat1/old"}]),
                json!({"thermostat1": {"__t": "c", "target": 5, "old": null}}),
            ),
            (
                json!([{"op": "add", "path": "/thermostat2", "value": {"$metadata": {}, "target": 1}}]),
                json!({"thermostat2": {"__t": "c", "target": 1}}),
            ),
        ] {
            assert_eq!(patch(operations.clone()), Ok(expected), "{operations}");
        }
        assert_eq!(patch(json!([])), Err(PatchError::Operations));
        for path in ["", "target", "/", "//a"] {
            let refused = patch(json!([{"op": "remove", "path": path}]));
            assert_eq!(refused, Err(PatchError::Path(path.into())));
        }
        let refused = patch(json!([{"op": "add", "path": "/thermostat1", "value": 5}]));
        assert_eq!(refused, Err(PatchError::Component("thermostat1".into())));
        assert!(serde_json::from_value::<Operation>(json!({"op": "move", "from": "/a", "path": "/b"})).is_err());
    }
}

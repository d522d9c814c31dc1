//! Versions of a template: `dtmi:contoso:fridge;1`, `…;2`. Together they are a family.

use super::{MAX_TEMPLATE_BYTES, Problem, Template};
use crate::{InvalidId, TemplateId};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// DTDL's largest version.
const MAX_VERSION: u32 = 999_999_999;

impl TemplateId {
    /// What the versions of a template have in common: the id without `;n`.
    pub fn family(&self) -> &str {
        split(self.as_str()).0
    }

    /// Which version it is; 1 where the id says none, as IoT Central's older ids do.
    pub fn number(&self) -> u32 {
        split(self.as_str()).1
    }
}

fn split(id: &str) -> (&str, u32) {
    let (family, version) = id.split_once(';').unwrap_or((id, "1"));
    let major = version.split_once('.').map_or(version, |(major, _)| major);
    (family, major.parse().unwrap_or(1))
}

impl Template {
    /// The template's next version with `proposed` as its document: a new id, and new ids for the interfaces that
    /// differ and those that hold them. `family` has every version that there is.
    ///
    /// # Errors
    /// Every [`Problem`] of the document.
    pub fn next_version(&self, proposed: &Template, family: &[Template]) -> Result<Self, Vec<Problem>> {
        let id = next_id(&self.id, family).map_err(|error| vec![too_many(&error)])?;
        let mut document = proposed.document.clone();
        let raised = raised(&self.document, &document, family);
        rename(&mut document, &raised);
        if document.to_string().len() > MAX_TEMPLATE_BYTES {
            return Err(vec![too_many(&format!("the template is larger than {MAX_TEMPLATE_BYTES} bytes"))]);
        }
        Self::import(&document, Some(id))
    }
}

fn next_id(id: &TemplateId, family: &[Template]) -> Result<TemplateId, InvalidId> {
    let last = family.iter().map(|template| template.id.number()).max().unwrap_or(0).max(id.number());
    // Beyond the last version the id is none, and that is what is said.
    let next = if last < MAX_VERSION { (last + 1).to_string() } else { "?".to_owned() };
    TemplateId::parse(format!("{};{next}", id.family()))
}

fn too_many(message: &impl ToString) -> Problem {
    Problem {
        code: "version".to_owned(),
        message: message.to_string(),
        id: None,
        pointer: String::new(),
        line: 0,
        column: 0,
    }
}

/// Interfaces by their ids, each with the ids of those inside it in place of them.
type Interfaces = BTreeMap<String, Map<String, Value>>;

/// The new ids of interfaces that are not what they were under their ids.
fn raised(before: &Value, after: &Value, family: &[Template]) -> BTreeMap<String, String> {
    let (old, new) = (interfaces(before), interfaces(after));
    let mut changed: BTreeSet<&str> = BTreeSet::new();
    for (id, interface) in &new {
        if old.get(id).is_some_and(|before| before != interface) {
            changed.insert(id);
        }
    }
    // Who holds a changed interface is changed by its new id.
    loop {
        let holds = |interface: &Map<String, Value>| changed.iter().any(|id| mentions(interface, id));
        let more: Vec<&str> = new
            .iter()
            .filter(|(id, interface)| !changed.contains(id.as_str()) && holds(interface))
            .map(|(id, _)| id.as_str())
            .collect();
        if more.is_empty() {
            break;
        }
        changed.extend(more);
    }
    let documents = family.iter().map(|template| &template.document).chain([before, after]);
    let taken: BTreeSet<String> = documents.flat_map(|document| interfaces(document).into_keys()).collect();
    let next = |id: &str| {
        let (family, number) = split(id);
        let last =
            taken.iter().map(|id| split(id)).filter(|(other, _)| *other == family).map(|(_, number)| number).max();
        format!("{family};{}", last.unwrap_or(number).max(number).saturating_add(1))
    };
    changed.into_iter().map(|id| (id.to_owned(), next(id))).collect()
}

fn interfaces(document: &Value) -> Interfaces {
    let mut found = Interfaces::new();
    collect(document.get("capabilityModel").unwrap_or(document), &mut found);
    found
}

/// Takes the interfaces of `value` out; what is left names them.
fn collect(value: &Value, found: &mut Interfaces) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(|item| collect(item, found)).collect()),
        Value::Object(object) => {
            let left: Map<_, _> = object.iter().map(|(key, value)| (key.clone(), collect(value, found))).collect();
            match object.get("@id").and_then(Value::as_str).filter(|_| is_interface(object)) {
                Some(id) => {
                    found.entry(id.to_owned()).or_insert(left);
                    Value::from(id)
                }
                None => Value::Object(left),
            }
        }
        other => other.clone(),
    }
}

fn is_interface(object: &Map<String, Value>) -> bool {
    match object.get("@type") {
        Some(Value::String(one)) => one == "Interface",
        Some(Value::Array(types)) => types.iter().any(|one| one == "Interface"),
        _ => false,
    }
}

fn mentions(interface: &Map<String, Value>, id: &str) -> bool {
    fn holds(value: &Value, id: &str) -> bool {
        match value {
            Value::String(text) => text == id,
            Value::Array(items) => items.iter().any(|item| holds(item, id)),
            Value::Object(object) => object.values().any(|value| holds(value, id)),
            _ => false,
        }
    }
    interface.iter().any(|(key, value)| key != "@id" && holds(value, id))
}

/// Gives the interfaces their new ids wherever they are named.
fn rename(value: &mut Value, ids: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(id) = ids.get(text) {
                text.clone_from(id);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, ids)),
        Value::Object(object) => object.values_mut().for_each(|value| rename(value, ids)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(root: &str, part: &str, schema: &str) -> Value {
        let part = json!({"@id": part, "@type": "Interface", "contents": [{"@type": "Telemetry", "name": "load", "schema": schema}]});
        json!({"@id": "dtmi:t;1", "@type": ["ModelDefinition", "DeviceModel"], "displayName": "T",
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "capabilityModel": {"@id": root, "@type": "Interface", "contents": [
            {"@type": "Component", "name": "left", "schema": part},
            {"@type": "Component", "name": "right", "schema": part},
            {"@type": "Component", "name": "same", "schema": {"@id": "dtmi:same;1", "@type": "Interface", "contents": []}},
        ]}})
    }

    fn load(document: &Value) -> Template {
        Template::import(document, None).expect("a template")
    }

    #[test]
    fn ids_tell_family_and_version() {
        for (id, family, number) in [("dtmi:a;7", "dtmi:a", 7), ("urn:a:b", "urn:a:b", 1), ("dtmi:a;2.3", "dtmi:a", 2)]
        {
            let id = TemplateId::parse(id).expect("an id");
            assert_eq!((id.family(), id.number()), (family, number));
        }
    }

    #[test]
    fn what_differs_and_what_holds_it_get_new_ids() {
        let before = load(&document("dtmi:root;1", "dtmi:part;4", "double"));
        let proposed = load(&document("dtmi:root;1", "dtmi:part;4", "string"));
        let mut other = document("dtmi:root;2", "dtmi:part;5", "boolean");
        other["@id"] = json!("dtmi:t;2");
        let next = before.next_version(&proposed, &[before.clone(), load(&other)]).expect("a version");
        assert_eq!(next.id.as_str(), "dtmi:t;3");
        let mut expected = document("dtmi:root;3", "dtmi:part;6", "string");
        expected["@id"] = json!("dtmi:t;3");
        assert_eq!(next.document, expected);
    }

    #[test]
    fn nothing_but_the_id_changes_where_nothing_differs() {
        let before = load(&document("dtmi:root;1", "dtmi:part;1", "double"));
        let next = before.next_version(&before, std::slice::from_ref(&before)).expect("a version");
        let mut expected = before.document.clone();
        expected["@id"] = json!("dtmi:t;2");
        assert_eq!(next.document, expected);
        let mut last = before.document.clone();
        last["@id"] = json!(format!("dtmi:t;{MAX_VERSION}"));
        assert!(load(&last).next_version(&before, &[]).is_err());
    }
}

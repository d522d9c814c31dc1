//! From a template's document to its list of capabilities.
//!
//! Lenient on purpose: the document was checked at import, and what is unknown here is passed over, so that a
//! document of an older release still loads.

use super::{Capability, Component, EnumValue, Field, Kind, Schema};
use crate::dtdl::units;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

/// Deeper nesting of schemas and inheritance is passed over.
const MAX_DEPTH: usize = 12;
/// A template has at most this many capabilities …
pub(super) const MAX_CAPABILITIES: usize = 1000;
/// … and fields in their schemas, counted where they are used.
pub(super) const MAX_FIELDS: usize = 5000;

/// Types beside a capability's semantic type.
const ANNOTATIONS: [&str; 22] = [
    "Telemetry",
    "Property",
    "Command",
    "Component",
    "Relationship",
    "Cloud",
    "Initialized",
    "NumberValue",
    "StringValue",
    "EventValue",
    "Visualized",
    "NamedInterface",
    "EdgeModule",
    "DeviceModel",
    "ValueDetail",
    "BooleanValue",
    "Historized",
    "ValueAnnotation",
    "Override",
    "Indexed",
    "Idempotent",
    "Cacheable",
];

/// What a model describes.
pub(super) struct Flat {
    pub capabilities: Vec<Capability>,
    pub components: Vec<Component>,
    /// Is it all, or did a limit cut it?
    pub complete: bool,
}

pub(super) fn flatten(model: &Value) -> Flat {
    let mut walk = Walk::default();
    walk.index(model, 0);
    walk.interface(model, None, 0);
    let complete = walk.capabilities.len() <= MAX_CAPABILITIES && walk.fields.get() <= MAX_FIELDS;
    Flat { capabilities: walk.capabilities, components: walk.components, complete }
}

/// A localizable text: plain, by language (English first), or as a list of `@value`s.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => Some(text.as_str()),
        Value::Object(languages) => ["@value", "en", "en-US", "en-us"]
            .iter()
            .find_map(|language| languages.get(*language))
            .or_else(|| languages.values().next())
            .and_then(Value::as_str),
        Value::Array(items) => return items.first().and_then(text),
        _ => None,
    };
    text.map(str::to_owned)
}

/// The last readable part of an id: `Thermostat` of `dtmi:com:example:Thermostat;1`.
pub(super) fn short_name(id: &str) -> &str {
    let path = id.split_once(';').map_or(id, |(path, _)| path);
    path.rsplit(':').next().unwrap_or(path)
}

#[derive(Default)]
struct Walk<'a> {
    by_id: HashMap<&'a str, &'a Map<String, Value>>,
    seen: HashSet<(Option<&'a str>, &'a str)>,
    keys: HashSet<String>,
    fields: Cell<usize>,
    capabilities: Vec<Capability>,
    components: Vec<Component>,
}

impl<'a> Walk<'a> {
    /// Remembers every definition, so that references by id are found wherever the definition stands.
    fn index(&mut self, value: &'a Value, depth: usize) {
        match value {
            _ if depth > 4 * MAX_DEPTH => {}
            Value::Object(object) => {
                if let Some(id) = object.get("@id").and_then(Value::as_str)
                    && object.len() > 1
                {
                    self.by_id.entry(id).or_insert(object);
                }
                object.values().for_each(|value| self.index(value, depth + 1));
            }
            Value::Array(items) => items.iter().for_each(|value| self.index(value, depth + 1)),
            _ => {}
        }
    }

    fn interface(&mut self, value: &'a Value, component: Option<&'a str>, depth: usize) {
        let Some(interface) = self.definition(value) else { return };
        let id = interface.get("@id").and_then(Value::as_str).unwrap_or_default();
        if depth > MAX_DEPTH || !id.is_empty() && !self.seen.insert((component, id)) {
            return;
        }
        for content in interface.get("contents").into_iter().flat_map(each) {
            if let Some(content) = content.as_object() {
                self.content(content, component, depth);
            }
        }
        for base in interface.get("extends").into_iter().flat_map(each) {
            self.interface(base, component, depth + 1);
        }
    }

    fn content(&mut self, content: &'a Map<String, Value>, component: Option<&'a str>, depth: usize) {
        let Some(name) =
            content.get("name").and_then(Value::as_str).filter(|_| self.capabilities.len() <= MAX_CAPABILITIES)
        else {
            return;
        };
        let types = types(content);
        let kind = match () {
            () if types.contains(&"Telemetry") => Kind::Telemetry,
            () if types.contains(&"Property") && types.contains(&"Cloud") => Kind::CloudProperty,
            () if types.contains(&"Property") => {
                Kind::Property { writable: content.get("writable").and_then(Value::as_bool).unwrap_or(false) }
            }
            () if types.contains(&"Command") => Kind::Command,
            () if types.contains(&"Component") && component.is_none() => {
                self.components.push(Component {
                    name: name.to_owned(),
                    display_name: display_name(content),
                    description: description(content),
                });
                if let Some(schema) = content.get("schema") {
                    self.interface(schema, Some(name), depth + 1);
                }
                return;
            }
            () => return,
        };
        let capability = self.capability(content, kind, component, &types);
        if self.keys.insert(capability.key.clone()) {
            self.capabilities.push(capability);
        }
    }

    fn capability(
        &self,
        content: &'a Map<String, Value>,
        kind: Kind,
        component: Option<&str>,
        types: &[&str],
    ) -> Capability {
        let name = content.get("name").and_then(Value::as_str).unwrap_or_default();
        let parameter = |which: &str| {
            content.get(which).and_then(|value| self.definition(value)).and_then(|value| value.get("schema"))
        };
        let schema = match kind {
            Kind::Command => {
                parameter("request").map_or(Schema::Object { fields: Vec::new() }, |value| self.schema(value, 0))
            }
            _ => content.get("schema").map_or(Schema::Other { name: String::new() }, |value| self.schema(value, 0)),
        };
        Capability {
            key: component.map_or_else(|| name.to_owned(), |component| format!("{component}.{name}")),
            name: name.to_owned(),
            component: component.map(str::to_owned),
            kind,
            display_name: display_name(content),
            description: description(content),
            schema,
            unit: unit(content),
            semantic_type: types.iter().find(|name| !ANNOTATIONS.contains(name)).map(|name| (*name).to_owned()),
            min: content.get("minValue").and_then(number),
            max: content.get("maxValue").and_then(number),
            decimal_places: content.get("decimalPlaces").and_then(number).map(|places| places.clamp(0.0, 20.0) as u8),
            color: content.get("color").and_then(Value::as_str).map(str::to_owned),
            initial_value: content.get("initialValue").cloned(),
            response: parameter("response").map(|value| self.schema(value, 0)),
            durable: kind == Kind::Command && content.get("durable").and_then(Value::as_bool).unwrap_or(false),
        }
    }

    fn schema(&self, value: &'a Value, depth: usize) -> Schema {
        if let Some(schema) = value.as_str().and_then(|name| simple(short(name))) {
            return schema;
        }
        let Some(definition) = self.definition(value).filter(|_| depth <= MAX_DEPTH && self.fields.get() <= MAX_FIELDS)
        else {
            return Schema::Other { name: value.as_str().unwrap_or_default().to_owned() };
        };
        let types = types(definition);
        let list = |key: &str| definition.get(key).into_iter().flat_map(each).filter_map(Value::as_object);
        match () {
            () if types.contains(&"Enum") => Schema::Enum {
                integer: definition
                    .get("valueSchema")
                    .and_then(Value::as_str)
                    .is_some_and(|name| short(name) == "integer"),
                values: list("enumValues").map(enum_value).collect(),
            },
            () if types.contains(&"Object") => Schema::Object {
                fields: list("fields")
                    .filter_map(|field| {
                        self.fields.set(self.fields.get() + 1);
                        Some(Field {
                            name: field.get("name")?.as_str()?.to_owned(),
                            display_name: display_name(field),
                            schema: self.schema(field.get("schema")?, depth + 1),
                            unit: unit(field),
                        })
                    })
                    .collect(),
            },
            () if types.contains(&"Map") => Schema::Map,
            () if types.contains(&"Array") => Schema::Array,
            () => {
                let id = definition.get("@id").and_then(Value::as_str).unwrap_or_default();
                simple(short(id)).unwrap_or_else(|| Schema::Other { name: id.to_owned() })
            }
        }
    }

    /// The object itself, or what its id refers to.
    fn definition(&self, value: &'a Value) -> Option<&'a Map<String, Value>> {
        match value {
            Value::String(id) => self.by_id.get(id.as_str()).copied(),
            Value::Object(object) if object.len() == 1 => {
                object.get("@id").and_then(Value::as_str).and_then(|id| self.by_id.get(id).copied()).or(Some(object))
            }
            Value::Object(object) => Some(object),
            Value::Array(items) => items.first().and_then(|item| self.definition(item)),
            _ => None,
        }
    }
}

fn enum_value(value: &Map<String, Value>) -> EnumValue {
    EnumValue {
        name: value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        display_name: display_name(value),
        value: value.get("enumValue").cloned().unwrap_or(Value::Null),
        color: value.get("color").and_then(Value::as_str).map(str::to_owned),
    }
}

fn simple(name: &str) -> Option<Schema> {
    Some(match name {
        "boolean" => Schema::Boolean,
        "date" => Schema::Date,
        "dateTime" => Schema::DateTime,
        "double" => Schema::Double,
        "duration" => Schema::Duration,
        "float" => Schema::Float,
        "integer" => Schema::Integer,
        "long" | "unsignedInteger" | "unsignedLong" => Schema::Long,
        "byte" | "short" | "unsignedByte" | "unsignedShort" => Schema::Integer,
        "bytes" | "decimal" | "string" | "uuid" => Schema::String,
        "time" => Schema::Time,
        "geopoint" => Schema::Geopoint,
        "vector" => Schema::Vector,
        "point" | "multiPoint" | "lineString" | "multiLineString" | "polygon" | "multiPolygon" | "scaledDecimal" => {
            Schema::Other { name: name.to_owned() }
        }
        _ => return None,
    })
}

fn types(object: &Map<String, Value>) -> Vec<&str> {
    object.get("@type").into_iter().flat_map(each).filter_map(Value::as_str).map(short).collect()
}

/// `double` of `dtmi:dtdl:instance:Schema:double;2`, `Temperature` of `SemanticType/Temperature`.
fn short(name: &str) -> &str {
    let name = name.strip_prefix("SemanticType/").unwrap_or(name);
    let known = ["dtmi:dtdl:", "dtmi:standard:", "dtmi:iotcentral:"].iter().any(|prefix| name.starts_with(prefix));
    if known { short_name(name) } else { name }
}

fn each(value: &Value) -> std::slice::Iter<'_, Value> {
    match value {
        Value::Array(items) => items.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}

fn display_name(object: &Map<String, Value>) -> String {
    let name = || object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    object.get("displayName").and_then(text).filter(|text| !text.is_empty()).unwrap_or_else(name)
}

fn description(object: &Map<String, Value>) -> String {
    object.get("description").and_then(text).unwrap_or_default()
}

fn unit(object: &Map<String, Value>) -> Option<String> {
    let shown = object.get("displayUnit").and_then(text);
    let named = || {
        object.get("unit").and_then(Value::as_str).map(short).map(|name| units::symbol(name).unwrap_or(name).to_owned())
    };
    shown.or_else(named).filter(|unit| !unit.is_empty())
}

/// IoT Central writes numbers of annotations as numbers or as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        other => other.as_f64(),
    }
}

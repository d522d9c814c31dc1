//! Device templates: IoT Central's document, and a flat list of its capabilities for screens.

use muster_model::{
    TemplateId,
    template::{self as model, Kind, Schema},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A device template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceTemplate {
    /// Its id.
    #[serde(rename = "@id")]
    pub id: TemplateId,
    /// Its JSON-LD types.
    #[serde(rename = "@type")]
    pub types: Vec<String>,
    /// Changes with each change of the template.
    pub etag: String,
    /// The name shown to people.
    #[serde(rename = "displayName")]
    pub display_name: String,
    /// What it describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The DTDL interface.
    #[serde(rename = "capabilityModel")]
    pub capability_model: Value,
    /// Can devices have it? Else this is a draft (ours, read-only).
    #[serde(default)]
    pub published: bool,
    /// Does a draft wait beside what is published (ours, read-only)?
    #[serde(default)]
    pub draft: bool,
    /// What a device of this template has, flattened (ours, read-only).
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Everything else that the document holds, for example `@context`.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub other: Map<String, Value>,
}

impl From<&model::Template> for DeviceTemplate {
    fn from(template: &model::Template) -> Self {
        let mut other = template.document.as_object().cloned().unwrap_or_default();
        let types = match other.remove("@type") {
            Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        };
        let capability_model = other.remove("capabilityModel").unwrap_or_default();
        for known in ["@id", "etag", "displayName", "description", "published", "draft", "capabilities"] {
            other.remove(known);
        }
        Self {
            id: template.id.clone(),
            types,
            etag: format!("{:x}", template.version),
            display_name: template.display_name.clone(),
            description: Some(template.description.clone()).filter(|text| !text.is_empty()),
            capability_model,
            published: template.published,
            draft: template.draft,
            capabilities: template.capabilities.iter().map(Capability::from).collect(),
            other,
        }
    }
}

/// One thing a device of a template sends, has or does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Its path: `temperature`, or `thermostat1.temperature` inside a component.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The component it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What it is.
    pub kind: CapabilityKind,
    /// May it be set from here?
    #[serde(default)]
    pub writable: bool,
    /// The name shown to people.
    pub display_name: String,
    /// Its schema in one word: `double`, `boolean`, `enum`, `object`, `geopoint`, …
    pub schema: String,
    /// The unit's symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The semantic type, for example `Temperature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic_type: Option<String>,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// The color it is drawn in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// How many decimals are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_places: Option<u8>,
    /// The values of an enum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enum_values: Vec<EnumValue>,
    /// Can it be drawn as a line? Numbers and booleans can.
    pub numeric: bool,
    /// Does a command take a parameter, which `schema` is then?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parameter: bool,
    /// May a command wait for a device that is away?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
}

impl From<&model::Capability> for Capability {
    fn from(capability: &model::Capability) -> Self {
        let (kind, writable) = match capability.kind {
            Kind::Telemetry => (CapabilityKind::Telemetry, false),
            Kind::Property { writable } => (CapabilityKind::Property, writable),
            Kind::Command => (CapabilityKind::Command, false),
            Kind::CloudProperty => (CapabilityKind::CloudProperty, true),
        };
        let (schema, enum_values) = describe(&capability.schema);
        Self {
            key: capability.key.clone(),
            name: capability.name.clone(),
            component: capability.component.clone(),
            kind,
            writable,
            display_name: capability.display_name.clone(),
            schema,
            unit: capability.unit.clone(),
            description: capability.description.clone(),
            semantic_type: capability.semantic_type.clone(),
            minimum: capability.min,
            maximum: capability.max,
            color: capability.color.clone(),
            decimal_places: capability.decimal_places,
            enum_values,
            numeric: capability.schema.is_numeric(),
            parameter: capability.takes_parameter(),
            durable: capability.durable,
        }
    }
}

/// The schema in one word, and an enum's values.
fn describe(schema: &Schema) -> (String, Vec<EnumValue>) {
    let values = match schema {
        Schema::Enum { values, .. } => values
            .iter()
            .map(|value| EnumValue {
                value: value.value.clone(),
                display_name: value.display_name.clone(),
                color: value.color.clone(),
            })
            .collect(),
        _ => Vec::new(),
    };
    (schema.word().to_owned(), values)
}

/// What a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum CapabilityKind {
    /// Sent over and over.
    Telemetry,
    /// A state of the device.
    Property,
    /// Something the device can do.
    Command,
    /// A note of ours about the device.
    CloudProperty,
}

/// One value of an enum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EnumValue {
    /// The value on the wire, a text or a number.
    pub value: Value,
    /// The name shown to people.
    pub display_name: String,
    /// The color it is drawn in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_comes_back_with_its_capabilities_beside_it() {
        let document = json!({
            "@id": "dtmi:a:b;1",
            "@type": ["ModelDefinition", "DeviceModel"],
            "@context": ["dtmi:iotcentral:context;2"],
            "displayName": "B",
            "capabilityModel": {
                "@id": "dtmi:a:c;1",
                "@type": "Interface",
                "contents": [
                    {"@type": ["Telemetry", "Temperature"], "name": "t", "schema": "double", "unit": "degreeCelsius"},
                    {"@type": "Property", "name": "p", "schema": "string", "writable": true},
                ],
            },
        });
        let template = model::Template::load(document.clone(), 31).unwrap();
        let wire = DeviceTemplate::from(&template);
        assert_eq!(wire.etag, "1f");
        assert_eq!(wire.types, ["ModelDefinition", "DeviceModel"]);
        assert!(wire.capabilities[0].numeric && wire.capabilities[1].writable);
        let mut sent = serde_json::to_value(&wire).unwrap();
        for ours in ["etag", "published", "draft", "capabilities"] {
            sent.as_object_mut().unwrap().remove(ours);
        }
        assert_eq!(sent, document);
    }
}

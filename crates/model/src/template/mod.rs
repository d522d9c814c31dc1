//! Device templates: what a kind of device sends, takes and can do.
//!
//! The document, in IoT Central's JSON, is the truth and is kept as it was given; the capabilities are read from it.

mod bundle;
mod catalogue;
mod compare;
mod flatten;
mod guess;
mod import;
mod infer;
mod reference;
mod schema;
mod traffic;
mod version;
mod view;

pub use bundle::{Bundle, bundles};
pub use catalogue::{catalogue, find_in_catalogue};
pub use compare::{Change, ChangeKind, carries, compare};
pub use import::{MAX_TEMPLATE_BYTES, Problem};
pub use infer::{Guess, Heard, LeftOut, Proposal, infer};
pub use reference::{Reference, Referrer, ReferrerKind};
pub use schema::{EnumValue, Field, Schema, Storage};
pub use traffic::{MAX_UNKNOWN, Unknown, unknown_values};
pub use view::{FormSection, MAX_VIEWS, View, ViewContent, ViewProblem, ViewTile, ViewTileKind, default_views};

use crate::{InvalidId, TemplateId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A device template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// The name shown to people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// The whole template in IoT Central's JSON.
    pub document: Value,
    /// Raised with each change; the etag.
    pub version: i64,
    /// Can devices have it? Else the document is a draft.
    pub published: bool,
    /// Does a draft wait beside what is published?
    pub draft: bool,
    /// What the document describes: its own, the inherited and the components' capabilities, each key once.
    pub capabilities: Vec<Capability>,
    /// The components of the root interface.
    pub components: Vec<Component>,
}

/// One thing that a device sends, takes or does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Unique in the template: `name`, or `component.name`.
    pub key: String,
    /// Its name in its interface.
    pub name: String,
    /// The component it belongs to; none for the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The name shown to people.
    pub display_name: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What its value is; a command's is its request's, or [`Schema::Object`] without fields where it takes none.
    pub schema: Schema,
    /// The unit's symbol, for example `°C`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The semantic type, for example `Temperature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic_type: Option<String>,
    /// The smallest sensible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest sensible value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Digits shown after the point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_places: Option<u8>,
    /// The color it is drawn in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// What a property is set to on a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_value: Option<Value>,
    /// What a command answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Schema>,
    /// May a command wait for a device that is away ("queue if offline")?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub durable: bool,
}

impl Capability {
    /// Is it a command with a parameter?
    pub fn takes_parameter(&self) -> bool {
        self.kind == Kind::Command && self.schema != Schema::Object { fields: Vec::new() }
    }
}

/// What a capability is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Kind {
    /// A value that the device sends.
    Telemetry,
    /// A value that the device holds.
    Property {
        /// May it be set from here?
        writable: bool,
    },
    /// Something that the device does when asked.
    Command,
    /// A value about the device that it never sees.
    CloudProperty,
}

impl Kind {
    /// What it is, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Property { .. } => "property",
            Self::Command => "command",
            Self::CloudProperty => "cloud property",
        }
    }
}

/// A component of a template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Its name.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Template {
    /// Reads a stored document, which was checked when it was imported.
    ///
    /// # Errors
    /// [`InvalidId`] where the document has no valid `@id`.
    pub fn load(document: Value, version: i64) -> Result<Self, InvalidId> {
        let id = TemplateId::parse(document.get("@id").and_then(Value::as_str).unwrap_or_default())?;
        let model = document.get("capabilityModel").unwrap_or(&document);
        let display_name = [document.get("displayName"), model.get("displayName")]
            .into_iter()
            .flatten()
            .find_map(flatten::text)
            .unwrap_or_else(|| flatten::short_name(id.as_str()).to_owned());
        let description = document.get("description").and_then(flatten::text).unwrap_or_default();
        let flatten::Flat { capabilities, components, .. } = flatten::flatten(model);
        Ok(Self {
            id,
            display_name,
            description,
            version,
            published: true,
            draft: false,
            capabilities,
            components,
            document,
        })
    }

    /// The id of the root interface: what a device announces as its model.
    pub fn model_id(&self) -> Option<&str> {
        self.document.get("capabilityModel").unwrap_or(&self.document).get("@id").and_then(Value::as_str)
    }

    /// The capability with this key.
    pub fn capability(&self, key: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.key == key)
    }

    /// The telemetry that a flattened key such as `location.lat` belongs to, and how that part is kept.
    pub fn telemetry(&self, key: &str) -> Option<(&Capability, Storage)> {
        self.capabilities.iter().filter(|capability| capability.kind == Kind::Telemetry).find_map(|capability| {
            if !key.starts_with(capability.key.as_str()) {
                return None;
            }
            let mut found = None;
            capability.schema.leaves(&capability.key, &mut |path, storage| {
                if path == key {
                    found = Some(storage);
                }
            });
            found.map(|storage| (capability, storage))
        })
    }
}

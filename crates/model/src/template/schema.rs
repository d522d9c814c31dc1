//! What kind of value a capability holds.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema of a capability's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Schema {
    /// `true` or `false`.
    Boolean,
    /// A calendar day.
    Date,
    /// A point in time.
    DateTime,
    /// A 64-bit number.
    Double,
    /// An ISO 8601 duration.
    Duration,
    /// A 32-bit number.
    Float,
    /// A 32-bit integer.
    Integer,
    /// A 64-bit integer.
    Long,
    /// A text.
    String,
    /// A time of day.
    Time,
    /// Latitude, longitude and perhaps altitude: `{lat, lon, alt}`.
    Geopoint,
    /// `{x, y, z}`.
    Vector,
    /// One of a few values.
    Enum {
        /// Are the values integers (else texts)?
        integer: bool,
        /// The values.
        values: Vec<EnumValue>,
    },
    /// Named fields.
    Object {
        /// The fields.
        fields: Vec<Field>,
    },
    /// Values under free keys.
    Map,
    /// A list.
    Array,
    /// A GeoJSON shape, or anything else that is kept as it comes.
    Other {
        /// The schema's name or id.
        name: String,
    },
}

/// One value of an enumeration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnumValue {
    /// Its name.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
    /// What a device sends: an integer or a text.
    pub value: Value,
    /// The color it is drawn in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

/// One field of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
    /// Its schema.
    pub schema: Schema,
    /// The unit's symbol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// How a value is kept among telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As a number.
    Number,
    /// As a number without fraction.
    Integer,
    /// As 1 or 0.
    Boolean,
    /// As a text.
    Text,
    /// As JSON, whole.
    Whole,
}

impl Schema {
    /// Calls `leaf` for each value that telemetry of this schema flattens into, with its path from `path` on.
    pub fn leaves(&self, path: &str, leaf: &mut impl FnMut(&str, Storage)) {
        let storage = match self {
            Self::Double | Self::Float => Storage::Number,
            Self::Integer | Self::Long | Self::Enum { integer: true, .. } => Storage::Integer,
            Self::Boolean => Storage::Boolean,
            Self::Date | Self::DateTime | Self::Duration | Self::String | Self::Time | Self::Enum { .. } => {
                Storage::Text
            }
            Self::Map | Self::Array | Self::Other { .. } => Storage::Whole,
            Self::Geopoint => {
                return ["lat", "lon", "alt"].iter().for_each(|part| leaf(&format!("{path}.{part}"), Storage::Number));
            }
            Self::Vector => {
                return ["x", "y", "z"].iter().for_each(|part| leaf(&format!("{path}.{part}"), Storage::Number));
            }
            Self::Object { fields } => {
                return fields.iter().for_each(|field| field.schema.leaves(&format!("{path}.{}", field.name), leaf));
            }
        };
        leaf(path, storage);
    }

    /// The schema in one word: `double`, `enum`, `geopoint`, …
    pub fn word(&self) -> &str {
        match self {
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "dateTime",
            Self::Double => "double",
            Self::Duration => "duration",
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Long => "long",
            Self::String => "string",
            Self::Time => "time",
            Self::Geopoint => "geopoint",
            Self::Vector => "vector",
            Self::Enum { .. } => "enum",
            Self::Object { .. } => "object",
            Self::Map => "map",
            Self::Array => "array",
            Self::Other { name } => name,
        }
    }

    /// Can it be drawn over time?
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Double | Self::Float | Self::Integer | Self::Long | Self::Boolean)
    }

    /// Is the value one that a device or a person may give for it?
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Double | Self::Float => value.is_number(),
            Self::Integer => value.as_i64().is_some_and(|integer| i32::try_from(integer).is_ok()),
            Self::Long => value.is_i64() || value.is_u64(),
            Self::Date | Self::DateTime | Self::Duration | Self::String | Self::Time => value.is_string(),
            Self::Enum { values, .. } => values.iter().any(|known| known.value == *value),
            Self::Geopoint => numbers(value, &["lat", "lon"], &["alt"]),
            Self::Vector => numbers(value, &["x", "y", "z"], &[]),
            Self::Object { fields } => value.as_object().is_some_and(|object| {
                object.iter().all(|(name, value)| {
                    fields.iter().find(|field| field.name == *name).is_some_and(|field| field.schema.accepts(value))
                })
            }),
            Self::Map => value.is_object(),
            Self::Array => value.is_array(),
            Self::Other { .. } => true,
        }
    }
}

fn numbers(value: &Value, wanted: &[&str], allowed: &[&str]) -> bool {
    value.as_object().is_some_and(|object| {
        wanted.iter().all(|name| object.contains_key(*name))
            && object.iter().all(|(name, value)| {
                let name = name.as_str();
                (wanted.contains(&name) && value.is_number())
                    || (allowed.contains(&name) && (value.is_number() || value.is_null()))
            })
    })
}

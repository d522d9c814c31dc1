//! The types that extensions add to the language, as a table.

use super::Version::{self, V2, V4};
use super::context::{Context, Extension};
use super::metamodel::{Class, Property, Value};
use super::units;

use Class::{Command, CommandRequest, CommandResponse, EnumValue, Field, Interface, Object, Telemetry};
use Extension::{Annotation, Central, Historization, Mqtt, Overriding, Requirement, Template};

/// A type that stands beside the class of an element.
#[derive(Debug)]
pub(super) struct Adjunct {
    pub name: &'static str,
    extension: Extension,
    /// The first and the last version of the extension that has it.
    versions: (u8, u8),
    /// The last version of the language that has it.
    language: Version,
    /// The classes it stands beside.
    pub classes: &'static [Class],
    pub properties: &'static [Property],
    /// What it demands of the schema.
    pub demand: Option<Demand>,
    /// The type that must stand beside it, or in the element around it.
    pub needs: Option<Needs>,
}

/// What a type demands of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Number,
    Enumeration,
    Event,
    Location,
    Vector,
    Object,
    Text,
}

/// The type that another one needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// In the same element.
    Beside(&'static str),
    /// In the object around the field; once in it.
    Around(&'static str),
}

const DATA: &[Class] = &[Class::Property, Telemetry];

const fn adjunct(extension: Extension, name: &'static str, classes: &'static [Class]) -> Adjunct {
    Adjunct { name, extension, versions: (1, 9), language: V4, classes, properties: &[], demand: None, needs: None }
}

const fn central(name: &'static str, demand: Demand, properties: &'static [Property]) -> Adjunct {
    Adjunct { language: V2, demand: Some(demand), properties, ..adjunct(Central, name, DATA) }
}

const fn field(name: &'static str, around: &'static str) -> Adjunct {
    Adjunct { versions: (3, 9), needs: Some(Needs::Around(around)), ..adjunct(Mqtt, name, &[Field]) }
}

const fn must(name: &'static str, value: Value, example: &'static str) -> Property {
    Property::must(name, value, example)
}

const fn may(name: &'static str, value: Value) -> Property {
    Property::may(name, value)
}

/// The unit of a vector; unlike that of a semantic type it may be missing.
const UNIT: Property = may("unit", Value::Unit);
const TOPIC: Value = Value::Form(is_topic, "a topic: labels and {tokens} between slashes");
const GROUP: Value = Value::Form(is_label, "a group: letters, digits and signs other than space, \", +, #, {, } and /");
const FORMATS: Value = Value::Word("PayloadFormat", &["avro", "cbor", "json", "proto2", "proto3", "raw"]);
const FORMAT: &str = "\"payloadFormat\": \"json\"";

const ADJUNCTS: &[Adjunct] = &[
    central("State", Demand::Enumeration, &[]),
    central("Event", Demand::Event, &[]),
    central("Location", Demand::Location, &[]),
    central("VelocityVector", Demand::Vector, &[UNIT]),
    central("AccelerationVector", Demand::Vector, &[UNIT]),
    adjunct(Historization, "Historized", DATA),
    Adjunct {
        properties: &[must("annotates", Value::Sibling, "\"annotates\": \"temperature\"")],
        ..adjunct(Annotation, "ValueAnnotation", DATA)
    },
    Adjunct {
        properties: &[must("overrides", Value::Overridden, "\"overrides\": \"unit\"")],
        needs: Some(Needs::Beside("ValueAnnotation")),
        ..adjunct(Overriding, "Override", &[Class::Property])
    },
    adjunct(Requirement, "Required", &[Field]),
    Adjunct {
        versions: (1, 1),
        properties: &[may("commandTopic", TOPIC), must("payloadFormat", FORMATS, FORMAT), may("telemetryTopic", TOPIC)],
        ..adjunct(Mqtt, "Mqtt", &[Interface])
    },
    Adjunct {
        versions: (2, 9),
        properties: &[
            may("cmdServiceGroupId", GROUP),
            may("commandTopic", TOPIC),
            must("payloadFormat", Value::Text(usize::MAX), FORMAT),
            may("telemetryTopic", TOPIC),
            may("telemServiceGroupId", GROUP),
        ],
        ..adjunct(Mqtt, "Mqtt", &[Interface])
    },
    adjunct(Mqtt, "Idempotent", &[Command]),
    Adjunct {
        properties: &[must("ttl", Value::Form(is_duration, "an ISO 8601 duration"), "\"ttl\": \"PT15S\"")],
        ..adjunct(Mqtt, "Cacheable", &[Command])
    },
    Adjunct {
        properties: &[must("index", Value::Index, "\"index\": 1")],
        ..adjunct(Mqtt, "Indexed", &[EnumValue, Field, Telemetry])
    },
    Adjunct {
        versions: (2, 9),
        demand: Some(Demand::Object),
        ..adjunct(Mqtt, "Transparent", &[CommandRequest, CommandResponse])
    },
    Adjunct { versions: (3, 9), ..adjunct(Mqtt, "Result", &[Object]) },
    field("NormalResult", "Result"),
    field("ErrorResult", "Result"),
    Adjunct { versions: (3, 9), ..adjunct(Mqtt, "Error", &[Object]) },
    Adjunct { demand: Some(Demand::Text), ..field("ErrorMessage", "Error") },
    adjunct(Template, "Cloud", &[Class::Property]),
    Adjunct { properties: &[may("initialValue", Value::Any)], ..adjunct(Template, "Initialized", DATA) },
    Adjunct {
        properties: &[
            may("minValue", Value::Number),
            may("maxValue", Value::Number),
            may("decimalPlaces", Value::Number),
        ],
        ..adjunct(Template, "NumberValue", &[CommandRequest, CommandResponse, Field, Class::Property, Telemetry])
    },
    Adjunct {
        properties: &[may("minLength", Value::Number), may("maxLength", Value::Number)],
        ..adjunct(Template, "StringValue", DATA)
    },
    Adjunct { properties: &[may("severity", Value::Text(64))], ..adjunct(Template, "EventValue", DATA) },
];

impl Adjunct {
    /// The type that a text names, by word or by DTMI, where an extension in force has it.
    pub(super) fn find(text: &str, context: Context) -> Option<&'static Self> {
        ADJUNCTS.iter().find(|known| {
            let version = context.extension(known.extension);
            let in_force = (known.versions.0..=known.versions.1).contains(&version) && version > 0;
            in_force && context.version <= known.language && known.short(text, version) == known.name
        })
    }

    /// The property that a text names, by word or by DTMI.
    pub(super) fn property(&self, text: &str, context: Context) -> Option<&'static Property> {
        let short = self.short(text, context.extension(self.extension));
        let name = short.strip_prefix(self.name).and_then(|name| name.strip_prefix(':')).unwrap_or(short);
        self.properties.iter().find(|property| property.name == name)
    }

    /// The unit type of a vector.
    pub(super) fn unit_type(&self) -> Option<&'static str> {
        self.name.strip_suffix("Vector").and_then(|quantity| units::unit_type(quantity, V2))
    }

    fn short<'t>(&self, text: &'t str, version: u8) -> &'t str {
        let long = match self.extension {
            Central => text.strip_prefix("dtmi:iotcentral:class:").and_then(|name| name.strip_suffix(";2")),
            extension => extension.long_name(text, version),
        };
        long.unwrap_or(text)
    }
}

/// A printable text without the signs that mean something in a topic.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"+#{}/".contains(&b))
}

fn is_topic(text: &str) -> bool {
    let is_token = |label: &str| {
        let token = label.strip_prefix('{').and_then(|label| label.strip_suffix('}'));
        let letters = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic());
        token.is_some_and(|token| token.splitn(2, ':').all(letters))
    };
    !text.starts_with('$') && text.split('/').all(|label| is_token(label) || is_label(label))
}

/// `P1Y2M3DT4H5M6.7S` or `P2W`, with at least one part.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    let fine = |mut part: &str, units: &str, fraction: &str| {
        let mut units = units.chars();
        while !part.is_empty() {
            let Some(end) = part.find(|c: char| c.is_ascii_alphabetic()) else { return false };
            let (number, unit) = (part.get(..end).unwrap_or_default(), part.get(end..=end).unwrap_or_default());
            let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let may_break = decimals == "0" || unit == fraction;
            if !digits(whole) || !digits(decimals) || !may_break || !units.any(|known| unit.starts_with(known)) {
                return false;
            }
            part = part.get(end + 1..).unwrap_or_default();
        }
        true
    };
    let has_time = time.is_none_or(|time| !time.is_empty() && fine(time, "HMS", "S"));
    has_time && (!date.is_empty() || time.is_some()) && fine(date, "YMWD", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_known() {
        for (text, fine) in [
            ("PT15S", true),
            ("P1DT2H", true),
            ("P2W", true),
            ("PT0.5S", true),
            ("P", false),
            ("PT", false),
            ("15S", false),
            ("PS", false),
            ("PT1S1H", false),
            ("P0.5D", false),
        ] {
            assert_eq!(is_duration(text), fine, "{text}");
        }
        for (text, fine) in [
            ("vehicles/{modelId}/telemetry", true),
            ("a/{ex:token}", true),
            ("$dt/a", false),
            ("a//b", false),
            ("a/{to ken}", false),
            ("a/+/b", false),
            ("", false),
        ] {
            assert_eq!(is_topic(text), fine, "{text}");
        }
    }
}

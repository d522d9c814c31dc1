//! The language as tables: classes, their properties, and the names that stand for schemas.

use super::Version;
use super::Version::{V2, V3};

/// A class of elements that a model is written of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Array,
    Command,
    CommandPayload,
    CommandRequest,
    CommandResponse,
    Component,
    Enum,
    EnumValue,
    Field,
    Interface,
    Map,
    MapKey,
    MapValue,
    Object,
    Property,
    Relationship,
    Telemetry,
}

use Class::{
    Array, Command, CommandPayload, CommandRequest, CommandResponse, Component, Enum, EnumValue, Field, Interface, Map,
    MapKey, MapValue, Object, Property, Relationship, Telemetry,
};

const CLASSES: [Class; 17] = [
    Array,
    Command,
    CommandPayload,
    CommandRequest,
    CommandResponse,
    Component,
    Enum,
    EnumValue,
    Field,
    Interface,
    Map,
    MapKey,
    MapValue,
    Object,
    Property,
    Relationship,
    Telemetry,
];

/// Schemas that are made of others.
pub(super) const COMPLEX: &[Class] = &[Array, Enum, Map, Object];
const CONTENTS: &[Class] = &[Command, Component, Property, Relationship, Telemetry];

const PRIMITIVES: [&str; 10] =
    ["boolean", "date", "dateTime", "double", "duration", "float", "integer", "long", "string", "time"];
const GEOSPATIAL: [&str; 6] = ["lineString", "multiLineString", "multiPoint", "multiPolygon", "point", "polygon"];
const CENTRAL: [&str; 2] = ["geopoint", "vector"];

/// What the value of a property is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// A text of at most so many characters.
    Text(usize),
    /// A name of at most so many characters.
    Name(usize),
    /// A text in one or more languages, each of at most so many characters.
    Localized(usize),
    /// `true` or `false`.
    Boolean,
    /// A whole number in a range.
    Integer(i64, i64),
    /// The id of an interface that need not be known.
    Target,
    /// An integer or a text, by the enumeration's `valueSchema`.
    Literal,
    /// One of a few words.
    Word(&'static str, &'static [&'static str]),
    /// Any schema.
    Schema,
    /// Elements.
    Elements(Elements),
}

/// Which elements may stand in a property, and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Elements {
    /// Their classes.
    pub classes: &'static [Class],
    /// The class of one without `@type`.
    pub implied: Option<Class>,
    /// At least so many.
    pub min: usize,
    /// At most so many.
    pub max: usize,
}

const MANY: usize = usize::MAX;

fn set(classes: &'static [Class], implied: Option<Class>, min: usize, max: usize) -> Value {
    Value::Elements(Elements { classes, implied, min, max })
}

impl Class {
    /// The class as it is written.
    pub(super) fn name(self) -> &'static str {
        match self {
            Array => "Array",
            Command => "Command",
            CommandPayload => "CommandPayload",
            CommandRequest => "CommandRequest",
            CommandResponse => "CommandResponse",
            Component => "Component",
            Enum => "Enum",
            EnumValue => "EnumValue",
            Field => "Field",
            Interface => "Interface",
            Map => "Map",
            MapKey => "MapKey",
            MapValue => "MapValue",
            Object => "Object",
            Property => "Property",
            Relationship => "Relationship",
            Telemetry => "Telemetry",
        }
    }

    /// The class of this name, or of its DTMI, in this version.
    pub(super) fn find(text: &str, version: Version) -> Option<Self> {
        let name = dtmi_name(text, "dtmi:dtdl:class:", version).unwrap_or(text);
        CLASSES.into_iter().find(|class| class.name() == name && class.is_in(version))
    }

    fn is_in(self, version: Version) -> bool {
        match self {
            CommandPayload => version == V2,
            CommandRequest | CommandResponse => version == V3,
            _ => true,
        }
    }

    /// Does it count as a level of nesting?
    pub(super) fn nests(self) -> bool {
        matches!(self, Array | Map | Object | Interface)
    }

    /// May it carry a semantic type?
    pub(super) fn takes_quantity(self, version: Version) -> bool {
        match self {
            Telemetry | Property => true,
            Field | MapValue | CommandRequest | CommandResponse => version == V3,
            _ => false,
        }
    }

    /// What the value of its property `name` is; `None` where it has no such property.
    pub(super) fn property(self, name: &str, version: Version) -> Option<Value> {
        let v2 = version == V2;
        Some(match (self, name) {
            (_, "comment") => Value::Text(512),
            (_, "description") => Value::Localized(512),
            (_, "displayName") => Value::Localized(if v2 { 64 } else { 512 }),
            (Array | Enum | Interface | Map | Object, "name") => return None,
            (_, "name") => Value::Name(if v2 { 64 } else { 512 }),
            (Interface, "contents") => set(CONTENTS, None, 0, MANY),
            (Interface, "extends") => set(&[Interface], None, 0, if v2 { 2 } else { MANY }),
            (Interface, "schemas") => set(COMPLEX, None, 0, MANY),
            (Component, "schema") => set(&[Interface], None, 1, 1),
            (MapKey, "schema") => Value::Word("Schema", &["string"]),
            (CommandPayload | CommandRequest | CommandResponse | Field | MapValue | Property | Telemetry, "schema") => {
                Value::Schema
            }
            (Array, "elementSchema") => Value::Schema,
            (Property | Relationship, "writable") => Value::Boolean,
            (Command, "request" | "response") if v2 => set(&[CommandPayload], Some(CommandPayload), 0, 1),
            (Command, "request") => set(&[CommandRequest], Some(CommandRequest), 0, 1),
            (Command, "response") => set(&[CommandResponse], Some(CommandResponse), 0, 1),
            (Command, "commandType") => Value::Word("CommandType", &["synchronous", "asynchronous"]),
            (Relationship, "maxMultiplicity") => Value::Integer(1, if v2 { 500 } else { i64::MAX }),
            (Relationship, "minMultiplicity") => Value::Integer(0, 0),
            (Relationship, "properties") => set(&[Property], None, 0, if v2 { 300 } else { MANY }),
            (Relationship, "target") => Value::Target,
            (Enum, "enumValues") if v2 => set(&[EnumValue], Some(EnumValue), 1, 100),
            (Enum, "enumValues") => set(&[EnumValue], Some(EnumValue), 0, MANY),
            (Enum, "valueSchema") => Value::Word("Schema", &["integer", "string"]),
            (EnumValue, "enumValue") => Value::Literal,
            (Map, "mapKey") => set(&[MapKey], Some(MapKey), 1, 1),
            (Map, "mapValue") => set(&[MapValue], Some(MapValue), 1, 1),
            (Object, "fields") if v2 => set(&[Field], Some(Field), 1, 30),
            (Object, "fields") => set(&[Field], Some(Field), 0, MANY),
            _ => return None,
        })
    }

    /// The properties that it must have.
    pub(super) fn required(self, version: Version) -> &'static [&'static str] {
        match self {
            Interface => &[],
            Command | Relationship => &["name"],
            CommandPayload | CommandRequest | CommandResponse | Component | Field | MapKey | MapValue | Property
            | Telemetry => &["name", "schema"],
            Array => &["elementSchema"],
            Enum if version == V2 => &["enumValues", "valueSchema"],
            Enum => &["valueSchema"],
            EnumValue => &["name", "enumValue"],
            Map => &["mapKey", "mapValue"],
            Object if version == V2 => &["fields"],
            Object => &[],
        }
    }
}

/// The property that a key stands for: its name, or its DTMI.
pub(super) fn property_name(key: &str, version: Version) -> &str {
    dtmi_name(key, "dtmi:dtdl:property:", version).unwrap_or(key)
}

/// A word such as `integer`, or its DTMI, of the kind `Schema` or `CommandType`.
pub(super) fn word<'t>(text: &'t str, kind: &str, version: Version) -> &'t str {
    dtmi_name(text, &format!("dtmi:dtdl:instance:{kind}:"), version).unwrap_or(text)
}

/// The name of a simple schema, given by name or DTMI. `central` adds IoT Central's.
pub(super) fn simple_schema(text: &str, version: Version, central: bool) -> Option<&'static str> {
    let find = |names: &'static [&'static str], name: &str| names.iter().copied().find(|known| *known == name);
    find(&PRIMITIVES, word(text, "Schema", version))
        .or_else(|| find(&GEOSPATIAL, dtmi_name(text, "dtmi:standard:schema:geospatial:", version).unwrap_or(text)))
        .or_else(|| find(&CENTRAL, dtmi_name(text, "dtmi:iotcentral:schema:", V2).or_else(|| central.then_some(text))?))
}

/// Is a simple schema one of numbers?
pub(super) fn is_numeric(schema: &str) -> bool {
    matches!(schema, "double" | "float" | "integer" | "long")
}

/// Does a simple schema hold an array inside?
pub(super) fn is_geospatial(schema: &str) -> bool {
    GEOSPATIAL.contains(&schema)
}

/// Is it a word of the language that can't be a type?
pub(super) fn is_other_term(text: &str) -> bool {
    let abstract_classes = [
        "Content",
        "Entity",
        "NamedEntity",
        "Schema",
        "ComplexSchema",
        "PrimitiveSchema",
        "TemporalSchema",
        "NumericSchema",
        "CommandType",
        "Unit",
    ];
    PRIMITIVES.contains(&text)
        || GEOSPATIAL.contains(&text)
        || matches!(text, "synchronous" | "asynchronous")
        || abstract_classes.contains(&text)
        || CLASSES.iter().any(|class| class.name() == text)
        || CLASSES.iter().any(|class| class.property(text, V3).is_some())
}

/// `name` of `{prefix}{name};{version}`.
pub(super) fn dtmi_name<'t>(text: &'t str, prefix: &str, version: Version) -> Option<&'t str> {
    let suffix = match version {
        V2 => ";2",
        V3 => ";3",
    };
    text.strip_prefix(prefix)?.strip_suffix(suffix)
}

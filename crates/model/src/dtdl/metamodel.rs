//! The language as tables: which class of elements has which properties, and what their values are, by version.

use super::Version;
use super::Version::{V2, V3, V4};

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
    MapKey, MapValue, Object, Relationship, Telemetry,
};

/// A property of a class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Property {
    pub name: &'static str,
    pub value: Value,
    pub required: bool,
    /// An example of it, for help.
    pub example: &'static str,
    first: Version,
    last: Version,
}

/// What the value of a property is.
#[derive(Debug, Clone, Copy)]
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
    /// One of a few words, and what kind of word.
    Word(&'static str, &'static [&'static str]),
    /// Any schema.
    Schema,
    /// Elements.
    Elements(Elements),
    /// The unit of a semantic type.
    Unit,
    /// The name of an element beside this one.
    Sibling,
    /// A number of its own among its siblings.
    Index,
    /// The property of an extension that is overridden.
    Overridden,
    /// A text of a form, and what the form is.
    Form(fn(&str) -> bool, &'static str),
    /// A number, or the text of one, as IoT Central writes it.
    Number,
    /// Anything.
    Any,
}

/// Which elements may stand in a property, and how many.
#[derive(Debug, Clone, Copy)]
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

impl Elements {
    /// The names of the classes.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.classes.iter().map(|class| class.name()).collect()
    }
}

impl Property {
    /// A property that must be there, with an example of it.
    pub(super) const fn must(name: &'static str, value: Value, example: &'static str) -> Self {
        Self { name, value, required: true, example, first: V2, last: V4 }
    }

    /// A property that may be there.
    pub(super) const fn may(name: &'static str, value: Value) -> Self {
        Self { name, value, required: false, example: "", first: V2, last: V4 }
    }

    const fn since(self, first: Version) -> Self {
        Self { first, ..self }
    }

    const fn until(self, last: Version) -> Self {
        Self { last, ..self }
    }
}

const MANY: usize = usize::MAX;

/// Elements of these classes.
const fn some(classes: &'static [Class], min: usize, max: usize) -> Value {
    Value::Elements(Elements { classes, implied: None, min, max })
}

/// Elements of one class, which need not say so.
const fn implied(classes: &'static [Class; 1], min: usize, max: usize) -> Value {
    Value::Elements(Elements { classes, implied: Some(classes[0]), min, max })
}

/// Schemas that are made of others.
pub(super) const COMPLEX: &[Class] = &[Array, Enum, Map, Object];
const CONTENTS: &[Class] = &[Command, Component, Class::Property, Relationship, Telemetry];
const MAX_INTEGER: i64 = i32::MAX as i64;

const fn must(name: &'static str, value: Value, example: &'static str) -> Property {
    Property::must(name, value, example)
}

const fn may(name: &'static str, value: Value) -> Property {
    Property::may(name, value)
}

/// What every element has.
const COMMON: &[Property] = &[
    may("comment", Value::Text(512)),
    may("description", Value::Localized(512)),
    may("displayName", Value::Localized(64)).until(V2),
    may("displayName", Value::Localized(512)).since(V3),
];
const NAME: &[Property] = &[
    must("name", Value::Name(64), "\"name\": \"temperature\"").until(V2),
    must("name", Value::Name(512), "\"name\": \"temperature\"").since(V3),
];
const SCHEMA: Property = must("schema", Value::Schema, r#""schema": "double""#);
const NULLABLE: Property = may("nullable", Value::Boolean).since(V4);

/// A class as it is written down: its name, the versions that have it, and the properties of it alone.
struct Row {
    class: Class,
    name: &'static str,
    versions: (Version, Version),
    own: &'static [Property],
}

const fn row(class: Class, name: &'static str, own: &'static [Property]) -> Row {
    Row { class, name, versions: (V2, V4), own }
}

const CLASSES: &[Row] = &[
    row(
        Interface,
        "Interface",
        &[
            may("contents", some(CONTENTS, 0, MANY)),
            may("extends", some(&[Interface], 0, 2)).until(V2),
            may("extends", some(&[Interface], 0, MANY)).since(V3),
            may("schemas", some(COMPLEX, 0, MANY)),
        ],
    ),
    row(Telemetry, "Telemetry", &[SCHEMA]),
    row(Class::Property, "Property", &[SCHEMA, may("writable", Value::Boolean)]),
    row(
        Command,
        "Command",
        &[
            may("commandType", Value::Word("CommandType", &["synchronous", "asynchronous"])).until(V3),
            may("request", implied(&[CommandPayload], 0, 1)).until(V2),
            may("request", implied(&[CommandRequest], 0, 1)).since(V3),
            may("response", implied(&[CommandPayload], 0, 1)).until(V2),
            may("response", implied(&[CommandResponse], 0, 1)).since(V3),
        ],
    ),
    Row { versions: (V2, V2), ..row(CommandPayload, "CommandPayload", &[SCHEMA]) },
    Row { versions: (V3, V4), ..row(CommandRequest, "CommandRequest", &[SCHEMA, NULLABLE]) },
    Row { versions: (V3, V4), ..row(CommandResponse, "CommandResponse", &[SCHEMA, NULLABLE]) },
    row(
        Relationship,
        "Relationship",
        &[
            may("maxMultiplicity", Value::Integer(1, 500)).until(V2),
            may("maxMultiplicity", Value::Integer(1, MAX_INTEGER)).since(V3),
            may("minMultiplicity", Value::Integer(0, 0)),
            may("properties", some(&[Class::Property], 0, 300)).until(V2),
            may("properties", some(&[Class::Property], 0, MANY)).since(V3),
            may("target", Value::Target),
            may("writable", Value::Boolean),
        ],
    ),
    row(Component, "Component", &[must("schema", some(&[Interface], 1, 1), r#""schema": "dtmi:com:example:Part;1""#)]),
    row(Array, "Array", &[must("elementSchema", Value::Schema, r#""elementSchema": "double""#)]),
    row(
        Enum,
        "Enum",
        &[
            must("enumValues", implied(&[EnumValue], 1, 100), r#""enumValues": [{"name": "on", "enumValue": 1}]"#)
                .until(V2),
            may("enumValues", implied(&[EnumValue], 0, MANY)).since(V3),
            must("valueSchema", Value::Word("Schema", &["integer", "string"]), r#""valueSchema": "integer""#),
        ],
    ),
    row(EnumValue, "EnumValue", &[must("enumValue", Value::Literal, r#""enumValue": 1"#)]),
    row(
        Map,
        "Map",
        &[
            must("mapKey", implied(&[MapKey], 1, 1), r#""mapKey": {"name": "key", "schema": "string"}"#),
            must("mapValue", implied(&[MapValue], 1, 1), r#""mapValue": {"name": "value", "schema": "double"}"#),
        ],
    ),
    row(MapKey, "MapKey", &[must("schema", Value::Word("Schema", &["string"]), r#""schema": "string""#)]),
    row(MapValue, "MapValue", &[SCHEMA]),
    row(
        Object,
        "Object",
        &[
            must("fields", implied(&[Field], 1, 30), r#""fields": [{"name": "x", "schema": "double"}]"#).until(V2),
            may("fields", implied(&[Field], 0, MANY)).since(V3),
        ],
    ),
    row(Field, "Field", &[SCHEMA]),
];

impl Class {
    fn row(self) -> Option<&'static Row> {
        CLASSES.iter().find(|row| row.class == self)
    }

    /// All its properties in this version.
    pub(super) fn properties(self, version: Version) -> impl Iterator<Item = &'static Property> {
        let named = !matches!(self, Array | Enum | Interface | Map | Object);
        let own = self.row().map_or(&[][..], |row| row.own);
        let all = COMMON.iter().chain(if named { NAME } else { &[] }).chain(own);
        all.filter(move |property| (property.first..=property.last).contains(&version))
    }

    /// The class as it is written.
    pub(super) fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// Its name as a message begins: `an Enum`.
    pub(super) fn article(self) -> String {
        let article = if self.name().starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" };
        format!("{article} {}", self.name())
    }

    /// The class of this name in this version.
    pub(super) fn find(name: &str, version: Version) -> Option<Self> {
        let row = CLASSES.iter().find(|row| row.name == name)?;
        (row.versions.0..=row.versions.1).contains(&version).then_some(row.class)
    }

    /// May it carry a semantic type?
    pub(super) fn takes_quantity(self, version: Version) -> bool {
        match self {
            Telemetry | Class::Property => true,
            Field | MapValue | CommandRequest | CommandResponse => version >= V3,
            _ => false,
        }
    }
}

/// How deep and how large a model may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Schemas inside a schema.
    pub schema_depth: usize,
    /// Interfaces that extend each other.
    pub extends_depth: usize,
    /// Contents of an interface, inherited ones included.
    pub contents: usize,
    /// Interfaces that an interface extends, over all levels.
    pub extends: usize,
    /// Values below an interface, in contents, schemas and so on.
    pub values: usize,
    /// The text of an interface, those inside it not counted.
    pub interface_bytes: usize,
}

impl Version {
    pub(super) fn limits(self) -> Limits {
        let since_3 = Limits {
            schema_depth: 5,
            extends_depth: 10,
            contents: MANY,
            extends: 1024,
            values: 100_000,
            interface_bytes: 1024 * 1024,
        };
        match self {
            V2 => Limits { contents: 300, extends: MANY, values: MANY, interface_bytes: MANY, ..since_3 },
            V3 => since_3,
            V4 => Limits { schema_depth: 8, extends_depth: 12, ..since_3 },
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            V2 => ";2",
            V3 => ";3",
            V4 => ";4",
        }
    }
}

const PRIMITIVES: [&str; 10] =
    ["boolean", "date", "dateTime", "double", "duration", "float", "integer", "long", "string", "time"];
const PRIMITIVES_V4: [&str; 10] = [
    "byte",
    "bytes",
    "decimal",
    "scaledDecimal",
    "short",
    "unsignedByte",
    "unsignedInteger",
    "unsignedLong",
    "unsignedShort",
    "uuid",
];
const GEOSPATIAL: [&str; 6] = ["lineString", "multiLineString", "multiPoint", "multiPolygon", "point", "polygon"];
const CENTRAL: [&str; 2] = ["geopoint", "vector"];

/// The simple schemas by name. `central` adds IoT Central's.
pub(super) fn simple_schemas(version: Version, central: bool) -> impl Iterator<Item = &'static str> {
    let later: &[&str] = if version == V4 { &PRIMITIVES_V4 } else { &[] };
    let central: &[&str] = if central { &CENTRAL } else { &[] };
    PRIMITIVES.iter().chain(later).chain(&GEOSPATIAL).chain(central).copied()
}

/// The simple schema that a text names, by word or by DTMI.
pub(super) fn simple_schema(text: &str, version: Version, central: bool) -> Option<&'static str> {
    let (name, central) = match long_name(text, "dtmi:iotcentral:schema:", V2) {
        Some(name) => (name, true),
        None => (
            long_name(text, "dtmi:dtdl:instance:Schema:", version)
                .or_else(|| long_name(text, "dtmi:standard:schema:geospatial:", version))
                .unwrap_or(text),
            central,
        ),
    };
    simple_schemas(version, central).find(|known| *known == name)
}

/// Is a simple schema one of numbers?
pub(super) fn is_numeric(schema: &str) -> bool {
    let later = matches!(schema, "byte" | "decimal" | "short") || schema.starts_with("unsigned");
    later || matches!(schema, "double" | "float" | "integer" | "long")
}

/// Does a simple schema hold an array inside?
pub(super) fn is_geospatial(schema: &str) -> bool {
    GEOSPATIAL.contains(&schema)
}

/// `name` of `{prefix}{name};{version}`.
pub(super) fn long_name<'t>(text: &'t str, prefix: &str, version: Version) -> Option<&'t str> {
    text.strip_prefix(prefix)?.strip_suffix(version.suffix())
}

/// Words of the language that name neither a class nor a property nor a schema of it.
const OTHER_WORDS: [&str; 35] = [
    "AdjunctType",
    "Alias",
    "aliasFor",
    "asynchronous",
    "Boolean",
    "CommandType",
    "ComplexSchema",
    "Content",
    "Date",
    "DateTime",
    "Double",
    "DtdlExtension",
    "Duration",
    "Entity",
    "exponent",
    "Float",
    "Integer",
    "languageMajorVersion",
    "LatentType",
    "Long",
    "metamodel",
    "model",
    "NamedEntity",
    "NamedLatentType",
    "NumericSchema",
    "PrimitiveSchema",
    "Schema",
    "SchemaField",
    "SemanticType",
    "SemanticUnit",
    "String",
    "symbol",
    "synchronous",
    "TemporalSchema",
    "Time",
];

/// Is it a word of the language, which can't be a type of someone else's?
pub(super) fn is_word(text: &str) -> bool {
    OTHER_WORDS.contains(&text)
        || matches!(text, "Unit" | "UnitAttribute")
        || simple_schemas(V3, false).any(|schema| schema == text)
        || CLASSES.iter().any(|row| row.name == text || row.class.properties(V3).any(|property| property.name == text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_is_there_once_in_a_version() {
        for Row { class, name, .. } in CLASSES {
            for version in [V2, V3, V4] {
                let mut names: Vec<_> = class.properties(version).map(|property| property.name).collect();
                let count = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), count, "{name} {version:?}: {names:?}");
            }
        }
    }
}

//! Every rule of the language that is told, broken and followed, in models of our own.

use muster_model::dtdl::json::{self, Node};
use muster_model::dtdl::{self, Code, Report, Rules};
use serde_json::{Value, json};
use std::collections::HashSet;

const TWO: &str = "dtmi:dtdl:context;2";
const THREE: &str = "dtmi:dtdl:context;3";
const FOUR: &str = "dtmi:dtdl:context;4";

/// An interface with some more members.
fn with(context: impl Into<Value>, members: Value) -> Value {
    let mut model = json!({"@context": context.into(), "@id": "dtmi:mill:Press;1", "@type": "Interface"});
    if let (Some(model), Value::Object(members)) = (model.as_object_mut(), members) {
        model.extend(members);
    }
    model
}

/// An interface of version 2 with these contents.
fn two(contents: Value) -> Value {
    with(TWO, json!({ "contents": contents }))
}

/// An interface of version 3 with these contents.
fn three(contents: Value) -> Value {
    with(THREE, json!({ "contents": contents }))
}

/// A telemetry with some more members.
fn telemetry(members: Value) -> Value {
    let mut telemetry = json!({"@type": "Telemetry", "name": "force", "schema": "double"});
    if let (Some(telemetry), Value::Object(members)) = (telemetry.as_object_mut(), members) {
        telemetry.extend(members);
    }
    telemetry
}

/// A telemetry of this schema, in version 3.
fn schema(schema: Value) -> Value {
    three(telemetry(json!({ "schema": schema })))
}

/// An array in an array, so many in all.
fn arrays(count: usize) -> Value {
    (0..count).fold(json!("double"), |inner, _| json!({"@type": "Array", "elementSchema": inner}))
}

/// Interfaces that extend each other in a chain.
fn chain(context: &str, count: usize) -> Value {
    let link = |number: usize| {
        let mut link = with(context, json!({"@id": format!("dtmi:mill:Stage{number};1")}));
        if number > 0 {
            link["extends"] = json!(format!("dtmi:mill:Stage{};1", number - 1));
        }
        link
    };
    (0..count).map(link).collect()
}

fn enumeration(value_schema: &str, values: Value) -> Value {
    schema(json!({"@type": "Enum", "valueSchema": value_schema, "enumValues": values}))
}

fn object(fields: Value) -> Value {
    schema(json!({"@type": "Object", "fields": fields}))
}

fn fields(count: usize) -> Value {
    (0..count).map(|n| json!({"name": format!("f{n}"), "schema": "long"})).collect()
}

fn many(count: usize) -> Value {
    (0..count).map(|n| telemetry(json!({"name": format!("t{n}")}))).collect()
}

fn component(name: &str, schema: impl Into<Value>) -> Value {
    json!({"@type": "Component", "name": name, "schema": schema.into()})
}

/// A rule: its code, models that break it, models that follow it.
struct Rule(Code, Vec<Value>, Vec<Value>);

fn of_contexts() -> Vec<Rule> {
    let quantities = "dtmi:dtdl:extension:quantitativeTypes;1";
    let central = "dtmi:iotcentral:context;2";
    let inner = |context: &str| three(telemetry(json!({ "@context": context })));
    vec![
        Rule(
            Code::MissingContext,
            vec![json!({"@id": "dtmi:mill:Press;1", "@type": "Interface"}), with(json!([]), json!({}))],
            vec![with(TWO, json!({})), with(json!([THREE]), json!({})), with(FOUR, json!({}))],
        ),
        Rule(
            Code::InvalidContext,
            vec![
                with(json!([THREE, 7]), json!({})),
                with(json!([THREE, {"mill": "dtmi:mill:words;1"}]), json!({})),
                with(json!([THREE, "dtmi:mill:words"]), json!({})),
                with(json!([central, THREE]), json!({})),
                with(json!([quantities, THREE]), json!({})),
                inner(FOUR),
                with(TWO, json!({"contents": [telemetry(json!({"@context": THREE}))]})),
                object(json!({"@context": TWO, "name": "x", "schema": "double"})),
            ],
            vec![with(json!([THREE, quantities]), json!({})), inner(TWO), inner(quantities), inner(THREE)],
        ),
        Rule(
            Code::UnknownContext,
            vec![
                with("dtmi:dtdl:context;1", json!({})),
                with(json!([THREE, "dtmi:mill:words;1"]), json!({})),
                with(json!([THREE, "dtmi:dtdl:extension:quantitativeTypes;2"]), json!({})),
                with(json!([TWO, quantities]), json!({})),
                with(json!([THREE, "dtmi:dtdl:extension:mqtt;9"]), json!({})),
                with(json!([THREE, "dtmi:dtdl:limits:onvif;1"]), json!({})),
            ],
            vec![
                with(json!([FOUR, "dtmi:dtdl:extension:quantitativeTypes;2"]), json!({})),
                with(json!([TWO, central]), json!({})),
                with(json!([THREE, central]), json!({})),
                with(json!([THREE, "dtmi:dtdl:extension:mqtt;3"]), json!({})),
                with(json!(["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:limits:onvif;1"]), json!({})),
            ],
        ),
        Rule(
            Code::RepeatedContext,
            vec![with(json!([TWO, TWO]), json!({})), with(json!([TWO, THREE]), json!({}))],
            vec![with(json!([TWO, central]), json!({}))],
        ),
        Rule(
            Code::ContextOrder,
            vec![with(json!([central, TWO]), json!({}))],
            vec![with(json!([TWO, central]), json!({}))],
        ),
    ]
}

fn of_ids() -> Vec<Rule> {
    let named = |id: &str| with(THREE, json!({ "@id": id }));
    let old = |id: &str| with(TWO, json!({ "@id": id }));
    let target = |id: Value| three(json!({"@type": "Relationship", "name": "feeds", "target": id}));
    let shared = |id: Value| {
        let mut shared = json!({"@type": "Array", "elementSchema": "double"});
        if !id.is_null() {
            shared["@id"] = id;
        }
        with(THREE, json!({ "schemas": shared }))
    };
    vec![
        Rule(
            Code::MissingId,
            vec![json!({"@context": THREE, "@type": "Interface"}), shared(Value::Null)],
            vec![named("dtmi:mill:Press;1"), shared(json!("dtmi:mill:forces;1"))],
        ),
        Rule(
            Code::InvalidId,
            vec![
                named("mill:Press;1"),
                named("dtmi:mill:_Press;1"),
                named("dtmi:mill:Press_;1"),
                named("dtmi:mill:Press;0"),
                named("dtmi:mill:Press;1.0"),
                named("dtmi:dtdl:Press;1"),
                named("dtmi:standard:Press;1"),
                old("dtmi:mill:Press"),
                old("dtmi:mill:Press;1.2"),
                with(THREE, json!({"@id": 7})),
                with(THREE, json!({"@id": ["dtmi:mill:Press;1"]})),
                target(json!("feeder")),
                target(json!(7)),
            ],
            vec![
                named("dtmi:mill:Press"),
                named("dtmi:mill:Press;1.2"),
                old("dtmi:mill:press_2:A;999999999"),
                target(json!("dtmi:mill:Feeder;1")),
                target(json!(["dtmi:mill:Press;1"])),
            ],
        ),
        Rule(
            Code::RepeatedId,
            vec![
                json!([named("dtmi:mill:Press;1"), named("dtmi:mill:Press;1")]),
                three(telemetry(json!({"@id": "dtmi:mill:Press;1"}))),
            ],
            vec![json!([named("dtmi:mill:Press;1"), named("dtmi:mill:Press;2")])],
        ),
        Rule(
            Code::TooLong,
            vec![
                named(&format!("dtmi:{};1", "a".repeat(128))),
                three(telemetry(json!({"@id": format!("dtmi:{};1", "a".repeat(2048))}))),
                two(telemetry(json!({"name": "a".repeat(65)}))),
                three(telemetry(json!({"name": "a".repeat(513)}))),
                with(TWO, json!({"displayName": "ü".repeat(65)})),
                with(THREE, json!({"displayName": {"de": "ü".repeat(513)}})),
                with(THREE, json!({"description": [{"@value": "ü".repeat(513), "@language": "de"}]})),
                with(THREE, json!({"comment": "a".repeat(513)})),
                target(json!(format!("dtmi:{};1", "a".repeat(2048)))),
            ],
            vec![
                named(&format!("dtmi:{};1", "a".repeat(121))),
                two(telemetry(json!({"name": "a".repeat(64)}))),
                three(telemetry(json!({"name": "a".repeat(512)}))),
                with(TWO, json!({"displayName": "ü".repeat(64)})),
                with(THREE, json!({"description": "ü".repeat(512)})),
                with(
                    json!(["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:limits:onvif;1"]),
                    json!({"description": "a".repeat(4096)}),
                ),
            ],
        ),
    ]
}

fn of_types() -> Vec<Rule> {
    let typed = |types: Value| two(telemetry(json!({ "@type": types })));
    let later = |types: Value| three(telemetry(json!({ "@type": types })));
    vec![
        Rule(
            Code::NotAnInterface,
            vec![json!("Press"), json!([7]), json!([[with(TWO, json!({}))]]), Value::Null],
            vec![json!([]), json!([with(TWO, json!({}))])],
        ),
        Rule(
            Code::MissingType,
            vec![
                json!({"@context": TWO, "@id": "dtmi:mill:Press;1"}),
                two(json!({"name": "force", "schema": "double"})),
                typed(json!(["Telemetry", 7])),
            ],
            vec![typed(json!("Telemetry")), typed(json!(["Telemetry"]))],
        ),
        Rule(
            Code::WrongType,
            vec![
                with(
                    TWO,
                    json!({"@type": "Enum", "valueSchema": "integer", "enumValues": {"name": "a", "enumValue": 1}}),
                ),
                typed(json!("Telemetri")),
                typed(json!(["Telemetry", "Property"])),
                two(json!({"@type": "EnumValue", "name": "open", "enumValue": 1})),
                typed(json!([])),
                two(telemetry(json!({"@type": ["Telemetry", "Force", "Mass"], "unit": "newton"}))),
                two(
                    json!({"@type": "Command", "name": "stop", "request": {"@type": "CommandRequest", "name": "at", "schema": "long"}}),
                ),
            ],
            vec![
                two(
                    json!({"@type": "Command", "name": "stop", "request": {"@type": "CommandPayload", "name": "at", "schema": "long"}}),
                ),
                three(
                    json!({"@type": "Command", "name": "stop", "response": {"@type": "CommandResponse", "name": "at", "schema": "long"}}),
                ),
            ],
        ),
        Rule(
            Code::UnknownType,
            vec![
                typed(json!(["Telemetry", "dtmi:mill:Hot;1"])),
                typed(json!(["Telemetry", "dtmi:mill"])),
                typed(json!(["Telemetry", "boolean"])),
                later(json!(["Telemetry", "Hot"])),
                later(json!(["Telemetry", "http://mill.example/Hot"])),
                three(telemetry(json!({"@type": ["Telemetry", "Force"], "unit": "newton"}))),
            ],
            vec![typed(json!(["Telemetry", "Hot"])), typed(json!(["Telemetry", "http://mill.example/Hot"]))],
        ),
        Rule(Code::UncheckedType, vec![typed(json!(["Telemetry", "Hot"]))], vec![typed(json!("Telemetry"))]),
        Rule(
            Code::RepeatedType,
            vec![
                typed(json!(["Telemetry", "Telemetry"])),
                two(telemetry(json!({"@type": ["Telemetry", "Force", "Force"], "unit": "newton"}))),
            ],
            vec![two(telemetry(json!({"@type": ["Telemetry", "Force"], "unit": "newton"})))],
        ),
        Rule(
            Code::PreferTerm,
            vec![
                typed(json!("dtmi:dtdl:class:Telemetry;2")),
                later(json!("dtmi:dtdl:class:Telemetry;3")),
                schema(json!("dtmi:dtdl:instance:Schema:long;3")),
                schema(json!("dtmi:standard:schema:geospatial:point;3")),
                with(TWO, json!({"dtmi:dtdl:property:comment;2": "pressed"})),
                two(telemetry(json!({"@type": ["Telemetry", "Force"], "unit": "dtmi:standard:unit:newton;2"}))),
            ],
            vec![schema(json!("point"))],
        ),
    ]
}

fn of_properties() -> Vec<Rule> {
    let writable =
        |value: Value| three(json!({"@type": "Property", "name": "limit", "schema": "long", "writable": value}));
    let feeds = |members: Value| {
        let mut feeds = json!({"@type": "Relationship", "name": "feeds"});
        if let (Some(feeds), Value::Object(members)) = (feeds.as_object_mut(), members) {
            feeds.extend(members);
        }
        feeds
    };
    vec![
        Rule(
            Code::InvalidKeyword,
            vec![
                with(THREE, json!({"@value": 7})),
                with(TWO, json!({"@graph": []})),
                with(THREE, json!({"comment": {"@value": "pressed", "@type": "xsd:string", "@language": "en"}})),
                with(TWO, json!({"comment": {"@value": "pressed", "@type": "xsd:string", "@id": "dtmi:mill:x;1"}})),
            ],
            vec![with(THREE, json!({"comment": {"@value": "pressed", "@type": "xsd:string"}}))],
        ),
        Rule(
            Code::IgnoredKeyword,
            vec![
                with(TWO, json!({"@value": 7})),
                with(TWO, json!({"comment": {"@value": "pressed", "@type": "xsd:string", "@language": "en"}})),
            ],
            vec![with(TWO, json!({}))],
        ),
        Rule(
            Code::UnknownProperty,
            vec![
                three(telemetry(json!({"colour": "red"}))),
                three(telemetry(json!({"dtmi:mill:colour;1": "red"}))),
                two(telemetry(json!({"unit": "newton"}))),
                three(telemetry(json!({"writable": true}))),
                two(json!({"@type": "Relationship", "name": "feeds", "schema": "double"})),
                two(json!({"@type": "Command", "name": "stop", "nullable": true})),
            ],
            vec![
                three(telemetry(json!({"comment": "red"}))),
                two(telemetry(json!({"@type": ["Telemetry", "Painted"], "colour": "red"}))),
                with(
                    FOUR,
                    json!({"contents": {"@type": "Command", "name": "stop", "request": {"name": "at", "schema": "long", "nullable": true}}}),
                ),
            ],
        ),
        Rule(
            Code::MissingProperty,
            vec![
                two(json!({"@type": "Telemetry", "name": "force"})),
                two(json!({"@type": "Telemetry", "schema": "double"})),
                two(json!({"@type": "Component", "name": "part"})),
                two(json!({"@type": "Relationship"})),
                two(telemetry(json!({"schema": {"@type": "Array"}}))),
                two(telemetry(json!({"schema": {"@type": "Enum", "valueSchema": "integer"}}))),
                two(telemetry(json!({"schema": {"@type": "Object"}}))),
                enumeration("integer", json!([{"name": "open"}])),
                schema(json!({"@type": "Map", "mapKey": {"name": "part", "schema": "string"}})),
            ],
            vec![
                schema(json!({"@type": "Enum", "valueSchema": "integer"})),
                schema(json!({"@type": "Object"})),
                schema(
                    json!({"@type": "Map", "mapKey": {"name": "part", "schema": "string"}, "mapValue": {"name": "mass", "schema": "double"}}),
                ),
            ],
        ),
        Rule(
            Code::RepeatedProperty,
            vec![with(THREE, json!({"comment": "one", "dtmi:dtdl:property:comment;3": "two"}))],
            vec![with(THREE, json!({"comment": "one"}))],
        ),
        Rule(
            Code::WrongValue,
            vec![
                with(THREE, json!({"comment": 7})),
                with(THREE, json!({"comment": null})),
                with(THREE, json!({"comment": {"@type": "xsd:string"}})),
                with(THREE, json!({"displayName": 7})),
                with(THREE, json!({"displayName": {"en": 7}})),
                with(THREE, json!({"displayName": [7]})),
                with(THREE, json!({"displayName": [{"@value": 7, "@language": "en"}]})),
                with(THREE, json!({"contents": [7]})),
                with(THREE, json!({"contents": ["force"]})),
                writable(json!("yes")),
                two(feeds(json!({"maxMultiplicity": 501}))),
                three(feeds(json!({"maxMultiplicity": 0}))),
                three(feeds(json!({"maxMultiplicity": 1.5}))),
                three(feeds(json!({"maxMultiplicity": 3_000_000_000_u64}))),
                three(feeds(json!({"minMultiplicity": 1}))),
                two(json!({"@type": "Command", "name": "stop", "commandType": "later"})),
                enumeration("integer", json!([{"name": "open", "enumValue": "1"}])),
                enumeration("string", json!([{"name": "open", "enumValue": 1}])),
                enumeration("integer", json!([{"name": "open", "enumValue": 3_000_000_000_u64}])),
                enumeration("double", json!([])),
                schema(
                    json!({"@type": "Map", "mapKey": {"name": "part", "schema": "integer"}, "mapValue": {"name": "mass", "schema": "double"}}),
                ),
            ],
            vec![
                with(THREE, json!({"comment": ["pressed"]})),
                with(THREE, json!({"comment": []})),
                writable(json!([true])),
                writable(json!({"@value": false, "@type": "http://www.w3.org/2001/XMLSchema#boolean"})),
                two(feeds(json!({"maxMultiplicity": 500, "minMultiplicity": 0}))),
                three(feeds(json!({"maxMultiplicity": i32::MAX}))),
                enumeration("string", json!([{"name": "open", "enumValue": "1"}])),
            ],
        ),
        Rule(
            Code::InvalidName,
            vec![
                three(telemetry(json!({"name": "2fast"}))),
                three(telemetry(json!({"name": "_force"}))),
                three(telemetry(json!({"name": "force_"}))),
                three(telemetry(json!({"name": "a-b"}))),
                three(telemetry(json!({"name": ""}))),
                enumeration("integer", json!({"name": "half open", "enumValue": 1})),
            ],
            vec![three(telemetry(json!({"name": "f_2"}))), three(telemetry(json!({"name": ["force"]})))],
        ),
        Rule(
            Code::UntypedValue,
            vec![with(TWO, json!({"comment": {"@value": "pressed"}})), writable(json!({"@value": true}))],
            vec![writable(json!({"@value": true, "@type": "xsd:boolean"}))],
        ),
        Rule(
            Code::UntaggedValue,
            vec![with(THREE, json!({"displayName": [{"@value": "Press"}]}))],
            vec![with(THREE, json!({"displayName": [{"@value": "Presse", "@language": "de"}]}))],
        ),
        Rule(
            Code::InvalidLanguage,
            vec![
                with(THREE, json!({"displayName": {"EN": "Press"}})),
                with(THREE, json!({"displayName": {"english": "Press"}})),
                with(THREE, json!({"displayName": [{"@value": "Press", "@language": 7}]})),
                with(THREE, json!({"displayName": ["Press", {"@value": "The press", "@language": "en"}]})),
            ],
            vec![
                with(
                    THREE,
                    json!({"displayName": {"en": "Press", "pt-BR": "Prensa", "zh-Hant-TW": "印刷机", "es-419": "P"}}),
                ),
                with(THREE, json!({"displayName": ["Press", {"@value": "Presse", "@language": "fr"}]})),
            ],
        ),
        Rule(
            Code::Deprecated,
            vec![two(json!({"@type": "Command", "name": "stop", "commandType": "synchronous"}))],
            vec![two(json!({"@type": "Command", "name": "stop"}))],
        ),
    ]
}

fn of_schemas() -> Vec<Rule> {
    let force = |members: Value| {
        let mut force = json!({"@type": ["Telemetry", "Force"], "name": "force", "schema": "double"});
        if let (Some(force), Value::Object(members)) = (force.as_object_mut(), members) {
            force.extend(members);
        }
        two(force)
    };
    let property = |context: &str, schema: Value| {
        with(context, json!({"contents": {"@type": "Property", "name": "limit", "schema": schema}}))
    };
    let central = |kind: &str, schema: &str| {
        with(
            json!([TWO, "dtmi:iotcentral:context;2"]),
            json!({"contents": telemetry(json!({"@type": ["Telemetry", kind], "schema": schema}))}),
        )
    };
    vec![
        Rule(
            Code::WrongSchema,
            vec![
                schema(json!("dubble")),
                schema(json!("uuid")),
                schema(json!("geopoint")),
                schema(json!(["double", "long"])),
                schema(json!([])),
                force(json!({"schema": "string", "unit": "newton"})),
                property(TWO, arrays(1)),
                property(TWO, json!("polygon")),
                property(TWO, json!({"@type": "Object", "fields": {"name": "x", "schema": arrays(1)}})),
                central("Location", "double"),
                central("VelocityVector", "geopoint"),
            ],
            vec![
                schema(json!(["double"])),
                with(FOUR, json!({"contents": telemetry(json!({"schema": "uuid"}))})),
                force(json!({"schema": "long", "unit": "newton"})),
                property(THREE, arrays(1)),
                property(THREE, json!("polygon")),
                central("Location", "geopoint"),
                central("VelocityVector", "vector"),
                central("Event", "string"),
            ],
        ),
        Rule(
            Code::WrongUnit,
            vec![force(json!({})), force(json!({"unit": "gram"})), force(json!({"unit": 7}))],
            vec![force(json!({"unit": "newton"})), force(json!({"unit": ["pound"]}))],
        ),
        Rule(
            Code::WrongCount,
            vec![
                two(many(301)),
                two(telemetry(json!({"schema": {"@type": "Object", "fields": fields(31)}}))),
                two(telemetry(json!({"schema": {"@type": "Object", "fields": []}}))),
                two(component("part", json!([]))),
                three(
                    json!({"@type": "Command", "name": "stop", "request": [{"name": "a", "schema": "long"}, {"name": "b", "schema": "long"}]}),
                ),
                with(THREE, json!({"comment": ["a", "b"]})),
                json!([
                    with(TWO, json!({"extends": ["dtmi:mill:A;1", "dtmi:mill:B;1", "dtmi:mill:C;1"]})),
                    with(TWO, json!({"@id": "dtmi:mill:A;1"})),
                    with(TWO, json!({"@id": "dtmi:mill:B;1"})),
                    with(TWO, json!({"@id": "dtmi:mill:C;1"})),
                ]),
            ],
            vec![
                two(many(300)),
                three(many(301)),
                two(telemetry(json!({"schema": {"@type": "Object", "fields": fields(30)}}))),
                object(fields(31)),
                object(json!([])),
            ],
        ),
        Rule(
            Code::TooDeep,
            vec![
                schema(arrays(6)),
                with(FOUR, json!({"contents": telemetry(json!({"schema": arrays(9)}))})),
                chain(TWO, 12),
                chain(THREE, 12),
                chain(FOUR, 14),
            ],
            vec![
                schema(arrays(5)),
                with(FOUR, json!({"contents": telemetry(json!({"schema": arrays(8)}))})),
                with(
                    json!(["dtmi:dtdl:context;4#limitless", "dtmi:dtdl:limits:onvif;1"]),
                    json!({"contents": telemetry(json!({"schema": arrays(24)}))}),
                ),
                chain(THREE, 11),
                chain(FOUR, 13),
            ],
        ),
    ]
}

fn of_references() -> Vec<Rule> {
    let part = |members: Value| {
        let mut part = with(THREE, json!({"@id": "dtmi:mill:Part;1"}));
        if let (Some(part), Value::Object(members)) = (part.as_object_mut(), members) {
            part.extend(members);
        }
        part
    };
    let shared = json!({"@id": "dtmi:mill:forces;1", "@type": "Array", "elementSchema": "double"});
    let looped = |context: &str| {
        with(
            context,
            json!({"schemas": {"@id": "dtmi:mill:tree;1", "@type": "Object", "fields": {"name": "inner", "schema": "dtmi:mill:tree;1"}}}),
        )
    };
    vec![
        Rule(
            Code::UnknownReference,
            vec![
                with(THREE, json!({"extends": "dtmi:mill:Part;1"})),
                three(component("part", "dtmi:mill:Part;1")),
                schema(json!("dtmi:mill:forces;1")),
            ],
            vec![
                json!([with(THREE, json!({"extends": "dtmi:mill:Part;1"})), part(json!({}))]),
                with(THREE, json!({"extends": part(json!({}))})),
                with(THREE, json!({"schemas": shared, "contents": telemetry(json!({"schema": "dtmi:mill:forces;1"}))})),
            ],
        ),
        Rule(
            Code::WrongReference,
            vec![
                // A schema of another interface, an element of the wrong class, a newer version.
                json!([schema(json!("dtmi:mill:forces;1")), part(json!({"schemas": shared}))]),
                json!([schema(json!("dtmi:mill:Part;1")), part(json!({}))]),
                json!([with(TWO, json!({"extends": "dtmi:mill:Part;1"})), part(json!({}))]),
            ],
            vec![json!([with(FOUR, json!({"extends": "dtmi:mill:Part;1"})), part(json!({}))])],
        ),
        Rule(
            Code::Cycle,
            vec![
                with(THREE, json!({"extends": "dtmi:mill:Press;1"})),
                three(component("me", "dtmi:mill:Press;1")),
                json!([
                    with(THREE, json!({"extends": "dtmi:mill:Part;1"})),
                    part(json!({"extends": "dtmi:mill:Press;1"}))
                ]),
                looped(THREE),
            ],
            vec![three(json!({"@type": "Relationship", "name": "next", "target": "dtmi:mill:Press;1"})), looped(FOUR)],
        ),
        Rule(
            Code::NestedComponent,
            vec![
                json!([
                    three(component("part", "dtmi:mill:Part;1")),
                    part(json!({"contents": component("screw", with(THREE, json!({"@id": "dtmi:mill:Screw;1"})))})),
                ]),
                json!([
                    three(component("part", "dtmi:mill:Part;1")),
                    part(json!({"extends": "dtmi:mill:Base;1"})),
                    with(
                        THREE,
                        json!({"@id": "dtmi:mill:Base;1", "contents": component("screw", with(THREE, json!({"@id": "dtmi:mill:Screw;1"})))})
                    ),
                ]),
            ],
            vec![json!([three(component("part", "dtmi:mill:Part;1")), part(json!({"contents": many(2)}))])],
        ),
        Rule(
            Code::RepeatedName,
            vec![
                three(json!([telemetry(json!({})), telemetry(json!({}))])),
                object(json!([{"name": "x", "schema": "long"}, {"name": "x", "schema": "double"}])),
                enumeration("integer", json!([{"name": "open", "enumValue": 1}, {"name": "open", "enumValue": 2}])),
                enumeration("integer", json!([{"name": "open", "enumValue": 1}, {"name": "shut", "enumValue": 1}])),
                json!([
                    with(THREE, json!({"extends": "dtmi:mill:Part;1", "contents": telemetry(json!({}))})),
                    part(json!({"contents": telemetry(json!({}))})),
                ]),
                json!([
                    with(THREE, json!({"extends": ["dtmi:mill:Part;1", "dtmi:mill:Base;1"]})),
                    part(json!({"contents": telemetry(json!({}))})),
                    with(THREE, json!({"@id": "dtmi:mill:Base;1", "contents": telemetry(json!({}))})),
                ]),
            ],
            vec![
                // The same element may be inherited by two ways.
                json!([
                    with(THREE, json!({"extends": ["dtmi:mill:Part;1", "dtmi:mill:Base;1"]})),
                    part(json!({"extends": "dtmi:mill:Base;1"})),
                    with(THREE, json!({"@id": "dtmi:mill:Base;1", "contents": telemetry(json!({}))})),
                ]),
                enumeration("integer", json!([{"name": "open", "enumValue": 1}, {"name": "shut", "enumValue": 2}])),
            ],
        ),
    ]
}

fn of_extensions() -> Vec<Rule> {
    let extended = |extensions: &[&str], contents: Value| {
        let names = extensions.iter().map(|name| format!("dtmi:dtdl:extension:{name}"));
        let context: Vec<_> = std::iter::once(THREE.to_owned()).chain(names).collect();
        with(json!(context), json!({ "contents": contents }))
    };
    let noted = |members: Value| {
        let mut noted = json!({"@type": ["Property", "ValueAnnotation"], "name": "note", "schema": "double"});
        if let (Some(noted), Value::Object(members)) = (noted.as_object_mut(), members) {
            noted.extend(members);
        }
        let force = json!({"@type": ["Telemetry", "Force"], "name": "force", "schema": "double", "unit": "newton"});
        extended(&["quantitativeTypes;1", "annotation;1", "overriding;1"], json!([force, noted]))
    };
    let types = json!(["Property", "ValueAnnotation", "Override"]);
    let indexed = |index: Value, name: &str| json!({"@type": ["Telemetry", "Indexed"], "name": name, "schema": "double", "index": index});
    let mqtt = |members: Value| {
        let mut mqtt = json!({"@type": ["Interface", "Mqtt"], "payloadFormat": "json"});
        if let (Some(mqtt), Value::Object(members)) = (mqtt.as_object_mut(), members) {
            mqtt.extend(members);
        }
        with(json!([THREE, "dtmi:dtdl:extension:mqtt;1"]), mqtt)
    };
    let answer = |kind: &str, fields: Value| {
        let response = json!({"name": "answer", "schema": {"@type": ["Object", kind], "fields": fields}});
        extended(&["mqtt;3"], json!({"@type": "Command", "name": "stop", "response": response}))
    };
    let field = |kind: &str| json!({"@type": ["Field", kind], "name": kind, "schema": "string"});
    vec![
        Rule(
            Code::UnknownReference,
            vec![
                noted(json!({"annotates": "mass"})),
                noted(json!({"annotates": "note"})),
                noted(json!({"@type": types, "annotates": "force", "overrides": "colour", "schema": "ForceUnit"})),
            ],
            vec![
                noted(json!({"annotates": "force"})),
                noted(json!({"@type": types, "annotates": "force", "overrides": "unit", "schema": "ForceUnit"})),
            ],
        ),
        Rule(
            Code::WrongSchema,
            vec![
                noted(json!({"@type": types, "annotates": "force", "overrides": "unit", "schema": "MassUnit"})),
                noted(json!({"annotates": "force", "schema": "ForceUnit"})),
                extended(
                    &["mqtt;2"],
                    json!({"@type": "Command", "name": "stop", "request": {"@type": ["CommandRequest", "Transparent"], "name": "at", "schema": "long"}}),
                ),
            ],
            vec![extended(
                &["mqtt;2"],
                json!({"@type": "Command", "name": "stop", "request": {"@type": ["CommandRequest", "Transparent"], "name": "at", "schema": {"@type": "Object"}}}),
            )],
        ),
        Rule(
            Code::MissingProperty,
            vec![noted(json!({})), extended(&["mqtt;1"], json!({"@type": ["Command", "Cacheable"], "name": "stop"}))],
            vec![extended(
                &["mqtt;1"],
                json!({"@type": ["Command", "Cacheable", "Idempotent"], "name": "stop", "ttl": "PT5M"}),
            )],
        ),
        Rule(
            Code::MissingType,
            vec![
                extended(
                    &["quantitativeTypes;1", "overriding;1"],
                    json!({"@type": ["Property", "Override"], "name": "x", "schema": "ForceUnit", "overrides": "unit"}),
                ),
                answer("Result", json!([{"name": "x", "schema": "long"}])),
            ],
            vec![answer("Result", json!([field("NormalResult"), field("ErrorResult")]))],
        ),
        Rule(
            Code::WrongType,
            vec![
                extended(&["historization;1"], json!({"@type": ["Command", "Historized"], "name": "stop"})),
                extended(&["requirement;1"], telemetry(json!({"@type": ["Telemetry", "Required"]}))),
                answer("Error", json!([field("NormalResult")])),
                answer(
                    "Error",
                    json!([field("ErrorMessage"), {"@type": ["Field", "ErrorMessage"], "name": "b", "schema": "string"}]),
                ),
            ],
            vec![
                extended(&["historization;1"], telemetry(json!({"@type": ["Telemetry", "Historized"]}))),
                extended(&["historization;2"], telemetry(json!({"@type": ["Telemetry", "Historized"]}))),
                extended(
                    &["requirement;1"],
                    telemetry(
                        json!({"schema": {"@type": "Object", "fields": {"@type": ["Field", "Required"], "name": "x", "schema": "long"}}}),
                    ),
                ),
                answer("Error", json!([field("ErrorMessage")])),
            ],
        ),
        Rule(
            Code::WrongValue,
            vec![
                mqtt(json!({"payloadFormat": "yaml"})),
                mqtt(json!({"telemetryTopic": "mill//force"})),
                extended(&["mqtt;1"], json!({"@type": ["Command", "Cacheable"], "name": "stop", "ttl": "5 minutes"})),
                extended(&["mqtt;1"], indexed(json!(0), "a")),
            ],
            vec![
                mqtt(json!({"telemetryTopic": "mill/{modelId}/force", "commandTopic": "mill/{ex:command}"})),
                extended(&["mqtt;1"], json!([indexed(json!(1), "a"), indexed(json!(2), "b")])),
            ],
        ),
        Rule(
            Code::RepeatedName,
            vec![extended(&["mqtt;1"], json!([indexed(json!(1), "a"), indexed(json!(1), "b")]))],
            vec![extended(&["mqtt;1"], json!([indexed(json!(2), "a"), indexed(json!(1), "b")]))],
        ),
        Rule(
            Code::UnknownType,
            // Types of a later version of the extension, or of one that is not there.
            vec![
                extended(&["mqtt;2"], telemetry(json!({"schema": {"@type": ["Object", "Error"]}}))),
                three(telemetry(json!({"@type": ["Telemetry", "Historized"]}))),
            ],
            vec![extended(&["mqtt;3"], telemetry(json!({"schema": {"@type": ["Object", "Error"]}})))],
        ),
    ]
}

fn check(model: &Value, rules: Rules) -> Report {
    dtdl::check(&[(&Node::from_value(model), "")], rules)
}

fn codes(report: &Report, warnings: bool) -> HashSet<Code> {
    let list = if warnings { &report.warnings } else { &report.errors };
    list.iter().map(|found| found.code).collect()
}

#[test]
fn each_rule_is_told_and_nothing_else() {
    let rules = [of_contexts(), of_ids(), of_types(), of_properties(), of_schemas(), of_references(), of_extensions()];
    let (mut tested, mut wrong) = (HashSet::new(), Vec::new());
    for Rule(code, breaks, follows) in rules.into_iter().flatten() {
        assert!(!breaks.is_empty() && !follows.is_empty(), "{code} is not tested");
        tested.insert(code);
        for (model, broken) in
            breaks.iter().map(|model| (model, true)).chain(follows.iter().map(|model| (model, false)))
        {
            let report = check(model, Rules::Strict);
            let (errors, warnings) = (codes(&report, false), codes(&report, true));
            let fine = match (broken, code.is_warning()) {
                (true, true) => errors.is_empty() && warnings.contains(&code),
                (true, false) => errors == HashSet::from([code]),
                (false, _) => errors.is_empty() && !warnings.contains(&code),
            };
            if !fine {
                wrong.push(format!("{code} (broken: {broken}) {model}: {:#?} {:#?}", report.errors, report.warnings));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // These need a text, or another way of reading; see below.
    tested.extend([Code::NotJson, Code::TooLarge, Code::RepeatedKey, Code::UncheckedContext]);
    let untested: Vec<_> = Code::ALL.iter().filter(|code| !tested.contains(code)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn each_code_is_documented() {
    let text = include_str!("../../../docs/dtdl.md");
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !text.contains(&format!("\n| `{code}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn unknown_extensions_are_passed_over_where_that_is_allowed() {
    let model = with(
        json!([THREE, "dtmi:mill:words;1"]),
        json!({"contents": telemetry(json!({"@type": ["Telemetry", "Hot"], "colour": "red"}))}),
    );
    assert_eq!(codes(&check(&model, Rules::Strict), false), HashSet::from([Code::UnknownContext]));
    let report = check(&model, Rules::UnknownExtensions);
    assert!(report.is_valid());
    assert_eq!(codes(&report, true), HashSet::from([Code::UncheckedContext, Code::UncheckedType]));
    // What the language says itself stays an error.
    let model = with(json!([THREE, "dtmi:mill:words;1"]), json!({"contents": telemetry(json!({"name": "2"}))}));
    assert_eq!(codes(&check(&model, Rules::UnknownExtensions), false), HashSet::from([Code::InvalidName]));
}

#[test]
fn templates_of_iot_central_are_read_leniently() {
    let part = json!({"@id": "urn:mill:Part:1", "@type": "Interface", "contents": telemetry(json!({"@type": ["Telemetry", "NumberValue", "Painted"], "minValue": "0", "maxValue": 9.5, "decimalPlaces": "", "colour": "red"}))});
    let mut model = json!({
        "@id": "urn:mill:Press:1", "@type": "Interface",
        "contents": [
            component("left", part.clone()), component("right", part),
            {"@type": ["Property", "Cloud", "StringValue"], "name": "hall", "schema": "string", "maxLength": 20},
            {"@type": ["Property", "Initialized"], "name": "limit", "schema": "geopoint", "initialValue": {"lat": 1}},
            {"@type": ["Telemetry", "Force"], "name": "force", "schema": "double"},
        ],
    });
    assert!(check(&model, Rules::Central).is_valid(), "{:#?}", check(&model, Rules::Central).errors);
    for context in
        [json!("dtmi:iotcentral:context;2"), json!(["dtmi:iotcentral:context;2", TWO]), json!(["dtmi:mill:words;1"])]
    {
        model["@context"] = context;
        assert!(check(&model, Rules::Central).is_valid(), "{:#?}", check(&model, Rules::Central).errors);
    }
    model["contents"][2]["maxLength"] = json!("long");
    assert_eq!(codes(&check(&model, Rules::Central), false), HashSet::from([Code::WrongValue]));
}

/// Checks a text.
fn check_text(text: &str) -> Report {
    match json::parse(text) {
        Ok(node) => dtdl::check(&[(&node, "")], Rules::Strict),
        Err(found) => {
            let mut report = Report::default();
            report.errors.push(found);
            report
        }
    }
}

#[test]
fn texts_are_told_where_they_break() {
    let found = |text: &str| {
        let report = check_text(text);
        report.errors.iter().map(|error| (error.code, error.pointer.clone(), error.position.line)).collect::<Vec<_>>()
    };
    assert_eq!(found("{\n\"@type\":}"), [(Code::NotJson, String::new(), 2)]);
    let text = with(THREE, json!({"contents": many(2)})).to_string();
    assert!(check_text(&text).is_valid());
    let twice = text.replacen("\"name\":\"t1\"", "\n\"name\":\"t1\",\n\"name\":\"t2\"", 1);
    assert_eq!(
        found(&twice),
        [
            (Code::RepeatedKey, "/contents/1/name".to_owned(), 3),
            (Code::RepeatedProperty, "/contents/1/name".to_owned(), 3)
        ]
    );
}

#[test]
fn the_text_of_an_interface_is_limited_without_those_inside() {
    let filler = |count: usize| -> Value {
        (0..count).map(|n| telemetry(json!({"name": format!("t{n}"), "comment": "a".repeat(480)}))).collect()
    };
    let inner = with(THREE, json!({"@id": "dtmi:mill:Part;1", "contents": filler(1200)}));
    let outer = with(
        THREE,
        json!({"extends": inner, "contents": (0..1200).map(|n| telemetry(json!({"name": format!("u{n}"), "comment": "a".repeat(480)}))).collect::<Value>()}),
    );
    assert!(outer.to_string().len() > 1024 * 1024);
    assert!(check_text(&outer.to_string()).is_valid());
    let large = with(THREE, json!({"contents": filler(2400)}));
    assert_eq!(codes(&check_text(&large.to_string()), false), HashSet::from([Code::TooLarge]));
}

#[test]
fn a_message_is_help() {
    for (model, pointer, message) in [
        (
            two(json!({"@type": "Telemetry", "name": "force"})),
            "/contents",
            "Telemetry 'force' has no schema: add \"schema\": \"double\"",
        ),
        (schema(json!("dubble")), "/contents/schema", "schema 'dubble' is not known; did you mean 'double'?"),
        (
            two(telemetry(json!({"@type": "Telemetri"}))),
            "/contents/@type",
            "Command or Component or Property or Relationship or Telemetry is wanted here, this is something else; did you mean 'Telemetry'?",
        ),
        (
            three(telemetry(json!({"displayname": "Force"}))),
            "/contents/displayname",
            "a Telemetry has no property 'displayname'; did you mean 'displayName'?",
        ),
        (
            three(telemetry(json!({"@type": ["Telemetry", "Force"], "unit": "newton"}))),
            "/contents/@type",
            "semantic type 'Force' needs the context \"dtmi:dtdl:extension:quantitativeTypes;1\": add it to @context",
        ),
        (with(THREE, json!({"a/b~c": 1})), "/a~1b~0c", "an Interface has no property 'a/b~c': remove it"),
    ] {
        let report = check(&model, Rules::Strict);
        assert_eq!((report.errors[0].pointer.as_str(), report.errors[0].message.as_str()), (pointer, message));
        assert_eq!(report.errors[0].id.as_deref(), Some("dtmi:mill:Press;1"));
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let contents: Value = (0..500).map(|n| json!({"@type": "Telemetry", "name": format!("{n}")})).collect();
    let report = check(&three(contents), Rules::Strict);
    assert_eq!((report.errors.len(), report.more_errors), (1000, 0));
    // A part that cannot be read takes no blame for what refers to it, and hides nothing beside it.
    let model = json!([
        with(THREE, json!({"extends": "dtmi:mill:Part;1", "contents": [{"@type": "Telemetry", "name": "force"}, 7]})),
        with("dtmi:dtdl:context;9", json!({"@id": "dtmi:mill:Part;1", "contents": {"@id": "dtmi:mill:x;1"}})),
    ]);
    let found: Vec<_> =
        check(&model, Rules::Strict).errors.iter().map(|error| (error.code, error.pointer.clone())).collect();
    let expected = [
        (Code::MissingProperty, "/0/contents/0"),
        (Code::WrongValue, "/0/contents/1"),
        (Code::UnknownContext, "/1/@context"),
        (Code::MissingType, "/1/contents"),
    ];
    assert_eq!(found, expected.map(|(code, pointer)| (code, pointer.to_owned())));
}

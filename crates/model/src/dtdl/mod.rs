//! The Digital Twins Definition Language (DTDL), versions 2 to 4: reading a model and telling all that is wrong with it.
//!
//! ```text
//! json       text → nodes with line and column
//! context    `@context` → version and extensions
//! metamodel  the language as tables: which class has which properties
//! extension  the types of the extensions as a table
//! element    one node → one element, checked against the tables
//! property   the value of a property, as its table says
//! types      `@type` → class and second types
//! value      texts, numbers, localized texts
//! resolve    references, cycles, limits over the whole model
//! siblings   what elements beside each other owe each other
//! report     what is found, with its code and place
//! ```

mod context;
mod element;
mod extension;
mod identifier;
pub mod json;
mod metamodel;
mod property;
mod report;
mod resolve;
mod siblings;
mod types;
pub mod units;
mod value;

pub use identifier::is_dtmi;
pub use report::{Code, Finding, MAX_FINDINGS, Report};

use json::Node;

/// A version of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `dtmi:dtdl:context;2`
    V2,
    /// `dtmi:dtdl:context;3`
    V3,
    /// `dtmi:dtdl:context;4`
    V4,
}

/// How strictly a model is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// The language as it is written down; unknown contexts and types are errors.
    Strict,
    /// The same, but what an unknown context may define is passed over.
    UnknownExtensions,
    /// IoT Central's templates: no context needed, its annotations, old `urn:` ids, an interface repeated inline.
    Central,
}

/// Texts larger than this are refused unread.
pub const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// Checks the documents that make up one model; each comes with the JSON pointer it stands at in its text.
pub fn check(documents: &[(&Node, &str)], rules: Rules) -> Report {
    let mut reader = element::Reader::new(rules);
    for (index, (node, pointer)) in documents.iter().enumerate() {
        reader.root(index, node, pointer);
    }
    resolve::resolve(&mut reader);
    reader.report
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn codes(model: &Value, rules: Rules) -> Vec<&'static str> {
        check(&[(&Node::from_value(model), "")], rules).errors.iter().map(|error| error.code.as_str()).collect()
    }

    fn interface(contents: Value) -> Value {
        json!({"@context": ["dtmi:dtdl:context;2", "dtmi:iotcentral:context;2"], "@id": "dtmi:a:b;1", "@type": "Interface", "contents": contents})
    }

    #[test]
    fn types_of_iot_central_demand_their_schema() {
        let state = json!({"@type": "Enum", "valueSchema": "integer", "enumValues": [{"name": "a", "enumValue": 1}]});
        for (kind, schema, fine) in [
            ("State", state.clone(), true),
            ("State", json!("integer"), false),
            ("Event", json!("string"), true),
            ("Event", state, false),
            ("Location", json!("geopoint"), true),
            ("Location", json!("polygon"), true),
            ("Location", json!("double"), false),
            ("VelocityVector", json!("vector"), true),
            ("AccelerationVector", json!("double"), false),
        ] {
            let model = interface(json!([{"@type": ["Telemetry", kind], "name": "t", "schema": schema}]));
            let expected: &[&str] = if fine { &[] } else { &["wrongSchema"] };
            assert_eq!(codes(&model, Rules::Strict), expected, "{kind} {schema}");
        }
    }

    #[test]
    fn quantities_of_version_3_need_their_context() {
        let model = |contexts: Value| {
            json!({"@context": contexts, "@id": "dtmi:a:b", "@type": "Interface", "contents": {"@type": "Telemetry", "name": "t",
                "schema": {"@type": "Object", "fields": {"@type": ["Field", "Irradiance"], "name": "f", "schema": "double", "unit": "wattPerSquareMetre"}}}})
        };
        let with = model(json!(["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"]));
        assert!(codes(&with, Rules::Strict).is_empty());
        assert_eq!(codes(&model(json!("dtmi:dtdl:context;3")), Rules::Strict), ["unknownType"]);
    }

    #[test]
    fn a_hostile_model_ends_soon() {
        // Objects that name each other twice a level: two to the power of their number if each were walked anew.
        let schema = |n: usize| {
            let fields = [
                json!({"name": "a", "schema": format!("dtmi:s{};1", n + 1)}),
                json!({"name": "b", "schema": format!("dtmi:s{};1", n + 1)}),
            ];
            json!({"@id": format!("dtmi:s{n};1"), "@type": "Object", "fields": fields})
        };
        let mut model = interface(json!([]));
        let mut schemas: Vec<Value> = (0..60).map(schema).collect();
        schemas.push(json!({"@id": "dtmi:s60;1", "@type": "Object", "fields": {"name": "a", "schema": "double"}}));
        model["schemas"] = schemas.into();
        assert!(codes(&model, Rules::Strict).contains(&"tooDeep"));
        let many = interface((0..2000).map(|_| json!({})).collect());
        assert_eq!(codes(&many, Rules::Strict).len(), MAX_FINDINGS);
    }

    /// JSON that looks like a model here and there.
    fn value() -> impl Strategy<Value = Value> {
        let words = "Interface|Telemetry|Property|Component|Command|Enum|Object|Array|Map|double|integer|dtmi:a;1|dtmi:b;1|Temperature|x";
        let keys = "@id|@type|@context|contents|schema|schemas|extends|fields|enumValues|valueSchema|mapKey|mapValue|name|displayName|unit|request";
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(json!("dtmi:dtdl:context;2")),
            Just(json!("dtmi:dtdl:context;3")),
            any::<i32>().prop_map(Value::from),
            words.prop_map(Value::from)
        ];
        leaf.prop_recursive(8, 64, 6, move |inner| {
            let contexts =
                prop_oneof![Just(json!("dtmi:dtdl:context;2")), Just(json!("dtmi:dtdl:context;3")), inner.clone()];
            let members = proptest::collection::btree_map(keys, inner.clone(), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
                (members, contexts).prop_map(|(members, context)| {
                    let mut object: serde_json::Map<_, _> = members.into_iter().collect();
                    object.insert("@context".to_owned(), context);
                    Value::Object(object)
                })
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_checked_without_panic(model in value()) {
            for rules in [Rules::Strict, Rules::UnknownExtensions, Rules::Central] {
                let _ = codes(&model, rules);
            }
            let _ = crate::template::Template::import(&model, None);
            let _ = crate::template::Template::load(model, 1);
        }
    }
}

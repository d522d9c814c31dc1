//! One telemetry message: from JSON to numbers by the template, without building a tree on the way.

mod layout;
mod read;

pub use layout::Layout;

use crate::wire::bag::{Bag, BagError};
use serde_json::{Map, Value};

/// What a message may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the payload.
    pub payload_bytes: usize,
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Values in one message.
    pub keys: usize,
    /// Length of a flattened key.
    pub key_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 256 * 1024, depth: 10, keys: 300, key_bytes: 512 }
    }
}

/// Why a message is kept as rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Not JSON.
    #[error("payload is not JSON: {0}")]
    NotJson(String),
    /// JSON, but no object.
    #[error("payload is not a JSON object")]
    NotObject,
    /// Too large.
    #[error("payload is larger than {0} bytes")]
    TooLarge(usize),
    /// Too deep.
    #[error("payload is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Too many values.
    #[error("payload holds more than {0} values")]
    TooManyKeys(usize),
    /// A key is too long.
    #[error("payload holds a key longer than {0} bytes")]
    KeyTooLong(usize),
    /// The message properties can't be read.
    #[error(transparent)]
    Properties(#[from] BagError),
}

impl Reject {
    /// The reason's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "notJson",
            Self::NotObject => "notObject",
            Self::TooLarge(_) => "tooLarge",
            Self::TooDeep(_) => "tooDeep",
            Self::TooManyKeys(_) => "tooManyKeys",
            Self::KeyTooLong(_) => "keyTooLong",
            Self::Properties(_) => "badProperties",
        }
    }
}

/// A message, decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The keys of `vals` where the device has no template, sorted; else those of the layout count.
    pub keys_untyped: Option<Vec<String>>,
    /// The numbers, by the order of the keys; `None` where the message lacks one.
    pub vals: Vec<Option<f64>>,
    /// All else: `{"v": modelled, "u": unmodelled, "p": message properties, "c": component, "b": keys of booleans where
    /// the device has no template}`, absent parts left out.
    pub extra: Option<Map<String, Value>>,
}

/// Decodes a payload.
///
/// # Errors
/// [`Reject`]: the message goes to the rejected ones with its code.
pub fn decode(payload: &[u8], bag: &Bag, layout: &Layout, limits: &Limits) -> Result<Decoded, Reject> {
    let read = read::read(payload, bag.component(), layout, limits)?;
    let mut extra = Map::new();
    for (name, part) in [("v", read.modelled), ("u", read.unmodelled), ("p", bag.to_json())] {
        if !part.is_empty() {
            extra.insert(name.to_owned(), Value::Object(part));
        }
    }
    if let Some(component) = bag.component() {
        extra.insert("c".to_owned(), component.into());
    }
    if !read.booleans.is_empty() {
        extra.insert("b".to_owned(), read.booleans.into());
    }
    Ok(Decoded { keys_untyped: read.keys, vals: read.vals, extra: (!extra.is_empty()).then_some(extra) })
}

impl Decoded {
    /// The keys of `vals`.
    pub fn keys<'a>(&'a self, layout: &'a Layout) -> &'a [String] {
        self.keys_untyped.as_deref().unwrap_or(&layout.keys)
    }

    /// Every value of the message with its key, for rules and for live charts; numbers first.
    pub fn values<'a>(&'a self, layout: &'a Layout) -> impl Iterator<Item = (&'a str, Value)> {
        let numbers = self.keys(layout).iter().zip(&self.vals);
        let numbers = numbers.filter_map(|(key, val)| {
            let value = val.map(|val| number(layout, key, val, self.extra.as_ref()))?;
            Some((key.as_str(), value))
        });
        let others = ["v", "u"].into_iter().filter_map(|part| self.extra.as_ref()?.get(part)?.as_object()).flatten();
        numbers.chain(others.map(|(key, value)| (key.as_str(), value.clone())))
    }
}

/// A number as it was sent: what the layout does not know may have been a boolean.
fn number(layout: &Layout, key: &str, val: f64, extra: Option<&Map<String, Value>>) -> Value {
    let booleans = extra.and_then(|extra| extra.get("b")?.as_array());
    match booleans.is_some_and(|booleans| booleans.iter().any(|boolean| boolean == key)) {
        true => Value::Bool(val != 0.0),
        false => layout.restore(key, val),
    }
}

/// A stored message put together again, for the raw-data view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// What the template knows, by flattened key.
    pub telemetry: Map<String, Value>,
    /// What it does not.
    pub unmodelled: Map<String, Value>,
    /// The message properties.
    pub properties: Map<String, Value>,
    /// The component that sent it.
    pub component: Option<String>,
}

/// Puts a stored message together again; `keys` are those of its shape.
pub fn restore(layout: &Layout, keys: &[String], vals: &[Option<f64>], extra: Option<&Map<String, Value>>) -> Restored {
    let part = |name: &str| extra.and_then(|extra| extra.get(name)?.as_object().cloned()).unwrap_or_default();
    let mut restored = Restored {
        telemetry: part("v"),
        unmodelled: part("u"),
        properties: part("p"),
        component: extra.and_then(|extra| extra.get("c")?.as_str()).map(str::to_owned),
    };
    for (key, val) in keys.iter().zip(vals) {
        if let Some(val) = val {
            restored.telemetry.insert(key.clone(), number(layout, key, *val, extra));
        }
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Template;
    use proptest::prelude::*;
    use serde_json::json;

    fn template() -> Template {
        let document = json!({
            "@id": "dtmi:test:pump;1",
            "capabilityModel": {"@id": "dtmi:test:pumpModel;1", "@type": "Interface", "contents": [
                {"@type": "Telemetry", "name": "temperature", "schema": "double"},
                {"@type": "Telemetry", "name": "running", "schema": "boolean"},
                {"@type": "Telemetry", "name": "count", "schema": "long"},
                {"@type": "Telemetry", "name": "note", "schema": "string"},
                {"@type": ["Telemetry", "Location"], "name": "location", "schema": "geopoint"},
                {"@type": "Telemetry", "name": "level", "schema": {"@type": "Enum", "valueSchema": "integer", "enumValues": [
                    {"name": "low", "enumValue": 1}, {"name": "high", "enumValue": 2}]}},
                {"@type": "Telemetry", "name": "mode", "schema": {"@type": "Enum", "valueSchema": "string", "enumValues": [
                    {"name": "eco", "enumValue": "e"}]}},
                {"@type": "Telemetry", "name": "motor", "schema": {"@type": "Object", "fields": [
                    {"name": "speed", "schema": "integer"}, {"name": "label", "schema": "string"}]}},
                {"@type": "Telemetry", "name": "history", "schema": {"@type": "Array", "elementSchema": "double"}},
                {"@type": "Telemetry", "name": "tags", "schema": {"@type": "Map"}},
                {"@type": "Property", "name": "serial", "schema": "string"},
                {"@type": "Component", "name": "sensor1", "schema": {"@id": "dtmi:test:sensor;1", "@type": "Interface",
                    "contents": [{"@type": "Telemetry", "name": "humidity", "schema": "double"}]}},
            ]},
        });
        Template::load(document, 1).expect("a template")
    }

    fn typed() -> Layout {
        Layout::of(&template())
    }

    fn run(layout: &Layout, payload: &str, bag: &str) -> Result<Decoded, Reject> {
        decode(payload.as_bytes(), &Bag::parse(bag)?, layout, &Limits::default())
    }

    /// The numbers by key, and `extra`.
    fn seen(layout: &Layout, payload: &str, bag: &str) -> (Value, Value) {
        let decoded = run(layout, payload, bag).expect(payload);
        let numbers = decoded.keys(layout).iter().zip(&decoded.vals);
        let numbers: Map<_, _> = numbers.filter_map(|(key, val)| val.map(|val| (key.clone(), json!(val)))).collect();
        (Value::Object(numbers), decoded.extra.map_or(Value::Null, Value::Object))
    }

    #[test]
    fn a_template_says_where_each_value_goes() {
        let layout = typed();
        assert_eq!(
            layout.keys,
            [
                "temperature",
                "running",
                "count",
                "location.lat",
                "location.lon",
                "location.alt",
                "level",
                "motor.speed",
                "sensor1.humidity"
            ]
        );
        let cases = [
            (r#"{"temperature":21.5}"#, json!({"temperature": 21.5}), Value::Null),
            (r#"{"temperature":-3,"count":4}"#, json!({"temperature": -3.0, "count": 4.0}), Value::Null),
            (r#"{"running":true}"#, json!({"running": 1.0}), Value::Null),
            (r#"{"running":0}"#, json!({"running": 0.0}), Value::Null),
            (r#"{"running":2}"#, json!({}), json!({"u": {"running": 2}})),
            (r#"{"location":{"lat":1,"lon":2.5}}"#, json!({"location.lat": 1.0, "location.lon": 2.5}), Value::Null),
            (r#"{"level":2,"mode":"e","note":"ok"}"#, json!({"level": 2.0}), json!({"v": {"mode": "e", "note": "ok"}})),
            (
                r#"{"motor":{"speed":7,"label":"m","heat":3}}"#,
                json!({"motor.speed": 7.0}),
                json!({"v": {"motor.label": "m"}, "u": {"motor.heat": 3}}),
            ),
            (
                r#"{"history":[1,{"a":2}],"tags":{"a":{"b":1}}}"#,
                json!({}),
                json!({"v": {"history": [1, {"a": 2}], "tags": {"a": {"b": 1}}}}),
            ),
            (
                r#"{"temperature":"21.5","other":1,"b":true}"#,
                json!({}),
                json!({"u": {"temperature": "21.5", "other": 1, "b": true}}),
            ),
            (
                r#"{"temperature":null,"list":[1],"o":{"p":{}}}"#,
                json!({}),
                json!({"u": {"temperature": null, "list": [1], "o.p": {}}}),
            ),
            (
                r#"{"count":9007199254740993,"x":18446744073709551615}"#,
                json!({}),
                json!({"v": {"count": 9007199254740993_i64}, "u": {"x": u64::MAX}}),
            ),
            (r#"{"serial":"s"}"#, json!({}), json!({"u": {"serial": "s"}})),
            (r#"{"temperature":1,"temperature":2}"#, json!({"temperature": 2.0}), Value::Null),
            (r#"{"PartitionId":1,"$version":2,"User":{"a":1}}"#, json!({}), Value::Null),
            ("\u{feff}{ }", json!({}), Value::Null),
        ];
        for (payload, numbers, extra) in cases {
            assert_eq!(seen(&layout, payload, ""), (numbers, extra), "{payload}");
        }
    }

    #[test]
    fn a_component_prefixes_its_keys() {
        let (numbers, extra) = seen(&typed(), r#"{"humidity":40,"x":1}"#, "%24.sub=sensor1&color=red");
        assert_eq!(numbers, json!({"sensor1.humidity": 40.0}));
        assert_eq!(extra, json!({"u": {"sensor1.x": 1}, "p": {"color": "red"}, "c": "sensor1"}));
    }

    #[test]
    fn without_a_template_every_number_has_a_key() {
        let layout = Layout::untyped();
        let (numbers, extra) = seen(&layout, r#"{"b":1,"a":{"c":true,"t":"x"},"b":2,"z":[1],"n":null}"#, "");
        assert_eq!(numbers, json!({"a.c": 1.0, "b": 2.0}));
        assert_eq!(extra, json!({"u": {"a.t": "x", "z": [1], "n": null}, "b": ["a.c"]}));
        let decoded = run(&layout, r#"{"b":1,"a":2}"#, "").expect("a message");
        assert_eq!(decoded.keys_untyped.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        let values: Vec<_> = decoded.values(&layout).collect();
        assert_eq!(values, [("a", json!(2)), ("b", json!(1))]);
    }

    #[test]
    fn a_stored_message_is_restored() {
        let layout = typed();
        let decoded = run(&layout, r#"{"running":true,"count":3,"temperature":1.5,"note":"n","x":[1]}"#, "p=1")
            .expect("a message");
        let restored = restore(&layout, &layout.keys, &decoded.vals, decoded.extra.as_ref());
        assert_eq!(
            Value::Object(restored.telemetry),
            json!({"running": true, "count": 3, "temperature": 1.5, "note": "n"})
        );
        assert_eq!(Value::Object(restored.unmodelled), json!({"x": [1]}));
        assert_eq!(Value::Object(restored.properties), json!({"p": "1"}));
        let values: Map<_, _> = decoded.values(&layout).map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(
            Value::Object(values),
            json!({"running": true, "count": 3, "temperature": 1.5, "note": "n", "x": [1]})
        );
    }

    #[test]
    fn bad_messages_are_rejected_with_a_code() {
        let nest = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let array = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let keys =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","));
        for layout in [typed(), Layout::untyped()] {
            for (payload, code) in [
                (String::new(), "notJson"),
                ("{".into(), "notJson"),
                ("{}x".into(), "notJson"),
                ("{\"a\":1e999}".into(), "notJson"),
                ("{\"a\":NaN}".into(), "notJson"),
                ("null".into(), "notObject"),
                ("[1]".into(), "notObject"),
                ("\"text\"".into(), "notObject"),
                ("3".into(), "notObject"),
                (nest(11), "tooDeep"),
                (array(10), "tooDeep"),
                (keys(301), "tooManyKeys"),
                (format!("{{\"{}\":1}}", "k".repeat(513)), "keyTooLong"),
                (format!("{{\"a\":\"{}\"}}", "x".repeat(256 * 1024)), "tooLarge"),
            ] {
                let reject = run(&layout, &payload, "").expect_err(&payload);
                assert_eq!(reject.code(), code, "{payload}: {reject}");
            }
            for payload in [nest(10), array(9), keys(300)] {
                assert!(run(&layout, &payload, "").is_ok(), "{payload}");
            }
        }
        assert_eq!(
            decode(b"{\"a\":\"\xff\"}", &Bag::default(), &typed(), &Limits::default()).map_err(|r| r.code()),
            Err("notJson")
        );
        assert_eq!(run(&typed(), "{}", "a=%ff").map_err(|r| r.code()), Err("badProperties"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::btree_map("temperature|running|motor|speed|[a-c]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn any_payload_is_read_without_panic(payload: Vec<u8>) {
            let _ = decode(&payload, &Bag::default(), &typed(), &Limits::default());
        }

        #[test]
        fn every_leaf_of_a_message_is_kept(value in value()) {
            fn leaves(value: &Value) -> usize {
                match value {
                    Value::Object(object) if !object.is_empty() => object.values().map(leaves).sum(),
                    _ => 1,
                }
            }
            prop_assume!(value.as_object().is_some_and(|object| !object.is_empty()));
            for layout in [typed(), Layout::untyped()] {
                let decoded = decode(value.to_string().as_bytes(), &Bag::default(), &layout, &Limits::default());
                prop_assert_eq!(decoded.expect("a message").values(&layout).count(), leaves(&value));
            }
        }
    }
}

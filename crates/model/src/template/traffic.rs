//! Live traffic against a template: what devices sent that it does not know.

use super::{Storage, Template};
use crate::telemetry::Restored;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A report names at most so many keys.
pub const MAX_UNKNOWN: usize = 500;

/// Values under one key that the template does not know, or not of this type.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// The flattened key.
    pub key: String,
    /// The template's key of the capability that has another type; none where there is no such capability.
    pub expected: Option<String>,
    /// What was sent, in one word: `boolean`, `integer`, `double`, `string`, `array`, `object` or `null`.
    pub seen: &'static str,
    /// How often.
    pub count: u64,
    /// By how many devices.
    pub devices: usize,
    /// The newest value.
    pub last_value: Value,
    /// When it was sent, in milliseconds since 1970.
    pub last_ms: i64,
}

/// What of these messages the template does not know, most frequent first; each message with its device and its time
/// in milliseconds since 1970.
pub fn unknown_values<'a>(
    template: Option<&Template>,
    messages: impl IntoIterator<Item = (&'a str, i64, &'a Restored)>,
) -> Vec<Unknown> {
    let mut found: BTreeMap<&str, (Unknown, BTreeSet<&str>)> = BTreeMap::new();
    for (device, at_ms, message) in messages {
        // What was stored before the template changed may have been known to the old one only.
        let stale =
            message.telemetry.iter().filter(|(key, _)| template.and_then(|known| known.telemetry(key)).is_none());
        // What was stored while the device had no template may be what the template has now.
        let unmodelled = message.unmodelled.iter().filter(|(key, value)| !fits(template, key, value));
        for (key, value) in unmodelled.chain(stale) {
            if !found.contains_key(key.as_str()) && found.len() >= MAX_UNKNOWN {
                continue;
            }
            let (unknown, devices) = found.entry(key).or_insert_with(|| (new(template, key), BTreeSet::new()));
            unknown.count += 1;
            devices.insert(device);
            if unknown.count == 1 || at_ms > unknown.last_ms {
                (unknown.seen, unknown.last_value, unknown.last_ms) = (word(value), value.clone(), at_ms);
            }
        }
    }
    let mut unknown: Vec<Unknown> =
        found.into_values().map(|(unknown, devices)| Unknown { devices: devices.len(), ..unknown }).collect();
    unknown.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.key.cmp(&other.key)));
    unknown
}

/// Would the template know this value, were it sent now? Numbers and booleans are known by their place already.
fn fits(template: Option<&Template>, key: &str, value: &Value) -> bool {
    match template.and_then(|template| template.telemetry(key)) {
        Some((_, Storage::Text)) => value.is_string(),
        Some((_, Storage::Whole)) => !value.is_null(),
        Some((_, Storage::Number | Storage::Integer | Storage::Boolean)) | None => false,
    }
}

fn new(template: Option<&Template>, key: &str) -> Unknown {
    let same = template.and_then(|template| template.telemetry(key)).map(|(capability, _)| capability.key.clone());
    // `place` sent as a text where the template has an object with `place.lat`.
    let root = || template?.capability(key).map(|capability| capability.key.clone());
    let expected = same.or_else(root);
    Unknown { key: key.to_owned(), expected, seen: "null", count: 0, devices: 0, last_value: Value::Null, last_ms: 0 }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        telemetry::{Layout, Limits, decode, restore},
        wire::bag::Bag,
    };
    use serde_json::json;

    #[test]
    fn what_a_template_lacks_is_counted_by_key() {
        let template = json!({"@id": "dtmi:a:pump;1", "capabilityModel": {"@id": "dtmi:a:pumpModel;1", "@type": "Interface",
            "contents": [{"@type": "Telemetry", "name": "temperature", "schema": "double"}]}});
        let template = Template::load(template, 1).expect("a template");
        let (typed, untyped) = (Layout::of(&template), Layout::untyped());
        let restored = |layout: &Layout, payload: Value| {
            let bag = Bag::parse("").expect("no bag");
            let decoded = decode(payload.to_string().as_bytes(), &bag, layout, &Limits::default()).expect("a message");
            restore(layout, decoded.keys(layout), &decoded.vals, decoded.extra.as_ref())
        };
        let messages = [
            ("d1", 3, restored(&typed, json!({"temperature": 20, "flow": 3.5}))),
            ("d2", 2, restored(&typed, json!({"temperature": "hot", "flow": "much"}))),
            // From before the device had the template.
            ("d2", 1, restored(&untyped, json!({"temperature": 20, "flow": 1, "open": true}))),
        ];
        let messages = || messages.iter().map(|(device, at_ms, message)| (*device, *at_ms, message));
        let found = unknown_values(Some(&template), messages());
        let seen: Vec<_> = found
            .iter()
            .map(|one| (&one.key[..], one.expected.as_deref(), one.seen, one.count, one.devices, &one.last_value))
            .collect();
        let expected = [
            ("flow", None, "double", 3, 2, &json!(3.5)),
            ("open", None, "boolean", 1, 1, &json!(true)),
            ("temperature", Some("temperature"), "string", 1, 1, &json!("hot")),
        ];
        assert_eq!(seen, expected);
        assert_eq!(unknown_values(None, messages()).len(), 3);
    }
}

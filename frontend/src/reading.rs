//! Telemetry values with what their template knows about them. Pure.

use muster_contract::template::Capability;
use serde_json::Value;

use crate::format;

/// The number that a value is drawn as; yes and no are 1 and 0.
pub fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
        Value::Bool(yes) => Some(if *yes { 1.0 } else { 0.0 }),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The name and the unit of a telemetry key: those of its capability, or the key itself.
pub fn name_and_unit(telemetry: &[Capability], key: &str) -> (String, String) {
    match capability_of(telemetry, key) {
        Some((capability, "")) => (capability.display_name.clone(), capability.unit.clone().unwrap_or_default()),
        Some((capability, part)) => (format!("{} {part}", capability.display_name), String::new()),
        None => (key.to_owned(), String::new()),
    }
}

/// How many decimals a telemetry key is shown with, where its template says so.
pub fn decimals(telemetry: &[Capability], key: &str) -> Option<u8> {
    let (capability, _) = capability_of(telemetry, key).filter(|(_, part)| part.is_empty())?;
    capability.decimal_places
}

/// Whether a telemetry key is a position or a part of one: it is shown on a map and not as lines.
pub fn is_position(telemetry: &[Capability], key: &str) -> bool {
    capability_of(telemetry, key).is_some_and(|(capability, _)| capability.schema == GEOPOINT)
}

/// The positions that a template knows.
pub fn positions(telemetry: &[Capability]) -> Vec<(String, String)> {
    let positions = telemetry.iter().filter(|capability| capability.schema == GEOPOINT);
    positions.map(|capability| (capability.key.clone(), capability.display_name.clone())).collect()
}

const GEOPOINT: &str = "geopoint";

/// A value as it is read: states by their names, numbers with their decimals.
pub fn text_of(telemetry: &[Capability], key: &str, value: &Value) -> String {
    let capability =
        capability_of(telemetry, key).filter(|(_, part)| part.is_empty()).map(|(capability, _)| capability);
    let state = capability.and_then(|capability| capability.enum_values.iter().find(|state| state.value == *value));
    if let Some(state) = state {
        return state.display_name.clone();
    }
    // A boolean is kept as a number where it came from the store, so it is read as what its schema says.
    let boolean = capability.is_some_and(|capability| capability.schema == "boolean");
    match (boolean, number_of(value)) {
        (true, Some(number)) => format::value(&Value::Bool(number != 0.0)),
        _ => match (capability.and_then(|capability| capability.decimal_places), value.as_f64()) {
            (places @ Some(_), Some(number)) => format::measured(number, "", places),
            _ => format::value(value),
        },
    }
}

/// Which keys are shown as values: those of the template in its order, then what the device sends beyond it. Positions
/// are shown on a map.
pub fn shown_keys<'a>(telemetry: &[Capability], received: impl Iterator<Item = &'a String>) -> Vec<String> {
    let received: Vec<&String> = received.collect();
    let mut keys = Vec::new();
    for capability in telemetry.iter().filter(|capability| capability.schema != GEOPOINT) {
        let parts = received.iter().filter(|key| part_of(&capability.key, key).is_some());
        let parts: Vec<String> = parts.map(|key| (*key).clone()).collect();
        if parts.is_empty() {
            keys.push(capability.key.clone());
        } else {
            keys.extend(parts);
        }
    }
    keys.extend(received.into_iter().filter(|key| capability_of(telemetry, key).is_none()).cloned());
    keys
}

/// The capability that a key belongs to, and which part of it the key names.
fn capability_of<'a>(telemetry: &'a [Capability], key: &'a str) -> Option<(&'a Capability, &'a str)> {
    telemetry.iter().find_map(|capability| Some((capability, part_of(&capability.key, key)?)))
}

/// `lat` of `location.lat` for the capability `location`; empty for the capability itself.
fn part_of<'a>(capability: &str, key: &'a str) -> Option<&'a str> {
    let rest = key.strip_prefix(capability)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn telemetry() -> Vec<Capability> {
        serde_json::from_value(json!([
            {"key": "temp", "name": "temp", "kind": "telemetry", "displayName": "Temperature", "schema": "double",
             "unit": "°C", "numeric": true, "decimalPlaces": 1},
            {"key": "door", "name": "door", "kind": "telemetry", "displayName": "Door", "schema": "boolean", "numeric": true},
            {"key": "state", "name": "state", "kind": "telemetry", "displayName": "State", "schema": "enum", "numeric": false,
             "enumValues": [{"value": 2, "displayName": "Stopped"}]},
            {"key": "place", "name": "place", "kind": "telemetry", "displayName": "Place", "schema": "geopoint", "numeric": false}
        ]))
        .unwrap()
    }

    #[test]
    fn names_and_units_come_from_the_template() {
        let telemetry = telemetry();
        for (key, name, unit) in
            [("temp", "Temperature", "°C"), ("place.lat", "Place lat", ""), ("temperature", "temperature", "")]
        {
            assert_eq!(name_and_unit(&telemetry, key), (name.to_owned(), unit.to_owned()));
        }
    }

    #[test]
    fn values_are_read_as_their_schema_says() {
        let telemetry = telemetry();
        for (key, value, expected) in [
            ("temp", json!(20.04), "20.0"),
            ("door", json!(1.0), "yes"),
            ("door", json!(false), "no"),
            ("state", json!(2), "Stopped"),
            ("state", json!(9), "9"),
            ("other", json!("x"), "x"),
        ] {
            assert_eq!(text_of(&telemetry, key, &value), expected);
        }
    }

    #[test]
    fn shown_keys_follow_the_template_and_add_what_is_new() {
        let received = ["place.lat", "place.lon", "temp", "extra"].map(str::to_owned);
        let keys = shown_keys(&telemetry(), received.iter());
        assert_eq!(keys, ["temp", "door", "state", "extra"]);
        assert!(is_position(&telemetry(), "place.lat") && !is_position(&telemetry(), "temp"));
        assert_eq!(positions(&telemetry()), [("place".to_owned(), "Place".to_owned())]);
        assert_eq!((decimals(&telemetry(), "temp"), decimals(&telemetry(), "door")), (Some(1), None));
    }

    #[test]
    fn only_numbers_and_booleans_are_drawn() {
        assert_eq!(number_of(&json!(true)), Some(1.0));
        assert_eq!(number_of(&json!("1")), None);
    }
}

//! Values for a device of any template: invented from what the template says of them.

use super::signal::{Seed, daylight, rounded};
use chrono::{DateTime, SecondsFormat};
use muster_model::template::{Capability, Kind, Schema, Template};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const MINUTE_MS: i64 = 60_000;
/// How long a choice between a few values stays.
const CHOICE_MS: i64 = 20 * MINUTE_MS;
/// Objects in objects, at most.
const MAX_DEPTH: usize = 6;

/// The messages of a device at this time: one of the root, one of each component that has telemetry.
pub(crate) fn messages(template: &Template, seed: Seed, at_ms: i64) -> Vec<(Option<String>, Map<String, Value>)> {
    let mut by_component: BTreeMap<Option<String>, Map<String, Value>> = BTreeMap::new();
    for capability in template.capabilities.iter().filter(|capability| capability.kind == Kind::Telemetry) {
        let value = capability_value(capability, seed.channel(&capability.key), at_ms);
        by_component.entry(capability.component.clone()).or_default().insert(capability.name.clone(), value);
    }
    by_component.into_iter().collect()
}

fn capability_value(capability: &Capability, seed: Seed, at_ms: i64) -> Value {
    let (low, high) = match (capability.min, capability.max) {
        (Some(min), Some(max)) if min < max => (min, max),
        _ => usual_range(capability.semantic_type.as_deref()),
    };
    let decimals = capability.decimal_places.map_or(2, i32::from);
    match &capability.schema {
        Schema::Double | Schema::Float => json!(rounded(wave(seed, at_ms, low, high), decimals)),
        Schema::Integer | Schema::Long => json!(wave(seed, at_ms, low, high).round() as i64),
        other => value(other, seed, at_ms, MAX_DEPTH),
    }
}

/// A believable range where the template gives none.
fn usual_range(semantic_type: Option<&str>) -> (f64, f64) {
    match semantic_type {
        Some("Temperature") => (15.0, 30.0),
        Some("RelativeHumidity" | "Humidity") => (30.0, 70.0),
        Some("Pressure") => (95.0, 105.0),
        Some("Illuminance") => (0.0, 800.0),
        Some("Voltage") => (215.0, 245.0),
        _ => (0.0, 100.0),
    }
}

/// Wanders through the middle of the range, with the day and with some noise.
fn wave(seed: Seed, at_ms: i64, low: f64, high: f64) -> f64 {
    let (middle, half) = (f64::midpoint(low, high), (high - low) / 2.0);
    let slow = seed.channel("slow").noise(at_ms, 47 * MINUTE_MS);
    let fast = seed.channel("fast").noise(at_ms, MINUTE_MS);
    (middle + half * (0.25 * daylight(at_ms) + 0.4 * slow + 0.1 * fast)).clamp(low, high)
}

fn value(schema: &Schema, seed: Seed, at_ms: i64, depth: usize) -> Value {
    let wave = |low, high| wave(seed, at_ms, low, high);
    let slot = at_ms.div_euclid(CHOICE_MS);
    match schema {
        Schema::Double | Schema::Float => json!(rounded(wave(0.0, 100.0), 2)),
        Schema::Integer | Schema::Long => json!(wave(0.0, 100.0).round() as i64),
        Schema::Boolean => json!(seed.chance(slot) < 0.5),
        Schema::Enum { values, .. } => {
            let index = (seed.chance(slot) * values.len() as f64) as usize;
            values.get(index).map_or(Value::Null, |chosen| chosen.value.clone())
        }
        Schema::String => json!(["alpha", "bravo", "charlie", "delta"][(seed.chance(slot) * 4.0) as usize % 4]),
        Schema::Date => json!(time(at_ms, "%Y-%m-%d")),
        Schema::Time => json!(time(at_ms, "%H:%M:%S")),
        Schema::DateTime => {
            json!(DateTime::from_timestamp_millis(at_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true))
        }
        Schema::Duration => json!(format!("PT{}S", wave(1.0, 600.0).round())),
        Schema::Geopoint => json!({
            "lat": rounded(52.52 + 0.004 * seed.channel("lat").noise(at_ms, 9 * MINUTE_MS), 6),
            "lon": rounded(13.405 + 0.006 * seed.channel("lon").noise(at_ms, 9 * MINUTE_MS), 6),
            "alt": 34.0,
        }),
        Schema::Vector => {
            let axis = |name: &str| rounded(seed.channel(name).noise(at_ms, MINUTE_MS), 3);
            json!({ "x": axis("x"), "y": axis("y"), "z": axis("z") })
        }
        Schema::Object { fields } if depth > 0 => {
            let field = |name: &str, schema| value(schema, seed.channel(name), at_ms, depth - 1);
            fields.iter().map(|each| (each.name.clone(), field(&each.name, &each.schema))).collect()
        }
        Schema::Object { .. } | Schema::Map => json!({}),
        Schema::Array => json!([rounded(wave(0.0, 10.0), 1)]),
        Schema::Other { .. } => Value::Null,
    }
}

fn time(at_ms: i64, format: &str) -> String {
    DateTime::from_timestamp_millis(at_ms).unwrap_or_default().format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_fits_its_schema_and_range() {
        let document = json!({
            "@id": "dtmi:test:all;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2",
            "contents": [
                { "@type": "Telemetry", "name": "a", "schema": "double" },
                { "@type": "Telemetry", "name": "b", "schema": "integer" },
                { "@type": "Telemetry", "name": "c", "schema": "boolean" },
                { "@type": "Telemetry", "name": "d", "schema": "string" },
                { "@type": "Telemetry", "name": "e", "schema": "dateTime" },
                { "@type": "Telemetry", "name": "f", "schema": "duration" },
                { "@type": "Telemetry", "name": "g", "schema": { "@type": "Enum", "valueSchema": "integer",
                    "enumValues": [{ "name": "on", "enumValue": 1 }, { "name": "off", "enumValue": 2 }] } },
                { "@type": "Telemetry", "name": "h", "schema": { "@type": "Object",
                    "fields": [{ "name": "inner", "schema": "double" }] } },
                { "@type": "Component", "name": "part", "schema": { "@id": "dtmi:test:part;1", "@type": "Interface",
                    "contents": [{ "@type": "Telemetry", "name": "heat", "schema": "double" }] } },
            ],
        });
        let template = Template::import(&document, None).expect("a template");
        for minute in 0..500 {
            for (component, message) in messages(&template, Seed::of("x"), minute * MINUTE_MS) {
                for (name, value) in message {
                    let key = component.as_ref().map_or(name.clone(), |component| format!("{component}.{name}"));
                    let capability = template.capability(&key).expect("known");
                    assert!(capability.schema.accepts(&value), "{key}: {value}");
                }
            }
        }
    }
}

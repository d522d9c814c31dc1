//! What devices send as payloads, and what carries it on: twin patches, batches, telemetry.

use super::{halves, sure, text};
use bytes::Bytes;
use chrono::DateTime;
use muster_model::device::Twin;
use muster_model::telemetry::{self, Layout, Limits};
use muster_model::template::Template;
use muster_model::wire::bag::Bag;
use muster_model::wire::twin::{self, Limits as TwinLimits};
use muster_model::{DeviceKey, TenantKey, batch};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The properties as they are, a line; then a patch.
pub fn twin_patch(data: &[u8]) {
    let (section, patch) = halves(data);
    let Ok(patch) = twin::parse_patch(patch) else { return };
    let at = DateTime::UNIX_EPOCH;
    let mut twin = Twin::default();
    if let Ok(section) = twin::parse_patch(section) {
        let _ = twin::patch_reported(&mut twin, &section, at);
    }
    let before = twin.clone();
    match twin::patch_reported(&mut twin, &patch, at) {
        Err(error) => {
            assert_eq!(twin, before, "{error}");
            assert!(matches!(error.status(), 400 | 413));
        }
        Ok(version) => {
            assert_eq!((version, twin.version), (before.reported_version + 1, before.version + 1));
            let expected = merge_patch(Value::Object(before.reported.clone()), &Value::Object(patch.clone()));
            assert_eq!(Value::Object(twin.reported.clone()), expected);
            sound(&twin.reported, &TwinLimits::PROPERTIES);
            same_keys(&twin.reported, &twin.reported_metadata);
            let mut again = twin.clone();
            assert!(twin::patch_reported(&mut again, &patch, at).is_ok(), "what was taken is taken again");
            assert_eq!((again.reported, again.reported_metadata), (twin.reported, twin.reported_metadata));
        }
    }
    let change = twin::ServiceChange { tags: Some(patch.clone()), desired: Some(patch), replace: true };
    let mut changed = before.clone();
    match twin::change(&mut changed, &change, at) {
        Ok(_) => {
            assert_eq!(changed.service_version, before.service_version + 1);
            sound(&changed.tags, &TwinLimits::TAGS);
            sound(&changed.desired, &TwinLimits::PROPERTIES);
            same_keys(&changed.desired, &changed.desired_metadata);
        }
        Err(_) => assert_eq!(changed, before),
    }
}

/// RFC 7396, §2, word for word.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let before = target.remove(name).unwrap_or_default();
            target.insert(name.clone(), merge_patch(before, value));
        }
    }
    Value::Object(target)
}

/// A section of a twin keeps the limits and holds no null outside of arrays.
fn sound(section: &Map<String, Value>, limits: &TwinLimits) {
    assert_eq!(twin::validate(section, limits), Ok(()));
    assert_eq!(twin::check_size(section, limits), Ok(()));
    for value in section.values() {
        assert!(!value.is_null());
        if let Value::Object(inner) = value {
            sound(inner, limits);
        }
    }
}

/// The metadata have what the section has, and only that.
fn same_keys(section: &Map<String, Value>, metadata: &Map<String, Value>) {
    let dated: Vec<_> = metadata.keys().filter(|key| !key.starts_with('$')).collect();
    assert_eq!(section.keys().collect::<Vec<_>>(), dated);
    for (key, value) in section {
        if let (Value::Object(inner), Some(Value::Object(metadata))) = (value, metadata.get(key)) {
            same_keys(inner, metadata);
        }
    }
}

pub fn batch(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let head = batch::header(bytes.clone());
    if let Ok(batch) = batch::decode(bytes) {
        assert_eq!(head.as_ref(), Ok(&batch.received));
        let size: usize = batch.messages.iter().map(|message| message.encoded_len() - 2).sum();
        assert!(size <= data.len(), "a batch holds no more than its bytes");
        written(&batch.messages);
    }
    // The same bytes as the payloads of three messages.
    let part = data.len() / 3;
    let payloads = [&data[..part], &data[part..2 * part], &data[2 * part..]];
    let messages = payloads.map(|payload| batch::Inbound {
        tenant: TenantKey(payload.len() as i32 % 2),
        device: DeviceKey(payload.first().map_or(-1, |byte| i64::from(*byte))),
        device_id: String::from_utf8_lossy(payload).chars().take(128).collect(),
        model_id: String::new(),
        module: None,
        enqueued_ms: i64::MAX,
        kind: batch::Kind::Telemetry,
        auth: batch::Auth::HubSas,
        bag: String::from_utf8_lossy(payload).into_owned(),
        payload: Bytes::copy_from_slice(payload),
    });
    written(&messages);
}

/// What is written reads the same, and tenants are counted right.
fn written(messages: &[batch::Inbound]) {
    let mut encoder = batch::Encoder::default();
    messages.iter().for_each(|message| encoder.push(message));
    assert_eq!(encoder.len(), messages.len());
    let bytes = encoder.finish();
    let again = sure(batch::decode(bytes.clone()));
    assert_eq!(again.messages, messages);
    let received: usize = again.received.iter().map(|(_, count)| *count as usize).sum();
    assert_eq!(received, messages.len());
    if let Some(cut) = bytes.len().checked_sub(1).filter(|_| !messages.is_empty()) {
        assert!(batch::decode(bytes.slice(..cut)).is_err());
    }
}

static TYPED: LazyLock<Layout> = LazyLock::new(|| {
    let kinds = json!([
        {"@type": "Telemetry", "name": "t", "schema": "double"},
        {"@type": "Telemetry", "name": "on", "schema": "boolean"},
        {"@type": "Telemetry", "name": "n", "schema": "long"},
        {"@type": "Telemetry", "name": "s", "schema": "string"},
        {"@type": "Telemetry", "name": "g", "schema": "geopoint"},
        {"@type": "Telemetry", "name": "o", "schema": {"@type": "Object", "fields": [
            {"name": "a", "schema": "integer"}, {"name": "b", "schema": "string"}]}},
        {"@type": "Telemetry", "name": "l", "schema": {"@type": "Array", "elementSchema": "double"}},
        {"@type": "Telemetry", "name": "m", "schema": {"@type": "Map"}},
    ]);
    let part = json!({"@id": "dtmi:f:p;1", "@type": "Interface", "contents": kinds.clone()});
    let component = json!({"@type": "Component", "name": "c", "schema": part});
    let contents: Vec<Value> = kinds.as_array().into_iter().flatten().cloned().chain([component]).collect();
    let document = json!({"@id": "dtmi:f:t;1", "capabilityModel": {"@id": "dtmi:f:i;1", "@type": "Interface", "contents": contents}});
    Layout::of(&sure(Template::load(document, 1)))
});

/// The message's properties, a line; then its payload.
pub fn telemetry(data: &[u8]) {
    let (properties, payload) = halves(data);
    let bag = text(properties).and_then(|text| Bag::parse(text).ok()).unwrap_or_default();
    for layout in [&*TYPED, &Layout::untyped()] {
        flattened(payload, &bag, layout);
    }
}

fn flattened(payload: &[u8], bag: &Bag, layout: &Layout) {
    let limits = Limits::default();
    let Ok(decoded) = telemetry::decode(payload, bag, layout, &limits) else { return };
    let keys = decoded.keys(layout);
    assert_eq!(keys.len(), decoded.vals.len());
    assert!(decoded.vals.iter().flatten().all(|val| val.is_finite()));
    if let Some(keys) = &decoded.keys_untyped {
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
    }
    let values: Vec<_> = decoded.values(layout).collect();
    assert!(values.len() <= limits.keys && values.iter().all(|(key, _)| key.len() <= limits.key_bytes));
    let flat: Map<String, Value> = values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let restored = telemetry::restore(layout, keys, &decoded.vals, decoded.extra.as_ref());
    assert!(flat.keys().all(|key| restored.telemetry.contains_key(key) || restored.unmodelled.contains_key(key)));
    assert_eq!(restored.properties, bag.to_json());
    // Sent flat, as it is kept, it is the same message.
    if flat.len() == values.len() {
        let again = sure(telemetry::decode(
            Value::Object(flat.clone()).to_string().as_bytes(),
            &Bag::default(),
            layout,
            &limits,
        ));
        let again: Map<String, Value> = again.values(layout).map(|(key, value)| (key.to_owned(), value)).collect();
        assert_eq!(again, flat);
    }
}

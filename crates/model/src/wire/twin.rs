//! A twin's sections: checking, merging and stamping (`iot-hub-wire.md` §2, §9).

use crate::device::Twin;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// What a section of a twin may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nesting of objects and arrays.
    pub depth: usize,
    /// Size of the section after the change.
    pub size_bytes: usize,
    /// Length of one key.
    pub key_bytes: usize,
    /// Length of one text.
    pub string_bytes: usize,
}

impl Limits {
    /// Desired and reported properties.
    pub const PROPERTIES: Self = Self { depth: 10, size_bytes: 32 * 1024, key_bytes: 1024, string_bytes: 4096 };
    /// Tags.
    pub const TAGS: Self = Self { depth: 10, size_bytes: 8 * 1024, key_bytes: 1024, string_bytes: 4096 };
}

/// Integers in a twin are at most this far from zero (one more below).
pub const MAX_INTEGER: i64 = 4_503_599_627_370_495;

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TwinError {
    /// The payload is no JSON.
    #[error("twin patch is not JSON")]
    NotJson,
    /// The payload is JSON, but no object.
    #[error("twin patch is not an object")]
    NotObject,
    /// Too deep.
    #[error("twin is deeper than {0} levels")]
    TooDeep(usize),
    /// The section would be too large.
    #[error("twin section is larger than {0} bytes")]
    TooLarge(usize),
    /// A key is empty, too long, or holds a control character, '.', '$' or a space.
    #[error("twin key '{0}' is empty, too long, or holds a control character, '.', '$' or a space")]
    Key(String),
    /// A text is too long.
    #[error("text of twin key '{0}' is too long")]
    Text(String),
    /// An integer is out of range.
    #[error("integer of twin key '{0}' is out of range")]
    Integer(String),
}

impl TwinError {
    /// The status that the device or the caller is answered with.
    pub fn status(&self) -> u16 {
        if matches!(self, Self::TooLarge(_)) { 413 } else { 400 }
    }

    /// The hub's error code in the answer's body.
    pub fn code(&self) -> u32 {
        if matches!(self, Self::TooLarge(_)) { 413_001 } else { 400_004 }
    }
}

/// Reads the payload of a patch.
///
/// # Errors
/// [`TwinError::NotJson`] or [`TwinError::NotObject`].
pub fn parse_patch(payload: &[u8]) -> Result<Map<String, Value>, TwinError> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(patch)) => Ok(patch),
        Ok(_) => Err(TwinError::NotObject),
        Err(_) => Err(TwinError::NotJson),
    }
}

/// Checks keys, texts, integers and depth of a patch. The size is that of the merged section: see [`check_size`].
///
/// # Errors
/// The first [`TwinError`] found.
pub fn validate(patch: &Map<String, Value>, limits: &Limits) -> Result<(), TwinError> {
    validate_object(patch, limits, 1)
}

/// Checks a section's size as the hub counts it.
///
/// # Errors
/// [`TwinError::TooLarge`].
pub fn check_size(section: &Map<String, Value>, limits: &Limits) -> Result<(), TwinError> {
    if object_size(section) > limits.size_bytes { Err(TwinError::TooLarge(limits.size_bytes)) } else { Ok(()) }
}

/// Merges a patch into a section (RFC 7396): null deletes, objects merge, all else replaces.
pub fn merge(section: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                section.remove(key);
            }
            Value::Object(patch) => {
                let slot = section.entry(key).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, patch);
                }
            }
            value => {
                section.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Notes in a section's metadata what a patch changes, and when. `version` is kept for desired properties only.
pub fn stamp(metadata: &mut Map<String, Value>, patch: &Map<String, Value>, at: DateTime<Utc>, version: Option<i64>) {
    metadata.insert("$lastUpdated".into(), time(at).into());
    if let Some(version) = version {
        metadata.insert("$lastUpdatedVersion".into(), version.into());
    }
    for (key, value) in patch {
        match value {
            Value::Null => {
                metadata.remove(key);
            }
            Value::Object(patch) => {
                if let Value::Object(inner) = metadata.entry(key).or_insert_with(|| json!({})) {
                    stamp(inner, patch, at, version);
                }
            }
            _ => {
                let mut leaf = Map::new();
                stamp(&mut leaf, &Map::new(), at, version);
                metadata.insert(key.clone(), Value::Object(leaf));
            }
        }
    }
}

/// Patches the reported properties; returns their new version. On an error the twin is as it was.
///
/// # Errors
/// [`TwinError`] where the patch, or the section after it, breaks a limit.
pub fn patch_reported(twin: &mut Twin, patch: &Map<String, Value>, at: DateTime<Utc>) -> Result<i64, TwinError> {
    twin.reported = patched(&twin.reported, patch, &Limits::PROPERTIES)?;
    stamp(&mut twin.reported_metadata, patch, at, None);
    twin.reported_version += 1;
    twin.version += 1;
    Ok(twin.reported_version)
}

/// Patches the desired properties; returns their new version. On an error the twin is as it was.
///
/// # Errors
/// [`TwinError`] where the patch, or the section after it, breaks a limit.
pub fn patch_desired(twin: &mut Twin, patch: &Map<String, Value>, at: DateTime<Utc>) -> Result<i64, TwinError> {
    twin.desired = patched(&twin.desired, patch, &Limits::PROPERTIES)?;
    twin.desired_version += 1;
    twin.version += 1;
    twin.service_version += 1;
    stamp(&mut twin.desired_metadata, patch, at, Some(twin.desired_version));
    Ok(twin.desired_version)
}

/// Puts `desired` in place of the desired properties; returns their new version. On an error the twin is as it was.
///
/// # Errors
/// [`TwinError`] where they break a limit.
pub fn replace_desired(twin: &mut Twin, desired: &Map<String, Value>, at: DateTime<Utc>) -> Result<i64, TwinError> {
    twin.desired = patched(&Map::new(), desired, &Limits::PROPERTIES)?;
    twin.desired_version += 1;
    twin.version += 1;
    twin.service_version += 1;
    twin.desired_metadata.clear();
    stamp(&mut twin.desired_metadata, desired, at, Some(twin.desired_version));
    Ok(twin.desired_version)
}

/// Patches the tags. On an error the twin is as it was.
///
/// # Errors
/// [`TwinError`] where the patch, or the tags after it, break a limit.
pub fn patch_tags(twin: &mut Twin, patch: &Map<String, Value>) -> Result<(), TwinError> {
    twin.tags = patched(&twin.tags, patch, &Limits::TAGS)?;
    twin.version += 1;
    twin.service_version += 1;
    Ok(())
}

/// What a service does to a twin at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceChange {
    /// Tags; absent: they stay.
    pub tags: Option<Map<String, Value>>,
    /// Desired properties; absent: they stay.
    pub desired: Option<Map<String, Value>>,
    /// Whether what is not named goes.
    pub replace: bool,
}

/// Makes the change, which counts once; the desired version that the device is told, if there is one. On an error the
/// twin is as it was.
///
/// # Errors
/// [`TwinError`] where the change, or a section after it, breaks a limit.
pub fn change(twin: &mut Twin, change: &ServiceChange, at: DateTime<Utc>) -> Result<Option<i64>, TwinError> {
    let mut after = twin.clone();
    if let Some(tags) = &change.tags {
        if change.replace {
            after.tags.clear();
        }
        patch_tags(&mut after, tags)?;
    }
    let told = match (&change.desired, change.replace) {
        (None, _) => None,
        (Some(desired), false) => Some(patch_desired(&mut after, desired, at)?),
        (Some(desired), true) => Some(replace_desired(&mut after, desired, at)?),
    };
    after.version = after.version.min(twin.version + 1);
    after.service_version = after.service_version.min(twin.service_version + 1);
    *twin = after;
    Ok(told)
}

/// The twin as a device gets it: both sections with their `$version`, no tags, no metadata.
pub fn device_document(twin: &Twin) -> Value {
    json!({
        "desired": versioned(&twin.desired, twin.desired_version),
        "reported": versioned(&twin.reported, twin.reported_version),
    })
}

/// A patch (or a whole section) with `$version`, as a device gets it.
pub fn versioned(section: &Map<String, Value>, version: i64) -> Value {
    let mut section = section.clone();
    section.insert("$version".into(), version.into());
    Value::Object(section)
}

fn patched(
    section: &Map<String, Value>,
    patch: &Map<String, Value>,
    limits: &Limits,
) -> Result<Map<String, Value>, TwinError> {
    validate(patch, limits)?;
    let mut section = section.clone();
    merge(&mut section, patch);
    check_size(&section, limits)?;
    Ok(section)
}

fn validate_object(object: &Map<String, Value>, limits: &Limits, level: usize) -> Result<(), TwinError> {
    if level > limits.depth {
        return Err(TwinError::TooDeep(limits.depth));
    }
    for (key, value) in object {
        let breaks = |c: char| c.is_control() || ".$ ".contains(c);
        if key.is_empty() || key.len() > limits.key_bytes || key.contains(breaks) {
            return Err(TwinError::Key(key.chars().take(64).collect()));
        }
        validate_value(key, value, limits, level)?;
    }
    Ok(())
}

fn validate_value(key: &str, value: &Value, limits: &Limits, level: usize) -> Result<(), TwinError> {
    match value {
        Value::Object(object) => validate_object(object, limits, level + 1),
        Value::Array(_) if level >= limits.depth => Err(TwinError::TooDeep(limits.depth)),
        Value::Array(items) => items.iter().try_for_each(|item| validate_value(key, item, limits, level + 1)),
        Value::String(text) if text.len() > limits.string_bytes => Err(TwinError::Text(key.to_owned())),
        Value::Number(number) if !number.is_f64() => match number.as_i64() {
            Some(integer) if (-MAX_INTEGER - 1..=MAX_INTEGER).contains(&integer) => Ok(()),
            _ => Err(TwinError::Integer(key.to_owned())),
        },
        _ => Ok(()),
    }
}

fn object_size(object: &Map<String, Value>) -> usize {
    object.iter().map(|(key, value)| key.len() + size(value)).sum()
}

/// What a value counts: a number 8 bytes, a boolean 4, a text its length.
fn size(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(object) => object_size(object),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    #[test]
    fn patches_merge() {
        for (section, patch, expected) in [
            (json!({}), json!({"a": 1}), json!({"a": 1})),
            (json!({"a": 1, "b": 2}), json!({"a": null}), json!({"b": 2})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": [1]}}), json!({"a": {"c": 2, "d": [1]}})),
            (json!({"a": 1}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}})),
            (json!({"a": {"b": 1}}), json!({"a": "x"}), json!({"a": "x"})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!({}), json!({"a": {}}), json!({"a": {}})),
        ] {
            let mut merged = object(section);
            merge(&mut merged, &object(patch.clone()));
            assert_eq!(Value::Object(merged), expected, "{patch}");
        }
    }

    #[test]
    fn limits_hold() {
        let nest = |levels: usize| (1..levels).fold(json!({"k": 1}), |inner, _| json!({"k": inner}));
        let cases: &[(Value, Option<TwinError>)] = &[
            (nest(10), None),
            (nest(11), Some(TwinError::TooDeep(10))),
            (json!({"ok-ä": "x"}), None),
            (json!({"": 1}), Some(TwinError::Key(String::new()))),
            (json!({"a b": 1}), Some(TwinError::Key("a b".into()))),
            (json!({"a": {"$b": 1}}), Some(TwinError::Key("$b".into()))),
            (json!({"a.b": 1}), Some(TwinError::Key("a.b".into()))),
            (json!({"a\u{85}": 1}), Some(TwinError::Key("a\u{85}".into()))),
            (json!({"a": "x".repeat(4096)}), None),
            (json!({"a": ["x".repeat(4097)]}), Some(TwinError::Text("a".into()))),
            (json!({"a": 4_503_599_627_370_495_i64, "b": -4_503_599_627_370_496_i64, "c": 1e300}), None),
            (json!({"a": 4_503_599_627_370_496_i64}), Some(TwinError::Integer("a".into()))),
            (json!({"a": u64::MAX}), Some(TwinError::Integer("a".into()))),
        ];
        for (patch, error) in cases {
            assert_eq!(validate(&object(patch.clone()), &Limits::PROPERTIES).err(), *error, "{patch}");
        }
        assert!(validate(&object(json!({"k".repeat(1025): 1})), &Limits::PROPERTIES).is_err());
    }

    #[test]
    fn a_section_too_large_leaves_the_twin_alone() {
        let mut twin = Twin::default();
        let large: Map<String, Value> = (0..8).map(|n| (format!("k{n}"), json!("x".repeat(4096)))).collect();
        assert_eq!(patch_reported(&mut twin, &large, at(1)), Err(TwinError::TooLarge(32 * 1024)));
        assert_eq!(twin, Twin::default());
        assert_eq!(TwinError::TooLarge(1).status(), 413);
        assert_eq!(object_size(&object(json!({"ab": 1, "c": true, "d": {"e": "xyz"}}))), 2 + 8 + 1 + 4 + 1 + 1 + 3);
    }

    #[test]
    fn a_twin_keeps_versions_and_times() {
        let mut twin = Twin { desired_version: 1, reported_version: 1, version: 2, ..Twin::default() };
        assert_eq!(patch_desired(&mut twin, &object(json!({"fan": {"speed": 3, "on": true}})), at(1)), Ok(2));
        assert_eq!(patch_desired(&mut twin, &object(json!({"fan": {"on": null}})), at(2)), Ok(3));
        assert_eq!(patch_reported(&mut twin, &object(json!({"serial": "x"})), at(3)), Ok(2));
        assert_eq!(twin.version, 5);
        assert_eq!(
            Value::Object(twin.desired_metadata.clone()),
            json!({
                "$lastUpdated": "1970-01-01T00:00:02.000Z", "$lastUpdatedVersion": 3,
                "fan": {
                    "$lastUpdated": "1970-01-01T00:00:02.000Z", "$lastUpdatedVersion": 3,
                    "speed": {"$lastUpdated": "1970-01-01T00:00:01.000Z", "$lastUpdatedVersion": 2},
                },
            })
        );
        assert_eq!(
            device_document(&twin),
            json!({"desired": {"fan": {"speed": 3}, "$version": 3}, "reported": {"serial": "x", "$version": 2}})
        );
        assert_eq!(replace_desired(&mut twin, &object(json!({"mode": "eco"})), at(4)), Ok(4));
        assert_eq!(Value::Object(twin.desired.clone()), json!({"mode": "eco"}));
        assert!(!twin.desired_metadata.contains_key("fan"));
    }

    #[test]
    fn a_change_of_two_sections_counts_once_and_fails_whole() {
        let mut twin =
            Twin { desired_version: 1, reported_version: 1, version: 2, service_version: 1, ..Twin::default() };
        assert_eq!(twin.etag(), "AAAAAAAAAAE=");
        let merge = ServiceChange {
            tags: Some(object(json!({"site": "n", "x": 1}))),
            desired: Some(object(json!({"a": 1, "b": 2}))),
            replace: false,
        };
        assert_eq!(change(&mut twin, &merge, at(1)), Ok(Some(2)));
        assert_eq!((twin.version, twin.desired_version, twin.etag().as_str()), (3, 2, "AAAAAAAAAAI="));
        let replace = ServiceChange { tags: Some(object(json!({"y": 1}))), desired: None, replace: true };
        assert_eq!(change(&mut twin, &replace, at(2)), Ok(None));
        assert_eq!(Value::Object(twin.tags.clone()), json!({"y": 1}));
        assert_eq!(Value::Object(twin.desired.clone()), json!({"a": 1, "b": 2}));
        let before = twin.clone();
        let bad = ServiceChange {
            tags: Some(object(json!({"z": 1}))),
            desired: Some(object(json!({"a.b": 1}))),
            replace: false,
        };
        assert!(change(&mut twin, &bad, at(3)).is_err());
        assert_eq!(twin, before);
        assert_eq!(patch_reported(&mut twin, &object(json!({"r": 1})), at(4)), Ok(2));
        assert_eq!(twin.etag(), before.etag(), "what a device reports is none of the service's");
    }

    #[test]
    fn payloads_are_objects() {
        assert_eq!(parse_patch(b"{"), Err(TwinError::NotJson));
        assert_eq!(parse_patch(b"[1]"), Err(TwinError::NotObject));
        assert_eq!(parse_patch("[".repeat(100_000).as_bytes()), Err(TwinError::NotJson));
        assert!(parse_patch(b"{\"a\":null}").is_ok());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            proptest::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn merging_is_idempotent_and_leaves_no_null(section in value(), patch in value()) {
            let (Value::Object(section), Value::Object(patch)) = (section, patch) else { return Ok(()) };
            let mut once = Map::new();
            merge(&mut once, &section);
            merge(&mut once, &patch);
            let mut twice = once.clone();
            merge(&mut twice, &patch);
            prop_assert_eq!(&once, &twice);
            prop_assert!(!Value::Object(once).to_string().contains("null"));
        }

        #[test]
        fn any_payload_is_read_without_panic(payload: Vec<u8>) {
            let _ = parse_patch(&payload).map(|patch| validate(&patch, &Limits::PROPERTIES));
        }
    }
}

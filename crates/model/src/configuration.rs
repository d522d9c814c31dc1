//! Configurations: what a service wants of all devices (or modules) that a condition holds for.

use crate::{
    ConfigurationId,
    query::{Expression, Query, QueryError, Source},
    wire::twin,
};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The largest document.
pub const MAX_BYTES: usize = 128 * 1024;
/// Metrics of the service's own.
pub const MAX_METRICS: usize = 20;

/// A configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// Its id.
    pub id: ConfigurationId,
    /// What is wanted.
    pub document: Document,
    /// The last counts.
    pub results: Results,
    /// Raised with each change of the document.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed.
    pub updated_at: DateTime<Utc>,
}

impl Configuration {
    /// What a service compares to change only what is still as it saw it.
    pub fn etag(&self) -> String {
        BASE64.encode(self.version.to_be_bytes())
    }
}

/// What is wanted, of whom, and what is counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Names for people and tools.
    pub labels: Map<String, Value>,
    /// What is wanted of twins.
    pub content: Content,
    /// Whom it is for, as query text: conditions on devices, or `FROM devices.modules WHERE …`.
    pub target_condition: String,
    /// Of two that want different things the higher wins; of equal ones the newer.
    pub priority: i64,
    /// Queries whose results are counted, by name.
    pub metrics: BTreeMap<String, String>,
}

/// What is wanted of twins: values by `properties.desired` and a path behind it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Content {
    /// Of devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_content: Option<Map<String, Value>>,
    /// Of modules, by the module's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modules_content: Option<Map<String, Value>>,
    /// Of modules that the condition holds for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_content: Option<Map<String, Value>>,
}

/// What was counted the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Results {
    /// Twins that the condition holds for.
    pub targeted: i64,
    /// Those that have what is wanted.
    pub applied: i64,
    /// Results of the service's queries.
    pub metrics: BTreeMap<String, i64>,
}

/// Why a configuration is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Its condition or a metric is no query.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// What it wants can not be in a twin.
    #[error(transparent)]
    Twin(#[from] twin::TwinError),
    /// Something else.
    #[error("configuration: {0}")]
    Meaningless(&'static str),
}

/// A configuration's condition, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Devices or modules.
    pub source: Source,
    /// What must hold; nothing: no one, as a condition that is empty is for nobody.
    condition: Option<Option<Expression>>,
}

impl Target {
    /// Reads a condition; `*` is everybody, nothing is nobody.
    ///
    /// # Errors
    /// [`QueryError`] with the place in the text.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        let modules = matches!(words.as_slice(), [from, source, ..]
            if from.eq_ignore_ascii_case("from") && source.eq_ignore_ascii_case("devices.modules"));
        if modules {
            let query = Query::parse(&format!("SELECT * {text}"))?;
            return Ok(Self { source: Source::Modules, condition: Some(query.condition) });
        }
        let condition = if text.trim().is_empty() { None } else { Some(Expression::parse_condition(text)?) };
        Ok(Self { source: Source::Devices, condition })
    }

    /// Whether a twin is one that it is for.
    pub fn holds(&self, twin: &Value) -> bool {
        match &self.condition {
            None => false,
            Some(condition) => condition.as_ref().is_none_or(|condition| condition.holds(twin)),
        }
    }
}

impl Document {
    /// Refuses what means nothing.
    ///
    /// # Errors
    /// [`ConfigurationError`].
    pub fn check(&self) -> Result<(), ConfigurationError> {
        let size = serde_json::to_string(self).map_or(usize::MAX, |text| text.len());
        if size > MAX_BYTES {
            return Err(ConfigurationError::Meaningless("it is larger than 128 KiB"));
        }
        if !(0..=i64::from(i32::MAX)).contains(&self.priority) || self.metrics.len() > MAX_METRICS {
            return Err(ConfigurationError::Meaningless("its priority or the number of its metrics is out of range"));
        }
        let source = Target::parse(&self.target_condition)?.source;
        match (&self.content, source) {
            (Content { modules_content: Some(_), .. }, _) => {
                return Err(ConfigurationError::Meaningless("there is no IoT Edge here that modulesContent is for"));
            }
            (Content { device_content: Some(_), module_content: Some(_), .. }, _) => {
                return Err(ConfigurationError::Meaningless("it has one kind of content"));
            }
            (Content { device_content: Some(content), .. }, Source::Devices)
            | (Content { module_content: Some(content), .. }, Source::Modules) => drop(patch(content)?),
            (Content { device_content: None, module_content: None, .. }, _) => {}
            _ => return Err(ConfigurationError::Meaningless("its condition is not of what its content is for")),
        }
        for metric in self.metrics.values() {
            check_metric(metric)?;
        }
        Ok(())
    }

    /// What is wanted of a twin that it is for.
    pub fn wanted(&self) -> Map<String, Value> {
        let content = self.content.device_content.as_ref().or(self.content.module_content.as_ref());
        content.and_then(|content| patch(content).ok()).unwrap_or_default()
    }
}

/// Refuses a metric whose results can not be counted.
///
/// # Errors
/// [`QueryError`].
pub fn check_metric(text: &str) -> Result<Query, QueryError> {
    let query = Query::parse(text)?;
    if query.is_plain() && query.source != Source::Jobs {
        return Ok(query);
    }
    Err(QueryError::Meaningless("a metric selects devices or modules, without aggregates and order"))
}

/// The desired properties that a content wants.
///
/// # Errors
/// [`ConfigurationError`] for a path that is not of desired properties, and for values that no twin can hold.
pub fn patch(content: &Map<String, Value>) -> Result<Map<String, Value>, ConfigurationError> {
    const PATH: ConfigurationError =
        ConfigurationError::Meaningless("content names 'properties.desired' and paths in it");
    let mut wanted = Map::new();
    for (path, value) in content {
        let path = path.strip_prefix("properties.desired").ok_or(PATH)?;
        let inner = match path.strip_prefix('.') {
            Some(path) => path
                .split('.')
                .rev()
                .fold(value.clone(), |inner, name| Value::Object(Map::from_iter([(name.to_owned(), inner)]))),
            None if path.is_empty() => value.clone(),
            None => return Err(PATH),
        };
        let Value::Object(inner) = inner else { return Err(PATH) };
        twin::merge(&mut wanted, &inner);
    }
    twin::validate(&wanted, &twin::Limits::PROPERTIES)?;
    Ok(wanted)
}

/// What of `wanted` is not in `section` yet.
pub fn missing(section: &Map<String, Value>, wanted: &Map<String, Value>) -> Map<String, Value> {
    let mut missing_here = Map::new();
    for (name, value) in wanted {
        match (section.get(name), value) {
            (Some(Value::Object(section)), Value::Object(value)) => {
                let inner = missing(section, value);
                if !inner.is_empty() {
                    missing_here.insert(name.clone(), Value::Object(inner));
                }
            }
            (Some(found), value) if found == value => {}
            _ => _ = missing_here.insert(name.clone(), value.clone()),
        }
    }
    missing_here
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn content_becomes_a_patch_of_what_is_missing() {
        let content = object(json!({"properties.desired.fan.speed": 3, "properties.desired": {"fan": {"on": true}}}));
        let wanted = patch(&content).expect("a patch");
        assert_eq!(Value::Object(wanted.clone()), json!({"fan": {"speed": 3, "on": true}}));
        let section = object(json!({"fan": {"speed": 2, "on": true}, "x": 1}));
        assert_eq!(Value::Object(missing(&section, &wanted)), json!({"fan": {"speed": 3}}));
        assert!(missing(&wanted, &wanted).is_empty());
        for bad in [
            json!({"tags.a": 1}),
            json!({"properties.desired": 5}),
            json!({"properties.desiredx": {}}),
            json!({"properties.desired.a..b": 1}),
        ] {
            assert!(patch(&object(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn targets_are_read() {
        let (device, module) = (json!({"tags": {"a": 1}}), json!({"moduleId": "m"}));
        for (text, source, holds) in [
            ("tags.a = 1", Source::Devices, true),
            ("tags.a = 2", Source::Devices, false),
            ("*", Source::Devices, true),
            (" ", Source::Devices, false),
            ("FROM devices.modules WHERE moduleId = 'm'", Source::Modules, true),
            ("from devices.modules", Source::Modules, true),
        ] {
            let target = Target::parse(text).expect(text);
            let twin = if source == Source::Modules { &module } else { &device };
            assert_eq!((target.source, target.holds(twin)), (source, holds), "{text}");
        }
        assert!(Target::parse("tags.a =").is_err());
    }

    #[test]
    fn documents_that_mean_nothing_are_refused() {
        let document = |change: Value| {
            let mut document = json!({
                "labels": {}, "content": {"deviceContent": {"properties.desired.a": 1}}, "targetCondition": "*",
                "priority": 10, "metrics": {"m": "SELECT deviceId FROM devices WHERE tags.a = 1"},
            });
            for (name, value) in object(change) {
                document[name] = value;
            }
            serde_json::from_value::<Document>(document).expect("a document").check()
        };
        assert_eq!(document(json!({})), Ok(()));
        for bad in [
            json!({"priority": -1}),
            json!({"targetCondition": "tags.a ="}),
            json!({"targetCondition": "FROM devices.modules WHERE moduleId = 'm'"}),
            json!({"content": {"modulesContent": {"m": {}}}}),
            json!({"content": {"deviceContent": {"tags.a": 1}}}),
            json!({"metrics": {"m": "SELECT COUNT() AS n FROM devices"}}),
            json!({"metrics": {"m": "SELECT"}}),
            json!({"labels": {"a": "x".repeat(MAX_BYTES)}}),
        ] {
            assert!(document(bad.clone()).is_err(), "{bad}");
        }
    }
}

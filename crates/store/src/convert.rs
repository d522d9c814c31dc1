//! Between what columns hold and what the domain speaks of.

use crate::StoreError;
use chrono::{DateTime, Utc};
use muster_model::Role;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The time of a `…_ms` column. Only times that a `DateTime` held are ever stored.
pub(crate) fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// The object of a JSON column.
pub(crate) fn object(kind: &'static str, value: Value) -> Result<Map<String, Value>, StoreError> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(StoreError::corrupt(kind, "expected a JSON object")),
    }
}

/// A stored document.
pub(crate) fn read_document<T: DeserializeOwned>(kind: &'static str, value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt(kind, error))
}

/// A document to be stored.
pub(crate) fn write_document<T: Serialize>(kind: &'static str, document: &T) -> Result<Value, StoreError> {
    serde_json::to_value(document).map_err(|error| StoreError::corrupt(kind, error))
}

/// The role of a role column.
pub(crate) fn role(id: Uuid) -> Result<Role, StoreError> {
    Role::from_id(id).ok_or_else(|| StoreError::corrupt("role", id))
}

/// A typed id of an id column.
pub(crate) fn id<T>(kind: &'static str, text: String) -> Result<T, StoreError>
where
    T: TryFrom<String>,
    T::Error: std::fmt::Display,
{
    T::try_from(text).map_err(|error| StoreError::corrupt(kind, error))
}

/// A list as a JSON array, the form in which lists are bound on both databases.
pub(crate) fn json_list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> String {
    Value::Array(items.into_iter().map(Into::into).collect()).to_string()
}

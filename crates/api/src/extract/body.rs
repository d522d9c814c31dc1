//! Bodies, path parameters and queries: their limits, and what is wrong with them as an error body.

use crate::error::ApiError;
use actix_web::{
    error::{JsonPayloadError, PathError, QueryPayloadError},
    mime,
    web::{JsonConfig, PathConfig, PayloadConfig, QueryConfig, ServiceConfig},
};
use muster_contract::error::Problem;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// How long a body may be.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A body that is a JSON object: by itself serde takes an array for a structure as well, field by field.
pub(crate) struct Object<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// The limits of every resource.
pub(crate) fn limits(service: &mut ServiceConfig) {
    let json = JsonConfig::default()
        .limit(MAX_BODY_BYTES)
        .content_type(is_json)
        .error_handler(|error, _| json_error(error).into());
    let path = PathConfig::default().error_handler(|error, _| path_error(&error).into());
    let query = QueryConfig::default().error_handler(|error, _| query_error(&error).into());
    service.app_data(json).app_data(path).app_data(query).app_data(PayloadConfig::new(MAX_BODY_BYTES));
}

/// JSON, and JSON merge patch. Another type would let a page of another site send a body without asking first.
fn is_json(content_type: mime::Mime) -> bool {
    content_type.subtype() == mime::JSON || content_type.essence_str() == "application/merge-patch+json"
}

fn json_error(error: JsonPayloadError) -> ApiError {
    match error {
        JsonPayloadError::Deserialize(error) => unreadable(&error),
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            ApiError::TooLarge { limit_bytes: MAX_BODY_BYTES }
        }
        JsonPayloadError::ContentType => ApiError::MediaType,
        other => ApiError::malformed("unreadableBody", other.to_string()),
    }
}

/// A body that is no JSON, or not the JSON that is expected: what, and where in its text.
fn unreadable(error: &serde_json::Error) -> ApiError {
    let code = if error.is_data() { "unexpectedBody" } else { "notJson" };
    ApiError::Malformed(Box::new(Problem {
        code: code.to_owned(),
        message: error.to_string(),
        pointer: None,
        line: u32::try_from(error.line()).ok().filter(|&line| line > 0),
        column: u32::try_from(error.column()).ok().filter(|&column| column > 0),
    }))
}

fn path_error(error: &PathError) -> ApiError {
    ApiError::malformed("invalidId", error.to_string())
}

fn query_error(error: &QueryPayloadError) -> ApiError {
    ApiError::malformed("invalidQuery", error.to_string())
}

//! Direct methods.

use super::{Service, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, ServiceConfig},
};
use muster_engine::{
    methods::{self, DEFAULT_RESPONSE_TIMEOUT, Invocation, InvokeError},
    policies::Right,
};
use muster_model::Address;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/twins/{id}/methods", web::post().to(invoke_device_method))
        .route("/twins/{id}/modules/{module}/methods", web::post().to(invoke_module_method));
}

/// A call as clients write it; numbers may be texts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call {
    pub(super) method_name: String,
    #[serde(default)]
    pub(super) payload: Value,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) response_timeout_in_seconds: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) connect_timeout_in_seconds: Option<Duration>,
}

async fn invoke_device_method(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let answer = invoke(&service, reply::device(&id).map(Address::from), &body).await;
    service.answer_nested(answer)
}

async fn invoke_module_method(service: Service, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let answer = invoke(&service, reply::module(&path).map(Address::from), &body).await;
    service.answer_nested(answer)
}

async fn invoke(service: &Service, address: Result<Address, Fault>, body: &[u8]) -> Result<HttpResponse, Fault> {
    let caller = service.may(Right::ServiceConnect)?;
    let address = address?;
    let call: Call = reply::body(body)?;
    let invocation = Invocation {
        address: &address,
        name: &call.method_name,
        payload: &call.payload,
        response_timeout: call.response_timeout_in_seconds.unwrap_or(DEFAULT_RESPONSE_TIMEOUT),
        connect_timeout: call.connect_timeout_in_seconds.unwrap_or_default(),
    };
    let answer = methods::invoke(service.engine(), &caller, invocation).await.map_err(fault)?;
    Ok(HttpResponse::Ok().json(json!({"status": answer.status, "payload": answer.payload})))
}

pub(super) fn fault(error: InvokeError) -> Fault {
    match error {
        InvokeError::NotOnline { .. } => Fault::new(404, 404_103, "Timed out waiting for device to connect."),
        InvokeError::TimedOut { .. } => Fault::new(504, 504_101, "Timed out waiting for the response from device."),
        InvokeError::TooLarge => Fault::new(413, 413_001, error.to_string()),
        InvokeError::Unreadable => Fault::new(502, 502_001, error.to_string()),
        InvokeError::Refused(error) => error.into(),
    }
}

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_u64(),
    };
    seconds
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(|| serde::de::Error::custom("a time-out is a whole number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_texts() {
        for (text, expected) in [("30", Some(30)), ("\"30\"", Some(30)), ("null", None)] {
            let call: Call =
                serde_json::from_str(&format!("{{\"methodName\":\"stop\",\"responseTimeoutInSeconds\":{text}}}"))
                    .expect("a call");
            assert_eq!(call.response_timeout_in_seconds, expected.map(Duration::from_secs), "{text}");
            assert_eq!((call.payload, call.connect_timeout_in_seconds), (Value::Null, None));
        }
        for text in ["-1", "\"soon\"", "1.5", "{}"] {
            let call = format!("{{\"methodName\":\"stop\",\"connectTimeoutInSeconds\":{text}}}");
            assert!(serde_json::from_str::<Call>(&call).is_err(), "{text}");
        }
    }
}

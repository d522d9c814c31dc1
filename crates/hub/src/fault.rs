//! Errors as the hub tells them to devices: a status, a code and a JSON body (`iot-hub-wire.md` §2, §6).

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use muster_engine::EngineError;
use serde_json::json;
use uuid::Uuid;

/// Why a request of a device failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// As in HTTP.
    pub(crate) status: u16,
    /// Three digits of the status and three of the reason.
    pub(crate) code: u32,
    /// For people.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Too many requests at once.
    pub(crate) fn throttled() -> Self {
        Self::new(429, 429_001, "too many requests are waiting, try again later")
    }

    /// No answer in time.
    pub(crate) fn timed_out() -> Self {
        Self::new(504, 504_101, "the request was not answered in time")
    }

    /// The body, with a tracking id that also stands in the log.
    pub(crate) fn body(&self, now: DateTime<Utc>) -> Bytes {
        let tracking = Uuid::now_v7().simple();
        tracing::debug!(status = self.status, code = self.code, tracking = %tracking, "a device's request failed");
        let body = json!({
            "errorCode": self.code,
            "trackingId": tracking.to_string(),
            "message": self.message,
            "info": {},
            "timestampUtc": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        Bytes::from(body.to_string())
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::NotFound { kind: "module", .. } => Self::new(404, 404_010, message),
            EngineError::NotFound { kind: "job", .. } => Self::new(404, 404_002, message),
            EngineError::NotFound { kind: "configuration", .. } => Self::new(404, 404_003, message),
            EngineError::NotFound { .. } => Self::new(404, 404_001, message),
            EngineError::Invalid { .. } => Self::new(400, 400_004, message),
            EngineError::Denied(_) | EngineError::Unauthenticated => Self::new(401, 401_002, message),
            EngineError::Conflict { kind: "module", .. } => Self::new(409, 409_301, message),
            EngineError::Conflict { kind: "job" | "configuration", .. } => Self::new(409, 409_002, message),
            EngineError::Conflict { .. } | EngineError::Blocked { .. } => Self::new(409, 409_001, message),
            EngineError::PreconditionFailed { .. } => Self::new(412, 412_002, message),
            EngineError::TooMany { .. } => Self::throttled(),
            EngineError::Unavailable { .. } => {
                tracing::warn!(%error, "a device's request failed, it will try again");
                Self::new(503, 503_005, message)
            }
            EngineError::Store(_)
            | EngineError::Secret(_)
            | EngineError::Certificate(_)
            | EngineError::Corrupt { .. } => {
                tracing::error!(%error, "a device's request failed");
                Self::new(500, 500_001, "internal error")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_sdks_read() {
        let body = Fault::new(400, 400_004, "bad").body(DateTime::UNIX_EPOCH);
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["errorCode"], 400_004);
        assert_eq!(body["message"], "bad");
        assert_eq!(body["timestampUtc"], "1970-01-01T00:00:00.000Z");
        assert!(body["trackingId"].as_str().is_some_and(|id| id.len() == 32));
    }
}

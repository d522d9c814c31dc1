//! What jobs do with a device.

use crate::{
    Engine, EngineError,
    methods::{self, Invocation, InvokeError},
    precondition::IfMatch,
    templates::migration,
    twins_service as twins,
};
use muster_model::{
    Address, Caller, DeviceId,
    device::Twin,
    job::Work,
    wire::{topic, twin},
};
use serde_json::{Value, json};
use std::time::Duration;

/// What became of a device: its answer, or why there is none.
pub(super) type Done = Result<Option<Value>, Failure>;

/// Why nothing could be done with a device.
pub(super) struct Failure {
    /// Three digits of the status and three of the reason, as the service API has them.
    pub(super) code: u32,
    /// For people.
    pub(super) message: String,
}

/// Refuses what no device could do.
pub(super) fn check(work: &Work) -> Result<(), EngineError> {
    match work {
        Work::UpdateTwin { .. } => {
            let change = work.twin_change().unwrap_or_default();
            twin::change(&mut Twin::default(), &change, chrono::DateTime::UNIX_EPOCH)?;
        }
        Work::MigrateTemplate { .. } => {}
        Work::Method { name, payload, response_seconds, connect_seconds } => {
            topic::method_topic(name, "0").map_err(|error| EngineError::invalid("methodName", error.to_string()))?;
            if payload.to_string().len() > methods::MAX_PAYLOAD_BYTES {
                return Err(EngineError::invalid("payload", "the payload is too large"));
            }
            if Duration::from_secs(*response_seconds.max(connect_seconds)) > methods::MAX_TIMEOUT {
                return Err(EngineError::invalid("timeout", "a time-out is too long"));
            }
        }
    }
    Ok(())
}

/// Does it with one device.
pub(super) async fn perform(engine: &Engine, caller: &Caller, work: &Work, device: DeviceId) -> Done {
    let address = Address::from(device);
    match work {
        Work::UpdateTwin { etag, .. } => {
            let change = work.twin_change().unwrap_or_default();
            let condition = IfMatch::from_body(etag.as_deref());
            twins::change(engine, caller, &address, change, &condition).await?;
            Ok(None)
        }
        Work::MigrateTemplate { from, to, .. } => {
            Ok(Some(migration::move_device(engine, caller, &address.device, (from, to)).await?))
        }
        Work::Method { name, payload, response_seconds, connect_seconds } => {
            let invocation = Invocation {
                address: &address,
                name,
                payload,
                response_timeout: Duration::from_secs(*response_seconds),
                connect_timeout: Duration::from_secs(*connect_seconds),
            };
            let answer = methods::invoke(engine, caller, invocation).await?;
            Ok(Some(json!({"deviceMethodResponse": {"status": answer.status, "payload": answer.payload}})))
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::NotFound { .. } => 404_001,
            EngineError::PreconditionFailed { .. } => 412_002,
            EngineError::Invalid { .. } => 400_004,
            EngineError::TooMany { .. } => 429_001,
            EngineError::Unavailable { .. } => 503_005,
            _ => {
                tracing::error!(%error, "a job could not do its work with a device");
                return Self { code: 500_001, message: "internal error".into() };
            }
        };
        Self { code, message: error.to_string() }
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        let code = match error {
            InvokeError::NotOnline { .. } => 404_103,
            InvokeError::TimedOut { .. } => 504_101,
            InvokeError::TooLarge => 413_001,
            InvokeError::Unreadable => 502_001,
            InvokeError::Refused(error) => return error.into(),
        };
        Self { code, message: error.to_string() }
    }
}

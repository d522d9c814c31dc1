//! Requests about a device's own twin, whatever protocol they come by.

use crate::{fault::Fault, mailbox::Desired};
use bytes::Bytes;
use muster_engine::{Engine, hub_auth::DeviceSession, twins};
use serde_json::Value;
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// A request that takes longer fails; the device may ask again.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to a twin request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TwinAnswer {
    /// 200 with the twin, 204 after a patch, or an error.
    pub(crate) status: u16,
    /// The reported version after a patch.
    pub(crate) version: Option<i64>,
    /// The twin, nothing, or the error.
    pub(crate) body: Bytes,
}

/// The twin as its device sees it.
pub(crate) async fn get(engine: &Engine, session: &DeviceSession) -> TwinAnswer {
    let twin = async {
        let twin = twins::get(engine, session).await.map_err(refused)?;
        Ok(TwinAnswer { status: 200, version: None, body: Bytes::from(twin.to_string()) })
    };
    answer(engine, twin).await
}

/// Merges a patch into the reported properties.
pub(crate) async fn report(engine: &Engine, session: &DeviceSession, patch: &[u8]) -> TwinAnswer {
    let reported = async {
        let version = twins::patch_reported(engine, session, patch).await.map_err(refused)?;
        Ok(TwinAnswer { status: 204, version: Some(version), body: Bytes::new() })
    };
    answer(engine, reported).await
}

/// The error that answers a request.
pub(crate) fn failed(engine: &Engine, fault: &Fault) -> TwinAnswer {
    TwinAnswer { status: fault.status, version: None, body: fault.body(engine.clock().now()) }
}

/// A change of desired properties as the device gets it: the patch and the version after it.
pub(crate) fn desired_body(desired: Desired) -> Bytes {
    let Desired { mut patch, version } = desired;
    patch.insert("$version".into(), version.into());
    Bytes::from(Value::Object(patch).to_string())
}

async fn answer(engine: &Engine, request: impl Future<Output = Result<TwinAnswer, Fault>>) -> TwinAnswer {
    match timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(fault)) => failed(engine, &fault),
        Err(_) => failed(engine, &Fault::timed_out()),
    }
}

fn refused(refused: twins::TwinRefused) -> Fault {
    Fault::new(refused.status, refused.code, refused.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_desired_patch_carries_its_version_and_keeps_nulls() {
        let patch = json!({"a": null, "b": {"c": 1}}).as_object().expect("an object").clone();
        let body: Value = serde_json::from_slice(&desired_body(Desired { patch, version: 4 })).expect("JSON");
        assert_eq!(body, json!({"a": null, "b": {"c": 1}, "$version": 4}));
    }
}

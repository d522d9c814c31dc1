//! The provisioning service (DPS) for one device, whatever protocol it comes by (`iot-hub-wire.md` §3).
//!
//! Registering is one transaction, so it is answered at once with the outcome; SDKs take that for "no need to poll".

use crate::fault::Fault;
use bytes::Bytes;
use muster_engine::{
    Engine,
    provisioning::{self, DpsRefused, DpsSession, Registration},
};
use serde::Deserialize;
use serde_json::Value;
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// A request that takes longer fails; SDKs give it 30 s and ask again.
const TIMEOUT: Duration = Duration::from_secs(25);
/// How long a device waits before it asks again after an error that will pass, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;
/// The largest body of a registration.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What is answered to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DpsAnswer {
    /// As in HTTP.
    pub(crate) status: u16,
    /// Seconds until it should ask again.
    pub(crate) retry_after: Option<u32>,
    /// JSON.
    pub(crate) body: Bytes,
}

/// The body of a registration; `registrationId` is in its address already.
#[derive(Deserialize)]
struct Body {
    payload: Option<Value>,
    /// What a TPM shows.
    tpm: Option<Value>,
    /// A request for a certificate.
    csr: Option<Value>,
}

/// Registers the device.
pub(crate) async fn register(engine: &Engine, session: &DpsSession, body: &[u8]) -> DpsAnswer {
    let payload = match payload(body) {
        Ok(payload) => payload,
        Err(fault) => return failed(engine, &fault),
    };
    let registered = async {
        let registration = provisioning::register(engine, session, payload.as_ref()).await.map_err(refused)?;
        Ok(found(&registration))
    };
    answer(engine, registered).await
}

/// Says how the device's registration stands: the one of this operation, or the last one.
pub(crate) async fn status(engine: &Engine, session: &DpsSession, operation: Option<&str>) -> DpsAnswer {
    let status = async {
        match provisioning::status(engine, session, operation).await.map_err(refused)? {
            Some(registration) => Ok(found(&registration)),
            None if operation.is_some() => Err(Fault::new(404, 404_001, "the operation is not known")),
            None => Err(Fault::new(404, 404_001, "the device has not registered")),
        }
    };
    answer(engine, status).await
}

/// The error that answers a request.
pub(crate) fn failed(engine: &Engine, fault: &Fault) -> DpsAnswer {
    let retry_after = (fault.status >= 429).then_some(RETRY_AFTER_SECONDS);
    DpsAnswer { status: fault.status, retry_after, body: fault.body(engine.clock().now()) }
}

async fn answer(engine: &Engine, request: impl Future<Output = Result<DpsAnswer, Fault>>) -> DpsAnswer {
    match timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(fault)) => failed(engine, &fault),
        Err(_) => failed(engine, &Fault::timed_out()),
    }
}

fn found(registration: &Registration) -> DpsAnswer {
    DpsAnswer { status: 200, retry_after: None, body: Bytes::from(registration.document().to_string()) }
}

/// The custom payload of a registration; an empty body has none.
fn payload(body: &[u8]) -> Result<Option<Value>, Fault> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Fault::new(413, 413_001, format!("body is larger than {MAX_BODY_BYTES} bytes")));
    }
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(body) {
        // A device that is told "assigned" would take the rest for done as well.
        Ok(Body { tpm: Some(tpm), .. }) if !is_empty(&tpm) => Err(unsupported("attestation by TPM")),
        Ok(Body { csr: Some(csr), .. }) if !is_empty(&csr) => Err(unsupported("issuing certificates")),
        Ok(Body { payload, .. }) => Ok(payload),
        Err(error) => Err(Fault::new(400, 400_004, format!("body is not a registration: {error}"))),
    }
}

/// SDKs write members that they have nothing for.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn unsupported(what: &str) -> Fault {
    Fault::new(400, 400_004, format!("{what} is not supported by this provisioning service"))
}

fn refused(refusal: DpsRefused) -> Fault {
    match refusal {
        DpsRefused::BadCredential { .. } => Fault::new(401, 401_002, refusal.to_string()),
        DpsRefused::BadRequest { .. } => Fault::new(400, 400_004, refusal.to_string()),
        DpsRefused::Unavailable(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_of_sdks_are_read() {
        for (body, expected) in [
            (r#"{"payload":{"modelId":"dtmi:a;1"},"registrationId":"r"}"#, Some(json!({"modelId": "dtmi:a;1"}))),
            (r#"{"payload":null,"registrationId":"r"}"#, None),
            (r#"{"registrationId":"r","tpm":{},"csr":""}"#, None),
            (" ", None),
            ("", None),
        ] {
            assert_eq!(payload(body.as_bytes()), Ok(expected), "{body}");
        }
        for body in [r#"{"tpm":{"endorsementKey":"a"}}"#, r#"{"csr":"MII"}"#, r#"{"tpm":["a"]}"#] {
            let refused = payload(body.as_bytes()).expect_err("is not supported");
            assert_eq!((refused.status, refused.message.contains("not supported")), (400, true), "{body}");
        }
        for (body, status) in [("[1", 400), ("[]x", 400), ("\"a\"", 400)] {
            assert_eq!(payload(body.as_bytes()).map_err(|fault| fault.status), Err(status), "{body}");
        }
        let large = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(payload(&large).map_err(|fault| fault.status), Err(413));
    }
}

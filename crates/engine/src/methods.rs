//! Direct methods: a question to a connected device, and its answer, whichever instances the two are at.
//!
//! The caller's instance keeps the call; a push carries it to the instance that holds the device, and a push carries
//! the outcome back. Nothing is stored: a call that is lost is a time-out.

use crate::{Engine, EngineError, connections, events::failures};
use bytes::Bytes;
use muster_bus::InstanceId;
use muster_model::{
    Address, Caller, DeviceKey, Permission, TenantKey,
    event::FailureCode,
    push::{MethodCall, MethodOutcome, Push, PushAction},
    wire::topic,
};
use muster_store::modules;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// The largest payload, each way.
pub const MAX_PAYLOAD_BYTES: usize = 128 * 1024;
/// The longest time to wait for an answer, and for a device to connect.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(300);
/// How long an answer is waited for where the caller does not say.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Calls that may wait in one process.
const MAX_CALLS: usize = 10_000;
/// How often it is looked whether a device has connected meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long an outcome may take to get into the caller's queue.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A method to be run.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The device, or the module of one.
    pub address: &'a Address,
    /// The method.
    pub name: &'a str,
    /// What the device is given; JSON `null` where there is nothing.
    pub payload: &'a Value,
    /// How long its answer is waited for.
    pub response_timeout: Duration,
    /// How long it is waited until the device is connected and listens to methods.
    pub connect_timeout: Duration,
}

/// What the device answered.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodAnswer {
    /// Its own status.
    pub status: i64,
    /// Its payload; `null` where it sent none.
    pub payload: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The device is not connected, or does not listen to methods.
    #[error("the device did not connect within {} seconds", waited.as_secs())]
    NotOnline {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It got the call and did not answer.
    #[error("the device did not answer within {} seconds", waited.as_secs())]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// It answered with what is no JSON, or too large.
    #[error("the device's answer is no JSON or larger than {MAX_PAYLOAD_BYTES} bytes")]
    Unreadable,
    /// The payload is too large.
    #[error("the payload is larger than {MAX_PAYLOAD_BYTES} bytes")]
    TooLarge,
    /// As with every use case.
    #[error(transparent)]
    Refused(#[from] EngineError),
}

/// Runs a method on a device and waits for its answer.
///
/// # Errors
/// [`InvokeError`].
pub async fn invoke(engine: &Engine, caller: &Caller, invocation: Invocation<'_>) -> Result<MethodAnswer, InvokeError> {
    let answer = call(engine, caller, invocation).await;
    let tenant = caller.scope.tenant;
    match &answer {
        Ok(_) => failures::count(engine, tenant, "c2d.commands.success", 1),
        Err(InvokeError::Refused(_) | InvokeError::TooLarge) => {}
        Err(error) => {
            failures::count(engine, tenant, "c2d.commands.failure", 1);
            if matches!(error, InvokeError::TimedOut { .. }) {
                failures::note(engine, tenant, &invocation.address.device, FailureCode::MethodTimedOut);
            }
        }
    }
    answer
}

async fn call(engine: &Engine, caller: &Caller, invocation: Invocation<'_>) -> Result<MethodAnswer, InvokeError> {
    caller.require(Permission::DevicesCommand).map_err(EngineError::from)?;
    let payload = check(&invocation)?;
    let scope = &caller.scope;
    let tx = engine.store().begin_read(scope).await.map_err(EngineError::from)?;
    let device = modules::resolve(&tx, scope, invocation.address).await.map_err(EngineError::from)?.key;
    drop(tx);
    let until = Instant::now() + invocation.connect_timeout;
    loop {
        match attempt(engine, caller, device, &invocation, &payload).await? {
            MethodOutcome::Answered { status, payload } => return read(status, &payload),
            MethodOutcome::Unreadable => return Err(InvokeError::Unreadable),
            MethodOutcome::Unreachable if Instant::now() >= until => {
                return Err(InvokeError::NotOnline { waited: invocation.connect_timeout });
            }
            MethodOutcome::Unreachable => sleep(LOOK_EVERY.min(until - Instant::now())).await,
        }
    }
}

/// Gives the outcome of a call back to whoever waits for it. It does not wait for the bus.
pub fn answer(engine: &Engine, device: (TenantKey, DeviceKey), call: &MethodCall, outcome: MethodOutcome) {
    if call.reply_to == engine.instance().0 {
        engine.calls().resolve(device, call.request, outcome);
        return;
    }
    let action = PushAction::MethodOutcome { request: call.request, outcome };
    let push = Push { tenant: device.0, device: device.1, epoch: 0, action };
    let (caller, to) = (engine.clone(), InstanceId(call.reply_to.clone()));
    engine.tasks().spawn(async move {
        let Ok(body) = serde_json::to_vec(&push) else { return };
        match timeout(REPLY_TIMEOUT, caller.bus().push(&to, Bytes::from(body))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the outcome of a method did not reach its caller"),
            Err(_) => tracing::warn!("the outcome of a method did not reach its caller in time"),
        }
    });
}

/// What a device's answer is to its caller: its payload must be JSON, or nothing.
pub fn outcome(status: i64, payload: &[u8]) -> MethodOutcome {
    let text = std::str::from_utf8(payload).map(str::trim);
    match text {
        Ok(text) if payload.len() <= MAX_PAYLOAD_BYTES && (text.is_empty() || is_json(text)) => {
            MethodOutcome::Answered { status, payload: text.to_owned() }
        }
        _ => MethodOutcome::Unreadable,
    }
}

/// Calls that somebody in this process waits for.
#[derive(Default)]
pub(crate) struct Calls {
    waiting: Mutex<HashMap<Uuid, Waiting>>,
}

struct Waiting {
    device: (TenantKey, DeviceKey),
    outcome: oneshot::Sender<MethodOutcome>,
}

impl Calls {
    /// Gives an outcome to whoever waits for it, if it is of the device that was called.
    pub(crate) fn resolve(&self, device: (TenantKey, DeviceKey), request: Uuid, outcome: MethodOutcome) {
        let mut waiting = self.lock();
        if waiting.get(&request).is_some_and(|call| call.device == device)
            && let Some(call) = waiting.remove(&request)
        {
            // Who gave up in this moment needs no answer.
            let _ = call.outcome.send(outcome);
        }
    }

    fn open(&self, device: (TenantKey, DeviceKey)) -> Result<Call<'_>, EngineError> {
        let (outcome, receiver) = oneshot::channel();
        let request = Uuid::new_v4();
        let mut waiting = self.lock();
        if waiting.len() >= MAX_CALLS {
            return Err(EngineError::TooMany { retry_after: Duration::from_secs(1) });
        }
        waiting.insert(request, Waiting { device, outcome });
        Ok(Call { calls: self, request, receiver })
    }

    /// The map stays whole whatever panics, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is waited for; forgotten when it is dropped.
struct Call<'a> {
    calls: &'a Calls,
    request: Uuid,
    receiver: oneshot::Receiver<MethodOutcome>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.request);
    }
}

/// Calls the device where it is held now.
async fn attempt(
    engine: &Engine,
    caller: &Caller,
    device: DeviceKey,
    invocation: &Invocation<'_>,
    payload: &str,
) -> Result<MethodOutcome, InvokeError> {
    let tenant = caller.scope.tenant;
    let tx = engine.store().begin_read(&caller.scope).await.map_err(EngineError::from)?;
    let holder = connections::holder(&tx, engine, &caller.scope, device).await.map_err(EngineError::from)?;
    drop(tx);
    let Some(holder) = holder else { return Ok(MethodOutcome::Unreachable) };
    let mut call = engine.calls().open((tenant, device))?;
    let waits = i64::try_from(invocation.response_timeout.as_millis()).unwrap_or(i64::MAX);
    let action = PushAction::Method {
        call: MethodCall {
            request: call.request,
            reply_to: engine.instance().0.clone(),
            name: invocation.name.to_owned(),
            payload: payload.to_owned(),
            expires_ms: engine.clock().now_ms().saturating_add(waits),
        },
    };
    let push = Push { tenant, device, epoch: holder.epoch, action };
    if !connections::send(engine, &InstanceId(holder.instance), &push).await {
        return Ok(MethodOutcome::Unreachable);
    }
    match timeout(invocation.response_timeout, &mut call.receiver).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(_)) | Err(_) => Err(InvokeError::TimedOut { waited: invocation.response_timeout }),
    }
}

/// Checks what is asked; the payload as it goes to the device.
/// Refuses a name that no topic can carry.
pub(crate) fn check_name(name: &str) -> Result<(), EngineError> {
    // The real request id is as harmless as this one.
    let topic = topic::method_topic(name, "0");
    topic.map(drop).map_err(|error| EngineError::invalid("methodName", error.to_string()))
}

fn check(invocation: &Invocation<'_>) -> Result<String, InvokeError> {
    check_name(invocation.name)?;
    if invocation.response_timeout.max(invocation.connect_timeout) > MAX_TIMEOUT {
        let message = format!("a time-out is at most {} seconds", MAX_TIMEOUT.as_secs());
        return Err(EngineError::invalid("timeout", message).into());
    }
    let payload = invocation.payload.to_string();
    if payload.len() > MAX_PAYLOAD_BYTES { Err(InvokeError::TooLarge) } else { Ok(payload) }
}

fn read(status: i64, payload: &str) -> Result<MethodAnswer, InvokeError> {
    let payload = if payload.is_empty() { Ok(Value::Null) } else { serde_json::from_str(payload) };
    payload.map(|payload| MethodAnswer { status, payload }).map_err(|_| InvokeError::Unreadable)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_or_nothing() {
        let answered = |text: &str| MethodOutcome::Answered { status: 200, payload: text.into() };
        for (payload, expected) in [
            (&b""[..], answered("")),
            (b" ", answered("")),
            (b"null", answered("null")),
            (b" {\"a\":1} ", answered("{\"a\":1}")),
            (b"{", MethodOutcome::Unreadable),
            (b"\xff", MethodOutcome::Unreadable),
        ] {
            assert_eq!(outcome(200, payload), expected, "{payload:?}");
        }
        let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
        assert_eq!(outcome(200, large.as_bytes()), MethodOutcome::Unreadable);
    }

    #[tokio::test]
    async fn an_outcome_is_taken_only_from_the_device_that_was_called() {
        let calls = Calls::default();
        let mut call = calls.open((TenantKey(1), DeviceKey(7))).expect("a call");
        calls.resolve((TenantKey(1), DeviceKey(8)), call.request, MethodOutcome::Unreachable);
        calls.resolve((TenantKey(1), DeviceKey(7)), Uuid::nil(), MethodOutcome::Unreachable);
        assert!(call.receiver.try_recv().is_err());
        calls.resolve((TenantKey(1), DeviceKey(7)), call.request, outcome(200, b""));
        assert_eq!((&mut call.receiver).await, Ok(outcome(200, b"")));
        drop(call);
        assert!(calls.lock().is_empty());
    }
}

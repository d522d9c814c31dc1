//! Device twins: what a device reports, and what it should be.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    commands, connections,
    events::{self, Patches, failures},
    hub_auth::DeviceSession,
    live::LiveEvent,
};
use muster_model::{
    Caller, DeviceId, DeviceKey, Permission,
    device::Twin,
    push::PushAction,
    wire::twin::{self, TwinError},
};
use muster_store::{StoreError, Tx, devices, twins};
use serde_json::{Map, Value};

/// A reported patch was refused; the device is answered with this.
#[derive(Debug, thiserror::Error)]
#[error("reported properties refused: {message}")]
pub struct TwinRefused {
    /// The status in the answer's topic.
    pub status: u16,
    /// The error code in the answer's body.
    pub code: u32,
    /// For people.
    pub message: String,
}

impl TwinRefused {
    /// 5xx and 429 are tried again by the SDKs; the reason is the operator's business.
    fn later(error: impl std::fmt::Display) -> Self {
        tracing::warn!(%error, "a twin cannot be used now");
        Self { status: 503, code: 503_005, message: "the service is not available, try again".into() }
    }
}

impl From<TwinError> for TwinRefused {
    fn from(error: TwinError) -> Self {
        Self { status: error.status(), code: error.code(), message: error.to_string() }
    }
}

impl From<StoreError> for TwinRefused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => {
                Self { status: 404, code: 404_001, message: "the device does not exist any more".into() }
            }
            error => Self::later(error),
        }
    }
}

/// The twin as the device gets it: both sections with their versions.
///
/// # Errors
/// [`TwinRefused`] with what to answer.
pub async fn get(engine: &Engine, session: &DeviceSession) -> Result<Value, TwinRefused> {
    let read = read(engine, session).await;
    let name = if read.is_ok() { "d2c.property.read.success" } else { "d2c.property.read.failure" };
    failures::count(engine, session.tenant, name, 1);
    read
}

async fn read(engine: &Engine, session: &DeviceSession) -> Result<Value, TwinRefused> {
    let scope = session.scope();
    let tx = engine.store().begin_read(&scope).await?;
    let twin = twins::get(&tx, &scope, session.device).await?;
    Ok(twin::device_document(&twin))
}

/// Merges what the device reports; returns the version of its reported properties.
///
/// # Errors
/// [`TwinRefused`] with what to answer.
pub async fn patch_reported(engine: &Engine, session: &DeviceSession, payload: &[u8]) -> Result<i64, TwinRefused> {
    let reported = report(engine, session, payload).await;
    let name = if reported.is_ok() { "d2c.property.update.success" } else { "d2c.property.update.failure" };
    failures::count(engine, session.tenant, name, 1);
    reported
}

async fn report(engine: &Engine, session: &DeviceSession, payload: &[u8]) -> Result<i64, TwinRefused> {
    let patch = twin::parse_patch(payload)?;
    let scope = session.scope();
    let tx = engine.store().begin(&scope).await?;
    let mut twin = twins::lock(&tx, &scope, session.device).await?;
    let now = engine.clock().now();
    let version = twin::patch_reported(&mut twin, &patch, now)?;
    twins::update(&tx, &scope, session.device, &twin).await?;
    commands::reported(&tx, engine, &scope, session.device, &patch).await.map_err(TwinRefused::later)?;
    let patches = Patches { reported: Some(&patch), ..Patches::default() };
    events::patched(&tx, &scope, &session.address(), (&twin, patches), now);
    tx.commit().await?;
    let changed = LiveEvent::Properties { device: session.device_id.clone() };
    engine.live().publish(session.tenant, vec![changed]).await;
    Ok(version)
}

/// What becomes of a twin's section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The patch is merged; nulls delete.
    Merge,
    /// The section is replaced.
    Replace,
}

/// Changes the desired properties and sends them to the device where it is connected.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::Invalid`] beyond a limit.
pub async fn update_desired(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    patch: &Map<String, Value>,
    change: Change,
) -> Result<Twin, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let mut twin = twins::lock(&tx, &caller.scope, device.key).await?;
    let push = change_desired(engine, &mut twin, patch, change)?;
    twins::update(&tx, &caller.scope, device.key, &twin).await?;
    match change {
        Change::Merge => {
            let patches = Patches { desired: Some(patch), ..Patches::default() };
            events::patched(&tx, &caller.scope, &id.clone().into(), (&twin, patches), engine.clock().now());
        }
        Change::Replace => events::replaced(&tx, engine, &caller.scope, (&device, None, &twin)).await?,
    }
    let names = patch.keys().map(|key| Value::from(key.as_str())).collect();
    let details = Map::from_iter([("desired".to_owned(), Value::Array(names))]);
    audit::record(&tx, engine, caller, Entry::new("desiredChanged", "device", id).with(details)).await?;
    commit_and_push(engine, caller, tx, (id, device.key), push).await?;
    Ok(twin)
}

/// Changes the section in memory; returns what the device is told.
pub(crate) fn change_desired(
    engine: &Engine,
    twin: &mut Twin,
    patch: &Map<String, Value>,
    change: Change,
) -> Result<PushAction, TwinError> {
    let now = engine.clock().now();
    let version = match change {
        Change::Merge => twin::patch_desired(twin, patch, now)?,
        Change::Replace => twin::replace_desired(twin, patch, now)?,
    };
    Ok(PushAction::Desired { patch: patch.clone(), version })
}

/// Commits a change of the device's desired properties and tells the device and whoever looks at it.
pub(crate) async fn commit_and_push(
    engine: &Engine,
    caller: &Caller,
    tx: Tx,
    (id, device): (&DeviceId, DeviceKey),
    push: PushAction,
) -> Result<(), EngineError> {
    let holder = connections::holder(&tx, engine, &caller.scope, device).await?;
    tx.commit().await?;
    if let Some(holder) = holder {
        connections::push_to(engine, caller.scope.tenant, device, holder, push).await;
    }
    say(engine, caller, id).await;
    Ok(())
}

/// Tells whoever looks at the device that its properties changed.
pub(crate) async fn say(engine: &Engine, caller: &Caller, id: &DeviceId) {
    engine.live().publish(caller.scope.tenant, vec![LiveEvent::Properties { device: id.clone() }]).await;
}

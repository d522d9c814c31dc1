//! The registry of device identities as services see and change it (`iot-hub-wire.md` §6).

use crate::{
    Engine, EngineError,
    authentication::{self, Authentication, X509},
    devices,
    devices::{DeviceKeys, DevicePatch, NewDevice},
    precondition::IfMatch,
};
use muster_model::{
    Caller, DeviceId, DeviceKey, Permission, Scope,
    device::{Device, SymmetricKeys},
    registry::{self, Facts, Proof},
};
use muster_store::{MAX_PAGE, Paging, Tx, c2d, devices as stored, devices::DeviceFilter};
use serde_json::Value;
use std::collections::HashMap;

/// A device's identity to be made or changed; what is absent stays, or is made.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// May it connect?
    pub enabled: Option<bool>,
    /// Why.
    pub status_reason: Option<String>,
    /// How it proves who it is.
    pub authentication: Option<Authentication>,
}

/// How many devices there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// All of them.
    pub total: i64,
    /// Those that may connect.
    pub enabled: i64,
    /// Those that are connected.
    pub connected: i64,
}

/// Makes a device; its identity.
///
/// # Errors
/// [`EngineError::Conflict`] where the id is taken, [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn create(engine: &Engine, caller: &Caller, id: &DeviceId, identity: Identity) -> Result<Value, EngineError> {
    let Identity { enabled, status_reason, authentication } = identity;
    let (enabled, id) = (enabled.unwrap_or(true), id.clone());
    let new = NewDevice { id: id.clone(), display_name: None, template: None, enabled, simulated: false };
    devices::create(engine, caller, new).await?;
    let patch = DevicePatch { status_reason: status_reason.map(Some), ..DevicePatch::default() };
    finish(engine, caller, &id, patch, authentication).await
}

/// Changes a device's identity; the identity after it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    identity: Identity,
    condition: &IfMatch,
) -> Result<Value, EngineError> {
    let Identity { enabled, status_reason, authentication } = identity;
    let before = find(engine, caller, id).await?;
    condition.check("device", id, &before.etag)?;
    let patch = DevicePatch { enabled, status_reason: Some(status_reason), ..DevicePatch::default() };
    finish(engine, caller, id, patch, authentication).await
}

/// The device's identity, keys included.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = stored::get(&tx, &caller.scope, id).await?;
    let facts = facts(&tx, engine, &caller.scope, &[device.key]).await?;
    Ok(registry::identity(&device, facts.of(device.key)))
}

/// Identities in the order of their ids, at most `top` (and 1000).
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, top: u32) -> Result<Vec<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let page = stored::list(&tx, &caller.scope, &DeviceFilter::default(), Paging::first(top.min(MAX_PAGE))).await?;
    let keys: Vec<DeviceKey> = page.items.iter().map(|device| device.key).collect();
    let facts = facts(&tx, engine, &caller.scope, &keys).await?;
    Ok(page.items.iter().map(|device| registry::identity(device, facts.of(device.key))).collect())
}

/// How many devices there are.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn statistics(engine: &Engine, caller: &Caller) -> Result<Statistics, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let all = DeviceFilter::default();
    let enabled = DeviceFilter { enabled: Some(true), ..DeviceFilter::default() };
    let connected = DeviceFilter { connected: Some(true), ..DeviceFilter::default() };
    Ok(Statistics {
        total: stored::count(&tx, &caller.scope, &all).await?,
        enabled: stored::count(&tx, &caller.scope, &enabled).await?,
        connected: stored::count(&tx, &caller.scope, &connected).await?,
    })
}

/// What belongs to devices and stands elsewhere.
pub(crate) struct AllFacts {
    of: HashMap<DeviceKey, Facts>,
    none: Facts,
}

impl AllFacts {
    pub(crate) fn of(&self, device: DeviceKey) -> &Facts {
        self.of.get(&device).unwrap_or(&self.none)
    }
}

/// How devices prove who they are, and how many messages wait for them; at most [`MAX_PAGE`] devices.
pub(crate) async fn facts(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    keys: &[DeviceKey],
) -> Result<AllFacts, EngineError> {
    let mut messages: HashMap<DeviceKey, i64> = c2d::count_by_keys(tx, scope, keys).await?.into_iter().collect();
    let mut of = HashMap::new();
    for (device, sealed) in stored::list_credentials_by_keys(tx, scope, keys).await? {
        let proof = proof(devices::open_keys(engine, device, &sealed)?);
        of.insert(device, Facts { proof, messages: messages.remove(&device).unwrap_or_default() });
    }
    let nothing = SymmetricKeys { primary_key: String::new(), secondary_key: String::new() };
    Ok(AllFacts { of, none: Facts { proof: Proof::Sas(nothing), messages: 0 } })
}

async fn find(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Device, EngineError> {
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(stored::get(&tx, &caller.scope, id).await?)
}

/// Makes the rest of a change; the identity after it.
async fn finish(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    patch: DevicePatch,
    authentication: Option<Authentication>,
) -> Result<Value, EngineError> {
    devices::update(engine, caller, id, patch, &IfMatch::Any).await?;
    if let Some(wanted) = authentication
        // Written back as it was read, it ends no connection.
        && authentication::get(engine, caller, id).await.ok().as_ref() != Some(&wanted)
    {
        authentication::set(engine, caller, id, wanted).await?;
    }
    get(engine, caller, id).await
}

fn proof(keys: DeviceKeys) -> Proof {
    match keys.x509 {
        None => Proof::Sas(keys.keys),
        Some(X509::SelfSigned { primary, secondary }) => Proof::SelfSigned { primary, secondary },
        Some(X509::CertificateAuthority) => Proof::CertificateAuthority,
    }
}

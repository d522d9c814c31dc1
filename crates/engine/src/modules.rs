//! Modules of devices as services see and change them: identities of their own that live and end with their device
//! (`iot-hub-wire.md` §6).

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    authentication::Authentication,
    connections,
    devices::{self, DeviceKeys},
    events,
    notices::NoticeKind,
    precondition::IfMatch,
    provisioning,
    registry_service::facts,
};
use muster_model::{Address, Caller, DeviceId, ModuleId, Permission, device::Module, event::Operation, registry};
use muster_store::{Tx, devices as stored, modules, twins};
use serde_json::Value;
use uuid::Uuid;

/// Modules that a device may have.
pub const MAX_MODULES: usize = 50;

/// A module to be made or changed; what is absent stays, or is made.
#[derive(Debug, Clone, Default)]
pub struct ModuleIdentity {
    /// Who manages it.
    pub managed_by: Option<String>,
    /// How it proves who it is.
    pub authentication: Option<Authentication>,
}

/// Makes a module of a device; its identity.
///
/// # Errors
/// [`EngineError::NotFound`] without the device, [`EngineError::Conflict`] where the id is taken,
/// [`EngineError::Invalid`] beyond [`MAX_MODULES`], [`EngineError::Denied`].
pub async fn create(
    engine: &Engine,
    caller: &Caller,
    (device, id): (&DeviceId, &ModuleId),
    identity: ModuleIdentity,
) -> Result<Value, EngineError> {
    caller.require(Permission::DevicesCreate)?;
    let keys = match identity.authentication {
        Some(authentication) => authentication.checked()?.into_keys(),
        None => DeviceKeys { keys: provisioning::random_keys()?, group: None, x509: None },
    };
    let scope = &caller.scope;
    let tx = engine.store().begin(scope).await?;
    let device = stored::get(&tx, scope, device).await?;
    // Whoever makes another one at the same time waits here, so that the limit holds.
    twins::lock(&tx, scope, device.key).await?;
    if modules::list_of(&tx, scope, device.key).await?.len() >= MAX_MODULES {
        return Err(EngineError::invalid("modules", format!("a device has at most {MAX_MODULES} modules")));
    }
    let new = modules::NewModule {
        id: id.clone(),
        managed_by: identity.managed_by,
        created_at: engine.clock().now(),
        generation: Uuid::now_v7().simple().to_string(),
    };
    let key = modules::insert(&tx, scope, &device, new).await?;
    stored::set_credentials(&tx, scope, key, &devices::seal_keys(engine, key, &keys)?).await?;
    let address = Address::from((device.id, id.clone()));
    audit::record(&tx, engine, caller, Entry::new("created", "module", &address)).await?;
    let module = modules::get(&tx, scope, &address).await?;
    events::module(&tx, engine, scope, &module, Operation::CreateModuleIdentity).await?;
    let document = document(&tx, engine, caller, &address).await?;
    tx.commit().await?;
    engine.notify(scope.tenant, NoticeKind::Device, &address.device).await;
    Ok(document)
}

/// Changes a module; its identity after it. New keys or certificates end its connection.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    (device, id): (&DeviceId, &ModuleId),
    identity: ModuleIdentity,
    condition: &IfMatch,
) -> Result<Value, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    caller.require(Permission::ConnectivityManage)?;
    let authentication = identity.authentication.map(Authentication::checked).transpose()?;
    let (scope, address) = (&caller.scope, Address::from((device.clone(), id.clone())));
    let tx = engine.store().begin(scope).await?;
    let before = find(&tx, caller, &address).await?;
    condition.check("module", &address, &before.identity.etag)?;
    let key = before.identity.key;
    let mut held = Vec::new();
    if let Some(authentication) = authentication {
        let sealed = stored::find_credentials(&tx, scope, key).await?;
        let known = sealed.map(|sealed| devices::open_keys(engine, key, &sealed)).transpose()?;
        let keys = authentication.into_keys();
        // Written back as it was read, it ends no connection.
        if known.as_ref() != Some(&keys) {
            stored::set_credentials(&tx, scope, key, &devices::seal_keys(engine, key, &keys)?).await?;
            held = connections::holders(&tx, engine, scope, key).await?;
        }
    }
    modules::update(&tx, scope, &Module { managed_by: identity.managed_by.or(before.managed_by.clone()), ..before })
        .await?;
    audit::record(&tx, engine, caller, Entry::new("updated", "module", &address)).await?;
    let document = document(&tx, engine, caller, &address).await?;
    tx.commit().await?;
    engine.notify(scope.tenant, NoticeKind::Device, device).await;
    devices::end(engine, scope, held, "the module's authentication was changed").await;
    Ok(document)
}

/// The module's identity, keys included.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, (device, id): (&DeviceId, &ModuleId)) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    document(&tx, engine, caller, &Address::from((device.clone(), id.clone()))).await
}

/// The identities of a device's modules in the order of their ids.
///
/// # Errors
/// [`EngineError::NotFound`] without the device, [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, device: &DeviceId) -> Result<Vec<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = stored::get(&tx, &caller.scope, device).await?;
    let modules = modules::list_of(&tx, &caller.scope, device.key).await?;
    let keys: Vec<_> = modules.iter().map(|module| module.identity.key).collect();
    let facts = facts(&tx, engine, &caller.scope, &keys).await?;
    Ok(modules.iter().map(|module| registry::module(module, facts.of(module.identity.key))).collect())
}

/// Deletes a module and ends its connection.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    (device, id): (&DeviceId, &ModuleId),
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::DevicesDelete)?;
    let (scope, address) = (&caller.scope, Address::from((device.clone(), id.clone())));
    let tx = engine.store().begin(scope).await?;
    let module = find(&tx, caller, &address).await?;
    condition.check("module", &address, &module.identity.etag)?;
    let held = connections::holders(&tx, engine, scope, module.identity.key).await?;
    events::module(&tx, engine, scope, &module, Operation::DeleteModuleIdentity).await?;
    for (key, holder) in &held {
        let (epoch, at) = (holder.epoch, engine.clock().now());
        events::Connection { address: &address, key: *key, epoch, at }.ended(&tx, scope);
    }
    modules::delete(&tx, scope, module.identity.key).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "module", &address)).await?;
    tx.commit().await?;
    engine.notify(scope.tenant, NoticeKind::Device, device).await;
    devices::end(engine, scope, held, "the module was deleted").await;
    Ok(())
}

/// The module; whether it is the device that is missing is told.
async fn find(tx: &Tx, caller: &Caller, address: &Address) -> Result<Module, EngineError> {
    stored::get(tx, &caller.scope, &address.device).await?;
    Ok(modules::get(tx, &caller.scope, address).await?)
}

async fn document(tx: &Tx, engine: &Engine, caller: &Caller, address: &Address) -> Result<Value, EngineError> {
    let module = find(tx, caller, address).await?;
    let facts = facts(tx, engine, &caller.scope, &[module.identity.key]).await?;
    Ok(registry::module(&module, facts.of(module.identity.key)))
}

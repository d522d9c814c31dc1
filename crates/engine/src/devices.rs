//! Devices: create, change, delete, and the keys they connect with.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    authentication::X509,
    connections, events,
    notices::NoticeKind,
    precondition::IfMatch,
    provisioning, rules,
    templates::load,
};
use chrono::{DateTime, Utc};
use muster_model::{
    Caller, DeviceId, DeviceKey, EnrollmentGroupId, IdScope, Permission, Scope, TemplateId,
    device::{Device, SymmetricKeys},
    push::PushAction,
    wire::sas,
};
use muster_store::{Tx, devices, hub_sessions::Holder, registrations, templates, tenants};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Names are shown in lists; longer ones are of no use there.
const MAX_NAME_CHARS: usize = 148;

/// A device to be made.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Its id.
    pub id: DeviceId,
    /// The name shown to people; the id where absent.
    pub display_name: Option<String>,
    /// Its template.
    pub template: Option<TemplateId>,
    /// May it connect?
    pub enabled: bool,
    /// Is it driven by the simulator?
    pub simulated: bool,
}

/// A change to a device; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct DevicePatch {
    /// The name shown to people.
    pub display_name: Option<String>,
    /// Its template; `Some(None)` takes it away.
    pub template: Option<Option<TemplateId>>,
    /// May it connect?
    pub enabled: Option<bool>,
    /// Is it driven by the simulator?
    pub simulated: Option<bool>,
    /// Why it may connect or may not; `Some(None)` takes it away.
    pub status_reason: Option<Option<String>>,
}

/// What a device needs to connect.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// By which it finds its tenant in the provisioning service.
    pub id_scope: IdScope,
    /// The hub it connects to.
    pub hub_host: String,
    /// Its keys.
    pub symmetric_key: SymmetricKeys,
}

/// Makes a device. Its keys are those that the default enrollment group gives to its id, so that the same device may
/// also provision itself.
///
/// # Errors
/// [`EngineError::Conflict`] where the id is taken, [`EngineError::Invalid`] for a bad name or an unknown template.
pub async fn create(engine: &Engine, caller: &Caller, new: NewDevice) -> Result<Device, EngineError> {
    caller.require(Permission::DevicesCreate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let keys = provisioning::keys_of_new(&tx, engine, &caller.scope, &new.id).await?;
    let device = insert(&tx, engine, caller, Insert { new, keys, provisioned: false }).await?;
    events::created(&tx, engine, &caller.scope, &device).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, &device.id).await;
    Ok(device)
}

/// A device as it is put into the database.
pub(crate) struct Insert {
    pub(crate) new: NewDevice,
    pub(crate) keys: DeviceKeys,
    /// Has it come through provisioning?
    pub(crate) provisioned: bool,
}

/// A device's keys and the group that they were derived from; none where they are its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceKeys {
    #[serde(flatten)]
    pub(crate) keys: SymmetricKeys,
    pub(crate) group: Option<EnrollmentGroupId>,
    /// It proves itself by certificate; the keys are not used then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x509: Option<X509>,
}

/// Puts a device into the database; whoever does it tells of it ([`events::created`]) when its twin is as it begins.
pub(crate) async fn insert(tx: &Tx, engine: &Engine, caller: &Caller, insert: Insert) -> Result<Device, EngineError> {
    let Insert { new, keys, provisioned } = insert;
    let display_name = new.display_name.unwrap_or_else(|| new.id.to_string());
    check_name(&display_name)?;
    check_template(tx, &caller.scope, new.template.as_ref()).await?;
    let row = devices::NewDevice {
        id: new.id,
        display_name,
        template: new.template,
        enabled: new.enabled,
        provisioned,
        simulated: new.simulated,
        created_at: engine.clock().now(),
        generation: Uuid::now_v7().simple().to_string(),
    };
    let device = devices::insert(tx, &caller.scope, row).await?;
    devices::set_credentials(tx, &caller.scope, device.key, &seal_keys(engine, device.key, &keys)?).await?;
    let details = Map::from_iter([
        ("displayName".to_owned(), json!(device.display_name)),
        ("template".to_owned(), json!(device.template)),
        ("simulated".to_owned(), json!(device.simulated)),
    ]);
    audit::record(tx, engine, caller, Entry::new("created", "device", &device.id).with(details)).await?;
    Ok(device)
}

/// Changes a device. Blocking it ends its connection, and those of its modules.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    patch: DevicePatch,
    condition: &IfMatch,
) -> Result<Device, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = devices::get(&tx, &caller.scope, id).await?;
    condition.check("device", id, &before.etag)?;
    let (after, changes) = patched(before, patch, engine.clock().now())?;
    if changes.is_empty() {
        return Ok(after);
    }
    if changes.contains_key("template") {
        check_template(&tx, &caller.scope, after.template.as_ref()).await?;
        let template = match &after.template {
            Some(id) => Some(load(templates::get(&tx, &caller.scope, id).await?)?),
            None => None,
        };
        rules::clear_unwatched(&tx, &caller.scope, after.key, template.as_ref(), engine.clock().now()).await?;
    }
    let after = devices::update(&tx, &caller.scope, &after).await?;
    audit::record(&tx, engine, caller, Entry::new("updated", "device", id).with(changes)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    if !after.enabled {
        let tx = engine.store().begin_read(&caller.scope).await?;
        let held = connections::holders(&tx, engine, &caller.scope, after.key).await?;
        drop(tx);
        end(engine, &caller.scope, held, "the device was blocked").await;
    }
    Ok(after)
}

/// The device as it will be, and what is different, for the audit log.
fn patched(
    mut device: Device,
    patch: DevicePatch,
    now: DateTime<Utc>,
) -> Result<(Device, Map<String, Value>), EngineError> {
    let mut changes = Map::new();
    if let Some(display_name) = patch.display_name.filter(|name| *name != device.display_name) {
        check_name(&display_name)?;
        changes.insert("displayName".into(), json!(display_name));
        device.display_name = display_name;
    }
    if let Some(template) = patch.template.filter(|template| *template != device.template) {
        changes.insert("template".into(), json!(template));
        device.template = template;
    }
    if let Some(enabled) = patch.enabled.filter(|enabled| *enabled != device.enabled) {
        changes.insert("enabled".into(), json!(enabled));
        device.enabled = enabled;
        device.status_changed_at = Some(now);
    }
    if let Some(simulated) = patch.simulated.filter(|simulated| *simulated != device.simulated) {
        changes.insert("simulated".into(), json!(simulated));
        device.simulated = simulated;
    }
    if let Some(reason) = patch.status_reason.filter(|reason| *reason != device.status_reason) {
        changes.insert("statusReason".into(), json!(reason));
        device.status_reason = reason;
    }
    Ok((device, changes))
}

/// Makes the device, or changes the one that has this id (`PUT` of the REST API).
///
/// # Errors
/// As [`create`] and [`update`].
pub async fn put(engine: &Engine, caller: &Caller, new: NewDevice, condition: &IfMatch) -> Result<Device, EngineError> {
    let existing = {
        let tx = engine.store().begin_read(&caller.scope).await?;
        devices::find(&tx, &caller.scope, &new.id).await?
    };
    let Some(existing) = existing else { return create(engine, caller, new).await };
    let patch = DevicePatch {
        display_name: new.display_name,
        template: Some(new.template.or(existing.template)),
        enabled: Some(new.enabled),
        simulated: Some(new.simulated),
        status_reason: None,
    };
    update(engine, caller, &new.id, patch, condition).await
}

/// Deletes a device with its modules and ends their connections.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`].
pub async fn delete(engine: &Engine, caller: &Caller, id: &DeviceId, condition: &IfMatch) -> Result<(), EngineError> {
    caller.require(Permission::DevicesDelete)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    condition.check("device", id, &device.etag)?;
    let held = connections::holders(&tx, engine, &caller.scope, device.key).await?;
    events::deleted(&tx, engine, &caller.scope, &device).await?;
    for (key, holder) in &held {
        // A module's connection ends with its device, of which alone is told.
        if *key == device.key {
            let (epoch, at) = (holder.epoch, engine.clock().now());
            events::Connection { address: &id.clone().into(), key: *key, epoch, at }.ended(&tx, &caller.scope);
        }
    }
    devices::delete(&tx, &caller.scope, id, engine.clock().now()).await?;
    if let Ok(registration) = id.as_str().parse() {
        registrations::delete(&tx, &caller.scope, &registration).await?;
    }
    audit::record(&tx, engine, caller, Entry::new("deleted", "device", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    end(engine, &caller.scope, held, "the device was deleted").await;
    Ok(())
}

/// What a device needs to connect.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn credentials(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Credentials, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let sealed = devices::find_credentials(&tx, &caller.scope, device.key).await?;
    let sealed = sealed.ok_or_else(|| EngineError::not_found("device key", id))?;
    let tenants::Tenant { id_scope, id: tenant, .. } = tenants::get(&tx, &caller.scope).await?;
    let symmetric_key = open_keys(engine, device.key, &sealed)?.keys;
    Ok(Credentials { id_scope, hub_host: engine.config().host_of(&tenant), symmetric_key })
}

/// Gives a device keys of its own, which no enrollment group overrides, and ends its connection.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::Invalid`] for keys that are not base64 of 16 to
/// 64 bytes.
pub async fn set_keys(engine: &Engine, caller: &Caller, id: &DeviceId, keys: SymmetricKeys) -> Result<(), EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    for (name, key) in [("primaryKey", &keys.primary_key), ("secondaryKey", &keys.secondary_key)] {
        let checked = sas::check_key(key);
        checked.map_err(|error| Problem::at("key", format!("/symmetricKey/{name}"), error.to_string()))?;
    }
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let keys = DeviceKeys { keys, group: None, x509: None };
    devices::set_credentials(&tx, &caller.scope, device.key, &seal_keys(engine, device.key, &keys)?).await?;
    audit::record(&tx, engine, caller, Entry::new("keysChanged", "device", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    disconnect(engine, &caller.scope, device.key, "the device's keys were changed").await
}

/// Ends connections of a device and its modules.
pub(crate) async fn end(engine: &Engine, scope: &Scope, held: Vec<(DeviceKey, Holder)>, reason: &str) {
    for (device, holder) in held {
        let action = PushAction::Disconnect { reason: reason.into() };
        connections::push_to(engine, scope.tenant, device, holder, action).await;
    }
}

pub(crate) async fn disconnect(
    engine: &Engine,
    scope: &Scope,
    device: DeviceKey,
    reason: &str,
) -> Result<(), EngineError> {
    connections::push(engine, scope, device, PushAction::Disconnect { reason: reason.into() }).await
}

pub(crate) fn check_name(display_name: &str) -> Result<(), EngineError> {
    let chars = display_name.chars().count();
    if (1..=MAX_NAME_CHARS).contains(&chars) && !display_name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("a name has 1 to {MAX_NAME_CHARS} characters and no control characters");
    Err(Problem::at("displayName", "/displayName", message).into())
}

async fn check_template(tx: &Tx, scope: &Scope, template: Option<&TemplateId>) -> Result<(), EngineError> {
    let Some(id) = template else { return Ok(()) };
    let (code, what) = match templates::find(tx, scope, id).await? {
        Some(template) if template.published => return Ok(()),
        Some(_) => ("unpublishedTemplate", "is a draft: publish it first"),
        None => ("unknownTemplate", "does not exist"),
    };
    Err(Problem::at(code, "/template", format!("device template '{id}' {what}")).into())
}

/// The keys as they are stored: sealed for this device alone.
pub(crate) fn seal_keys(engine: &Engine, device: DeviceKey, keys: &DeviceKeys) -> Result<Vec<u8>, EngineError> {
    engine.seal(&format!("device-keys/{device}"), keys)
}

/// The keys of a device that were stored.
pub(crate) fn open_keys(engine: &Engine, device: DeviceKey, sealed: &[u8]) -> Result<DeviceKeys, EngineError> {
    engine.open(&format!("device-keys/{device}"), sealed)
}

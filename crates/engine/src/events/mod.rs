//! What happens to devices, told to whoever listens (`iot-hub-wire.md` §10): back-end services read it as a feed, people
//! see it on the device's page.
//!
//! `append` is the one place that every event passes, in the transaction of the change that it tells of.

pub mod failures;
pub mod feed;
mod telemetry;

pub(crate) use telemetry::Outgoing;

use crate::{Engine, EngineError, registry_service as registry};
use chrono::{DateTime, Utc};
use muster_model::{
    Address, DeviceKey, ModuleId, Scope,
    device::{Device, Module, Twin},
    event::{DeviceEvent, Operation},
    registry as documents,
    wire::twin,
};
use muster_store::{Tx, events, twins};
use serde_json::{Map, Value, json};

/// How long events and failures can be read.
pub(crate) const KEPT: chrono::Duration = chrono::Duration::days(7);

/// Tells of something that happened; it is kept when `tx` commits.
pub(crate) fn append(tx: &Tx, scope: &Scope, event: DeviceEvent) {
    events::append(tx, scope, event);
}

/// A connection that begins or ends.
#[derive(Debug, Clone)]
pub(crate) struct Connection<'a> {
    pub(crate) address: &'a Address,
    pub(crate) key: DeviceKey,
    pub(crate) epoch: i64,
    pub(crate) at: DateTime<Utc>,
}

impl Connection<'_> {
    /// Tells that it began.
    pub(crate) fn opened(&self, tx: &Tx, scope: &Scope) {
        self.changed(tx, scope, Operation::DeviceConnected, 0);
    }

    /// Tells that it ended.
    pub(crate) fn ended(&self, tx: &Tx, scope: &Scope) {
        self.changed(tx, scope, Operation::DeviceDisconnected, 1);
    }

    fn changed(&self, tx: &Tx, scope: &Scope, operation: Operation, step: u64) {
        let body = json!({ "sequenceNumber": self.sequence_number(step) });
        let Address { device, module } = self.address.clone();
        append(tx, scope, DeviceEvent { at: self.at, device, module, operation, body });
    }

    /// Greater than every earlier one of this id: a device made anew has a greater number, a later connection a greater
    /// epoch.
    fn sequence_number(&self, step: u64) -> String {
        format!("{:016X}{:016X}{:016X}{step:016X}", 0, self.key.0, self.epoch)
    }
}

/// Tells that a device was made; its twin is as it begins.
pub(crate) async fn created(tx: &Tx, engine: &Engine, scope: &Scope, device: &Device) -> Result<(), EngineError> {
    let twin = twins::get(tx, scope, device.key).await?;
    whole(tx, engine, scope, (device, None, &twin), Operation::CreateDeviceIdentity).await
}

/// Tells that a device is about to be deleted.
pub(crate) async fn deleted(tx: &Tx, engine: &Engine, scope: &Scope, device: &Device) -> Result<(), EngineError> {
    let twin = twins::get(tx, scope, device.key).await?;
    whole(tx, engine, scope, (device, None, &twin), Operation::DeleteDeviceIdentity).await
}

/// Tells that a module was made, or is about to be deleted.
pub(crate) async fn module(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    module: &Module,
    operation: Operation,
) -> Result<(), EngineError> {
    let twin = twins::get(tx, scope, module.identity.key).await?;
    whole(tx, engine, scope, (&module.identity, Some(&module.id), &twin), operation).await
}

/// Tells that a twin was replaced.
pub(crate) async fn replaced(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    of: (&Device, Option<&ModuleId>, &Twin),
) -> Result<(), EngineError> {
    whole(tx, engine, scope, of, Operation::ReplaceTwin).await
}

async fn whole(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    (device, module, twin): (&Device, Option<&ModuleId>, &Twin),
    operation: Operation,
) -> Result<(), EngineError> {
    let facts = registry::facts(tx, engine, scope, &[device.key]).await?;
    let body = documents::twin(device, module, twin, facts.of(device.key));
    let (at, device, module) = (engine.clock().now(), device.id.clone(), module.cloned());
    append(tx, scope, DeviceEvent { at, device, module, operation, body });
    Ok(())
}

/// What a patch changed in a twin, with its nulls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Patches<'a> {
    pub(crate) tags: Option<&'a Map<String, Value>>,
    pub(crate) desired: Option<&'a Map<String, Value>>,
    pub(crate) reported: Option<&'a Map<String, Value>>,
}

/// Tells that a twin was patched; `twin` is as it is now.
pub(crate) fn patched(
    tx: &Tx,
    scope: &Scope,
    address: &Address,
    (twin, patches): (&Twin, Patches<'_>),
    at: DateTime<Utc>,
) {
    let mut properties = Map::new();
    let sections = [
        ("desired", patches.desired, twin.desired_version, Some(twin.desired_version)),
        ("reported", patches.reported, twin.reported_version, None),
    ];
    for (name, patch, version, stamped) in sections {
        let Some(patch) = patch else { continue };
        let mut metadata = Map::new();
        twin::stamp(&mut metadata, patch, at, stamped);
        let mut section = patch.clone();
        section.insert("$metadata".into(), Value::Object(metadata));
        section.insert("$version".into(), version.into());
        properties.insert(name.into(), Value::Object(section));
    }
    let mut body = Map::from_iter([("version".to_owned(), json!(twin.version))]);
    if let Some(tags) = patches.tags {
        body.insert("tags".into(), Value::Object(tags.clone()));
    }
    if !properties.is_empty() {
        body.insert("properties".into(), Value::Object(properties));
    }
    let (Address { device, module }, body) = (address.clone(), Value::Object(body));
    append(tx, scope, DeviceEvent { at, device, module, operation: Operation::UpdateTwin, body });
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::DeviceId;

    #[test]
    fn sequence_numbers_grow_with_each_change_of_a_connection() {
        let address = Address::from(DeviceId::parse("d").expect("a device id"));
        let number = |key, epoch, step| {
            let at = DateTime::UNIX_EPOCH;
            Connection { address: &address, key: DeviceKey(key), epoch, at }.sequence_number(step)
        };
        let numbers = [number(5, 1, 0), number(5, 1, 1), number(5, 2, 0), number(5, 300, 1), number(6, 1, 0)];
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(numbers.iter().all(|number| number.len() == 64 && number.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}

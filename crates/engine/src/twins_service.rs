//! Twins of devices and modules as services see and change them: tags and desired properties at once, under one etag.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    events::{self, Patches, failures},
    precondition::IfMatch,
    registry_service as registry, twins,
};
use muster_model::{
    Address, Caller, Permission,
    push::PushAction,
    wire::twin::{self, ServiceChange},
};
use muster_store::{modules, twins as rows};
use serde_json::{Value, json};

/// The twin's document.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, address: &Address) -> Result<Value, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = modules::resolve(&tx, &caller.scope, address).await?;
    let twin = rows::get(&tx, &caller.scope, device.key).await?;
    let facts = registry::facts(&tx, engine, &caller.scope, &[device.key]).await?;
    failures::count(engine, caller.scope.tenant, "c2d.property.read.success", 1);
    Ok(muster_model::registry::twin(&device, address.module.as_ref(), &twin, facts.of(device.key)))
}

/// Changes the twin and tells the device where it is connected; the twin's document after it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`]
/// beyond a limit.
pub async fn change(
    engine: &Engine,
    caller: &Caller,
    address: &Address,
    mut change: ServiceChange,
    condition: &IfMatch,
) -> Result<Value, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = modules::resolve(&tx, &caller.scope, address).await?;
    let mut twin = rows::lock(&tx, &caller.scope, device.key).await?;
    condition.check("twin", address, &twin.etag())?;
    if let Some(desired) = &mut change.desired {
        // A twin that was read before carries what only the hub writes.
        desired.retain(|name, _| name != "$metadata" && name != "$version");
    }
    let told = twin::change(&mut twin, &change, engine.clock().now())?;
    rows::update(&tx, &caller.scope, device.key, &twin).await?;
    let facts = registry::facts(&tx, engine, &caller.scope, &[device.key]).await?;
    let document = muster_model::registry::twin(&device, address.module.as_ref(), &twin, facts.of(device.key));
    let names = |section: &Option<serde_json::Map<String, Value>>| {
        section.iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<String>>()
    };
    if change.replace {
        events::replaced(&tx, engine, &caller.scope, (&device, address.module.as_ref(), &twin)).await?;
    } else {
        let patches = Patches { tags: change.tags.as_ref(), desired: change.desired.as_ref(), reported: None };
        events::patched(&tx, &caller.scope, address, (&twin, patches), engine.clock().now());
    }
    failures::count(engine, caller.scope.tenant, "c2d.property.update.success", 1);
    let details = json!({"tags": names(&change.tags), "desired": names(&change.desired), "replaced": change.replace});
    let details = details.as_object().cloned().unwrap_or_default();
    audit::record(&tx, engine, caller, Entry::new("twinChanged", address.kind(), address).with(details)).await?;
    match (told, change.desired) {
        (Some(version), Some(patch)) => {
            let push = PushAction::Desired { patch, version };
            twins::commit_and_push(engine, caller, tx, (&address.device, device.key), push).await?;
        }
        _ => {
            tx.commit().await?;
            twins::say(engine, caller, &address.device).await;
        }
    }
    Ok(document)
}

//! Digital twins: a device's twin by the Plug and Play conventions.

use crate::{Engine, EngineError, Problem, precondition::IfMatch, twins_service as twins};
use muster_model::{
    Caller, DeviceId, Permission,
    device::Twin,
    digital_twin::{self, Operation, PatchError},
    wire::twin::ServiceChange,
};
use muster_store::{devices, twins as rows};
use serde_json::Value;

/// The digital twin's document and its etag.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<(Value, String), EngineError> {
    caller.require(Permission::DevicesView)?;
    let twin = find(engine, caller, id).await?;
    Ok((digital_twin::document(id, &twin), twin.etag()))
}

/// Changes the desired properties and tells the device where it is connected; the etag after it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`] for a patch that is none,
/// [`EngineError::Denied`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    operations: &[Operation],
    condition: &IfMatch,
) -> Result<String, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let desired = digital_twin::desired_patch(operations, &find(engine, caller, id).await?)?;
    let change = ServiceChange { desired: Some(desired), ..ServiceChange::default() };
    let twin = twins::change(engine, caller, &id.clone().into(), change, condition).await?;
    Ok(twin["etag"].as_str().unwrap_or_default().to_owned())
}

async fn find(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Twin, EngineError> {
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    Ok(rows::get(&tx, &caller.scope, device.key).await?)
}

impl From<PatchError> for EngineError {
    fn from(error: PatchError) -> Self {
        Problem::new("patch", error.to_string()).into()
    }
}

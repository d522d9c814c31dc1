//! Configurations: what a service wants of the twins of all devices (or modules) that a condition holds for
//! (`iot-hub-wire.md` §6). The worker applies them again and again, in `rounds`.

mod rounds;

pub use rounds::apply_due;
pub(crate) use rounds::run;

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    precondition::IfMatch,
    twins_service as twins,
};
use muster_model::{
    Address, Caller, ConfigurationId, DeviceId, ModuleId, Permission,
    configuration::{self, Configuration, ConfigurationError, Content, Document, Target},
    wire::twin::ServiceChange,
};
use muster_store::{Tx, configurations};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Configurations that a tenant may have.
pub const MAX_CONFIGURATIONS: u32 = 100;

/// The tenant's configurations in the order of their ids, at most `top`.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, top: u32) -> Result<Vec<Configuration>, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(configurations::list(&tx, &caller.scope, top).await?)
}

/// The configuration.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &ConfigurationId) -> Result<Configuration, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(configurations::get(&tx, &caller.scope, id).await?)
}

/// Makes a configuration; the worker applies it at once.
///
/// # Errors
/// [`EngineError::Conflict`] where the id is taken, [`EngineError::Invalid`] also beyond [`MAX_CONFIGURATIONS`],
/// [`EngineError::Denied`].
pub async fn create(
    engine: &Engine,
    caller: &Caller,
    id: &ConfigurationId,
    document: Document,
) -> Result<Configuration, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    document.check()?;
    let tx = engine.store().begin(&caller.scope).await?;
    // Whoever makes another one at the same time waits here, so that the limit holds.
    configurations::set_due(&tx, &caller.scope, engine.clock().now()).await?;
    if configurations::list(&tx, &caller.scope, MAX_CONFIGURATIONS).await?.len() >= MAX_CONFIGURATIONS as usize {
        let message = format!("there are at most {MAX_CONFIGURATIONS} configurations");
        return Err(EngineError::invalid("configurations", message));
    }
    configurations::insert(&tx, &caller.scope, (id, &document), engine.clock().now()).await?;
    finish(tx, engine, caller, ("created", id)).await?;
    get(engine, caller, id).await
}

/// Changes all of a configuration but its content.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`] also for another content,
/// [`EngineError::Denied`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    id: &ConfigurationId,
    document: Document,
    condition: &IfMatch,
) -> Result<Configuration, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    document.check()?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = configurations::get(&tx, &caller.scope, id).await?;
    condition.check("configuration", id, &before.etag())?;
    if before.document.content != document.content {
        return Err(EngineError::invalid("content", "the content of a configuration can not be changed"));
    }
    let now = engine.clock().now();
    configurations::update(&tx, &caller.scope, &Configuration { document, ..before }, now).await?;
    configurations::set_due(&tx, &caller.scope, now).await?;
    finish(tx, engine, caller, ("updated", id)).await?;
    get(engine, caller, id).await
}

/// Deletes a configuration. What it has changed stays until another configuration, or somebody, changes it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    id: &ConfigurationId,
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = configurations::get(&tx, &caller.scope, id).await?;
    condition.check("configuration", id, &before.etag())?;
    configurations::delete(&tx, &caller.scope, id).await?;
    configurations::set_due(&tx, &caller.scope, engine.clock().now()).await?;
    finish(tx, engine, caller, ("deleted", id)).await
}

/// What is wrong with a configuration's queries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryProblems {
    /// With its condition.
    pub target: Option<String>,
    /// With its metrics, by name.
    pub metrics: BTreeMap<String, String>,
}

/// Checks queries that a configuration is to have.
///
/// # Errors
/// [`EngineError::Denied`].
pub fn check_queries(
    caller: &Caller,
    target: &str,
    metrics: &BTreeMap<String, String>,
) -> Result<QueryProblems, EngineError> {
    caller.require(Permission::DevicesView)?;
    let wrong = |(name, text): (&String, &String)| {
        let error = configuration::check_metric(text).err()?;
        Some((name.clone(), error.to_string()))
    };
    Ok(QueryProblems {
        target: Target::parse(target).err().map(|error| error.to_string()),
        metrics: metrics.iter().filter_map(wrong).collect(),
    })
}

/// Gives a content to one device and its modules, once.
///
/// # Errors
/// [`EngineError::NotFound`] also for a module, [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn apply_content(
    engine: &Engine,
    caller: &Caller,
    device: &DeviceId,
    content: &Content,
) -> Result<(), EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let mut changes: Vec<(Address, Map<String, Value>)> = Vec::new();
    if let Some(content) = &content.device_content {
        changes.push((device.clone().into(), configuration::patch(content)?));
    }
    for (module, content) in content.modules_content.iter().flatten() {
        let address = Address::from((device.clone(), ModuleId::parse(module.as_str())?));
        let content = content.as_object().ok_or_else(|| Problem::new("content", "a module's content is no object"))?;
        changes.push((address, configuration::patch(content)?));
    }
    if changes.is_empty() {
        return Err(EngineError::invalid("content", "there is no content for the device or its modules"));
    }
    // Nothing is changed where one of them is not there.
    for (address, _) in &changes {
        twins::get(engine, caller, address).await?;
    }
    for (address, desired) in changes {
        let change = ServiceChange { desired: Some(desired), ..ServiceChange::default() };
        twins::change(engine, caller, &address, change, &IfMatch::Any).await?;
    }
    Ok(())
}

async fn finish(
    tx: Tx,
    engine: &Engine,
    caller: &Caller,
    (action, id): (&'static str, &ConfigurationId),
) -> Result<(), EngineError> {
    audit::record(&tx, engine, caller, Entry::new(action, "configuration", id)).await?;
    Ok(tx.commit().await?)
}

impl From<ConfigurationError> for EngineError {
    fn from(error: ConfigurationError) -> Self {
        Problem::new("configuration", error.to_string()).into()
    }
}

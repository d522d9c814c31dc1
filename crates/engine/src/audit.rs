//! The audit log: every change leaves an entry in its own transaction.

use crate::{Engine, EngineError};
use muster_model::Caller;
use muster_store::{Tx, audit};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

/// What was done, to what.
#[derive(Debug)]
pub(crate) struct Entry {
    action: &'static str,
    kind: &'static str,
    object: String,
    details: Map<String, Value>,
}

impl Entry {
    /// `action` (`created`, `updated`, `deleted` …) on the `kind` with this id.
    pub(crate) fn new(action: &'static str, kind: &'static str, object: impl fmt::Display) -> Self {
        Self { action, kind, object: object.to_string(), details: Map::new() }
    }

    /// More about it; never a secret.
    pub(crate) fn with(self, details: Map<String, Value>) -> Self {
        Self { details, ..self }
    }
}

/// Writes the entry in the transaction of the change.
pub(crate) async fn record(tx: &Tx, engine: &Engine, caller: &Caller, entry: Entry) -> Result<(), EngineError> {
    let entry = audit::AuditEntry {
        id: Uuid::now_v7(),
        at: engine.clock().now(),
        actor: caller.actor.clone(),
        action: entry.action.to_owned(),
        kind: entry.kind.to_owned(),
        object: entry.object,
        details: entry.details,
    };
    Ok(audit::insert(tx, &caller.scope, entry).await?)
}

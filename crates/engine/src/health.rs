//! Whether a process can do its work, and what it lacks.

use crate::Engine;
use muster_bus::BusHealth;
use muster_store::SchemaState;
use std::time::Duration;

/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something that the process depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What: `database`, `schema` or `bus`.
    pub name: &'static str,
    /// What is wrong with it, without any address or secret.
    pub problem: Option<String>,
}

/// Asks everything that the process depends on.
pub async fn check(engine: &Engine) -> Vec<Check> {
    let asked = async { tokio::join!(engine.store().ping(), engine.store().schema_state()) };
    let (database, schema) = match tokio::time::timeout(PATIENCE, asked).await {
        Ok((ping, schema)) => {
            let schema = match schema {
                Ok(SchemaState::Ready) => None,
                Ok(SchemaState::Behind(_)) => Some("is behind this release: run `muster migrate`".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            (ping.err().map(|error| error.to_string()), schema)
        }
        Err(_) => {
            let late = format!("no answer within {} s", PATIENCE.as_secs());
            (Some(late.clone()), Some(late))
        }
    };
    let bus = match engine.bus().health() {
        BusHealth::Connected => None,
        BusHealth::Waiting { reason, .. } => Some(reason),
    };
    [("database", database), ("schema", schema), ("bus", bus)].map(|(name, problem)| Check { name, problem }).into()
}

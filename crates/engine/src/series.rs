//! A tenant's health over time: how many devices are connected, what was received, what failed (`iot-central.md` §19).

use crate::{Engine, EngineError};
use chrono::{DateTime, Duration, Utc};
use muster_model::SystemScope;
use muster_store::health;

/// How long samples are kept.
pub(crate) const KEPT: Duration = Duration::days(30);
/// Samples are of full minutes.
const GRAIN_MS: i64 = 60_000;
/// How often it is looked whether a minute has begun.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Notes the state of every tenant each minute until the engine stops. Every worker does; the first one of a minute
/// counts.
pub(crate) async fn run(engine: Engine) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut noted = 0;
    loop {
        tokio::select! {
            () = engine.stop().cancelled() => return,
            _ = every.tick() => {}
        }
        let minute = engine.clock().now_ms() / GRAIN_MS;
        if minute == noted {
            continue;
        }
        match note(&engine, DateTime::from_timestamp_millis(minute * GRAIN_MS).unwrap_or_default()).await {
            Ok(()) => noted = minute,
            Err(error) => tracing::warn!(%error, "the health of tenants was not noted"),
        }
    }
}

/// Notes the state of every tenant at a full minute, once.
///
/// # Errors
/// [`EngineError::Store`] where the database does not answer.
pub async fn note(engine: &Engine, at: DateTime<Utc>) -> Result<(), EngineError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    health::sample(&tx, &SystemScope, at).await?;
    Ok(tx.commit().await?)
}

//! The demonstration's past: a device that has never sent anything gets a day of it, so that charts are full at once.

use super::fleet::Played;
use crate::{
    Engine, EngineError,
    ingest::{Ack, AckSink},
};
use muster_store::telemetry;
use std::sync::Arc;
use tokio::sync::Semaphore;

const DAY_MS: i64 = 24 * 3_600_000;
const STEP_MS: i64 = 60_000;

/// Counts messages that are safe.
struct Safe(Semaphore);

impl AckSink for Safe {
    fn done(&self, _packet: u32, _ok: bool) {
        self.0.add_permits(1);
    }
}

/// Sends the last day of the device, one message a minute, on the way of every message: rules fire on it, too.
/// Returns when it is safe, so that what follows does not overtake it.
pub(super) async fn fill(engine: &Engine, played: &Played, now_ms: i64) -> Result<(), EngineError> {
    if has_values(engine, played).await? {
        return Ok(());
    }
    let safe = Arc::new(Safe(Semaphore::new(0)));
    let mut sent = 0;
    let mut at_ms = now_ms - DAY_MS;
    while at_ms < now_ms {
        for message in played.messages(at_ms) {
            let ack = Ack { sink: Arc::clone(&safe) as Arc<dyn AckSink>, packet: sent };
            let accepted = engine.ingress().submit(played.session.partition, message, ack).await;
            accepted.map_err(|error| EngineError::unavailable("the ingress", error))?;
            sent += 1;
        }
        at_ms += STEP_MS;
    }
    // The ingress answers for every message it has accepted, at the latest when the engine stops.
    let answered = safe.0.acquire_many(sent).await;
    answered.map(|_| ()).map_err(|error| EngineError::unavailable("the ingress", error))
}

async fn has_values(engine: &Engine, played: &Played) -> Result<bool, EngineError> {
    let (scope, device) = (played.session.scope(), played.session.device);
    let tx = engine.store().begin_read(&scope).await?;
    let latest = telemetry::latest(&tx, &scope, &[device]).await?;
    Ok(latest.get(&device).is_some_and(|latest| !latest.values.is_empty()))
}

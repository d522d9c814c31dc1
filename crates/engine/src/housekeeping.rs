//! What is removed by and by: sessions that expired, throttles that are over, work that is done, old ledger entries,
//! events, samples of a tenant's health, and bytes of files that nobody needs.

use crate::{Engine, EngineError, events, files, series};
use chrono::Duration as Span;
use muster_model::SystemScope;
use muster_store::{MAX_PAGE, counters, events as stored, failures, health, jobs, outbox, sessions, throttle};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(600);
/// Far longer than a queue keeps a batch that was not acknowledged: a forgotten batch that came again would be doubled.
const LEDGER_KEPT: Span = Span::days(14);
/// How long work that is done can be looked up.
const DONE_WORK_KEPT: Span = Span::days(30);

/// Cleans up every ten minutes until `stop`. Every worker may do it; removing what is gone costs nothing.
pub(crate) async fn run(engine: Engine, stop: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
        }
        // One page of each at a time, each in a transaction of its own, so that nobody waits long.
        loop {
            match clean(&engine).await {
                Ok(removed) if removed < u64::from(MAX_PAGE) => break,
                Ok(_) if stop.is_cancelled() => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "old rows could not be removed, trying again later");
                    break;
                }
            }
        }
        if let Err(error) = files::sweep(&engine).await {
            tracing::warn!(%error, "files that are not needed could not be removed, trying again later");
        }
    }
}

/// Removes a page of each kind; the most that was removed of one.
async fn clean(engine: &Engine) -> Result<u64, EngineError> {
    let now = engine.clock().now();
    let tx = engine.store().begin_system(&SystemScope).await?;
    let removed = [
        sessions::purge_expired(&tx, &SystemScope, now).await?,
        throttle::purge(&tx, &SystemScope, now).await?,
        outbox::purge_done(&tx, &SystemScope, now - DONE_WORK_KEPT).await?,
        jobs::purge(&tx, &SystemScope, now - crate::jobs::KEPT).await?,
        counters::purge_ledger(&tx, &SystemScope, now - LEDGER_KEPT).await?,
        stored::purge(&tx, &SystemScope, now - events::KEPT).await?,
        failures::purge(&tx, &SystemScope, now - events::KEPT).await?,
        health::purge(&tx, &SystemScope, now - series::KEPT).await?,
    ];
    tx.commit().await?;
    Ok(removed.into_iter().max().unwrap_or_default())
}

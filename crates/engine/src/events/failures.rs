//! What goes wrong with devices, gathered in memory and written every few seconds: however often it happens, it costs
//! one row for a device and code, and no connection waits for it. The tenant's counters go the same way.
//!
//! What does not fit is lost, and counted (`muster_failures_dropped_total`).

use crate::{Engine, EngineError};
use chrono::{DateTime, Utc};
use metrics::counter;
use muster_model::{DeviceId, SystemScope, TenantKey, event::FailureCode};
use muster_store::{
    failures::{self, NewFailure},
    health,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often what was gathered is written.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// Devices with codes that are gathered between two writes, of all tenants and of one.
const MAX_GATHERED: usize = 4096;
const MAX_OF_TENANT: usize = 512;
/// Rows written in one transaction.
const BATCH: usize = 256;

/// The counter of failures, among those of a tenant's health.
pub const FAILURE_COUNT: &str = "deviceFailureCount";

/// Notes that something went wrong with a device of the tenant. It waits for nothing.
pub fn note(engine: &Engine, tenant: TenantKey, device: &DeviceId, code: FailureCode) {
    counter!("muster_failures_total", "code" => code.name()).increment(1);
    let now = engine.clock().now();
    let mut gathered = engine.tally().lock();
    *gathered.counts.entry((tenant, FAILURE_COUNT)).or_default() += 1;
    if let Some(known) = gathered.failures.get_mut(&(tenant, device.clone(), code)) {
        known.count += 1;
        known.last_at = now;
        return;
    }
    let of_tenant = gathered.of_tenant.get(&tenant).copied().unwrap_or_default();
    if gathered.failures.len() >= MAX_GATHERED || of_tenant >= MAX_OF_TENANT {
        counter!("muster_failures_dropped_total").increment(1);
        return;
    }
    gathered.of_tenant.insert(tenant, of_tenant + 1);
    gathered.failures.insert((tenant, device.clone(), code), Folded { count: 1, first_at: now, last_at: now });
}

/// Adds to one of the tenant's counters.
pub(crate) fn count(engine: &Engine, tenant: TenantKey, name: &'static str, value: i64) {
    *engine.tally().lock().counts.entry((tenant, name)).or_default() += value;
}

/// What was not written yet.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    failures: HashMap<(TenantKey, DeviceId, FailureCode), Folded>,
    of_tenant: HashMap<TenantKey, usize>,
    /// There is a handful of names, so tenants bound it.
    counts: BTreeMap<(TenantKey, &'static str), i64>,
}

struct Folded {
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

impl Tally {
    /// The maps stay whole whatever panics, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was gathered until the engine stops, and once more then.
pub(crate) async fn run(engine: Engine) {
    let mut every = tokio::time::interval(FLUSH_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !engine.stop().is_cancelled() {
        tokio::select! {
            () = engine.stop().cancelled() => {}
            _ = every.tick() => {}
        }
        flush(&engine).await;
    }
}

/// Writes what was gathered; what cannot be written is lost.
pub(crate) async fn flush(engine: &Engine) {
    let Gathered { failures, counts, .. } = std::mem::take(&mut *engine.tally().lock());
    let mut failures: Vec<NewFailure> = failures
        .into_iter()
        .map(|((tenant, device, code), Folded { count, first_at, last_at })| NewFailure {
            tenant,
            device,
            code,
            count,
            first_at,
            last_at,
        })
        .collect();
    failures.sort_by(|a, b| (a.tenant, &a.device, a.code).cmp(&(b.tenant, &b.device, b.code)));
    for part in failures.chunks(BATCH) {
        match write(engine, part).await {
            Ok(written) => dropped(part.len() as u64 - written.min(part.len() as u64)),
            Err(error) => {
                dropped(part.len() as u64);
                tracing::warn!(%error, failures = part.len(), "failures of devices could not be written");
            }
        }
    }
    if !counts.is_empty()
        && let Err(error) = add(engine, &counts).await
    {
        tracing::warn!(%error, "counters of tenants could not be written");
    }
}

async fn write(engine: &Engine, failures: &[NewFailure]) -> Result<u64, EngineError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    let written = failures::add(&tx, &SystemScope, failures).await?;
    tx.commit().await?;
    Ok(written)
}

async fn add(engine: &Engine, counts: &BTreeMap<(TenantKey, &'static str), i64>) -> Result<(), EngineError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    health::add(&tx, &SystemScope, counts).await?;
    Ok(tx.commit().await?)
}

fn dropped(failures: u64) {
    if failures > 0 {
        counter!("muster_failures_dropped_total").increment(failures);
    }
}

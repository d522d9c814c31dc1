//! Jobs: work on many devices, done one by one in the worker, with an outcome for each.
//!
//! A job and its devices live in the database, so a worker that dies leaves nothing but the turns that it was at; the
//! next one gives those devices another turn. What a job does with a device is `work`; `runner` knows nothing of it.

mod runner;
mod work;

pub use muster_store::jobs::JobFilter;
pub(crate) use runner::run;
pub use runner::run_due;

use crate::{
    Engine, EngineError, Page, Paging, Problem,
    audit::{self, Entry},
};
use chrono::{DateTime, Duration, Utc};
use muster_model::{
    Caller, JobId, Permission,
    job::{DeviceOutcome, Job, JobStatus, Order, Realm, Work},
    query::Expression,
};
use muster_store::jobs;
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// How long a job that is over can be looked up.
pub const KEPT: Duration = Duration::days(30);
/// How long a job may run where nobody says, and at most.
pub const MAX_SECONDS: u64 = 24 * 3600;
/// How far in the future a job may start.
const MAX_AHEAD: Duration = Duration::days(365);
/// Jobs of a tenant that are not over.
pub(crate) const MAX_OPEN: i64 = 100;

/// A job with what became of its devices so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The job.
    pub job: Job,
    /// How many devices stand where; those without are left out.
    pub counts: BTreeMap<DeviceOutcome, i64>,
}

/// Makes a job that starts at `starts_at`, or at once.
///
/// # Errors
/// [`EngineError::Invalid`] for a condition, work or time that is none, [`EngineError::Conflict`] where the id is taken,
/// [`EngineError::TooMany`] beyond the open jobs that a tenant may have, [`EngineError::Denied`].
pub async fn create(
    engine: &Engine,
    caller: &Caller,
    (realm, id): (Realm, &JobId),
    order: Order,
    starts_at: Option<DateTime<Utc>>,
) -> Result<Progress, EngineError> {
    caller.require(match order.work {
        Work::UpdateTwin { .. } | Work::MigrateTemplate { .. } => Permission::DevicesUpdate,
        Work::Method { .. } => Permission::DevicesCommand,
    })?;
    Expression::parse_condition(&order.condition)?;
    work::check(&order.work)?;
    let now = engine.clock().now();
    let starts_at = starts_at.unwrap_or(now).max(now);
    if order.max_seconds == 0 || order.max_seconds > MAX_SECONDS || starts_at > now + MAX_AHEAD {
        let message = format!("a job starts within a year and takes 1 to {MAX_SECONDS} seconds");
        return Err(Problem::new("time", message).into());
    }
    let job = Job {
        id: id.clone(),
        order,
        status: JobStatus::Scheduled,
        failure: None,
        created_at: now,
        starts_at,
        started_at: None,
        ended_at: None,
    };
    let tx = engine.store().begin(&caller.scope).await?;
    if jobs::count_open(&tx, &caller.scope, realm).await? >= MAX_OPEN {
        return Err(EngineError::TooMany { retry_after: std::time::Duration::from_secs(60) });
    }
    jobs::insert(&tx, &caller.scope, realm, &job).await?;
    let details = Map::from_iter([("type".to_owned(), json!(job.order.work.kind()))]);
    audit::record(&tx, engine, caller, Entry::new("created", "job", id).with(details)).await?;
    tx.commit().await?;
    Ok(Progress { job, counts: BTreeMap::new() })
}

/// The job and how far it is.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, (realm, id): (Realm, &JobId)) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let job = jobs::get(&tx, &caller.scope, realm, id).await?;
    let counts = jobs::counts(&tx, &caller.scope, realm, id).await?;
    Ok(Progress { job, counts })
}

/// Jobs in the order of their ids, each with how far it is.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(
    engine: &Engine,
    caller: &Caller,
    realm: Realm,
    filter: &JobFilter,
    paging: Paging<JobId>,
) -> Result<Page<Progress>, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let page = jobs::list(&tx, &caller.scope, realm, filter, paging).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for job in page.items {
        // A page is short, and each count walks its own part of an index.
        let counts = jobs::counts(&tx, &caller.scope, realm, &job.id).await?;
        items.push(Progress { job, counts });
    }
    Ok(Page { items, more: page.more })
}

/// Ends a job: devices whose turn has not come get none. A job that is over stays as it is.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn cancel(engine: &Engine, caller: &Caller, (realm, id): (Realm, &JobId)) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesCommand)?;
    let tx = engine.store().begin(&caller.scope).await?;
    jobs::get(&tx, &caller.scope, realm, id).await?;
    let now = engine.clock().now();
    if jobs::end(&tx, &caller.scope, (realm, id), (JobStatus::Cancelled, None), now).await? {
        audit::record(&tx, engine, caller, Entry::new("cancelled", "job", id)).await?;
    }
    let job = jobs::get(&tx, &caller.scope, realm, id).await?;
    let counts = jobs::counts(&tx, &caller.scope, realm, id).await?;
    tx.commit().await?;
    Ok(Progress { job, counts })
}

//! Takes jobs that are due and gives each of their devices its turn.

use super::work::{self, Failure};
use crate::{Engine, EngineError, queries};
use chrono::{DateTime, Duration as Span, Utc};
use futures::{StreamExt, stream};
use muster_model::{
    Caller, DeviceId, JobId, Scope, SystemScope,
    job::{DeviceOutcome, JobStatus, Realm, Work},
    query::{Expression, Source},
};
use muster_store::{
    jobs::{self, Claimed},
    tenants,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Jobs that run at the same time in one worker.
const JOBS_AT_ONCE: usize = 8;
/// Devices of a job whose turn it is at the same time.
const DEVICES_AT_ONCE: usize = 16;
/// Devices that get their turn before it is looked whether the job goes on.
const PAGE: u32 = 64;
/// A worker that says nothing for so long has died, and another takes its jobs …
const LEASE: Span = Span::seconds(60);
/// … and how often it says so.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked for jobs that are due.
const IDLE: Duration = Duration::from_secs(1);

/// Runs jobs until `stop`.
pub(crate) async fn run(engine: Engine, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(JOBS_AT_ONCE));
    let mut every = tokio::time::interval(IDLE);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = every.tick() => {}
        }
        let claimed = match claim(&engine, places.available_permits()).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "jobs cannot be read");
                continue;
            }
        };
        for job in claimed {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (engine, stop) = (engine.clone(), stop.clone());
            tokio::spawn(async move {
                serve(&engine, job, &stop).await;
                drop(place);
            });
        }
    }
    // Those that run see the same stop.
    _ = places.acquire_many(JOBS_AT_ONCE as u32).await;
}

/// Runs what is due now to its end; how many jobs it was.
///
/// # Errors
/// Where the database does not answer.
pub async fn run_due(engine: &Engine) -> Result<usize, EngineError> {
    let claimed = claim(engine, JOBS_AT_ONCE).await?;
    let count = claimed.len();
    for job in claimed {
        serve(engine, job, engine.stop()).await;
    }
    Ok(count)
}

async fn claim(engine: &Engine, limit: usize) -> Result<Vec<Claimed>, EngineError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let now = engine.clock().now();
    let tx = engine.store().begin_system(&SystemScope).await?;
    let claimed = jobs::claim_due(&tx, &SystemScope, now, now + LEASE, limit as u32).await?;
    tx.commit().await?;
    Ok(claimed)
}

/// Runs a job while it is ours. What goes wrong is tried again by whoever takes the job next.
async fn serve(engine: &Engine, claimed: Claimed, stop: &CancellationToken) {
    let run = Run { engine, scope: Scope { tenant: claimed.tenant }, realm: claimed.realm, id: claimed.job.id.clone() };
    let served = tokio::select! {
        served = run.to_the_end(claimed) => served,
        renewed = run.keep() => renewed,
        () = stop.cancelled() => run.give_back().await,
    };
    if let Err(error) = served {
        tracing::warn!(%error, job.id = %run.id, "a job was interrupted");
    }
}

/// A job that is ours.
struct Run<'a> {
    engine: &'a Engine,
    scope: Scope,
    realm: Realm,
    id: JobId,
}

impl Run<'_> {
    async fn to_the_end(&self, claimed: Claimed) -> Result<(), EngineError> {
        let now = self.engine.clock().now();
        let tx = self.engine.store().begin(&self.scope).await?;
        let tenant = tenants::get(&tx, &self.scope).await?.id;
        jobs::start(&tx, &self.scope, self.key(), now).await?;
        jobs::resume_devices(&tx, &self.scope, self.key()).await?;
        tx.commit().await?;
        let caller = Caller::system(self.scope.clone(), tenant, &format!("job {}", self.id));
        let Claimed { job, listed_after, listed, .. } = claimed;
        let until = job.started_at.unwrap_or(now) + Span::seconds(job.order.max_seconds as i64);
        if !listed {
            self.list_devices(&caller, &job.order.condition, listed_after).await?;
        }
        loop {
            if self.engine.clock().now() >= until {
                return self.end(JobStatus::Failed, Some("the job took longer than it may")).await;
            }
            let tx = self.engine.store().begin_read(&self.scope).await?;
            let status = jobs::get(&tx, &self.scope, self.realm, &self.id).await?.status;
            let devices = jobs::pending(&tx, &self.scope, self.key(), PAGE).await?;
            drop(tx);
            if status.is_over() {
                return Ok(());
            }
            if devices.is_empty() {
                return self.end(JobStatus::Completed, None).await;
            }
            self.turns(&caller, &job.order.work, devices, until).await?;
        }
    }

    /// Finds the devices that the condition holds for, a page at a time.
    async fn list_devices(&self, caller: &Caller, condition: &str, after: Option<DeviceId>) -> Result<(), EngineError> {
        let condition = Expression::parse_condition(condition)?;
        let mut after = after.map(String::from);
        loop {
            let page = queries::documents(self.engine, caller, Source::Devices, after.take()).await?;
            let last = page.documents.last().map(|(id, _)| id.clone());
            let wanted = |document| condition.as_ref().is_none_or(|condition| condition.holds(document));
            let ids = page.documents.iter().filter(|(_, document)| wanted(document)).map(|(id, _)| id.parse());
            let ids: Vec<DeviceId> = ids.collect::<Result<_, _>>()?;
            let place = last.as_ref().filter(|_| page.more).map(|id| id.parse()).transpose()?;
            let tx = self.engine.store().begin(&self.scope).await?;
            let now = self.engine.clock().now();
            jobs::add_devices(&tx, &self.scope, self.key(), (&ids, place.as_ref()), now).await?;
            tx.commit().await?;
            if place.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    async fn turns(
        &self,
        caller: &Caller,
        work: &Work,
        devices: Vec<DeviceId>,
        until: DateTime<Utc>,
    ) -> Result<(), EngineError> {
        let turns = devices.into_iter().map(|device| self.turn(caller, work, device, until));
        let mut turns = stream::iter(turns).buffer_unordered(DEVICES_AT_ONCE);
        while let Some(turn) = turns.next().await {
            turn?;
        }
        Ok(())
    }

    async fn turn(
        &self,
        caller: &Caller,
        work: &Work,
        device: DeviceId,
        until: DateTime<Utc>,
    ) -> Result<(), EngineError> {
        let left = (until - self.engine.clock().now()).to_std().unwrap_or_default();
        // Somebody may have ended the job since the page was read.
        if !self.note(&device, DeviceOutcome::Running, None).await? {
            return Ok(());
        }
        let done = tokio::time::timeout(left, work::perform(self.engine, caller, work, device.clone())).await;
        let late = || Failure { code: 504_101, message: "the job's time was over".into() };
        let (outcome, result) = match done.unwrap_or_else(|_| Err(late())) {
            Ok(answer) => (DeviceOutcome::Completed, answer),
            Err(Failure { code, message }) => {
                (DeviceOutcome::Failed, Some(json!({"code": code.to_string(), "description": message})))
            }
        };
        self.note(&device, outcome, result).await.map(drop)
    }

    /// Notes what becomes of a device; whether its turn was not over.
    async fn note(
        &self,
        device: &DeviceId,
        outcome: DeviceOutcome,
        result: Option<serde_json::Value>,
    ) -> Result<bool, EngineError> {
        let tx = self.engine.store().begin(&self.scope).await?;
        let now = self.engine.clock().now();
        let turn = (self.realm, &self.id, device);
        let noted = jobs::set_outcome(&tx, &self.scope, turn, (outcome, result.as_ref()), now).await?;
        tx.commit().await?;
        Ok(noted)
    }

    async fn end(&self, status: JobStatus, failure: Option<&str>) -> Result<(), EngineError> {
        let tx = self.engine.store().begin(&self.scope).await?;
        jobs::end(&tx, &self.scope, self.key(), (status, failure), self.engine.clock().now()).await?;
        Ok(tx.commit().await?)
    }

    /// Keeps the job ours; never ends well.
    async fn keep(&self) -> Result<(), EngineError> {
        let mut every = tokio::time::interval(RENEW_EVERY);
        loop {
            every.tick().await;
            self.lease_until(self.engine.clock().now() + LEASE).await?;
        }
    }

    /// Leaves the job to the next worker.
    async fn give_back(&self) -> Result<(), EngineError> {
        self.lease_until(self.engine.clock().now()).await
    }

    async fn lease_until(&self, until: DateTime<Utc>) -> Result<(), EngineError> {
        let tx = self.engine.store().begin(&self.scope).await?;
        jobs::renew(&tx, &self.scope, self.key(), until).await?;
        Ok(tx.commit().await?)
    }

    fn key(&self) -> (Realm, &JobId) {
        (self.realm, &self.id)
    }
}

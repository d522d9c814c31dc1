//! Jobs, and what became of each device in them.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert, leases::Leases};
use chrono::{DateTime, Utc};
use muster_model::{
    DeviceId, JobId, Scope, SystemScope, TenantKey,
    job::{DeviceOutcome, Job, JobStatus, Realm},
};
use sea_orm::QueryResult;
use serde_json::Value;
use std::collections::BTreeMap;

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those that stand there.
    pub status: Option<JobStatus>,
}

/// A job that a worker has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Its tenant.
    pub tenant: TenantKey,
    /// Whose id it is.
    pub realm: Realm,
    /// The job.
    pub job: Job,
    /// The last device that was looked at while its devices are listed.
    pub listed_after: Option<DeviceId>,
    /// Whether all its devices are listed.
    pub listed: bool,
}

/// What became of a device in a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDevice {
    /// The job.
    pub job: JobId,
    /// The job's kind.
    pub kind: String,
    /// The device.
    pub device: DeviceId,
    /// What became of it.
    pub outcome: DeviceOutcome,
    /// The answer, or the error.
    pub result: Option<Value>,
    /// When the job was made.
    pub created_at: DateTime<Utc>,
    /// When its turn came.
    pub started_at: Option<DateTime<Utc>>,
    /// When this changed.
    pub changed_at: DateTime<Utc>,
    /// When its turn was over.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Makes a job that waits for its time. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, realm: Realm, job: &Job) -> Result<(), StoreError> {
    let sql = "insert into job (tenant, realm, id, kind, document, status, listed, created_ms, starts_ms, due_ms)
               values ($1, $2, $3, $4, $5, $6, false, $7, $8, $8) on conflict do nothing";
    let values = [
        scope.tenant.0.into(),
        realm.name().into(),
        job.id.as_str().into(),
        job.order.work.kind().into(),
        convert::write_document("job", &job.order)?.into(),
        job.status.name().into(),
        job.created_at.timestamp_millis().into(),
        job.starts_at.timestamp_millis().into(),
    ];
    match tx.execute(sql, values).await? {
        0 => Err(StoreError::Conflict { kind: "job", id: job.id.to_string() }),
        _ => Ok(()),
    }
}

/// The job.
pub async fn get(tx: &Tx, scope: &Scope, realm: Realm, id: &JobId) -> Result<Job, StoreError> {
    let sql = "select * from job where tenant = $1 and realm = $2 and id = $3";
    let row = tx.row(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into()]).await?;
    job(&row.ok_or_else(|| StoreError::not_found("job", id))?)
}

/// The tenant's jobs in the order of their ids.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    realm: Realm,
    filter: &JobFilter,
    paging: Paging<JobId>,
) -> Result<Page<Job>, StoreError> {
    let size = paging.size();
    let sql = "select * from job where tenant = $1 and realm = $2 and id > $3 and ($4 = '' or kind = $4)
                  and ($5 = '' or status = $5) order by id limit $6";
    let values = [
        scope.tenant.0.into(),
        realm.name().into(),
        paging.after.map(String::from).unwrap_or_default().into(),
        filter.kind.clone().unwrap_or_default().into(),
        filter.status.map_or("", JobStatus::name).into(),
        (size as i64 + 1).into(),
    ];
    Page::from_rows(tx.rows(sql, values).await?, size).try_map(|row| job(&row))
}

/// How many of the tenant's jobs are not over.
pub async fn count_open(tx: &Tx, scope: &Scope, realm: Realm) -> Result<i64, StoreError> {
    let sql = "select count(*) as jobs from job where tenant = $1 and realm = $2 and due_ms is not null";
    let row = tx.row(sql, [scope.tenant.0.into(), realm.name().into()]).await?;
    Ok(row.ok_or_else(|| StoreError::corrupt("job", "no count came back"))?.try_get("", "jobs")?)
}

const LEASES: Leases = Leases { table: "job", key: "tenant, realm, id", only: "", also: "" };

/// Takes jobs that are due, at most `limit`; they are due again at `lease_until` unless they end before.
pub async fn claim_due(
    tx: &Tx,
    _: &SystemScope,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Claimed>, StoreError> {
    LEASES.claim_due(tx, now, lease_until, limit).await?.iter().map(claimed).collect()
}

/// Keeps a job that is not over for its worker until `lease_until`.
pub async fn renew(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    lease_until: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "update job set due_ms = $4 where tenant = $1 and realm = $2 and id = $3 and due_ms is not null";
    let lease = lease_until.timestamp_millis();
    tx.execute(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into(), lease.into()]).await?;
    Ok(())
}

/// Notes that a job runs, unless it is over.
pub async fn start(tx: &Tx, scope: &Scope, (realm, id): (Realm, &JobId), now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "update job set status = 'running', started_ms = coalesce(started_ms, $4)
                where tenant = $1 and realm = $2 and id = $3 and status in ('scheduled', 'running')";
    let now = now.timestamp_millis();
    tx.execute(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into(), now.into()]).await?;
    Ok(())
}

/// Ends a job that is not over; what had no turn is canceled. Whether it was not over.
pub async fn end(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    (to, failure): (JobStatus, Option<&str>),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let now = now.timestamp_millis();
    let sql = "update job set status = $4, failure = $5, ended_ms = $6, due_ms = null
                where tenant = $1 and realm = $2 and id = $3 and due_ms is not null";
    let key = [scope.tenant.0.into(), realm.name().into(), id.as_str().into()];
    let values = key.clone().into_iter().chain([to.name().into(), failure.into(), now.into()]);
    if tx.execute(sql, values).await? == 0 {
        return Ok(false);
    }
    let sql = "update job_device set status = 'canceled', changed_ms = $4, ended_ms = $4
                where tenant = $1 and realm = $2 and job = $3 and status = 'pending'";
    tx.execute(sql, key.into_iter().chain([now.into()])).await?;
    Ok(true)
}

/// Adds devices whose turn will come, and notes how far the devices were looked at; `None`: to the end.
pub async fn add_devices(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    (devices, after): (&[DeviceId], Option<&DeviceId>),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let key = [scope.tenant.0.into(), realm.name().into(), id.as_str().into()];
    let from = if tx.is_postgres() {
        "select value from jsonb_array_elements_text($4::jsonb)"
    } else {
        "select value from json_each($4)"
    };
    let sql = format!(
        "insert into job_device (tenant, realm, job, device, status, changed_ms)
         select $1, $2, $3, listed.value, 'pending', $5 from ({from}) as listed where true on conflict do nothing"
    );
    let list = convert::json_list(devices.iter().map(DeviceId::as_str));
    tx.execute(&sql, key.clone().into_iter().chain([list.into(), now.timestamp_millis().into()])).await?;
    let sql = "update job set listed_after = $4, listed = $5 where tenant = $1 and realm = $2 and id = $3";
    let after = after.map(DeviceId::as_str);
    tx.execute(sql, key.into_iter().chain([after.into(), after.is_none().into()])).await?;
    Ok(())
}

/// Devices whose turn has not come, in the order of their ids, at most `limit`.
pub async fn pending(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    limit: u32,
) -> Result<Vec<DeviceId>, StoreError> {
    let sql = "select device from job_device where tenant = $1 and realm = $2 and job = $3 and status = 'pending'
                order by device limit $4";
    let limit = i64::from(limit.min(MAX_PAGE));
    let rows = tx.rows(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into(), limit.into()]).await?;
    rows.iter().map(|row| convert::id("device", row.try_get("", "device")?)).collect()
}

/// Notes what becomes of a device whose turn is not over; whether it was not.
pub async fn set_outcome(
    tx: &Tx,
    scope: &Scope,
    (realm, id, device): (Realm, &JobId, &DeviceId),
    (outcome, result): (DeviceOutcome, Option<&Value>),
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let now = now.timestamp_millis();
    let ended = (!matches!(outcome, DeviceOutcome::Pending | DeviceOutcome::Running)).then_some(now);
    let started = (outcome != DeviceOutcome::Pending).then_some(now);
    let sql = "update job_device set status = $5, result = $6, changed_ms = $7, ended_ms = $8,
                      started_ms = coalesce(started_ms, $9)
                where tenant = $1 and realm = $2 and job = $3 and device = $4 and status in ('pending', 'running')";
    let values = [
        scope.tenant.0.into(),
        realm.name().into(),
        id.as_str().into(),
        device.as_str().into(),
        outcome.name().into(),
        result.cloned().into(),
        now.into(),
        ended.into(),
        started.into(),
    ];
    Ok(tx.execute(sql, values).await? > 0)
}

/// Gives devices whose turn was broken off another one.
pub async fn resume_devices(tx: &Tx, scope: &Scope, (realm, id): (Realm, &JobId)) -> Result<(), StoreError> {
    let sql = "update job_device set status = 'pending'
                where tenant = $1 and realm = $2 and job = $3 and status = 'running'";
    tx.execute(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into()]).await?;
    Ok(())
}

/// How many devices of a job stand where.
pub async fn counts(
    tx: &Tx,
    scope: &Scope,
    realm: Realm,
    id: &JobId,
) -> Result<BTreeMap<DeviceOutcome, i64>, StoreError> {
    let sql = "select status, count(*) as devices from job_device where tenant = $1 and realm = $2 and job = $3
                group by status";
    let rows = tx.rows(sql, [scope.tenant.0.into(), realm.name().into(), id.as_str().into()]).await?;
    rows.iter().map(|row| Ok((outcome(row)?, row.try_get("", "devices")?))).collect()
}

/// What became of devices, in the order of jobs and devices.
pub async fn list_devices(
    tx: &Tx,
    scope: &Scope,
    realm: Realm,
    paging: Paging<(JobId, DeviceId)>,
) -> Result<Page<JobDevice>, StoreError> {
    let size = paging.size();
    let (job, device) = paging.after.map(|(job, device)| (job.into(), device.into())).unwrap_or_default();
    let (job, device): (String, String) = (job, device);
    let sql =
        "select job_device.job, job.kind, job.created_ms, job_device.device, job_device.status, job_device.result,
                      job_device.started_ms, job_device.changed_ms, job_device.ended_ms
                 from job_device
                 join job on job.tenant = job_device.tenant and job.realm = job_device.realm and job.id = job_device.job
                where job_device.tenant = $1 and job_device.realm = $2
                  and (job_device.job, job_device.device) > ($3, $4)
                order by job_device.job, job_device.device limit $5";
    let values = [scope.tenant.0.into(), realm.name().into(), job.into(), device.into(), (size as i64 + 1).into()];
    Page::from_rows(tx.rows(sql, values).await?, size).try_map(|row| job_device(&row))
}

/// What became of the devices of a job, in their order.
pub async fn list_devices_of(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    paging: Paging<DeviceId>,
) -> Result<Page<JobDevice>, StoreError> {
    let size = paging.size();
    let sql =
        "select job_device.job, job.kind, job.created_ms, job_device.device, job_device.status, job_device.result,
                      job_device.started_ms, job_device.changed_ms, job_device.ended_ms
                 from job_device
                 join job on job.tenant = job_device.tenant and job.realm = job_device.realm and job.id = job_device.job
                where job_device.tenant = $1 and job_device.realm = $2 and job_device.job = $3 and job_device.device > $4
                order by job_device.device limit $5";
    let after = paging.after.map(String::from).unwrap_or_default();
    let values =
        [scope.tenant.0.into(), realm.name().into(), id.as_str().into(), after.into(), (size as i64 + 1).into()];
    Page::from_rows(tx.rows(sql, values).await?, size).try_map(|row| job_device(&row))
}

/// Adds the devices that another job of the realm has done to a job, and notes that all are listed.
pub async fn add_completed_of(
    tx: &Tx,
    scope: &Scope,
    (realm, id): (Realm, &JobId),
    other: &JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let key = [scope.tenant.0.into(), realm.name().into(), id.as_str().into()];
    let sql = "insert into job_device (tenant, realm, job, device, status, changed_ms)
               select tenant, realm, $3, device, 'pending', $5 from job_device
                where tenant = $1 and realm = $2 and job = $4 and status = 'completed'";
    let values = key.clone().into_iter().chain([other.as_str().into(), now.timestamp_millis().into()]);
    tx.execute(sql, values).await?;
    tx.execute("update job set listed = true where tenant = $1 and realm = $2 and id = $3", key).await?;
    Ok(())
}

/// Forgets jobs that ended before `before`, with their devices, at most [`MAX_PURGE`]; how many.
pub async fn purge(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from job where (tenant, realm, id) in
                  (select tenant, realm, id from job where ended_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), MAX_PURGE.into()]).await
}

/// Jobs forgotten at once: each may have many devices.
pub const MAX_PURGE: i64 = 10;

fn job(row: &QueryResult) -> Result<Job, StoreError> {
    let time = |name: &str| Ok::<_, StoreError>(row.try_get::<Option<i64>>("", name)?.map(convert::time));
    Ok(Job {
        id: convert::id("job", row.try_get("", "id")?)?,
        order: convert::read_document("job", row.try_get("", "document")?)?,
        status: status(row)?,
        failure: row.try_get("", "failure")?,
        created_at: convert::time(row.try_get("", "created_ms")?),
        starts_at: convert::time(row.try_get("", "starts_ms")?),
        started_at: time("started_ms")?,
        ended_at: time("ended_ms")?,
    })
}

fn claimed(row: &QueryResult) -> Result<Claimed, StoreError> {
    let realm: String = row.try_get("", "realm")?;
    let after: Option<String> = row.try_get("", "listed_after")?;
    Ok(Claimed {
        tenant: TenantKey(row.try_get("", "tenant")?),
        realm: Realm::from_name(&realm)
            .ok_or_else(|| StoreError::corrupt("job", format!("realm '{realm}' is not known")))?,
        job: job(row)?,
        listed_after: after.map(|id| convert::id("device", id)).transpose()?,
        listed: row.try_get("", "listed")?,
    })
}

fn job_device(row: &QueryResult) -> Result<JobDevice, StoreError> {
    let time = |name: &str| Ok::<_, StoreError>(row.try_get::<Option<i64>>("", name)?.map(convert::time));
    Ok(JobDevice {
        job: convert::id("job", row.try_get("", "job")?)?,
        kind: row.try_get("", "kind")?,
        device: convert::id("device", row.try_get("", "device")?)?,
        outcome: outcome(row)?,
        result: row.try_get("", "result")?,
        created_at: convert::time(row.try_get("", "created_ms")?),
        started_at: time("started_ms")?,
        changed_at: convert::time(row.try_get("", "changed_ms")?),
        ended_at: time("ended_ms")?,
    })
}

fn status(row: &QueryResult) -> Result<JobStatus, StoreError> {
    let name: String = row.try_get("", "status")?;
    JobStatus::from_name(&name).ok_or_else(|| StoreError::corrupt("job", format!("status '{name}' is not known")))
}

fn outcome(row: &QueryResult) -> Result<DeviceOutcome, StoreError> {
    let name: String = row.try_get("", "status")?;
    let unknown = || StoreError::corrupt("job", format!("outcome '{name}' is not known"));
    DeviceOutcome::from_name(&name).ok_or_else(unknown)
}

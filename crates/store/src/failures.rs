//! What goes wrong with devices, folded by device and code: how often, since when, until when.

use crate::{
    StoreError, Tx, convert,
    events::{Entry, Place},
};
use chrono::{DateTime, Duration, Utc};
use muster_model::{DeviceId, Scope, SystemScope, TenantKey, event::FailureCode};
use sea_orm::QueryResult;
use serde_json::{Value, json};
use uuid::Uuid;

/// Ids that are no device's and still have failures, in a tenant; a transaction that begins below may go beyond.
pub const MAX_UNKNOWN: i64 = 200;
/// Rows forgotten at once.
pub const MAX_PURGE: i64 = 10_000;

/// A failure that has been quiet for so long is over; the next one is counted anew.
const QUIET: Duration = Duration::days(1);

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Orders failures of the same time.
    pub id: i64,
    /// The id that the device gave; there may be no such device.
    pub device: DeviceId,
    /// What it was.
    pub code: FailureCode,
    /// How often.
    pub count: i64,
    /// Since when.
    pub first_at: DateTime<Utc>,
    /// The last time.
    pub last_at: DateTime<Utc>,
}

/// Failures to be added to what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFailure {
    /// The tenant.
    pub tenant: TenantKey,
    /// The id that the device gave.
    pub device: DeviceId,
    /// What it was.
    pub code: FailureCode,
    /// How often.
    pub count: i64,
    /// The first time.
    pub first_at: DateTime<Utc>,
    /// The last time.
    pub last_at: DateTime<Utc>,
}

/// Adds failures, each device and code once; returns how many rows were written. Those of ids that are no device's are
/// left out beyond [`MAX_UNKNOWN`] in a tenant.
pub async fn add(tx: &Tx, _: &SystemScope, failures: &[NewFailure]) -> Result<u64, StoreError> {
    let rows = failures.iter().map(|failure| {
        json!({
            "tenant": failure.tenant.0, "device": failure.device, "code": failure.code.name(),
            "id": Uuid::new_v4().as_u64_pair().0 >> 2, "failures": failure.count,
            "first_ms": failure.first_at.timestamp_millis(), "last_ms": failure.last_at.timestamp_millis(),
        })
    });
    let list = Value::Array(rows.collect()).to_string();
    let new = if tx.is_postgres() {
        "select * from jsonb_to_recordset($1::jsonb)
             as row(tenant int4, device text, code text, id int8, failures int8, first_ms int8, last_ms int8)"
    } else {
        "select value->>'tenant' as tenant, value->>'device' as device, value->>'code' as code, value->>'id' as id,
                value->>'failures' as failures, value->>'first_ms' as first_ms, value->>'last_ms' as last_ms
           from json_each($1)"
    };
    // In the order of the keys, so that two instances do not wait for each other.
    let sql = format!(
        "with new as ({new}),
              unknown as (
                  select old.tenant, count(*) as ids from device_failure as old
                    left join device on device.tenant = old.tenant and device.id = old.device
                   where old.tenant in (select tenant from new) and device.key is null group by old.tenant)
         insert into device_failure (tenant, device, code, id, failures, first_ms, last_ms)
         select new.tenant, new.device, new.code, new.id, new.failures, new.first_ms, new.last_ms from new
           left join device on device.tenant = new.tenant and device.id = new.device
           left join unknown on unknown.tenant = new.tenant
          where device.key is not null or coalesce(unknown.ids, 0) < {MAX_UNKNOWN}
          order by new.tenant, new.device, new.code
         on conflict (tenant, device, code) do update set
             failures = excluded.failures
                 + case when device_failure.last_ms < excluded.first_ms - $2 then 0 else device_failure.failures end,
             first_ms = case when device_failure.last_ms < excluded.first_ms - $2 then excluded.first_ms
                 else device_failure.first_ms end,
             last_ms = excluded.last_ms"
    );
    tx.execute(&sql, [list.into(), QUIET.num_milliseconds().into()]).await
}

/// Forgets what was last before `before`, at most [`MAX_PURGE`] rows; how many.
pub async fn purge(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from device_failure where (tenant, device, code) in
                (select tenant, device, code from device_failure where last_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), MAX_PURGE.into()]).await
}

/// The failures before a place in the history, newest first.
pub(crate) async fn newest(
    tx: &Tx,
    scope: &Scope,
    device: Option<&DeviceId>,
    before: Place,
    limit: u64,
) -> Result<Vec<Entry>, StoreError> {
    let of_device = if device.is_some() { "and device = $5" } else { "" };
    let sql = format!(
        "select id, device, code, failures, first_ms, last_ms from device_failure
          where tenant = $1 and (last_ms, id) < ($2, $3) {of_device} order by last_ms desc, id desc limit $4"
    );
    let mut values = vec![scope.tenant.0.into(), before.at_ms.into(), before.seq.into(), (limit as i64).into()];
    values.extend(device.map(|device| device.as_str().into()));
    tx.rows(&sql, values).await?.iter().map(|row| failure(row).map(Entry::Failure)).collect()
}

fn failure(row: &QueryResult) -> Result<Failure, StoreError> {
    let code: String = row.try_get("", "code")?;
    Ok(Failure {
        id: row.try_get("", "id")?,
        device: convert::id("device", row.try_get("", "device")?)?,
        code: FailureCode::from_name(&code).ok_or_else(|| StoreError::corrupt("failure", &code))?,
        count: row.try_get("", "failures")?,
        first_at: convert::time(row.try_get("", "first_ms")?),
        last_at: convert::time(row.try_get("", "last_ms")?),
    })
}

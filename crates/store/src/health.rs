//! A tenant's health over time: counters that only grow, and a sample of everything at each full minute.

use crate::{MAX_PAGE, StoreError, Tx, convert};
use chrono::{DateTime, Utc};
use muster_model::{Scope, SystemScope, TenantKey};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Rows forgotten at once.
pub const MAX_PURGE: i64 = 10_000;

/// A tenant's state at a time: numbers by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When.
    pub at: DateTime<Utc>,
    /// The numbers.
    pub values: Map<String, Value>,
}

/// Adds to the counters of tenants.
pub async fn add(tx: &Tx, _: &SystemScope, counts: &BTreeMap<(TenantKey, &str), i64>) -> Result<(), StoreError> {
    let list = counts.iter().map(|((tenant, name), value)| json!([tenant.0, name, value]));
    let list = Value::Array(list.collect()).to_string();
    let new = if tx.is_postgres() {
        "select (value->>0)::int4, value->>1, (value->>2)::int8 from jsonb_array_elements($1::jsonb)"
    } else {
        "select value->>0, value->>1, value->>2 from json_each($1)"
    };
    let sql = format!(
        "insert into tenant_counter (tenant, name, value) {new} where true order by 1, 2
         on conflict (tenant, name) do update set value = tenant_counter.value + excluded.value"
    );
    tx.execute(&sql, [list.into()]).await?;
    Ok(())
}

/// Notes the state of every tenant at `at`, once, whoever asks first: how many devices there are and are connected,
/// what became of messages (by its name in the ledger), and the counters.
pub async fn sample(tx: &Tx, _: &SystemScope, at: DateTime<Utc>) -> Result<(), StoreError> {
    let at = at.timestamp_millis();
    if tx.row("select 1 as one from health_sample where at_ms = $1 limit 1", [at.into()]).await?.is_some() {
        return Ok(());
    }
    let mut samples: BTreeMap<i32, Map<String, Value>> = BTreeMap::new();
    // One pass over each table; there is a row for each tenant and name.
    let sql = "select tenant.key as tenant, 'provisionedDeviceCount' as name, count(device.key) as value
                 from tenant left join device on device.tenant = tenant.key and device.parent is null group by tenant.key
               union all
               select device.tenant, 'connectedDeviceCount', count(*)
                 from hub_session join device on device.key = hub_session.device
                where hub_session.instance is not null and device.parent is null group by device.tenant
               union all
               select tenant, outcome, cast(sum(messages) as bigint) from ledger_count group by tenant, outcome
               union all
               select tenant, name, value from tenant_counter";
    for row in tx.rows(sql, []).await? {
        let (tenant, name, value): (i32, String, i64) =
            (row.try_get("", "tenant")?, row.try_get("", "name")?, row.try_get("", "value")?);
        samples.entry(tenant).or_default().insert(name, value.into());
    }
    let list: Vec<Value> = samples.into_iter().map(|(tenant, document)| json!([tenant, document])).collect();
    let new = if tx.is_postgres() {
        "select (value->>0)::int4, $2::int8, value->1 from jsonb_array_elements($1::jsonb)"
    } else {
        "select value->>0, $2, value->1 from json_each($1)"
    };
    let sql = format!(
        "insert into health_sample (tenant, at_ms, document) {new} where true order by 1
         on conflict (tenant, at_ms) do nothing"
    );
    tx.execute(&sql, [Value::Array(list).to_string().into(), at.into()]).await?;
    Ok(())
}

/// The samples from `from` until before `to`, in their order, of each `every` milliseconds the last one; at most
/// [`MAX_PAGE`].
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    every_ms: i64,
) -> Result<Vec<Sample>, StoreError> {
    let sql = "select at_ms, document from health_sample where tenant = $1 and at_ms in (
                   select max(at_ms) from health_sample where tenant = $1 and at_ms >= $2 and at_ms < $3
                    group by at_ms / $4)
                order by at_ms limit $5";
    let (from, to) = (from.timestamp_millis(), to.timestamp_millis());
    let values = [scope.tenant.0.into(), from.into(), to.into(), every_ms.into(), i64::from(MAX_PAGE).into()];
    let rows = tx.rows(sql, values).await?;
    let samples = rows.iter().map(|row| {
        Ok(Sample {
            at: convert::time(row.try_get("", "at_ms")?),
            values: convert::object("health sample", row.try_get("", "document")?)?,
        })
    });
    samples.collect()
}

/// Forgets samples of before `before`, at most [`MAX_PURGE`]; how many.
pub async fn purge(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from health_sample where (tenant, at_ms) in
                (select tenant, at_ms from health_sample where at_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), MAX_PURGE.into()]).await
}

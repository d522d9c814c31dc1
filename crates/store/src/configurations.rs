//! Configurations, and when they are applied again.

use crate::{MAX_PAGE, StoreError, Tx, convert, leases::Leases};
use chrono::{DateTime, Utc};
use muster_model::{
    ConfigurationId, Scope, SystemScope, TenantKey,
    configuration::{Configuration, Document, Results},
};
use sea_orm::QueryResult;

/// The tenant's configurations in the order of their ids, at most `limit`.
pub async fn list(tx: &Tx, scope: &Scope, limit: u32) -> Result<Vec<Configuration>, StoreError> {
    let sql = "select * from configuration where tenant = $1 order by id limit $2";
    let limit = i64::from(limit.min(MAX_PAGE));
    tx.rows(sql, [scope.tenant.0.into(), limit.into()]).await?.iter().map(configuration).collect()
}

/// The configuration.
pub async fn get(tx: &Tx, scope: &Scope, id: &ConfigurationId) -> Result<Configuration, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("configuration", id))
}

/// The configuration, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &ConfigurationId) -> Result<Option<Configuration>, StoreError> {
    let sql = "select * from configuration where tenant = $1 and id = $2";
    let row = tx.row(sql, [scope.tenant.0.into(), id.as_str().into()]).await?;
    row.as_ref().map(configuration).transpose()
}

/// Makes a configuration. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(
    tx: &Tx,
    scope: &Scope,
    (id, document): (&ConfigurationId, &Document),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "insert into configuration (tenant, id, document, results, version, created_ms, updated_ms)
               values ($1, $2, $3, $4, 1, $5, $5) on conflict do nothing";
    let values = [
        scope.tenant.0.into(),
        id.as_str().into(),
        convert::write_document("configuration", document)?.into(),
        convert::write_document("configuration", &Results::default())?.into(),
        now.timestamp_millis().into(),
    ];
    match tx.execute(sql, values).await? {
        0 => Err(StoreError::Conflict { kind: "configuration", id: id.to_string() }),
        _ => Ok(()),
    }
}

/// Writes a configuration's document. [`StoreError::Stale`] where the stored version is another one.
pub async fn update(
    tx: &Tx,
    scope: &Scope,
    configuration: &Configuration,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sql = "update configuration set document = $4, version = version + 1, updated_ms = $5
                where tenant = $1 and id = $2 and version = $3";
    let values = [
        scope.tenant.0.into(),
        configuration.id.as_str().into(),
        configuration.version.into(),
        convert::write_document("configuration", &configuration.document)?.into(),
        now.timestamp_millis().into(),
    ];
    match tx.execute(sql, values).await? {
        0 => Err(StoreError::stale("configuration", &configuration.id)),
        _ => Ok(()),
    }
}

/// Writes what was counted.
pub async fn set_results(tx: &Tx, scope: &Scope, id: &ConfigurationId, results: &Results) -> Result<(), StoreError> {
    let sql = "update configuration set results = $3 where tenant = $1 and id = $2";
    let results = convert::write_document("configuration", results)?;
    tx.execute(sql, [scope.tenant.0.into(), id.as_str().into(), results.into()]).await?;
    Ok(())
}

/// Removes a configuration.
pub async fn delete(tx: &Tx, scope: &Scope, id: &ConfigurationId) -> Result<(), StoreError> {
    let sql = "delete from configuration where tenant = $1 and id = $2";
    match tx.execute(sql, [scope.tenant.0.into(), id.as_str().into()]).await? {
        0 => Err(StoreError::not_found("configuration", id)),
        _ => Ok(()),
    }
}

/// The tenant's configurations are to be applied at this time, or before.
pub async fn set_due(tx: &Tx, scope: &Scope, due_at: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "insert into configuration_round (tenant, due_ms) values ($1, $2)
               on conflict (tenant) do update set due_ms = excluded.due_ms";
    tx.execute(sql, [scope.tenant.0.into(), due_at.timestamp_millis().into()]).await?;
    Ok(())
}

const LEASES: Leases = Leases { table: "configuration_round", key: "tenant", only: "", also: "" };

/// Takes tenants whose configurations are due, at most `limit`; they are due again at `lease_until`.
pub async fn claim_due(
    tx: &Tx,
    _: &SystemScope,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<TenantKey>, StoreError> {
    let rows = LEASES.claim_due(tx, now, lease_until, limit).await?;
    rows.iter().map(|row| Ok(TenantKey(row.try_get("", "tenant")?))).collect()
}

/// Ends a round that was taken until `lease_until`; the next is due at `next`, or never. One that was asked for
/// meanwhile stays due.
pub async fn finish_round(
    tx: &Tx,
    scope: &Scope,
    lease_until: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let lease = lease_until.timestamp_millis();
    match next {
        Some(next) => {
            let sql = "update configuration_round set due_ms = $3 where tenant = $1 and due_ms = $2";
            tx.execute(sql, [scope.tenant.0.into(), lease.into(), next.timestamp_millis().into()]).await?;
        }
        None => {
            let sql = "delete from configuration_round where tenant = $1 and due_ms = $2";
            tx.execute(sql, [scope.tenant.0.into(), lease.into()]).await?;
        }
    }
    Ok(())
}

fn configuration(row: &QueryResult) -> Result<Configuration, StoreError> {
    Ok(Configuration {
        id: convert::id("configuration", row.try_get("", "id")?)?,
        document: convert::read_document("configuration", row.try_get("", "document")?)?,
        results: convert::read_document("configuration", row.try_get("", "results")?)?,
        version: row.try_get("", "version")?,
        created_at: convert::time(row.try_get("", "created_ms")?),
        updated_at: convert::time(row.try_get("", "updated_ms")?),
    })
}

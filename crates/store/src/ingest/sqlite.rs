//! The worker's statements on SQLite: each kind of row is bound whole, as one JSON text.

use super::{FeedBatch, Table, TelemetryRow};
use crate::{StoreError, events};
use sea_orm::sqlx::{self, Sqlite, Transaction};
use std::fmt::Write;
use uuid::Uuid;

/// The partition's epoch. The transaction is the only writer, so nothing needs a lock.
pub(super) async fn partition_epoch(
    tx: &mut Transaction<'static, Sqlite>,
    partition: u16,
) -> Result<Option<i64>, StoreError> {
    let sql = "select epoch from partition where number = ?1";
    Ok(sqlx::query_scalar(sql).bind(partition).fetch_optional(&mut **tx).await?)
}

/// Enters batches in the ledger; returns the new ones.
pub(super) async fn claim(tx: &mut Transaction<'static, Sqlite>, batches: Vec<Uuid>) -> Result<Vec<Uuid>, StoreError> {
    let list = batches.iter().map(|batch| format!("\"{}\"", batch.simple())).collect::<Vec<_>>().join(",");
    let sql = "insert into ledger (id) select unhex(value) from json_each(?1) where true
               on conflict do nothing returning id";
    Ok(sqlx::query_scalar(sql).bind(format!("[{list}]")).fetch_all(&mut **tx).await?)
}

/// Writes telemetry in one statement.
pub(super) async fn write_rows(tx: &mut Transaction<'static, Sqlite>, rows: &[TelemetryRow]) -> Result<(), StoreError> {
    let sql = "insert into tel_hot (device, ts, shape, vals, extra)
               select value->>0, value->>1, value->>2, value->>3, value->>4 from json_each(?1)";
    sqlx::query(sql).bind(encode(rows)).execute(&mut **tx).await?;
    Ok(())
}

/// Inserts a list of objects; returns the ids that are new.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Sqlite>,
    table: Table,
    list: &str,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = match table {
        Table::Rejected => {
            "insert into rejected_message (id, tenant, device, at_ms, reason, bag, payload)
             select unhex(value->>'id'), value->>'tenant', value->>'device', value->>'at_ms', value->>'reason',
                    value->>'bag', unhex(value->>'payload')
               from json_each(?1) where true on conflict do nothing returning id"
        }
        Table::Alert => {
            r#"insert into alert (id, tenant, rule, rule_name, device, device_id, device_name, severity, opened_ms,
                   "values", reason)
             select unhex(value->>'id'), value->>'tenant', unhex(value->>'rule'), value->>'rule_name',
                    value->>'device', value->>'device_id', value->>'device_name', value->>'severity',
                    value->>'opened_ms', value->>'values', value->>'reason'
               from json_each(?1) where true on conflict do nothing returning id"#
        }
        Table::Outbox => {
            "insert into outbox (id, tenant, kind, payload, state, attempts, due_ms, created_ms)
             select unhex(value->>'id'), value->>'tenant', value->>'kind', value->'payload', value->>'state', 0,
                    value->>'due_ms', value->>'created_ms'
               from json_each(?1) where true on conflict do nothing returning id"
        }
    };
    Ok(sqlx::query_scalar(sql).bind(list).fetch_all(&mut **tx).await?)
}

/// Clears alerts; returns (alert, rule, device) of those that were open.
pub(super) async fn clear_alerts(
    tx: &mut Transaction<'static, Sqlite>,
    list: &str,
) -> Result<Vec<(Uuid, Uuid, i64)>, StoreError> {
    let sql = "update alert set cleared_ms = row.at_ms
                 from (select unhex(value->>'rule') as rule, value->>'device' as device, value->>'at_ms' as at_ms
                         from json_each(?1)) as row
                where alert.rule = row.rule and alert.device = row.device and alert.cleared_ms is null
               returning id, rule, device";
    Ok(sqlx::query_as(sql).bind(list).fetch_all(&mut **tx).await?)
}

/// Adds `[tenant, outcome, messages]` to the counts.
pub(super) async fn add_counts(
    tx: &mut Transaction<'static, Sqlite>,
    partition: u16,
    list: &str,
) -> Result<(), StoreError> {
    let sql = "insert into ledger_count (tenant, partition, outcome, messages)
               select value->>0, ?2, value->>1, value->>2 from json_each(?1) where true
               on conflict (tenant, partition, outcome) do update set messages = ledger_count.messages + excluded.messages";
    sqlx::query(sql).bind(list).bind(partition).execute(&mut **tx).await?;
    Ok(())
}

/// Takes numbers for events; the last one of each tenant.
pub(super) async fn take_numbers(
    tx: &mut Transaction<'static, Sqlite>,
    numbers: &str,
) -> Result<Vec<(i32, i64)>, StoreError> {
    Ok(sqlx::query_as(events::take_numbers(false)).bind(numbers).fetch_all(&mut **tx).await?)
}

/// Inserts batches, each with the number of its last message.
pub(super) async fn insert_telemetry(
    tx: &mut Transaction<'static, Sqlite>,
    rows: &[(i64, &FeedBatch)],
) -> Result<(), StoreError> {
    let sql = "insert into event (tenant, seq, messages, at_ms, batch) values (?1, ?2, ?3, ?4, ?5)";
    for (seq, row) in rows {
        let query = sqlx::query(sql).bind(row.tenant.0).bind(seq).bind(row.messages).bind(row.at_ms);
        query.bind(row.batch.as_slice()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// The rows as `[[device, ts, shape, [values], extra], …]`. Numbers are written in the shortest form that reads back
/// the same, and SQLite keeps their text as it is.
fn encode(rows: &[TelemetryRow]) -> String {
    let mut out = String::with_capacity(2 + rows.len() * 64);
    for row in rows {
        out.push(if out.is_empty() { '[' } else { ',' });
        // Writing to a String cannot fail.
        let _ = write!(out, "[{},{},{},[", row.device, row.ts_ms, row.shape);
        for (index, val) in row.vals.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            match val {
                Some(val) if val.is_finite() => _ = write!(out, "{val:?}"),
                _ => out.push_str("null"),
            }
        }
        out.push_str("],");
        out.push_str(row.extra.as_deref().unwrap_or("null"));
        out.push(']');
    }
    out.push(']');
    out
}

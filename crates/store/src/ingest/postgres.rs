//! The worker's statements on PostgreSQL: telemetry by binary COPY, the rest as one statement for each kind of row.

use super::{FeedBatch, Table, TelemetryRow};
use crate::{StoreError, events, json::without_nul};
use bytes::{BufMut, BytesMut};
use sea_orm::sqlx::{self, Postgres, Transaction};
use uuid::Uuid;

/// The partition's epoch and the leaf that is written to. The row stays locked: a take-over waits for this
/// transaction, and this transaction for a take-over.
pub(super) async fn lock_partition(
    tx: &mut Transaction<'static, Postgres>,
    partition: u16,
) -> Result<Option<(i64, i16)>, StoreError> {
    let sql = "select partition.epoch, hot_ring.cur from partition cross join hot_ring
                where partition.number = $1 for update of partition";
    Ok(sqlx::query_as(sql).bind(i32::from(partition)).fetch_optional(&mut **tx).await?)
}

/// Enters batches in the ledger; returns the new ones.
pub(super) async fn claim(
    tx: &mut Transaction<'static, Postgres>,
    batches: Vec<Uuid>,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = "insert into ledger (id) select unnest($1::uuid[]) on conflict do nothing returning id";
    Ok(sqlx::query_scalar(sql).bind(batches).fetch_all(&mut **tx).await?)
}

/// Writes telemetry in one COPY.
pub(super) async fn write_rows(
    tx: &mut Transaction<'static, Postgres>,
    slot: i16,
    rows: &[TelemetryRow],
) -> Result<(), StoreError> {
    let statement = "copy tel_hot (device, ts, shape, slot, vals, extra) from stdin binary";
    let mut copy = tx.copy_in_raw(statement).await?;
    copy.send(encode(slot, rows)).await?;
    copy.finish().await?;
    Ok(())
}

/// Inserts a list of objects; returns the ids that are new.
pub(super) async fn insert(
    tx: &mut Transaction<'static, Postgres>,
    table: Table,
    list: &str,
) -> Result<Vec<Uuid>, StoreError> {
    let sql = match table {
        Table::Rejected => {
            "insert into rejected_message (id, tenant, device, at_ms, reason, bag, payload)
             select id, tenant, device, at_ms, reason, bag, decode(payload, 'hex') from jsonb_to_recordset($1::jsonb)
                 as row(id uuid, tenant int4, device int8, at_ms int8, reason text, bag text, payload text)
             on conflict do nothing returning id"
        }
        Table::Alert => {
            r#"insert into alert (id, tenant, rule, rule_name, device, device_id, device_name, severity, opened_ms,
                   "values", reason)
             select * from jsonb_to_recordset($1::jsonb)
                 as row(id uuid, tenant int4, rule uuid, rule_name text, device int8, device_id text,
                        device_name text, severity text, opened_ms int8, "values" jsonb, reason text)
              order by rule, device
             on conflict do nothing returning id"#
        }
        Table::Outbox => {
            "insert into outbox (id, tenant, kind, payload, state, attempts, due_ms, created_ms)
             select id, tenant, kind, payload, state, 0, due_ms, created_ms from jsonb_to_recordset($1::jsonb)
                 as row(id uuid, tenant int4, kind text, payload jsonb, state text, due_ms int8, created_ms int8)
             on conflict do nothing returning id"
        }
    };
    Ok(sqlx::query_scalar(sql).bind(list).fetch_all(&mut **tx).await?)
}

/// Clears alerts; returns (alert, rule, device) of those that were open.
pub(super) async fn clear_alerts(
    tx: &mut Transaction<'static, Postgres>,
    list: &str,
) -> Result<Vec<(Uuid, Uuid, i64)>, StoreError> {
    let sql = "update alert set cleared_ms = row.at_ms
                 from jsonb_to_recordset($1::jsonb) as row(rule uuid, device int8, at_ms int8)
                where alert.rule = row.rule and alert.device = row.device and alert.cleared_ms is null
               returning alert.id, alert.rule, alert.device";
    Ok(sqlx::query_as(sql).bind(list).fetch_all(&mut **tx).await?)
}

/// Adds `[tenant, outcome, messages]` to the counts.
pub(super) async fn add_counts(
    tx: &mut Transaction<'static, Postgres>,
    partition: u16,
    list: &str,
) -> Result<(), StoreError> {
    let sql = "insert into ledger_count (tenant, partition, outcome, messages)
               select (value->>0)::int4, $2, value->>1, (value->>2)::int8 from jsonb_array_elements($1::jsonb)
               on conflict (tenant, partition, outcome) do update set messages = ledger_count.messages + excluded.messages";
    sqlx::query(sql).bind(list).bind(i32::from(partition)).execute(&mut **tx).await?;
    Ok(())
}

/// Takes numbers for events; the last one of each tenant.
pub(super) async fn take_numbers(
    tx: &mut Transaction<'static, Postgres>,
    numbers: &str,
) -> Result<Vec<(i32, i64)>, StoreError> {
    Ok(sqlx::query_as(events::take_numbers(true)).bind(numbers).fetch_all(&mut **tx).await?)
}

/// Inserts batches, each with the number of its last message.
pub(super) async fn insert_telemetry(
    tx: &mut Transaction<'static, Postgres>,
    rows: &[(i64, &FeedBatch)],
) -> Result<(), StoreError> {
    let sql = "insert into event (tenant, seq, messages, at_ms, batch)
               select * from unnest($1::int4[], $2::int8[], $3::int4[], $4::int8[], $5::bytea[])";
    sqlx::query(sql)
        .bind(rows.iter().map(|(_, row)| row.tenant.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.messages as i32).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.at_ms).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, row)| row.batch.as_slice()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The rows in COPY's binary format: a header, for each row the number of its fields and each field with its length,
/// and a trailer. All numbers are big-endian.
fn encode(slot: i16, rows: &[TelemetryRow]) -> BytesMut {
    let values: usize = rows.iter().map(|row| row.vals.len() * 12 + row.extra.as_ref().map_or(0, String::len)).sum();
    let mut out = BytesMut::with_capacity(21 + rows.len() * 73 + values);
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0); // flags
    out.put_i32(0); // length of the header's extension
    for row in rows {
        out.put_i16(6);
        out.put_i32(8);
        out.put_i64(row.device.0);
        out.put_i32(8);
        out.put_i64(row.ts_ms);
        out.put_i32(4);
        out.put_i32(row.shape.0);
        out.put_i32(2);
        out.put_i16(slot);
        put_array(&mut out, &row.vals);
        put_json(&mut out, row.extra.as_deref());
    }
    out.put_i16(-1);
    out
}

/// A `float8[]`: dimensions, whether it holds nulls, the type of its elements, then length and lower bound.
fn put_array(out: &mut BytesMut, vals: &[Option<f64>]) {
    const FLOAT8: i32 = 701;
    let elements: usize = vals.iter().map(|val| if val.is_some() { 12 } else { 4 }).sum();
    if vals.is_empty() {
        out.put_i32(12);
        out.put_i32(0);
        out.put_i32(0);
        out.put_i32(FLOAT8);
        return;
    }
    out.put_i32((20 + elements) as i32);
    out.put_i32(1);
    out.put_i32(i32::from(vals.contains(&None)));
    out.put_i32(FLOAT8);
    out.put_i32(vals.len() as i32);
    out.put_i32(1);
    for val in vals {
        match val {
            Some(val) => {
                out.put_i32(8);
                out.put_f64(*val);
            }
            None => out.put_i32(-1),
        }
    }
}

/// A `jsonb`: its version, then the text.
fn put_json(out: &mut BytesMut, json: Option<&str>) {
    let Some(json) = json else {
        out.put_i32(-1);
        return;
    };
    let json = without_nul(json);
    out.put_i32((1 + json.len()) as i32);
    out.put_u8(1);
    out.put_slice(json.as_bytes());
}

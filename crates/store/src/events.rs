//! What services hear of: telemetry where the tenant wants it, and what happened to devices, numbered by tenant.
//!
//! Numbers grow in the order of commits: the row of `event_head` stays locked from the moment a transaction takes its
//! numbers until it commits, so whoever has read a number has read every smaller one that will ever be. Numbers are
//! taken last ([`Tx::commit`], [`crate::IngestTx::append_telemetry`]), which keeps the lock short, and two transactions
//! that hold other locks out of each other's way. Numbers may be left out.

use crate::{
    Page, Paging, StoreError, Tx, convert,
    failures::{self, Failure},
};
use chrono::{DateTime, Utc};
use muster_model::{
    DeviceId, Scope, SystemScope, TenantKey,
    event::{DeviceEvent, Operation},
};
use sea_orm::QueryResult;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Rows forgotten at once.
pub const MAX_PURGE: i64 = 10_000;

/// What one row holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// An event.
    Event {
        /// Its number.
        seq: i64,
        /// The event.
        event: DeviceEvent,
    },
    /// A batch of telemetry.
    Telemetry {
        /// The number of its first message; the others follow without a gap.
        first_seq: i64,
        /// As it was given to [`crate::IngestTx::append_telemetry`].
        batch: Vec<u8>,
    },
}

/// Notes an event, which the transaction's commit writes and numbers.
pub fn append(tx: &Tx, scope: &Scope, event: DeviceEvent) {
    tx.append(scope.tenant, event);
}

/// Rows that hold numbers greater than `after`, in their order, at most `limit`. The first row of telemetry may begin
/// before `after`.
pub async fn read(tx: &Tx, scope: &Scope, after: i64, limit: u32) -> Result<Vec<Row>, StoreError> {
    let sql = "select seq, messages, at_ms, device, module, operation, document, batch from event
                where tenant = $1 and seq > $2 order by seq limit $3";
    let rows = tx.rows(sql, [scope.tenant.0.into(), after.into(), i64::from(limit).into()]).await?;
    rows.iter().map(row).collect()
}

/// A place in the history of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at_ms: i64,
    /// Its number; of all entries of that time the greatest comes first.
    pub seq: i64,
}

/// One thing of a device's history.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Something that happened.
    Event {
        /// Its number.
        seq: i64,
        /// The event.
        event: DeviceEvent,
    },
    /// Something that went wrong, as often as it did.
    Failure(Failure),
}

impl Entry {
    /// Where it stands in the list.
    pub fn place(&self) -> Place {
        match self {
            Self::Event { seq, event } => Place { at_ms: event.at.timestamp_millis(), seq: *seq },
            Self::Failure(failure) => Place { at_ms: failure.last_at.timestamp_millis(), seq: failure.id },
        }
    }
}

/// What happened to devices and what went wrong with them, or with one of them, newest first; no telemetry.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    device: Option<&DeviceId>,
    paging: Paging<Place>,
) -> Result<Page<Entry>, StoreError> {
    let size = paging.size();
    let before = paging.after.unwrap_or(Place { at_ms: i64::MAX, seq: i64::MAX });
    let of_device = if device.is_some() { "and device = $5" } else { "" };
    let sql = format!(
        "select seq, messages, at_ms, device, module, operation, document, batch from event
          where tenant = $1 and device is not null and (at_ms, seq) < ($2, $3) {of_device}
          order by at_ms desc, seq desc limit $4"
    );
    let mut values = vec![scope.tenant.0.into(), before.at_ms.into(), before.seq.into(), (size as i64 + 1).into()];
    values.extend(device.map(|device| device.as_str().into()));
    let mut entries = failures::newest(tx, scope, device, before, size + 1).await?;
    for row in tx.rows(&sql, values).await? {
        entries.push(Entry::Event { seq: row.try_get("", "seq")?, event: event(&row)? });
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.place()));
    Ok(Page::from_rows(entries, size))
}

/// Forgets what happened before `before`, at most [`MAX_PURGE`] rows; how many.
pub async fn purge(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from event where (tenant, seq) in (select tenant, seq from event where at_ms < $1 limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), MAX_PURGE.into()]).await
}

/// Writes events in the order given.
pub(crate) async fn write(tx: &Tx, events: Vec<(TenantKey, DeviceEvent)>) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut wanted: BTreeMap<TenantKey, i64> = BTreeMap::new();
    events.iter().for_each(|(tenant, _)| *wanted.entry(*tenant).or_default() += 1);
    let heads = tx.rows(take_numbers(tx.is_postgres()), [numbers(&wanted).into()]).await?;
    let mut next = BTreeMap::new();
    for head in heads {
        let (tenant, last): (i32, i64) = (head.try_get("", "tenant")?, head.try_get("", "last_seq")?);
        let tenant = TenantKey(tenant);
        next.insert(tenant, last - wanted.get(&tenant).copied().unwrap_or_default());
    }
    let rows = events.into_iter().map(|(tenant, event)| {
        let seq = next.entry(tenant).or_default();
        *seq += 1;
        json!({
            "tenant": tenant.0, "seq": *seq, "at_ms": event.at.timestamp_millis(), "device": event.device,
            "module": event.module, "operation": event.operation.name(), "document": event.body.to_string(),
        })
    });
    let list = Value::Array(rows.collect()).to_string();
    let sql = if tx.is_postgres() {
        "insert into event (tenant, seq, messages, at_ms, device, module, operation, document)
         select tenant, seq, 1, at_ms, device, module, operation, document from jsonb_to_recordset($1::jsonb)
             as row(tenant int4, seq int8, at_ms int8, device text, module text, operation text, document text)"
    } else {
        "insert into event (tenant, seq, messages, at_ms, device, module, operation, document)
         select value->>'tenant', value->>'seq', 1, value->>'at_ms', value->>'device', value->>'module',
                value->>'operation', value->>'document'
           from json_each($1)"
    };
    tx.execute(sql, [list.into()]).await?;
    Ok(())
}

/// Takes numbers for `[[tenant, how many], …]` and locks them; the tenants in their order, so that two transactions
/// do not wait for each other.
pub(crate) fn take_numbers(postgres: bool) -> &'static str {
    if postgres {
        "insert into event_head (tenant, last_seq)
         select (value->>0)::int4, (value->>1)::int8 from jsonb_array_elements($1::jsonb) order by 1
         on conflict (tenant) do update set last_seq = event_head.last_seq + excluded.last_seq
         returning tenant, last_seq"
    } else {
        "insert into event_head (tenant, last_seq) select value->>0, value->>1 from json_each($1) where true
         on conflict (tenant) do update set last_seq = event_head.last_seq + excluded.last_seq
         returning tenant, last_seq"
    }
}

/// The list that [`take_numbers`] is given.
pub(crate) fn numbers(wanted: &BTreeMap<TenantKey, i64>) -> String {
    Value::Array(wanted.iter().map(|(tenant, messages)| json!([tenant.0, messages])).collect()).to_string()
}

fn row(row: &QueryResult) -> Result<Row, StoreError> {
    let seq: i64 = row.try_get("", "seq")?;
    match row.try_get::<Option<Vec<u8>>>("", "batch")? {
        Some(batch) => {
            let messages: i32 = row.try_get("", "messages")?;
            Ok(Row::Telemetry { first_seq: seq - i64::from(messages) + 1, batch })
        }
        None => Ok(Row::Event { seq, event: event(row)? }),
    }
}

fn event(row: &QueryResult) -> Result<DeviceEvent, StoreError> {
    let operation: String = row.try_get("", "operation")?;
    let document: String = row.try_get("", "document")?;
    let module: Option<String> = row.try_get("", "module")?;
    Ok(DeviceEvent {
        at: convert::time(row.try_get("", "at_ms")?),
        device: convert::id("device", row.try_get("", "device")?)?,
        module: module.map(|module| convert::id("module", module)).transpose()?,
        operation: Operation::from_name(&operation).ok_or_else(|| StoreError::corrupt("event", &operation))?,
        body: serde_json::from_str(&document).map_err(|error| StoreError::corrupt("event", error))?,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at_ms, self.seq)
    }
}

/// The text is no [`Place`].
#[derive(Debug, thiserror::Error)]
#[error("not a place in the list")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (at_ms, seq) = text.split_once('.').ok_or(NoPlace)?;
        let number = |text: &str| text.parse().map_err(|_| NoPlace);
        Ok(Self { at_ms: number(at_ms)?, seq: number(seq)? })
    }
}

//! The worker's transaction: a batch's ledger entry, its rows, alerts, outgoing work and counts, all or nothing.
//!
//! It covers many tenants in one COPY and therefore runs as the owner of the tables, outside row-level security.

mod postgres;
mod sqlite;

use crate::{
    Store, StoreError,
    alerts::{OpenAlert, severity_name},
    counters::{Counts, RejectedMessage},
    events,
    json::without_nul,
    outbox::{NewWork, WorkState},
    store::Pools,
};
use chrono::{DateTime, Utc};
use muster_model::{AlertId, BatchId, DeviceKey, RuleId, ShapeKey, TenantKey, alert::Alert};
use sea_orm::sqlx;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// A transaction of the worker that owns a partition. Dropped without [`IngestTx::commit`], it never was.
///
/// On SQLite it is the only writer until it ends: intern shapes ([`crate::telemetry::intern_shape`]) before it begins.
pub struct IngestTx {
    backend: Backend,
    partition: u16,
    /// The leaf of the ring that is written to (PostgreSQL).
    slot: i16,
}

enum Backend {
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
}

/// A table that rows are put into as a list of JSON objects.
#[derive(Clone, Copy)]
enum Table {
    Rejected,
    Alert,
    Outbox,
}

/// One telemetry message.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryRow {
    /// The device.
    pub device: DeviceKey,
    /// The message's time in milliseconds since 1970.
    pub ts_ms: i64,
    /// Which key stands where in `vals`.
    pub shape: ShapeKey,
    /// The numbers, in the order of the shape's keys.
    pub vals: Vec<Option<f64>>,
    /// What is no number, as JSON: `{"v":…,"u":…,"p":…,"c":…,"b":…}`.
    pub extra: Option<String>,
}

/// A batch of a tenant's telemetry, as services will read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedBatch {
    /// The tenant.
    pub tenant: TenantKey,
    /// How many messages are in it.
    pub messages: u32,
    /// When it was stored, in milliseconds since 1970.
    pub at_ms: i64,
    /// The batch; the store does not look into it.
    pub batch: Vec<u8>,
}

/// An alert to be cleared because its rule is no longer true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertClear {
    /// The rule.
    pub rule: RuleId,
    /// The device.
    pub device: DeviceKey,
    /// When the values changed.
    pub at: DateTime<Utc>,
}

impl Store {
    /// Begins the transaction, if `epoch` is still the partition's.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] where another worker has taken the partition over.
    pub async fn begin_ingest(&self, partition: u16, epoch: i64) -> Result<IngestTx, StoreError> {
        let (backend, current, slot) = match &self.pools {
            Pools::Postgres(db) => {
                let mut tx = db.get_postgres_connection_pool().begin().await?;
                let owner = postgres::lock_partition(&mut tx, partition).await?;
                (Backend::Postgres(tx), owner.map(|(epoch, _)| epoch), owner.map_or(0, |(_, slot)| slot))
            }
            Pools::Sqlite { writer, .. } => {
                let mut tx = writer.get_sqlite_connection_pool().begin_with("begin immediate").await?;
                let epoch = sqlite::partition_epoch(&mut tx, partition).await?;
                (Backend::Sqlite(tx), epoch, 0)
            }
        };
        match current {
            None => Err(StoreError::not_found("partition", partition)),
            Some(current) if current != epoch => Err(StoreError::Fenced { partition }),
            Some(_) => Ok(IngestTx { backend, partition, slot }),
        }
    }
}

impl IngestTx {
    /// Enters batches in the ledger; those returned are new, the others were stored before and must be skipped.
    pub async fn claim(&mut self, batches: &[BatchId]) -> Result<HashSet<BatchId>, StoreError> {
        let batches: Vec<Uuid> = batches.iter().map(|batch| batch.0).collect();
        let fresh = match &mut self.backend {
            Backend::Postgres(tx) => postgres::claim(tx, batches).await?,
            Backend::Sqlite(tx) => sqlite::claim(tx, batches).await?,
        };
        Ok(fresh.into_iter().map(BatchId).collect())
    }

    /// Writes telemetry.
    pub async fn write_rows(&mut self, rows: &[TelemetryRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        match &mut self.backend {
            Backend::Postgres(tx) => postgres::write_rows(tx, self.slot, rows).await,
            Backend::Sqlite(tx) => sqlite::write_rows(tx, rows).await,
        }
    }

    /// Keeps messages that could not be read.
    pub async fn write_rejected(&mut self, messages: &[(TenantKey, RejectedMessage)]) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let list = messages.iter().map(|(tenant, message)| {
            json!({
                "id": message.id.simple().to_string(), "tenant": tenant.0, "device": message.device.0,
                "at_ms": message.at.timestamp_millis(), "reason": message.reason, "bag": message.bag,
                "payload": hex(&message.payload),
            })
        });
        self.insert(Table::Rejected, list).await?;
        Ok(())
    }

    /// Opens alerts; those returned are new. Where a rule has an open alert for the device already, nothing happens.
    pub async fn open_alerts(&mut self, alerts: &[(TenantKey, Alert)]) -> Result<HashSet<AlertId>, StoreError> {
        if alerts.is_empty() {
            return Ok(HashSet::new());
        }
        let list = alerts.iter().map(|(tenant, alert)| {
            json!({
                "id": alert.id.0.simple().to_string(), "tenant": tenant.0, "rule": alert.rule.0.simple().to_string(),
                "rule_name": alert.rule_name, "device": alert.device.0, "device_id": alert.device_id.as_str(),
                "device_name": alert.device_name, "severity": severity_name(alert.severity),
                "opened_ms": alert.opened_at.timestamp_millis(), "values": alert.values, "reason": alert.reason,
            })
        });
        Ok(self.insert(Table::Alert, list).await?.into_iter().map(AlertId).collect())
    }

    /// Clears alerts; those returned were open until now.
    pub async fn clear_alerts(&mut self, clears: &[AlertClear]) -> Result<Vec<OpenAlert>, StoreError> {
        if clears.is_empty() {
            return Ok(Vec::new());
        }
        let list = clears.iter().map(|clear| {
        json!({
            "rule": clear.rule.0.simple().to_string(), "device": clear.device.0, "at_ms": clear.at.timestamp_millis(),
        })
    });
        let list = Value::Array(list.collect()).to_string();
        let cleared = match &mut self.backend {
            Backend::Postgres(tx) => postgres::clear_alerts(tx, &list).await?,
            Backend::Sqlite(tx) => sqlite::clear_alerts(tx, &list).await?,
        };
        let cleared = cleared.into_iter();
        Ok(cleared
            .map(|(id, rule, device)| OpenAlert { id: AlertId(id), rule: RuleId(rule), device: DeviceKey(device) })
            .collect())
    }

    /// Stores outgoing work, once for each id.
    pub async fn insert_work(&mut self, work: &[NewWork], now: DateTime<Utc>) -> Result<(), StoreError> {
        if work.is_empty() {
            return Ok(());
        }
        let list = work.iter().map(|work| {
        json!({
            "id": work.id.0.simple().to_string(), "tenant": work.tenant.0, "kind": work.kind, "payload": work.payload,
            "state": WorkState::Pending.name(), "due_ms": work.due_at.timestamp_millis(),
            "created_ms": now.timestamp_millis(),
        })
    });
        self.insert(Table::Outbox, list).await?;
        Ok(())
    }

    /// Adds to the counts of tenants.
    pub async fn add_counts(&mut self, counts: &BTreeMap<TenantKey, Counts>) -> Result<(), StoreError> {
        let partition = self.partition;
        // In the order of the keys, so that transactions meet in the same order.
        let list: Vec<Value> = counts
            .iter()
            .flat_map(|(tenant, counts)| {
                counts.outcomes().map(move |(outcome, messages)| json!([tenant.0, outcome, messages]))
            })
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        let list = Value::Array(list).to_string();
        match &mut self.backend {
            Backend::Postgres(tx) => postgres::add_counts(tx, partition, &list).await,
            Backend::Sqlite(tx) => sqlite::add_counts(tx, partition, &list).await,
        }
    }

    /// Appends telemetry to what services read ([`crate::events`]). It locks the tenants' numbers: nothing comes
    /// between it and [`IngestTx::commit`].
    pub async fn append_telemetry(&mut self, batches: &[FeedBatch]) -> Result<(), StoreError> {
        if batches.is_empty() {
            return Ok(());
        }
        let mut wanted = BTreeMap::new();
        batches.iter().for_each(|batch| *wanted.entry(batch.tenant).or_default() += i64::from(batch.messages));
        let numbers = events::numbers(&wanted);
        let heads = match &mut self.backend {
            Backend::Postgres(tx) => postgres::take_numbers(tx, &numbers).await?,
            Backend::Sqlite(tx) => sqlite::take_numbers(tx, &numbers).await?,
        };
        let mut last: BTreeMap<i32, i64> = heads.into_iter().collect();
        // Backwards from the last number of each tenant.
        let mut rows: Vec<(i64, &FeedBatch)> = Vec::with_capacity(batches.len());
        for batch in batches.iter().rev() {
            let seq = last.entry(batch.tenant.0).or_default();
            rows.push((*seq, batch));
            *seq -= i64::from(batch.messages);
        }
        match &mut self.backend {
            Backend::Postgres(tx) => postgres::insert_telemetry(tx, &rows).await,
            Backend::Sqlite(tx) => sqlite::insert_telemetry(tx, &rows).await,
        }
    }

    /// Makes all of it last.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.backend {
            Backend::Postgres(tx) => Ok(tx.commit().await?),
            Backend::Sqlite(tx) => Ok(tx.commit().await?),
        }
    }
}

impl IngestTx {
    /// Inserts objects; those whose id (or open alert) exists are left out. Returns the ids that are new.
    async fn insert(&mut self, table: Table, objects: impl Iterator<Item = Value>) -> Result<Vec<Uuid>, StoreError> {
        let list = Value::Array(objects.collect()).to_string();
        let list = without_nul(&list);
        match &mut self.backend {
            Backend::Postgres(tx) => postgres::insert(tx, table, &list).await,
            Backend::Sqlite(tx) => sqlite::insert(tx, table, &list).await,
        }
    }
}

/// Bytes inside JSON.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! Telemetry: rows of numbers whose meaning is an interned shape, and the last known values.

mod postgres;
mod sqlite;

use crate::{MAX_PAGE, StoreError, Tx, convert, json::without_nul, keys};
use muster_model::{DeviceId, DeviceKey, Scope, ShapeKey, SystemScope, TemplateId};
use sea_orm::QueryResult;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Shapes of devices without a template that a tenant may have; messages beyond go to `extra` whole.
pub const MAX_UNTYPED_SHAPES: i64 = 200;

/// Where a shape comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeSource {
    /// A device template; never refused.
    Template,
    /// The keys of a message without a template; at most [`MAX_UNTYPED_SHAPES`] in a tenant.
    Message,
}

/// The last known values of a device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatestValues {
    /// When it was last heard of, in milliseconds since 1970.
    pub seen_ms: i64,
    /// The value of each telemetry key, numbers and others.
    pub values: BTreeMap<String, LatestValue>,
}

/// A last known value.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestValue {
    /// When, in milliseconds since 1970.
    pub ts_ms: i64,
    /// The value as sent.
    pub value: Value,
}

/// Which history is asked for.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The device.
    pub device: DeviceKey,
    /// Telemetry keys, at most [`MAX_HISTORY_KEYS`].
    pub keys: Vec<String>,
    /// From, inclusive, in milliseconds since 1970.
    pub from_ms: i64,
    /// To, exclusive.
    pub to_ms: i64,
    /// Into how many parts the time is cut, 1 to [`MAX_BUCKETS`].
    pub buckets: u32,
}

/// Keys of one history query.
pub const MAX_HISTORY_KEYS: usize = 32;
/// Buckets of one history query.
pub const MAX_BUCKETS: u32 = 2000;

/// The history of one telemetry key.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The key.
    pub key: String,
    /// The width of a bucket in milliseconds.
    pub width_ms: i64,
    /// What there is, by time. A bucket without values is absent: a gap.
    pub points: Vec<Point>,
}

impl Series {
    /// Whether each point is one value at its own time (the buckets are finer than the data).
    pub fn is_raw(&self) -> bool {
        self.points.iter().all(|point| point.count == 1)
    }
}

/// The values of a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The time of the value where there is one in the bucket, else the bucket's start; milliseconds since 1970.
    pub ts_ms: i64,
    /// How many values.
    pub count: i64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub avg: f64,
}

/// A stored message, from which what the device sent is rebuilt.
#[derive(Debug, Clone, PartialEq)]
pub struct RawMessage {
    /// Its time in milliseconds since 1970.
    pub ts_ms: i64,
    /// The keys of `vals`.
    pub keys: Arc<[String]>,
    /// The numbers.
    pub vals: Vec<Option<f64>>,
    /// What is no number: `{"v":…,"u":…,"p":…,"c":…,"b":…}`.
    pub extra: Option<Value>,
}

/// The number of a list of keys, made if it is new; `None` where the tenant has too many already.
pub async fn intern_shape(
    tx: &Tx,
    scope: &Scope,
    keys: &[String],
    source: ShapeSource,
) -> Result<Option<ShapeKey>, StoreError> {
    let digest = digest(keys);
    if let Some(shape) = find_shape(tx, scope, &digest).await? {
        return Ok(Some(shape));
    }
    if source == ShapeSource::Message && count_untyped(tx, scope).await? >= MAX_UNTYPED_SHAPES {
        return Ok(None);
    }
    let sql = "insert into shape (tenant, digest, keys, typed) values ($1, $2, $3, $4) on conflict do nothing";
    let typed = source == ShapeSource::Template;
    let list = Value::from(keys.to_vec());
    tx.execute(sql, [scope.tenant.0.into(), digest.clone().into(), list.into(), typed.into()]).await?;
    // Another worker may have been faster; its row is as good.
    find_shape(tx, scope, &digest).await
}

/// The last known values of devices; those that never sent are absent. At most [`crate::MAX_PAGE`] devices.
pub async fn latest(
    tx: &Tx,
    scope: &Scope,
    devices: &[DeviceKey],
) -> Result<HashMap<DeviceKey, LatestValues>, StoreError> {
    let keys = devices.iter().filter(|&&device| keys::tenant_of(device) == scope.tenant).take(MAX_PAGE as usize);
    let list = convert::json_list(keys.map(|device| device.0));
    let sql = if tx.is_postgres() { postgres::LATEST } else { sqlite::LATEST };
    tx.rows(sql, [list.into()]).await?.iter().map(latest_values).collect()
}

/// Merges values into the last known ones, key by key; at most [`crate::MAX_PAGE`] devices, none twice.
pub async fn flush_latest(tx: &Tx, _: &SystemScope, latest: &[(DeviceKey, LatestValues)]) -> Result<(), StoreError> {
    let list = Value::Array(latest.iter().map(|(device, latest)| latest.row(*device)).collect()).to_string();
    let sql = if tx.is_postgres() { postgres::FLUSH_LATEST } else { sqlite::FLUSH_LATEST };
    tx.execute(sql, [without_nul(&list).as_ref().into()]).await?;
    Ok(())
}

/// The history of telemetry keys in buckets, one series for each key, in their order.
pub async fn history(tx: &Tx, scope: &Scope, query: &HistoryQuery) -> Result<Vec<Series>, StoreError> {
    let keys = &query.keys[..query.keys.len().min(MAX_HISTORY_KEYS)];
    let width_ms = query.width_ms();
    let values = [
        keys::in_scope(scope, query.device)?.into(),
        query.from_ms.into(),
        query.to_ms.into(),
        width_ms.into(),
        convert::json_list(keys.iter().map(String::as_str)).into(),
        scope.tenant.0.into(),
    ];
    let mut series: Vec<Series> =
        keys.iter().map(|key| Series { key: key.clone(), width_ms, points: Vec::new() }).collect();
    let sql = if tx.is_postgres() { postgres::HISTORY } else { sqlite::HISTORY };
    for row in tx.rows(sql, values).await? {
        let key: i64 = row.try_get("", "key_no")?;
        let point = point(&row, query.from_ms, width_ms)?;
        if let Some(series) = series.get_mut(key as usize) {
            series.points.push(point);
        }
    }
    Ok(series)
}

/// The newest messages of a device before `before_ms`, newest first: `limit` of them, and those that share the
/// last one's time, so that the next page begins before it.
pub async fn raw(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    before_ms: i64,
    limit: u32,
) -> Result<Vec<RawMessage>, StoreError> {
    let limit = i64::from(limit.clamp(1, MAX_PAGE));
    let rows = tx.rows(RAW, [keys::in_scope(scope, device)?.into(), before_ms.into(), limit.into()]).await?;
    read_raw(tx, scope, &rows).await
}

/// The newest messages of a template's devices since a time, newest first, with their devices; at most `limit`.
pub async fn raw_of_template(
    tx: &Tx,
    scope: &Scope,
    template: &TemplateId,
    since_ms: i64,
    limit: u32,
) -> Result<Vec<(DeviceId, RawMessage)>, StoreError> {
    let parameters =
        [scope.tenant.0.into(), template.as_str().into(), since_ms.into(), i64::from(limit.clamp(1, MAX_PAGE)).into()];
    let rows = tx.rows(RAW_OF_TEMPLATE, parameters).await?;
    let device = |row: &QueryResult| convert::id("device", row.try_get("", "id")?);
    let devices = rows.iter().map(device).collect::<Result<Vec<DeviceId>, StoreError>>()?;
    Ok(devices.into_iter().zip(read_raw(tx, scope, &rows).await?).collect())
}

async fn read_raw(tx: &Tx, scope: &Scope, rows: &[QueryResult]) -> Result<Vec<RawMessage>, StoreError> {
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        let vals = if tx.is_postgres() { postgres::vals(row)? } else { sqlite::vals(row)? };
        messages.push((
            row.try_get::<i64>("", "ts")?,
            ShapeKey(row.try_get("", "shape")?),
            vals,
            row.try_get("", "extra")?,
        ));
    }
    let shapes = shapes(tx, scope, messages.iter().map(|(_, shape, ..)| *shape).collect()).await?;
    let message = |(ts_ms, shape, vals, extra)| {
        let keys = shapes.get(&shape).cloned().ok_or_else(|| StoreError::corrupt("shape", shape))?;
        Ok(RawMessage { ts_ms, keys, vals, extra })
    };
    messages.into_iter().map(message).collect()
}

/// The newest messages of the devices of a template.
const RAW_OF_TEMPLATE: &str =
    "select device.id, ts, shape, vals, extra from device join tel_hot on tel_hot.device = device.key
    where device.tenant = $1 and device.template = $2 and ts >= $3 order by ts desc, device.id limit $4";

/// The newest messages before a time, and those that share the oldest one's time; so many share one only when
/// something is wrong, and then they are cut.
const RAW: &str = "select ts, shape, vals, extra from tel_hot
    where device = $1 and ts < $2 and ts >=
        (select min(ts) from (select ts from tel_hot where device = $1 and ts < $2 order by ts desc limit $3) as newest)
    order by ts desc limit $3 + 4000";

impl HistoryQuery {
    /// The width of a bucket: the time asked for, in so many parts, at least a millisecond each.
    fn width_ms(&self) -> i64 {
        let buckets = i64::from(self.buckets.clamp(1, MAX_BUCKETS));
        let span = self.to_ms.saturating_sub(self.from_ms).max(1);
        span.saturating_add(buckets - 1) / buckets
    }
}

impl LatestValues {
    /// `[device, seen, {"key": [ts, value]}]`
    fn row(&self, device: DeviceKey) -> Value {
        let doc: Map<String, Value> =
            self.values.iter().map(|(key, latest)| (key.clone(), json!([latest.ts_ms, latest.value]))).collect();
        json!([device.0, self.seen_ms, doc])
    }
}

fn latest_values(row: &QueryResult) -> Result<(DeviceKey, LatestValues), StoreError> {
    let doc = convert::read_document::<BTreeMap<String, (i64, Value)>>("latest values", row.try_get("", "doc")?)?;
    let values = doc.into_iter().map(|(key, (ts_ms, value))| (key, LatestValue { ts_ms, value })).collect();
    Ok((DeviceKey(row.try_get("", "device")?), LatestValues { seen_ms: row.try_get("", "seen_ms")?, values }))
}

fn point(row: &QueryResult, from_ms: i64, width_ms: i64) -> Result<Point, StoreError> {
    let count: i64 = row.try_get("", "count")?;
    let bucket: i64 = row.try_get("", "bucket")?;
    let ts_ms = if count == 1 { row.try_get("", "first_ts")? } else { from_ms + bucket * width_ms };
    Ok(Point { ts_ms, count, min: row.try_get("", "min")?, max: row.try_get("", "max")?, avg: row.try_get("", "avg")? })
}

/// SHA-256 of the keys, each with its length before it.
fn digest(keys: &[String]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for key in keys {
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key.as_bytes());
    }
    hash.finalize().to_vec()
}

async fn find_shape(tx: &Tx, scope: &Scope, digest: &[u8]) -> Result<Option<ShapeKey>, StoreError> {
    let sql = "select key from shape where tenant = $1 and digest = $2";
    let row = tx.row(sql, [scope.tenant.0.into(), digest.to_vec().into()]).await?;
    row.map(|row| Ok(ShapeKey(row.try_get("", "key")?))).transpose()
}

async fn count_untyped(tx: &Tx, scope: &Scope) -> Result<i64, StoreError> {
    let sql = "select count(*) as shapes from shape where tenant = $1 and not typed";
    let row = tx.row(sql, [scope.tenant.0.into()]).await?;
    Ok(row.ok_or_else(|| StoreError::corrupt("shape", "no count came back"))?.try_get("", "shapes")?)
}

async fn shapes(
    tx: &Tx,
    scope: &Scope,
    shapes: HashSet<ShapeKey>,
) -> Result<HashMap<ShapeKey, Arc<[String]>>, StoreError> {
    let sql = if tx.is_postgres() { postgres::SHAPES } else { sqlite::SHAPES };
    let list = convert::json_list(shapes.iter().map(|shape| shape.0));
    let shape = |row: &QueryResult| {
        let keys = convert::read_document::<Vec<String>>("shape", row.try_get("", "keys")?)?;
        Ok((ShapeKey(row.try_get("", "key")?), keys.into()))
    };
    tx.rows(sql, [scope.tenant.0.into(), list.into()]).await?.iter().map(shape).collect()
}

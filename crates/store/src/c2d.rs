//! Cloud-to-device messages that wait for their device, and the feedback on them.

use crate::{MAX_PAGE, StoreError, Tx, command_runs, convert, keys};
use chrono::{DateTime, Utc};
use muster_model::{
    DeviceKey, Scope, SystemScope, TenantKey,
    c2d::{Feedback, Outcome},
};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryResult};
use serde_json::Value;
use uuid::Uuid;

/// A message to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id, for the feedback.
    pub message_id: String,
    /// Of which outcomes its sender wants to hear.
    pub feedback: Feedback,
    /// Its properties as its device gets them.
    pub bag: String,
    /// Its body.
    pub payload: Vec<u8>,
    /// When it was sent.
    pub enqueued_at: DateTime<Utc>,
    /// When it is too late.
    pub expires_at: DateTime<Utc>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number in its device's queue; higher ones are later.
    pub sequence: i64,
    /// Its properties as its device gets them.
    pub bag: String,
    /// Its body.
    pub payload: Vec<u8>,
    /// When it was sent.
    pub enqueued_at: DateTime<Utc>,
    /// When it is too late.
    pub expires_at: DateTime<Utc>,
    /// How often its device gave it back.
    pub deliveries: i32,
}

/// A message that does not wait any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Its device.
    pub device: DeviceKey,
    /// Its id.
    pub message_id: String,
    /// Of which outcomes its sender wants to hear.
    pub feedback: Feedback,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The message's id.
    pub message_id: String,
    /// The device's id.
    pub device_id: String,
    /// Which device of that id.
    pub generation: String,
    /// What became of it.
    pub outcome: Outcome,
    /// When.
    pub at: DateTime<Utc>,
}

/// Puts a message at the end of its device's queue and locks the queue until the transaction ends; its number, or
/// nothing where `limit` messages wait already (drop the transaction then).
pub async fn insert(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    message: NewMessage,
    limit: u32,
) -> Result<Option<i64>, StoreError> {
    let device = keys::in_scope(scope, device)?;
    let sql = "insert into c2d_queue (device, last_sequence) values ($1, 1)
               on conflict (device) do update set last_sequence = c2d_queue.last_sequence + 1 returning last_sequence";
    let row = tx.row(sql, [device.into()]).await?.ok_or_else(|| StoreError::corrupt("message queue", "no number"))?;
    let sequence: i64 = row.try_get("", "last_sequence")?;
    if count(tx, scope, DeviceKey(device)).await? >= i64::from(limit) {
        return Ok(None);
    }
    let row = row::ActiveModel {
        device: Set(device),
        sequence: Set(sequence),
        message_id: Set(message.message_id),
        feedback: Set(message.feedback.name().to_owned()),
        bag: Set(message.bag),
        payload: Set(message.payload),
        enqueued_ms: Set(message.enqueued_at.timestamp_millis()),
        expires_ms: Set(message.expires_at.timestamp_millis()),
        deliveries: Set(0),
        lock_token: Set(None),
        locked_until_ms: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(&tx.db).await?;
    Ok(Some(sequence))
}

/// How many messages wait for a device.
pub async fn count(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<i64, StoreError> {
    let sql = "select count(*) as messages from c2d_message where device = $1";
    let row = tx.row(sql, [keys::in_scope(scope, device)?.into()]).await?;
    Ok(row.ok_or_else(|| StoreError::corrupt("message queue", "no count came back"))?.try_get("", "messages")?)
}

/// How many messages wait for each of these devices; those without are left out.
pub async fn count_by_keys(tx: &Tx, scope: &Scope, devices: &[DeviceKey]) -> Result<Vec<(DeviceKey, i64)>, StoreError> {
    let own = devices.iter().filter(|&&device| keys::tenant_of(device) == scope.tenant);
    let sql = format!(
        "select device, count(*) as messages from c2d_message where device in ({}) group by device",
        listed(tx, 1)
    );
    let rows = tx.rows(&sql, [convert::json_list(own.map(|device| device.0)).into()]).await?;
    rows.iter().map(|row| Ok((DeviceKey(row.try_get("", "device")?), row.try_get("", "messages")?))).collect()
}

/// The messages that wait for a device and are not too late, first come first, at most [`crate::MAX_PAGE`].
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let sql = "select sequence, bag, payload, enqueued_ms, expires_ms, deliveries from c2d_message
                where device = $1 and expires_ms > $2 order by sequence limit $3";
    let values =
        [keys::in_scope(scope, device)?.into(), now.timestamp_millis().into(), i64::from(limit.min(MAX_PAGE)).into()];
    tx.rows(sql, values).await?.iter().map(message).collect()
}

/// Takes the first message that nobody has taken: it is the taker's until `until`, by `token`.
pub async fn lock_next(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    token: Uuid,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Option<Message>, StoreError> {
    let skip = if tx.is_postgres() { "for update skip locked" } else { "" };
    let sql = format!(
        "update c2d_message set lock_token = $2, locked_until_ms = $4 where device = $1 and sequence =
            (select sequence from c2d_message where device = $1 and expires_ms > $3
                and (locked_until_ms is null or locked_until_ms <= $3) order by sequence limit 1 {skip})
         returning sequence, bag, payload, enqueued_ms, expires_ms, deliveries"
    );
    let values = [
        keys::in_scope(scope, device)?.into(),
        token.into(),
        now.timestamp_millis().into(),
        until.timestamp_millis().into(),
    ];
    tx.row(&sql, values).await?.as_ref().map(message).transpose()
}

/// Removes messages by their numbers; those that were still there.
pub async fn settle(tx: &Tx, scope: &Scope, device: DeviceKey, sequences: &[i64]) -> Result<Vec<Settled>, StoreError> {
    let sql = format!(
        "delete from c2d_message where device = $1 and sequence in ({}) returning device, sequence, message_id, feedback",
        listed(tx, 2)
    );
    let list = convert::json_list(sequences.iter().copied());
    settled_rows(tx.rows(&sql, [keys::in_scope(scope, device)?.into(), list.into()]).await?)
}

/// Removes the message that was taken with this token and is still its taker's.
pub async fn settle_locked(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    token: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Settled>, StoreError> {
    let sql = "delete from c2d_message where device = $1 and lock_token = $2 and locked_until_ms > $3
               returning device, sequence, message_id, feedback";
    let values = [keys::in_scope(scope, device)?.into(), token.into(), now.timestamp_millis().into()];
    tx.row(sql, values).await?.as_ref().map(settled).transpose()
}

/// Gives a message that was taken back to the queue; its number and how often that has happened now.
pub async fn unlock(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    token: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<(i64, i32)>, StoreError> {
    let sql = "update c2d_message set lock_token = null, locked_until_ms = null, deliveries = deliveries + 1
                where device = $1 and lock_token = $2 and locked_until_ms > $3 returning sequence, deliveries";
    let values = [keys::in_scope(scope, device)?.into(), token.into(), now.timestamp_millis().into()];
    let row = tx.row(sql, values).await?;
    row.map(|row| Ok((row.try_get("", "sequence")?, row.try_get("", "deliveries")?))).transpose()
}

/// Removes every message that waits for a device.
pub async fn purge(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Vec<Settled>, StoreError> {
    let sql = "delete from c2d_message where device = $1 returning device, sequence, message_id, feedback";
    settled_rows(tx.rows(sql, [keys::in_scope(scope, device)?.into()]).await?)
}

/// Removes the messages of a device that are too late.
pub async fn expire_of(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    now: DateTime<Utc>,
) -> Result<Vec<Settled>, StoreError> {
    let sql = "delete from c2d_message where device = $1 and expires_ms <= $2
               returning device, sequence, message_id, feedback";
    let values = [keys::in_scope(scope, device)?.into(), now.timestamp_millis().into()];
    settled_rows(tx.rows(sql, values).await?)
}

/// Removes messages of all tenants that are too late, at most [`crate::MAX_PAGE`], and puts feedback on those whose
/// senders want it; how many were removed.
pub async fn expire(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from c2d_message where (device, sequence) in
                (select device, sequence from c2d_message where expires_ms <= $1 order by expires_ms limit $2)
               returning device, sequence, message_id, feedback";
    let rows = tx.rows(sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await?;
    let expired = settled_rows(rows)?;
    command_runs::settle(tx, &expired, Outcome::Expired, now).await?;
    tell(tx, &expired, Outcome::Expired, now).await?;
    Ok(expired.len() as u64)
}

/// Devices that are connected and have messages that wait since `before`, at most `limit`.
pub async fn held_since(
    tx: &Tx,
    _: &SystemScope,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<(TenantKey, DeviceKey)>, StoreError> {
    let sql = "select distinct c2d_message.device from c2d_message
                 join hub_session on hub_session.device = c2d_message.device
                where hub_session.instance is not null and c2d_message.enqueued_ms < $1
                order by c2d_message.device limit $2";
    let rows = tx.rows(sql, [before.timestamp_millis().into(), i64::from(limit.min(MAX_PAGE)).into()]).await?;
    let device = |row: &QueryResult| {
        let device = DeviceKey(row.try_get("", "device")?);
        Ok((keys::tenant_of(device), device))
    };
    rows.iter().map(device).collect()
}

/// Puts feedback on messages of the scope's tenant, as far as their senders want to hear of this outcome, and notes it
/// with the commands that some of them are.
pub async fn insert_feedback(
    tx: &Tx,
    scope: &Scope,
    settled: &[Settled],
    outcome: Outcome,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for message in settled {
        keys::in_scope(scope, message.device)?;
    }
    command_runs::settle(tx, settled, outcome, at).await?;
    tell(tx, settled, outcome, at).await
}

/// Takes the oldest feedback that nobody has taken, at most `limit`: it is the taker's until `until`, by `token`.
pub async fn lock_feedback(
    tx: &Tx,
    scope: &Scope,
    token: Uuid,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
    limit: u32,
) -> Result<Vec<Record>, StoreError> {
    let skip = if tx.is_postgres() { "for update skip locked" } else { "" };
    let sql = format!(
        "update c2d_feedback set lock_token = $2, locked_until_ms = $4 where tenant = $1 and id in
            (select id from c2d_feedback where tenant = $1 and (locked_until_ms is null or locked_until_ms <= $3)
              order by id limit $5 {skip})
         returning id, message_id, device_id, generation, outcome, at_ms"
    );
    let values = [
        scope.tenant.0.into(),
        token.into(),
        now.timestamp_millis().into(),
        until.timestamp_millis().into(),
        i64::from(limit.min(MAX_PAGE)).into(),
    ];
    let rows = tx.rows(&sql, values).await?;
    let mut records = rows.iter().map(record).collect::<Result<Vec<(Uuid, Record)>, StoreError>>()?;
    records.sort_by_key(|(id, _)| *id);
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

/// Removes the feedback that was taken with this token and is still its taker's; how much.
pub async fn delete_feedback(tx: &Tx, scope: &Scope, token: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from c2d_feedback where tenant = $1 and lock_token = $2 and locked_until_ms > $3";
    tx.execute(sql, [scope.tenant.0.into(), token.into(), now.timestamp_millis().into()]).await
}

/// Gives feedback back that was taken with this token; how much.
pub async fn unlock_feedback(tx: &Tx, scope: &Scope, token: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "update c2d_feedback set lock_token = null, locked_until_ms = null
                where tenant = $1 and lock_token = $2 and locked_until_ms > $3";
    tx.execute(sql, [scope.tenant.0.into(), token.into(), now.timestamp_millis().into()]).await
}

/// Removes feedback from before `before` that nobody wanted, at most [`crate::MAX_PAGE`]; how much.
pub async fn purge_feedback(tx: &Tx, _: &SystemScope, before: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from c2d_feedback where (tenant, id) in
                (select tenant, id from c2d_feedback where at_ms < $1 order by at_ms limit $2)";
    tx.execute(sql, [before.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

/// Writes the feedback that is wanted; the device's id and generation come from its row.
async fn tell(tx: &Tx, settled: &[Settled], outcome: Outcome, at: DateTime<Utc>) -> Result<(), StoreError> {
    let wanted: Vec<Value> = settled
        .iter()
        .filter(|message| message.feedback.wants(outcome))
        .map(|message| serde_json::json!([message.device.0, message.message_id, Uuid::now_v7()]))
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let list = Value::Array(wanted).to_string();
    let values = |tx: &Tx| {
        if tx.is_postgres() {
            "select (entry.value->>0)::int8 as device, entry.value->>1 as message_id, (entry.value->>2)::uuid as id
               from jsonb_array_elements($1::jsonb) as entry"
        } else {
            "select entry.value->>0 as device, entry.value->>1 as message_id,
                    unhex(replace(entry.value->>2, '-', '')) as id from json_each($1) as entry"
        }
    };
    let sql = format!(
        "insert into c2d_feedback (tenant, id, message_id, device_id, generation, outcome, at_ms)
         select device.tenant, new.id, new.message_id, device.id, device.generation, $2, $3
           from ({}) as new join device on device.key = new.device",
        values(tx)
    );
    tx.execute(&sql, [list.into(), outcome.name().into(), at.timestamp_millis().into()]).await?;
    Ok(())
}

/// The numbers of the JSON list that is bound at this place.
fn listed(tx: &Tx, place: u8) -> String {
    if tx.is_postgres() {
        format!("select value::int8 from jsonb_array_elements_text(${place}::jsonb)")
    } else {
        format!("select value from json_each(${place})")
    }
}

fn message(row: &QueryResult) -> Result<Message, StoreError> {
    Ok(Message {
        sequence: row.try_get("", "sequence")?,
        bag: row.try_get("", "bag")?,
        payload: row.try_get("", "payload")?,
        enqueued_at: convert::time(row.try_get("", "enqueued_ms")?),
        expires_at: convert::time(row.try_get("", "expires_ms")?),
        deliveries: row.try_get("", "deliveries")?,
    })
}

/// Removed messages in the order of their queues.
fn settled_rows(rows: Vec<QueryResult>) -> Result<Vec<Settled>, StoreError> {
    let mut removed = Vec::with_capacity(rows.len());
    for row in &rows {
        removed.push((row.try_get::<i64>("", "sequence")?, settled(row)?));
    }
    removed.sort_by_key(|(sequence, message)| (message.device, *sequence));
    Ok(removed.into_iter().map(|(_, message)| message).collect())
}

fn settled(row: &QueryResult) -> Result<Settled, StoreError> {
    let feedback: String = row.try_get("", "feedback")?;
    Ok(Settled {
        device: DeviceKey(row.try_get("", "device")?),
        message_id: row.try_get("", "message_id")?,
        feedback: Feedback::parse(&feedback).ok_or_else(|| StoreError::corrupt("message", &feedback))?,
    })
}

fn record(row: &QueryResult) -> Result<(Uuid, Record), StoreError> {
    let outcome: String = row.try_get("", "outcome")?;
    let known = Outcome::ALL.into_iter().find(|known| known.name() == outcome);
    let record = Record {
        message_id: row.try_get("", "message_id")?,
        device_id: row.try_get("", "device_id")?,
        generation: row.try_get("", "generation")?,
        outcome: known.ok_or_else(|| StoreError::corrupt("feedback", &outcome))?,
        at: convert::time(row.try_get("", "at_ms")?),
    };
    Ok((row.try_get("", "id")?, record))
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "c2d_message")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence: i64,
        pub message_id: String,
        pub feedback: String,
        pub bag: String,
        pub payload: Vec<u8>,
        pub enqueued_ms: i64,
        pub expires_ms: i64,
        pub deliveries: i32,
        pub lock_token: Option<Uuid>,
        pub locked_until_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

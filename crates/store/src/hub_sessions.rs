//! Which hub instance holds which device's connection, and what the device has subscribed to.
//!
//! An instance holds its devices for as long as its lease lives. A session's epoch grows with each connection of a
//! device; the higher one wins.

use crate::{MAX_PAGE, StoreError, Tx, convert, keys};
use chrono::{DateTime, Utc};
use muster_model::{Address, DeviceKey, ModuleId, Scope, SystemScope, TenantKey};
use sea_orm::QueryResult;
use serde_json::{Value, json};

/// A connection to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewHubSession {
    /// The device's tenant.
    pub tenant: TenantKey,
    /// The device.
    pub device: DeviceKey,
    /// When it connected.
    pub connected_at: DateTime<Utc>,
}

/// A connection as noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSession {
    /// The device.
    pub device: DeviceKey,
    /// The epoch of this connection.
    pub epoch: i64,
    /// The instance that held the device until now; it must be told to let go.
    pub taken_from: Option<String>,
}

/// Who holds a device's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The hub instance.
    pub instance: String,
    /// The epoch of the connection.
    pub epoch: i64,
    /// Since when.
    pub connected_at: DateTime<Utc>,
}

/// A connection that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// The device's tenant.
    pub tenant: TenantKey,
    /// The device.
    pub device: DeviceKey,
    /// Its id, or the module's.
    pub address: Address,
    /// The epoch of the connection.
    pub epoch: i64,
}

/// What an update of `hub_session` returns for [`EndedSession`].
const ENDED: &str = "device, epoch, (select id from device where key = hub_session.device) as address";

/// Registers a hub instance, or renews its lease.
pub async fn renew_lease(tx: &Tx, _: &SystemScope, instance: &str, until: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "insert into hub_instance (id, lease_ms) values ($1, $2)
               on conflict (id) do update set lease_ms = excluded.lease_ms";
    tx.execute(sql, [instance.into(), until.timestamp_millis().into()]).await?;
    Ok(())
}

/// Notes connections held by `instance`; at most [`crate::MAX_PAGE`], no device twice. A device that is blocked or deleted
/// by now is left out of the answer.
pub async fn open(
    tx: &Tx,
    _: &SystemScope,
    instance: &str,
    sessions: &[NewHubSession],
) -> Result<Vec<OpenedSession>, StoreError> {
    let list = Value::Array(
        sessions.iter().map(|session| json!([session.device.0, session.connected_at.timestamp_millis()])).collect(),
    );
    // Joined with `device`: one that was deleted or blocked while it connected has no session. Ordered, so that two
    // instances that note the same devices do not lock each other out; and locked, so that whoever blocks a device at
    // the same moment waits, and finds the session to be ended.
    let lock = if tx.is_postgres() { "for share of device" } else { "" };
    let new = if tx.is_postgres() {
        "select (entry.value->>0)::int8 as device, (entry.value->>1)::int8 as connected_ms
           from jsonb_array_elements($2::jsonb) as entry"
    } else {
        "select entry.value->>0 as device, entry.value->>1 as connected_ms from json_each($2) as entry"
    };
    let sql = format!(
        "insert into hub_session (device, instance, epoch, connected_ms)
         select new.device, $1, 1, new.connected_ms from ({new}) as new join device on device.key = new.device
          where device.enabled order by new.device {lock}
         on conflict (device) do update set
             taken_from = hub_session.instance, instance = excluded.instance, epoch = hub_session.epoch + 1,
             connected_ms = excluded.connected_ms, ended_ms = null
         returning device, epoch, taken_from"
    );
    let rows = tx.rows(&sql, [instance.into(), list.to_string().into()]).await?;
    let opened = rows.iter().map(|row| {
        Ok(OpenedSession {
            device: DeviceKey(row.try_get("", "device")?),
            epoch: row.try_get("", "epoch")?,
            taken_from: row.try_get::<Option<String>>("", "taken_from")?.filter(|holder| holder != instance),
        })
    });
    opened.collect()
}

/// Notes that connections are over; those that were taken over meanwhile stay. Returns the ones that really ended.
pub async fn close(
    tx: &Tx,
    _: &SystemScope,
    sessions: &[(DeviceKey, i64)],
    now: DateTime<Utc>,
) -> Result<Vec<EndedSession>, StoreError> {
    let list = Value::Array(sessions.iter().map(|(device, epoch)| json!([device.0, epoch])).collect());
    let ended = if tx.is_postgres() {
        "select (entry.value->>0)::int8, (entry.value->>1)::int8 from jsonb_array_elements($2::jsonb) as entry"
    } else {
        "select entry.value->>0, entry.value->>1 from json_each($2) as entry"
    };
    let sql = format!(
        "update hub_session set instance = null, ended_ms = $1
          where instance is not null and (device, epoch) in ({ended}) returning {ENDED}"
    );
    tx.rows(&sql, [now.timestamp_millis().into(), list.to_string().into()]).await?.iter().map(ended_session).collect()
}

/// Ends the sessions of instances whose lease is over, at most [`crate::MAX_PAGE`]; which ones.
pub async fn expire(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<Vec<EndedSession>, StoreError> {
    // A device that connected elsewhere meanwhile has another instance in its row and stays.
    let sql = format!(
        "update hub_session set instance = null, ended_ms = $1
                where device in (select session.device from hub_session as session
                                   left join hub_instance on hub_instance.id = session.instance
                                  where session.instance is not null
                                    and (hub_instance.lease_ms is null or hub_instance.lease_ms <= $1)
                                  order by session.device limit $2)
                  and instance is not null
                  and not exists (select 1 from hub_instance where hub_instance.id = hub_session.instance and lease_ms > $1)
               returning {ENDED}"
    );
    let ended = tx.rows(&sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await?;
    if ended.len() < MAX_PAGE as usize {
        let sql = "delete from hub_instance where lease_ms <= $1
                    and not exists (select 1 from hub_session where hub_session.instance = hub_instance.id)";
        tx.execute(sql, [now.timestamp_millis().into()]).await?;
    }
    ended.iter().map(ended_session).collect()
}

/// Who holds the device's connection, by a lease that lives.
pub async fn holder(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    now: DateTime<Utc>,
) -> Result<Option<Holder>, StoreError> {
    let sql = "select hub_session.instance, hub_session.epoch, hub_session.connected_ms
                 from hub_session join hub_instance on hub_instance.id = hub_session.instance
                where hub_session.device = $1 and hub_instance.lease_ms > $2";
    let row = tx.row(sql, [keys::in_scope(scope, device)?.into(), now.timestamp_millis().into()]).await?;
    row.as_ref().map(held_by).transpose()
}

/// Who holds the connections of a device and of its modules, by leases that live.
pub async fn holders(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    now: DateTime<Utc>,
) -> Result<Vec<(DeviceKey, Holder)>, StoreError> {
    let sql = "select hub_session.device, hub_session.instance, hub_session.epoch, hub_session.connected_ms
                 from hub_session join hub_instance on hub_instance.id = hub_session.instance
                where (hub_session.device = $1 or hub_session.device in (select key from device where parent = $1))
                  and hub_instance.lease_ms > $2 limit $3";
    let values = [keys::in_scope(scope, device)?.into(), now.timestamp_millis().into(), i64::from(MAX_PAGE).into()];
    let rows = tx.rows(sql, values).await?;
    rows.iter().map(|row| Ok((DeviceKey(row.try_get("", "device")?), held_by(row)?))).collect()
}

/// What a device (or one of its modules) has subscribed to, kept for a session that is taken up again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// The filters.
    pub filters: Vec<String>,
    /// Seconds after the connection's end until they are forgotten; none = for ever.
    pub expiry_seconds: Option<u32>,
}

/// What a device (or one of its modules) had subscribed to; nothing where its time is over.
pub async fn subscriptions(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    module: Option<&ModuleId>,
    now: DateTime<Utc>,
) -> Result<Subscribed, StoreError> {
    let sql = "select hub_subscription.filters, hub_subscription.expiry_seconds, hub_session.ended_ms
                 from hub_subscription left join hub_session on hub_session.device = hub_subscription.device
                where hub_subscription.device = $1 and hub_subscription.module = $2";
    let row = tx.row(sql, [keys::in_scope(scope, device)?.into(), module_name(module).into()]).await?;
    let Some(row) = row else { return Ok(Subscribed::default()) };
    let expiry: Option<i64> = row.try_get("", "expiry_seconds")?;
    let ended: Option<i64> = row.try_get("", "ended_ms")?;
    // A connection that has not ended has no end to count from.
    let over = expiry.zip(ended).is_some_and(|(seconds, ended)| ended + seconds * 1000 <= now.timestamp_millis());
    if over {
        return Ok(Subscribed::default());
    }
    Ok(Subscribed {
        filters: convert::read_document("subscriptions", row.try_get("", "filters")?)?,
        expiry_seconds: expiry.and_then(|seconds| u32::try_from(seconds).ok()),
    })
}

/// Keeps what a device (or one of its modules) has subscribed to; nothing = forgotten.
pub async fn save_subscriptions(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    module: Option<&ModuleId>,
    subscribed: &Subscribed,
) -> Result<(), StoreError> {
    let device = keys::in_scope(scope, device)?;
    if subscribed.filters.is_empty() {
        let sql = "delete from hub_subscription where device = $1 and module = $2";
        tx.execute(sql, [device.into(), module_name(module).into()]).await?;
        return Ok(());
    }
    let sql = "insert into hub_subscription (device, module, filters, expiry_seconds) values ($1, $2, $3, $4)
               on conflict (device, module)
               do update set filters = excluded.filters, expiry_seconds = excluded.expiry_seconds";
    let expiry = subscribed.expiry_seconds.map(i64::from);
    let values = [device.into(), module_name(module).into(), json!(subscribed.filters).into(), expiry.into()];
    tx.execute(sql, values).await?;
    Ok(())
}

fn held_by(row: &QueryResult) -> Result<Holder, StoreError> {
    Ok(Holder {
        instance: row.try_get("", "instance")?,
        epoch: row.try_get("", "epoch")?,
        connected_at: convert::time(row.try_get("", "connected_ms")?),
    })
}

fn ended_session(row: &QueryResult) -> Result<EndedSession, StoreError> {
    let device = DeviceKey(row.try_get("", "device")?);
    let address = convert::id("device", row.try_get("", "address")?)?;
    Ok(EndedSession { tenant: keys::tenant_of(device), device, address, epoch: row.try_get("", "epoch")? })
}

/// A module as columns hold it; the device itself has the empty name, which no module can have.
fn module_name(module: Option<&ModuleId>) -> &str {
    module.map_or("", ModuleId::as_str)
}

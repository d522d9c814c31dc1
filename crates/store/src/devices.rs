//! Devices and their keys.

use crate::{MAX_PAGE, Page, Paging, StoreError, Tx, convert, files, keys, twins};
use chrono::{DateTime, Utc};
use muster_model::{Address, DeviceId, DeviceKey, Scope, SystemScope, TemplateId, TenantId, TenantKey, device::Device};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QueryResult, QuerySelect, Value,
    sea_query::{Expr, OnConflict},
};

/// A device to be made. Its twin is made with it.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Its id.
    pub id: DeviceId,
    /// The name shown to people.
    pub display_name: String,
    /// Its template, if one is known.
    pub template: Option<TemplateId>,
    /// May it connect?
    pub enabled: bool,
    /// Has it come through provisioning?
    pub provisioned: bool,
    /// Is it driven by the simulator?
    pub simulated: bool,
    /// When it is made.
    pub created_at: DateTime<Utc>,
    /// Distinguishes it from an earlier device of the same id.
    pub generation: String,
}

/// Which devices are listed.
#[derive(Debug, Clone, Default)]
pub struct DeviceFilter {
    /// Only those of this template.
    pub template: Option<TemplateId>,
    /// Only those of one of these templates; of any where empty.
    pub templates: Vec<TemplateId>,
    /// Only those whose id or name holds this text, in any case of its letters.
    pub search: Option<String>,
    /// Only those that are connected, or only those that are not.
    pub connected: Option<bool>,
    /// Only those that are simulated, or only those that are not.
    pub simulated: Option<bool>,
    /// Only those that may connect, or only those that may not.
    pub enabled: Option<bool>,
}

/// A device, or a module of one, that may be the one that connects under an id; more than one tenant may have that id.
#[derive(Clone)]
pub struct Candidate {
    /// The tenant's number.
    pub tenant: TenantKey,
    /// The tenant's id.
    pub tenant_id: TenantId,
    /// Which it is.
    pub address: Address,
    /// Its number.
    pub device: DeviceKey,
    /// The number of the device that it is a module of.
    pub parent: Option<DeviceKey>,
    /// May it connect?
    pub enabled: bool,
    /// Has it come through provisioning or connected once?
    pub provisioned: bool,
    /// Its template.
    pub template: Option<TemplateId>,
    /// The model that it said it follows, when it connected last.
    pub model: Option<String>,
    /// Its keys, encrypted; absent where it has none of its own.
    pub credentials: Option<Vec<u8>>,
}

/// Makes a device and its twin. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, new: NewDevice) -> Result<Device, StoreError> {
    let key = keys::next(tx, scope).await?;
    let row = row::ActiveModel {
        key: Set(key.0),
        tenant: Set(scope.tenant.0),
        id: Set(new.id.to_string()),
        display_name: Set(new.display_name.clone()),
        template: Set(new.template.as_ref().map(ToString::to_string)),
        enabled: Set(new.enabled),
        provisioned: Set(new.provisioned),
        simulated: Set(new.simulated),
        version: Set(1),
        generation: Set(new.generation.clone()),
        created_ms: Set(new.created_at.timestamp_millis()),
        status_reason: Set(None),
        status_changed_ms: Set(None),
    };
    let inserted = row::Entity::insert(row).exec_without_returning(&tx.db).await;
    inserted.map_err(StoreError::on_conflict("device", &new.id))?;
    twins::insert(tx, key).await?;
    Ok(Device {
        key,
        id: new.id,
        display_name: new.display_name,
        template: new.template,
        enabled: new.enabled,
        provisioned: new.provisioned,
        simulated: new.simulated,
        etag: etag(1),
        created_at: new.created_at,
        last_seen: None,
        connected: false,
        generation: new.generation,
        status_reason: None,
        status_changed_at: None,
        connection_changed_at: None,
    })
}

/// The device.
pub async fn get(tx: &Tx, scope: &Scope, id: &DeviceId) -> Result<Device, StoreError> {
    find(tx, scope, id).await?.ok_or_else(|| StoreError::not_found("device", id))
}

/// The device, if there is one.
pub async fn find(tx: &Tx, scope: &Scope, id: &DeviceId) -> Result<Option<Device>, StoreError> {
    let row = tx.row(&format!("{DEVICES} and device.id = $2"), [scope.tenant.0.into(), id.as_str().into()]).await?;
    row.as_ref().map(device).transpose()
}

/// The devices with these numbers, in no order; at most [`crate::MAX_PAGE`] numbers.
pub async fn list_by_keys(tx: &Tx, scope: &Scope, keys: &[DeviceKey]) -> Result<Vec<Device>, StoreError> {
    let wanted = if tx.is_postgres() {
        "select value::int8 from jsonb_array_elements_text($2::jsonb)"
    } else {
        "select value from json_each($2)"
    };
    let sql = format!("{DEVICES} and device.key in ({wanted}) limit {MAX_PAGE}");
    let list = convert::json_list(keys.iter().map(|key| key.0));
    tx.rows(&sql, [scope.tenant.0.into(), list.into()]).await?.iter().map(device).collect()
}

/// The devices with these ids, in no order; at most [`crate::MAX_PAGE`] ids.
pub async fn list_by_ids(tx: &Tx, scope: &Scope, ids: &[DeviceId]) -> Result<Vec<Device>, StoreError> {
    let wanted = if tx.is_postgres() {
        "select value from jsonb_array_elements_text($2::jsonb)"
    } else {
        "select value from json_each($2)"
    };
    let sql = format!("{DEVICES} and device.id in ({wanted}) limit {MAX_PAGE}");
    let list = convert::json_list(ids.iter().map(DeviceId::as_str));
    tx.rows(&sql, [scope.tenant.0.into(), list.into()]).await?.iter().map(device).collect()
}

/// The tenant's devices in the order of their ids.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    filter: &DeviceFilter,
    paging: Paging<DeviceId>,
) -> Result<Page<Device>, StoreError> {
    let size = paging.size();
    let (mut sql, mut values) = filtered(DEVICES, scope, filter);
    if let Some(after) = paging.after {
        values.push(after.as_str().into());
        sql += &format!(" and device.id > ${}", values.len());
    }
    values.push((size as i64 + 1).into());
    sql += &format!(" order by device.id limit ${}", values.len());
    Page::from_rows(tx.rows(&sql, values).await?, size).try_map(|row| device(&row))
}

/// How many devices there are.
pub async fn count(tx: &Tx, scope: &Scope, filter: &DeviceFilter) -> Result<i64, StoreError> {
    let (sql, values) = filtered(COUNT, scope, filter);
    let row = tx.row(&sql, values).await?.ok_or_else(|| StoreError::corrupt("device", "no count came back"))?;
    Ok(row.try_get("", "devices")?)
}

/// Writes name, template, enabled (with its reason and time), provisioned and simulated; the device comes back with its new etag.
/// Its modules may connect where it may. [`StoreError::Stale`] where the stored etag is not `device.etag`.
pub async fn update(tx: &Tx, scope: &Scope, device: &Device) -> Result<Device, StoreError> {
    let version = i64::from_str_radix(&device.etag, 16).map_err(|_| StoreError::stale("device", &device.id))?;
    let update = row::Entity::update_many()
        .col_expr(row::Column::DisplayName, Expr::value(device.display_name.as_str()))
        .col_expr(row::Column::Template, Expr::value(device.template.as_ref().map(ToString::to_string)))
        .col_expr(row::Column::Enabled, Expr::value(device.enabled))
        .col_expr(row::Column::Provisioned, Expr::value(device.provisioned))
        .col_expr(row::Column::Simulated, Expr::value(device.simulated))
        .col_expr(row::Column::StatusReason, Expr::value(device.status_reason.as_deref()))
        .col_expr(row::Column::StatusChangedMs, Expr::value(device.status_changed_at.map(|at| at.timestamp_millis())))
        .col_expr(row::Column::Version, Expr::value(version + 1))
        .filter(row::Column::Tenant.eq(scope.tenant.0))
        .filter(row::Column::Id.eq(device.id.as_str()))
        .filter(row::Column::Version.eq(version));
    if update.exec(&tx.db).await?.rows_affected == 0 {
        get(tx, scope, &device.id).await?;
        return Err(StoreError::stale("device", &device.id));
    }
    let modules = "update device set enabled = $2 where parent = $1 and enabled <> $2";
    tx.execute(modules, [device.key.0.into(), device.enabled.into()]).await?;
    Ok(Device { etag: etag(version + 1), ..device.clone() })
}

/// Removes the device with its modules, twin, keys, sessions and last values, and clears its alerts. History stays until it
/// is purged: numbers are never used again, so nobody can reach it.
pub async fn delete(tx: &Tx, scope: &Scope, id: &DeviceId, now: DateTime<Utc>) -> Result<(), StoreError> {
    let device = get(tx, scope, id).await?;
    let tenant = scope.tenant.0;
    tx.execute(
        "update alert set cleared_ms = $3 where tenant = $1 and device = $2 and cleared_ms is null",
        [tenant.into(), device.key.0.into(), now.timestamp_millis().into()],
    )
    .await?;
    let registrations = "delete from dps_registration where tenant = $1 and device_id = $2";
    tx.execute(registrations, [tenant.into(), id.as_str().into()]).await?;
    tx.execute("delete from latest where device = $1", [device.key.0.into()]).await?;
    files::doom_all(tx, device.key, now).await?;
    // Modules, twin, keys, session, uploads, files and subscriptions go with it by their foreign keys.
    tx.execute("delete from device where tenant = $1 and key = $2", [tenant.into(), device.key.0.into()]).await?;
    Ok(())
}

/// The device's encrypted keys.
pub async fn find_credentials(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Option<Vec<u8>>, StoreError> {
    let row = credential::Entity::find_by_id(keys::in_scope(scope, device)?).one(&tx.db).await?;
    Ok(row.map(|row| row.encrypted))
}

/// The encrypted keys of these devices, in no order; at most [`crate::MAX_PAGE`].
pub async fn list_credentials_by_keys(
    tx: &Tx,
    scope: &Scope,
    devices: &[DeviceKey],
) -> Result<Vec<(DeviceKey, Vec<u8>)>, StoreError> {
    let own = devices.iter().filter(|&&device| keys::tenant_of(device) == scope.tenant).map(|device| device.0);
    let query = credential::Entity::find().filter(credential::Column::Device.is_in(own)).limit(u64::from(MAX_PAGE));
    Ok(query.all(&tx.db).await?.into_iter().map(|row| (DeviceKey(row.device), row.encrypted)).collect())
}

/// Writes the device's encrypted keys.
pub async fn set_credentials(tx: &Tx, scope: &Scope, device: DeviceKey, encrypted: &[u8]) -> Result<(), StoreError> {
    let row =
        credential::ActiveModel { device: Set(keys::in_scope(scope, device)?), encrypted: Set(encrypted.to_vec()) };
    let replace =
        OnConflict::column(credential::Column::Device).update_column(credential::Column::Encrypted).to_owned();
    credential::Entity::insert(row).on_conflict(replace).exec_without_returning(&tx.db).await?;
    Ok(())
}

/// The devices and modules with this address in all tenants, at most `limit`.
pub async fn candidates(
    tx: &Tx,
    _: &SystemScope,
    id: &Address,
    (tenant, limit): (Option<TenantKey>, u32),
) -> Result<Vec<Candidate>, StoreError> {
    let sql = "select tenant.key as tenant, tenant.id as tenant_id, device.id, device.key, device.parent,
                      device.enabled, device.provisioned, device.template, twin.model_id, device_credential.encrypted
                 from device join tenant on tenant.key = device.tenant
                 left join twin on twin.device = device.key
                 left join device_credential on device_credential.device = device.key
                where device.id = $1 and ($3 = 0 or device.tenant = $3) order by device.key limit $2";
    // Numbers of tenants begin at 1.
    let tenant = tenant.map_or(0, |tenant| tenant.0);
    let rows = tx.rows(sql, [id.to_string().into(), i64::from(limit.min(MAX_PAGE)).into(), tenant.into()]).await?;
    rows.iter().map(candidate).collect()
}

/// Devices and modules as rows, with what other tables know of them.
macro_rules! identities {
    ($condition:literal) => {
        concat!(
            "select device.key, device.id, device.display_name, device.template, device.enabled,
                    device.provisioned, device.simulated, device.version, device.generation, device.created_ms,
                    device.status_reason, device.status_changed_ms, device.managed_by, latest.seen_ms,
                    hub_session.connected_ms, hub_session.ended_ms, hub_session.instance
               from device
               left join latest on latest.device = device.key
               left join hub_session on hub_session.device = device.key
              where device.tenant = $1 and ",
            $condition
        )
    };
}
pub(crate) use identities;

const DEVICES: &str = identities!("device.parent is null");

const COUNT: &str = "select count(*) as devices
    from device left join hub_session on hub_session.device = device.key
    where device.tenant = $1 and device.parent is null";

/// A query on devices with what the filter adds to it.
fn filtered(select: &str, scope: &Scope, filter: &DeviceFilter) -> (String, Vec<Value>) {
    let mut sql = select.to_owned();
    let mut values: Vec<Value> = vec![scope.tenant.0.into()];
    if !filter.templates.is_empty() {
        values.extend(filter.templates.iter().map(|template| Value::from(template.as_str())));
        let places: Vec<String> = (2..=values.len()).map(|place| format!("${place}")).collect();
        sql += &format!(" and device.template in ({})", places.join(", "));
    }
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql += &format!(" and {}", condition.replace('?', &format!("${}", values.len())));
    };
    if let Some(template) = &filter.template {
        and("device.template = ?", template.as_str().into());
    }
    if let Some(search) = &filter.search {
        let matches = r"(lower(device.id) like ? escape '\' or lower(device.display_name) like ? escape '\')";
        and(matches, contains(search).into());
    }
    if let Some(simulated) = filter.simulated {
        and("device.simulated = ?", simulated.into());
    }
    if let Some(enabled) = filter.enabled {
        and("device.enabled = ?", enabled.into());
    }
    if let Some(connected) = filter.connected {
        and("(hub_session.instance is not null) = ?", connected.into());
    }
    (sql, values)
}

/// The LIKE pattern of texts that hold `search`.
fn contains(search: &str) -> String {
    let mut pattern = String::from("%");
    for character in search.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "%"
}

fn device(row: &QueryResult) -> Result<Device, StoreError> {
    identity(row, convert::id("device", row.try_get("", "id")?)?)
}

/// A row as a device of this id.
pub(crate) fn identity(row: &QueryResult, id: DeviceId) -> Result<Device, StoreError> {
    let connected = row.try_get::<Option<String>>("", "instance")?.is_some();
    let seen: Option<i64> = row.try_get("", "seen_ms")?;
    let connected_at: Option<i64> = row.try_get("", "connected_ms")?;
    let ended: Option<i64> = row.try_get("", "ended_ms")?;
    Ok(Device {
        key: DeviceKey(row.try_get("", "key")?),
        id,
        display_name: row.try_get("", "display_name")?,
        template: template(row)?,
        enabled: row.try_get("", "enabled")?,
        provisioned: row.try_get("", "provisioned")?,
        simulated: row.try_get("", "simulated")?,
        etag: etag(row.try_get("", "version")?),
        created_at: convert::time(row.try_get("", "created_ms")?),
        last_seen: seen.max(connected_at).map(convert::time),
        connected,
        generation: row.try_get("", "generation")?,
        status_reason: row.try_get("", "status_reason")?,
        status_changed_at: row.try_get::<Option<i64>>("", "status_changed_ms")?.map(convert::time),
        connection_changed_at: ended.or(connected_at).map(convert::time),
    })
}

fn candidate(row: &QueryResult) -> Result<Candidate, StoreError> {
    Ok(Candidate {
        tenant: TenantKey(row.try_get("", "tenant")?),
        tenant_id: convert::id("tenant", row.try_get("", "tenant_id")?)?,
        address: convert::id("device", row.try_get("", "id")?)?,
        device: DeviceKey(row.try_get("", "key")?),
        parent: row.try_get::<Option<i64>>("", "parent")?.map(DeviceKey),
        enabled: row.try_get("", "enabled")?,
        provisioned: row.try_get("", "provisioned")?,
        template: template(row)?,
        model: row.try_get("", "model_id")?,
        credentials: row.try_get("", "encrypted")?,
    })
}

fn template(row: &QueryResult) -> Result<Option<TemplateId>, StoreError> {
    row.try_get::<Option<String>>("", "template")?.map(|id| convert::id("device template", id)).transpose()
}

fn etag(version: i64) -> String {
    format!("{version:x}")
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "device")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: i64,
        pub tenant: i32,
        pub id: String,
        pub display_name: String,
        pub template: Option<String>,
        pub enabled: bool,
        pub provisioned: bool,
        pub simulated: bool,
        pub version: i64,
        pub generation: String,
        pub created_ms: i64,
        pub status_reason: Option<String>,
        pub status_changed_ms: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod credential {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "device_credential")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device: i64,
        pub encrypted: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

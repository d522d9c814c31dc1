//! Modules of devices: each is a row beside its device's, with a twin, keys and a session of its own.

use crate::{
    MAX_PAGE, Page, Paging, StoreError, Tx, convert,
    devices::{self, identities},
    keys, twins,
};
use chrono::{DateTime, Utc};
use muster_model::{
    Address, DeviceKey, ModuleId, Scope,
    device::{Device, Module},
};
use sea_orm::QueryResult;

/// A module to be made. Its twin is made with it.
#[derive(Debug, Clone)]
pub struct NewModule {
    /// Its id.
    pub id: ModuleId,
    /// Who manages it.
    pub managed_by: Option<String>,
    /// When it is made.
    pub created_at: DateTime<Utc>,
    /// Distinguishes it from an earlier module of the same id.
    pub generation: String,
}

/// Makes a module of the device and its twin; its number. [`StoreError::Conflict`] where the id is taken.
pub async fn insert(tx: &Tx, scope: &Scope, device: &Device, new: NewModule) -> Result<DeviceKey, StoreError> {
    let parent = keys::in_scope(scope, device.key)?;
    let key = keys::next(tx, scope).await?;
    let address = Address::from((device.id.clone(), new.id.clone()));
    let sql = "insert into device (key, tenant, id, display_name, enabled, provisioned, simulated, version, generation,
                                   created_ms, parent, managed_by)
               values ($1, $2, $3, $4, $5, true, false, 1, $6, $7, $8, $9) on conflict do nothing";
    let values = [
        key.0.into(),
        scope.tenant.0.into(),
        address.to_string().into(),
        new.id.as_str().into(),
        device.enabled.into(),
        new.generation.into(),
        new.created_at.timestamp_millis().into(),
        parent.into(),
        new.managed_by.into(),
    ];
    if tx.execute(sql, values).await? == 0 {
        return Err(StoreError::Conflict { kind: "module", id: address.to_string() });
    }
    twins::insert(tx, key).await?;
    Ok(key)
}

/// The device at this address, or the module as a device of its device's id.
pub async fn resolve(tx: &Tx, scope: &Scope, address: &Address) -> Result<Device, StoreError> {
    let missing = || StoreError::not_found(address.kind(), address);
    let sql = identities!("device.id = $2");
    let row = tx.row(sql, [scope.tenant.0.into(), address.to_string().into()]).await?.ok_or_else(missing)?;
    devices::identity(&row, address.device.clone())
}

/// The module.
pub async fn get(tx: &Tx, scope: &Scope, address: &Address) -> Result<Module, StoreError> {
    let missing = || StoreError::not_found("module", address);
    let sql = identities!("device.id = $2 and device.parent is not null");
    let row = tx.row(sql, [scope.tenant.0.into(), address.to_string().into()]).await?.ok_or_else(missing)?;
    module(&row)
}

/// The modules of a device in the order of their ids; at most [`crate::MAX_PAGE`].
pub async fn list_of(tx: &Tx, scope: &Scope, device: DeviceKey) -> Result<Vec<Module>, StoreError> {
    let sql = format!("{} order by device.id limit {MAX_PAGE}", identities!("device.parent = $2"));
    let parent = keys::in_scope(scope, device)?;
    tx.rows(&sql, [scope.tenant.0.into(), parent.into()]).await?.iter().map(module).collect()
}

/// The tenant's modules in the order of their addresses.
pub async fn list(tx: &Tx, scope: &Scope, paging: Paging<Address>) -> Result<Page<Module>, StoreError> {
    let size = paging.size();
    let after = paging.after.map(|address| address.to_string()).unwrap_or_default();
    let sql = identities!("device.parent is not null and device.id > $2 order by device.id limit $3");
    let rows = tx.rows(sql, [scope.tenant.0.into(), after.into(), (size as i64 + 1).into()]).await?;
    Page::from_rows(rows, size).try_map(|row| module(&row))
}

/// Writes who manages the module. [`StoreError::Stale`] where the stored etag is not the module's.
pub async fn update(tx: &Tx, scope: &Scope, module: &Module) -> Result<(), StoreError> {
    let stale = || StoreError::stale("module", &module.id);
    let version = i64::from_str_radix(&module.identity.etag, 16).map_err(|_| stale())?;
    let sql =
        "update device set managed_by = $4, version = version + 1 where tenant = $1 and key = $2 and version = $3";
    let key = keys::in_scope(scope, module.identity.key)?;
    let values = [scope.tenant.0.into(), key.into(), version.into(), module.managed_by.as_deref().into()];
    if tx.execute(sql, values).await? == 0 { Err(stale()) } else { Ok(()) }
}

/// Removes the module with its twin, keys and session.
pub async fn delete(tx: &Tx, scope: &Scope, module: DeviceKey) -> Result<(), StoreError> {
    let sql = "delete from device where tenant = $1 and key = $2 and parent is not null";
    tx.execute(sql, [scope.tenant.0.into(), keys::in_scope(scope, module)?.into()]).await?;
    Ok(())
}

fn module(row: &QueryResult) -> Result<Module, StoreError> {
    let address: Address = convert::id("module", row.try_get("", "id")?)?;
    let missing = || StoreError::corrupt("module", format!("'{address}' names no module"));
    let id = address.module.clone().ok_or_else(missing)?;
    let identity = devices::identity(row, address.device)?;
    Ok(Module { id, identity, managed_by: row.try_get("", "managed_by")? })
}

//! Numbers of devices: the tenant's number in the upper 32 bits, a number never used again in the lower.
//!
//! So a row of telemetry says by itself whose it is: row-level security on it costs a shift, and no function here
//! needs a join to keep tenants apart.

use crate::{StoreError, Tx};
use muster_model::{DeviceKey, Scope, TenantKey};

/// The tenant of a device.
pub(crate) fn tenant_of(device: DeviceKey) -> TenantKey {
    TenantKey((device.0 >> 32) as i32)
}

/// The device's number as columns hold it; a device of another tenant is not found.
pub(crate) fn in_scope(scope: &Scope, device: DeviceKey) -> Result<i64, StoreError> {
    if tenant_of(device) == scope.tenant { Ok(device.0) } else { Err(StoreError::not_found("device", device)) }
}

/// The number of a new device.
pub(crate) async fn next(tx: &Tx, scope: &Scope) -> Result<DeviceKey, StoreError> {
    let sql = if tx.is_postgres() {
        "select nextval('device_number') as number"
    } else {
        "update device_number set last = last + 1 returning last as number"
    };
    let row = tx.row(sql, []).await?.ok_or_else(|| StoreError::corrupt("device number", "there is none"))?;
    let number: i64 = row.try_get("", "number")?;
    Ok(DeviceKey(i64::from(scope.tenant.0) << 32 | number))
}

//! Secrets of the installation by name, each an encrypted blob: the CA's key, the key of cookies.

use crate::{StoreError, Tx};
use chrono::{DateTime, Utc};
use muster_model::SystemScope;
use std::collections::HashMap;

/// The secret, if there is one.
pub async fn find(tx: &Tx, _: &SystemScope, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let row = tx.row("select encrypted from secret where name = $1", [name.into()]).await?;
    row.map(|row| Ok(row.try_get("", "encrypted")?)).transpose()
}

/// The secret, which nobody else changes before the end of the transaction.
pub async fn lock(tx: &Tx, _: &SystemScope, name: &str) -> Result<Vec<u8>, StoreError> {
    // SQLite has one writer anyway.
    let lock = if tx.is_postgres() { "for update" } else { "" };
    let row = tx.row(&format!("select encrypted from secret where name = $1 {lock}"), [name.into()]).await?;
    Ok(row.ok_or_else(|| StoreError::not_found("secret", name))?.try_get("", "encrypted")?)
}

/// Those of the secrets that there are, by their names.
pub async fn find_all(tx: &Tx, _: &SystemScope, names: &[String]) -> Result<HashMap<String, Vec<u8>>, StoreError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<_> = (1..=names.len()).map(|number| format!("${number}")).collect();
    let sql = format!("select name, encrypted from secret where name in ({})", places.join(", "));
    let rows = tx.rows(&sql, names.iter().map(|name| name.as_str().into())).await?;
    rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "encrypted")?))).collect()
}

/// Stores a secret unless one of this name stands; returns the one that stands then.
pub async fn insert_if_absent(
    tx: &Tx,
    _: &SystemScope,
    name: &str,
    encrypted: &[u8],
    now: DateTime<Utc>,
) -> Result<Vec<u8>, StoreError> {
    let sql = "insert into secret (name, encrypted, updated_ms) values ($1, $2, $3) on conflict (name) do nothing";
    tx.execute(sql, [name.into(), encrypted.to_vec().into(), now.timestamp_millis().into()]).await?;
    find(tx, &SystemScope, name).await?.ok_or_else(|| StoreError::not_found("secret", name))
}

/// Stores a secret in place of an earlier one.
pub async fn put(tx: &Tx, _: &SystemScope, name: &str, encrypted: &[u8], now: DateTime<Utc>) -> Result<(), StoreError> {
    let sql = "insert into secret (name, encrypted, updated_ms) values ($1, $2, $3)
               on conflict (name) do update set encrypted = excluded.encrypted, updated_ms = excluded.updated_ms";
    tx.execute(sql, [name.into(), encrypted.to_vec().into(), now.timestamp_millis().into()]).await?;
    Ok(())
}

//! Rows that somebody takes for a while: `due_ms` is when the next may take one.

use crate::{MAX_PAGE, StoreError, Tx};
use chrono::{DateTime, Utc};
use sea_orm::QueryResult;

/// A table of such rows.
pub(crate) struct Leases {
    pub(crate) table: &'static str,
    /// Its primary key, as columns stand in SQL.
    pub(crate) key: &'static str,
    /// What else holds for a row that may be taken.
    pub(crate) only: &'static str,
    /// What else is set when it is.
    pub(crate) also: &'static str,
}

impl Leases {
    /// Takes rows that are due, oldest first, at most `limit`; they are due again at `lease_until`.
    pub(crate) async fn claim_due(
        &self,
        tx: &Tx,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let Self { table, key, only, also } = self;
        // SQLite has one writer; on PostgreSQL several doers skip what another has just taken.
        let skip = if tx.is_postgres() { "for update skip locked" } else { "" };
        let sql = format!(
            "update {table} set due_ms = $2{also} where ({key}) in
                (select {key} from {table} where due_ms <= $1{only} order by due_ms limit $3 {skip})
             returning *"
        );
        let limit = i64::from(limit.min(MAX_PAGE));
        tx.rows(&sql, [now.timestamp_millis().into(), lease_until.timestamp_millis().into(), limit.into()]).await
    }
}

//! The transaction that every access to the store runs in.

use crate::{StoreError, events};
use muster_model::{TenantKey, event::DeviceEvent};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryResult, Statement, Value};
use std::sync::{Mutex, PoisonError};

/// A transaction on the database. Dropped without [`Tx::commit`], it never was.
///
/// After an error nothing more can be done in it (PostgreSQL refuses every further statement): drop it.
/// One made by [`crate::Store::begin`] sees only its tenant on PostgreSQL, by row-level security.
pub struct Tx {
    pub(crate) db: DatabaseTransaction,
    /// Events that are written by the commit: their numbers are locked from then on, and nothing must wait behind it.
    events: Mutex<Vec<(TenantKey, DeviceEvent)>>,
}

impl Tx {
    pub(crate) fn new(db: DatabaseTransaction) -> Self {
        Self { db, events: Mutex::default() }
    }

    /// Writes the events that were appended, and makes the changes last.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the database is gone; whether they last is unknown then.
    pub async fn commit(self) -> Result<(), StoreError> {
        let events = std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner));
        events::write(&self, events).await?;
        Ok(self.db.commit().await?)
    }

    pub(crate) fn append(&self, tenant: TenantKey, event: DeviceEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((tenant, event));
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    /// Runs hand-written SQL; `$1`… are understood by both databases.
    pub(crate) async fn execute(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, StoreError> {
        Ok(self.db.execute_raw(self.statement(sql, values)).await?.rows_affected())
    }

    /// All rows of hand-written SQL; the SQL has the limit.
    pub(crate) async fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, StoreError> {
        Ok(self.db.query_all_raw(self.statement(sql, values)).await?)
    }

    /// The first row of hand-written SQL.
    pub(crate) async fn row(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<QueryResult>, StoreError> {
        Ok(self.db.query_one_raw(self.statement(sql, values)).await?)
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}

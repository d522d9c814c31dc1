//! Opening connections: one pool on PostgreSQL; on SQLite one writer and a pool of readers.

use crate::{StoreConfig, StoreError};
use sea_orm::sqlx::{
    ConnectOptions, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::time::Duration;

/// How a database is reached, read from its URL.
#[derive(Clone)]
pub(crate) enum Address {
    /// `postgres://…` or `postgresql://…`, with `sslmode` and whatever else libpq's URLs carry.
    Postgres(Box<PgConnectOptions>),
    /// `sqlite://path`.
    Sqlite(Box<SqliteConnectOptions>),
}

impl Address {
    /// Reads the URL; it may hold a password and is therefore never repeated in the error.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = url.parse::<PgConnectOptions>();
            let options = options.map_err(|error| StoreError::Address(format!("not a PostgreSQL URL: {error}")))?;
            return Ok(Self::Postgres(Box::new(options.application_name("muster").disable_statement_logging())));
        }
        if !url.starts_with("sqlite:") {
            return Err(StoreError::Address("expected postgres://… or sqlite://…".into()));
        }
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::Address("a database in memory cannot be shared by readers and the writer".into()));
        }
        let options = url.parse::<SqliteConnectOptions>();
        let options = options.map_err(|error| StoreError::Address(format!("not an SQLite URL: {error}")))?;
        Ok(Self::Sqlite(Box::new(options.disable_statement_logging())))
    }
}

/// The pool on PostgreSQL. A transaction that somebody forgot must not hold its locks for ever.
pub(crate) fn postgres_pool(options: &PgConnectOptions, config: &StoreConfig) -> PgPool {
    let options = options.clone().options([
        ("statement_timeout", config.statement_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", config.statement_timeout.as_millis().to_string()),
    ]);
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(config.acquire_timeout)
        .connect_lazy_with(options)
}

/// Connections for migrations: one holds the lock, one works. A migration may take long.
pub(crate) fn postgres_migration_pool(options: &PgConnectOptions, config: &StoreConfig) -> PgPool {
    PgPoolOptions::new().max_connections(2).acquire_timeout(config.acquire_timeout).connect_lazy_with(options.clone())
}

/// The writer and the readers on SQLite. There is one writer connection, because SQLite has one writer; waiting for
/// it in the pool is fair, waiting in `busy_timeout` is not. `synchronous=FULL`: what was committed survives a power cut.
pub(crate) async fn sqlite_pools(
    options: &SqliteConnectOptions,
    config: &StoreConfig,
) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let options = options
        .clone()
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(config.acquire_timeout);
    let pool = || SqlitePoolOptions::new().acquire_timeout(config.acquire_timeout).idle_timeout(None::<Duration>);
    let writer = pool().max_connections(1).max_lifetime(None::<Duration>).connect_with(options.clone()).await?;
    let readers = options.create_if_missing(false).pragma("query_only", "on");
    Ok((writer, pool().max_connections(config.max_connections).connect_lazy_with(readers)))
}

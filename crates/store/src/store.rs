//! Opening the database and beginning transactions.

use crate::{
    StoreError, Tx,
    connect::{Address, postgres_migration_pool, postgres_pool, sqlite_pools},
};
use migrations::Migrator;
use muster_model::{Scope, SystemScope};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, SqliteTransactionMode, SqlxPostgresConnector, SqlxSqliteConnector,
    TransactionOptions, TransactionTrait, sqlx,
};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) pools: Pools,
    address: Address,
    config: StoreConfig,
}

/// The open connections.
#[derive(Clone)]
pub(crate) enum Pools {
    /// One pool for everything.
    Postgres(DatabaseConnection),
    /// One connection writes, the others read.
    Sqlite { writer: DatabaseConnection, readers: DatabaseConnection },
}

/// How the database is used.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// At most so many connections (on SQLite: readers; there is always one writer).
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a statement may take (PostgreSQL).
    pub statement_timeout: Duration,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// Whether the schema fits this release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration of this release is applied.
    Ready,
    /// These migrations are missing.
    Behind(Vec<String>),
}

/// "muster" in ASCII: the number of the advisory lock that migrations are made under.
const MIGRATION_LOCK: i64 = 0x6d75_7374_6572;

impl Store {
    /// Opens the database at `url`: `sqlite://path` (made if absent) or `postgres://…`.
    ///
    /// # Errors
    /// [`StoreError::Address`] where the URL cannot be used, [`StoreError::Unavailable`] where nothing answers.
    pub async fn connect(url: &str, config: &StoreConfig) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let pools = match &address {
            Address::Postgres(options) => {
                Pools::Postgres(SqlxPostgresConnector::from_sqlx_postgres_pool(postgres_pool(options, config)))
            }
            Address::Sqlite(options) => {
                let (writer, readers) = sqlite_pools(options, config).await?;
                Pools::Sqlite {
                    writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
                    readers: SqlxSqliteConnector::from_sqlx_sqlite_pool(readers),
                }
            }
        };
        let store = Self { pools, address, config: config.clone() };
        store.ping().await?;
        Ok(store)
    }

    /// Begins a transaction on a tenant's data. On SQLite it is the only writer until it ends: keep it short, and
    /// never begin another one inside.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is to be had.
    pub async fn begin(&self, scope: &Scope) -> Result<Tx, StoreError> {
        match &self.pools {
            Pools::Postgres(db) => tenant_transaction(db, scope, "read write").await,
            Pools::Sqlite { writer, .. } => write_transaction(writer).await,
        }
    }

    /// Begins a read-only transaction on a tenant's data.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is to be had.
    pub async fn begin_read(&self, scope: &Scope) -> Result<Tx, StoreError> {
        match &self.pools {
            Pools::Postgres(db) => tenant_transaction(db, scope, "read only").await,
            Pools::Sqlite { readers, .. } => Ok(Tx::new(readers.begin().await?)),
        }
    }

    /// Begins a transaction over all tenants, for the few functions that take [`SystemScope`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is to be had.
    pub async fn begin_system(&self, _: &SystemScope) -> Result<Tx, StoreError> {
        write_transaction(self.writer()).await
    }

    /// Begins a read-only transaction over all tenants.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is to be had.
    pub async fn begin_system_read(&self, _: &SystemScope) -> Result<Tx, StoreError> {
        Ok(Tx::new(self.reader().begin().await?))
    }

    /// Applies the migrations that are missing, under an advisory lock: of several that start at once, one works and
    /// the others wait for it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the database's reason, for example that its user may not create a role.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match (&self.pools, &self.address) {
            (Pools::Sqlite { writer, .. }, _) => Ok(Migrator::up(writer, None).await?),
            (Pools::Postgres(_), Address::Postgres(options)) => {
                let pool = postgres_migration_pool(options, &self.config);
                let mut lock = pool.acquire().await?;
                sqlx::query("select pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(&mut *lock).await?;
                let result = Migrator::up(&SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()), None).await;
                drop(lock);
                // The lock ends with its connection.
                pool.close().await;
                Ok(result?)
            }
            (Pools::Postgres(_), Address::Sqlite(_)) => Err(StoreError::Address("pool and address disagree".into())),
        }
    }

    /// Whether the schema fits this release.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the database does not answer.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let pending = Migrator::get_pending_migrations_read_only(self.reader()).await?;
        if pending.is_empty() {
            return Ok(SchemaState::Ready);
        }
        Ok(SchemaState::Behind(pending.iter().map(|migration| migration.name().to_owned()).collect()))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader().execute_unprepared("select 1").await?;
        Ok(())
    }

    /// Closes every connection, once those in use come back.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Postgres(db) => db.get_postgres_connection_pool().close().await,
            Pools::Sqlite { writer, readers } => {
                readers.get_sqlite_connection_pool().close().await;
                writer.get_sqlite_connection_pool().close().await;
            }
        }
    }

    pub(crate) fn writer(&self) -> &DatabaseConnection {
        match &self.pools {
            Pools::Postgres(db) => db,
            Pools::Sqlite { writer, .. } => writer,
        }
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        match &self.pools {
            Pools::Postgres(db) => db,
            Pools::Sqlite { readers, .. } => readers,
        }
    }
}

/// Begins a transaction that writes. SQLite takes its lock at once: a reader that becomes a writer later could fail
/// in the middle.
async fn write_transaction(db: &DatabaseConnection) -> Result<Tx, StoreError> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    Ok(Tx::new(db.begin_with_options(options).await?))
}

/// Begins a transaction that sees one tenant: its role is subject to row-level security, and its policies compare
/// with `muster.tenant`. Both end with the transaction. The tenant is a number, so it cannot break out of the text.
async fn tenant_transaction(db: &DatabaseConnection, scope: &Scope, access: &str) -> Result<Tx, StoreError> {
    let db = db.begin().await?;
    let tenant = scope.tenant;
    let sql = format!("set transaction {access}; set local role muster_tenant; set local muster.tenant = '{tenant}'");
    db.execute_unprepared(&sql).await?;
    Ok(Tx::new(db))
}

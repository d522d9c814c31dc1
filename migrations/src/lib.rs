//! Schema of the database, both dialects.
//!
//! Each migration is a pair of SQL files, one for PostgreSQL and one for SQLite, applied whole or not at all.
//! A released migration never changes; the next one expands, migrates and contracts, so that the previous release
//! can work beside it.
//!
//! Conventions: times are milliseconds since 1970 (`…_ms int8`), so that both databases compare and page alike; ids
//! sort by their bytes (`collate "C"`); every table of tenant data has its tenant in it, or in its device's number
//! (the upper 32 bits), and a row-level security policy for the role `muster_tenant`.

use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

/// Applies the migrations.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            script!("m20261122_000001_tenants"),
            script!("m20261122_000002_devices"),
            script!("m20261122_000003_rules"),
            script!("m20261122_000004_telemetry"),
            script!("m20261123_000005_c2d"),
            script!("m20261123_000006_registry"),
            script!("m20261123_000010_identity"),
            script!("m20261123_000011_enrollments"),
            script!("m20261123_000020_events"),
            script!("m20261123_000021_health"),
            script!("m20261123_000030_modules"),
            script!("m20261123_000031_jobs"),
            script!("m20261123_000040_files"),
            script!("m20261123_000070_references"),
            script!("m20261123_000071_template_life"),
            script!("m20261123_000080_command_runs"),
            script!("m20261123_000082_template_views"),
            script!("m20261123_000090_device_groups"),
            script!("m20261123_000092_session_expiry"),
        ]
    }
}

/// A migration written in SQL, once for each database.
struct Script {
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

/// The script of this name: `include_str!` wants literals, and a name said once cannot disagree with its files.
macro_rules! script {
    ($name:literal) => {
        Box::new(Script {
            name: $name,
            postgres: include_str!(concat!("sql/", $name, ".postgres.sql")),
            sqlite: include_str!(concat!("sql/", $name, ".sqlite.sql")),
        })
    };
}
use script;

impl MigrationName for Script {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Script {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = match manager.get_database_backend() {
            DbBackend::Postgres => self.postgres,
            DbBackend::Sqlite => self.sqlite,
            other => return Err(DbErr::BackendNotSupported { db: other.as_str(), ctx: "muster's schema" }),
        };
        manager.get_connection().execute_unprepared(sql).await?;
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

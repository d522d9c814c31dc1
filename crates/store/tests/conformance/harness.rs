//! A fresh database for each test, on SQLite and on PostgreSQL.

use chrono::{DateTime, Utc};
use muster_model::{DeviceId, IdScope, Scope, SystemScope, TenantId, device::Device};
use muster_store::{
    Store, StoreConfig, devices,
    devices::NewDevice,
    tenants::{self, NewTenant, Tenant},
};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// A migrated database with two tenants.
#[derive(Clone)]
pub struct Db {
    pub store: Store,
    pub url: String,
    pub tenant: Tenant,
    pub scope: Scope,
    pub stranger: Scope,
    _folder: Option<Arc<tempfile::TempDir>>,
}

/// A time of day on 22 November 2026.
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_305_600 + seconds, 0).expect("a time")
}

pub fn id<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a valid id")
}

impl Db {
    async fn open(url: String, folder: Option<Arc<tempfile::TempDir>>) -> Self {
        let store = Store::connect(&url, &StoreConfig::default()).await.expect("connects");
        store.migrate().await.expect("migrates");
        let tx = store.begin_system(&SystemScope).await.expect("begins");
        let tenant = tenants::insert(&tx, &SystemScope, new_tenant("demo")).await.expect("a tenant");
        let stranger = tenants::insert(&tx, &SystemScope, new_tenant("stranger")).await.expect("a tenant");
        tx.commit().await.expect("commits");
        let (scope, stranger) = (Scope { tenant: tenant.key }, Scope { tenant: stranger.key });
        Self { store, url, tenant, scope, stranger, _folder: folder }
    }

    /// Makes a device of the first tenant.
    pub async fn device(&self, device: &str) -> Device {
        self.device_of(&self.scope, device).await
    }

    pub async fn device_of(&self, scope: &Scope, device: &str) -> Device {
        let tx = self.store.begin(scope).await.expect("begins");
        let device = devices::insert(&tx, scope, new_device(device)).await.expect("a device");
        tx.commit().await.expect("commits");
        device
    }
}

pub fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        id: id::<TenantId>(name),
        name: name.to_uppercase(),
        id_scope: id::<IdScope>(&format!("0ne{name}")),
        hub_name: format!("{name}-hub"),
        created_at: at(0),
    }
}

pub fn new_device(device: &str) -> NewDevice {
    NewDevice {
        id: id::<DeviceId>(device),
        display_name: format!("The {device}"),
        template: None,
        enabled: true,
        provisioned: false,
        simulated: false,
        created_at: at(0),
        generation: "g1".into(),
    }
}

/// Runs a test on an SQLite file of its own.
pub async fn on_sqlite<F>(test: impl FnOnce(Db) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let url = format!("sqlite://{}", folder.path().join("muster.db").display());
    let db = Db::open(url, Some(folder)).await;
    test(db.clone()).await;
    db.store.close().await;
}

/// Runs a test on a PostgreSQL database of its own, which is dropped afterwards, whatever the test did.
pub async fn on_postgres<F>(name: &str, test: impl FnOnce(Db) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(admin) = postgres_admin(name) else { return };
    let database = fresh_database(&admin).await;
    let db = Db::open(with_database(&admin, &database), None).await;
    let outcome = tokio::spawn(test(db.clone())).await;
    db.store.close().await;
    drop_database(&admin, &database).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic.into_panic());
    }
}

/// The URL of an administrator of a PostgreSQL for tests. Without one the test is skipped, by name; never in CI.
pub fn postgres_admin(name: &str) -> Option<String> {
    let admin = std::env::var("MUSTER_TEST_POSTGRES").ok();
    if admin.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name}: MUSTER_TEST_POSTGRES must be set in CI");
        println!("skipped: {name}: no MUSTER_TEST_POSTGRES");
    }
    admin
}

pub async fn fresh_database(admin: &str) -> String {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos();
    let database = format!("store_{}_{nanoseconds:x}", std::process::id());
    execute(admin, &format!("create database {database}")).await;
    database
}

pub async fn drop_database(admin: &str, database: &str) {
    execute(admin, &format!("drop database if exists {database} with (force)")).await;
}

/// The same server, another database.
pub fn with_database(admin: &str, database: &str) -> String {
    let (base, query) =
        admin.split_once('?').map_or((admin, String::new()), |(base, query)| (base, format!("?{query}")));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..].find('/').map_or(base.len(), |at| authority + at);
    format!("{}/{database}{query}", &base[..end])
}

pub async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("connects");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("runs");
    connection.close().await.expect("closes");
}

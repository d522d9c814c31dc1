//! Opening and migrating a database.

use crate::harness::{self, Db};
use muster_model::SystemScope;
use muster_store::{SchemaState, Store, StoreConfig, StoreError, tenants};
use std::time::Duration;

crate::on_both!(migrating_twice_changes_nothing, a_transaction_dropped_never_was);

async fn migrating_twice_changes_nothing(db: Db) {
    db.store.ping().await.expect("answers");
    let (first, second) = tokio::join!(db.store.migrate(), db.store.migrate());
    first.and(second).expect("migrates again");
    assert_eq!(db.store.schema_state().await.expect("reads"), SchemaState::Ready);
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    assert_eq!(tenants::get(&tx, &db.scope).await.expect("the tenant"), db.tenant);
}

async fn a_transaction_dropped_never_was(db: Db) {
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    tenants::insert(&tx, &SystemScope, harness::new_tenant("other")).await.expect("inserts");
    drop(tx);
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert!(tenants::find_by_id(&tx, &SystemScope, &harness::id("other")).await.expect("runs").is_none());
    drop(tx);
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let refused = tenants::update(&tx, &db.scope, "x", &serde_json::Map::new()).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "a read-only transaction writes nothing: {refused:?}");
}

#[tokio::test]
async fn a_new_database_is_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("new.db").display());
    let store = Store::connect(&url, &StoreConfig::default()).await.expect("connects");
    let SchemaState::Behind(missing) = store.schema_state().await.expect("reads") else { panic!("not behind") };
    assert_eq!(missing.len(), 19);
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused() {
    let config = StoreConfig { acquire_timeout: Duration::from_millis(200), ..StoreConfig::default() };
    for url in ["", "mysql://x/y", "sqlite::memory:", "sqlite://x?mode=memory", "postgres://host:port/x"] {
        let refused = Store::connect(url, &config).await.err();
        assert!(matches!(refused, Some(StoreError::Address(_))), "{url}: {refused:?}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for url in [format!("postgres://nobody:secret@127.0.0.1:{free}/x"), "sqlite:///no/such/folder/x.db".into()] {
        let unavailable = Store::connect(&url, &config).await.err().expect("an error");
        assert!(unavailable.is_transient(), "{url}: {unavailable:?}");
        assert!(!format!("{unavailable:?} {unavailable}").contains("secret"));
    }
}

#[tokio::test]
async fn an_ordinary_user_can_own_the_database_on_postgres() {
    let Some(admin) = harness::postgres_admin("schema::an_ordinary_user_can_own_the_database_on_postgres") else {
        return;
    };
    let database = harness::fresh_database(&admin).await;
    let (helped, unhelped) = (format!("{database}_a"), format!("{database}_b"));
    let prepare = format!(
        "do $$ begin create role muster_tenant nologin nobypassrls; exception when duplicate_object or unique_violation then null; end $$;
         create role {helped} login password 'test'; create role {unhelped} login password 'test';
         grant muster_tenant to {helped};
         alter database {database} owner to {helped};"
    );
    harness::execute(&admin, &prepare).await;
    harness::execute(
        &harness::with_database(&admin, &database),
        &format!("grant create on schema public to {unhelped}, {helped}"),
    )
    .await;
    let url = |user: &str| as_user(&harness::with_database(&admin, &database), user);

    let store = Store::connect(&url(&unhelped), &StoreConfig::default()).await.expect("connects");
    let refused = store.migrate().await.expect_err("no member of the role");
    let reason = format!("{refused:?}");
    assert!(reason.contains("let an administrator run once: grant muster_tenant to"), "{reason}");
    store.close().await;
    harness::execute(
        &as_user(&harness::with_database(&admin, &database), &unhelped),
        "drop table if exists seaql_migrations",
    )
    .await;

    let store = Store::connect(&url(&helped), &StoreConfig::default()).await.expect("connects");
    store.migrate().await.expect("migrates");
    let tx = store.begin_system(&SystemScope).await.expect("begins");
    let tenant = tenants::insert(&tx, &SystemScope, harness::new_tenant("demo")).await.expect("inserts");
    tx.commit().await.expect("commits");
    let scope = muster_model::Scope { tenant: tenant.key };
    let tx = store.begin(&scope).await.expect("begins");
    assert_eq!(tenants::get(&tx, &scope).await.expect("the tenant"), tenant);
    tx.commit().await.expect("commits");
    store.close().await;

    harness::drop_database(&admin, &database).await;
    harness::execute(&admin, &format!("drop role {helped}; drop role {unhelped}")).await;
}

/// The same database as another user, whose password is `test`.
fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}:test@{host}")
}

//! Tenants, people, sessions, tokens, throttle, secrets.

use crate::harness::{Db, at, id, new_tenant};
use chrono::Duration;
use muster_model::{Role, SystemScope, TenantId, TokenId, UserId};
use muster_store::{
    Paging, StoreError,
    audit::{self, AuditEntry, AuditFilter},
    secrets,
    sessions::{self, Session},
    tenants,
    throttle::{self, Subject},
    tokens::{self, ApiToken},
    users::{self, Credentials, User},
};
use serde_json::{Map, json};
use uuid::Uuid;

crate::on_both!(
    tenants_are_found_by_id_and_id_scope,
    an_account_has_memberships,
    a_session_ends,
    failed_sign_ins_are_counted,
    a_token_is_found_by_its_hash,
    a_secret_stands_once,
    the_audit_log_is_read_backwards,
);

const SYSTEM: &SystemScope = &SystemScope;

fn credentials(name: &str, email: &str) -> Credentials {
    let user = User { id: id(name), email: email.into(), display_name: name.into(), created_at: at(0) };
    Credentials { user, password_hash: "$argon2id$…".into() }
}

async fn tenants_are_found_by_id_and_id_scope(db: Db) {
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let found = tenants::find_by_id(&tx, SYSTEM, &db.tenant.id).await.expect("runs");
    assert_eq!(found.as_ref(), Some(&db.tenant));
    let found = tenants::find_by_id_scope(&tx, SYSTEM, &db.tenant.id_scope).await.expect("runs");
    assert_eq!(found.as_ref(), Some(&db.tenant));
    assert!(tenants::find_by_id(&tx, SYSTEM, &id("nobody")).await.expect("runs").is_none());
    let page = tenants::list(&tx, SYSTEM, Paging::first(1)).await.expect("runs");
    assert_eq!((page.items[0].id.as_str(), page.more), ("demo", true));
    let page = tenants::list(&tx, SYSTEM, Paging::after(id::<TenantId>("demo"), 10)).await.expect("runs");
    assert_eq!((page.items[0].id.as_str(), page.items.len(), page.more), ("stranger", 1, false));
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    let settings = json!({"theme": "dark"}).as_object().cloned().expect("an object");
    tenants::update(&tx, &db.scope, "Renamed", &settings).await.expect("updates");
    let tenant = tenants::get(&tx, &db.scope).await.expect("the tenant");
    assert_eq!((tenant.name.as_str(), &tenant.settings), ("Renamed", &settings));
    tx.commit().await.expect("commits");

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let again = tenants::insert(&tx, SYSTEM, new_tenant("demo")).await;
    assert!(matches!(again, Err(StoreError::Conflict { kind: "tenant", .. })), "{again:?}");
}

async fn an_account_has_memberships(db: Db) {
    let ada: UserId = id("ada");
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    users::insert(&tx, SYSTEM, credentials("ada", "Ada@Example.com")).await.expect("inserts");
    users::add_member(&tx, &db.scope, &ada, Role::Administrator, at(1)).await.expect("adds");
    users::add_member(&tx, &db.stranger, &ada, Role::Viewer, at(2)).await.expect("adds");
    users::set_password(&tx, SYSTEM, &ada, "other").await.expect("changes");
    let found = users::find_by_email(&tx, SYSTEM, "ADA@example.com").await.expect("runs").expect("ada");
    assert_eq!((found.user.email.as_str(), found.password_hash.as_str()), ("ada@example.com", "other"));
    assert_eq!(users::find(&tx, SYSTEM, &ada).await.expect("runs"), Some(found.user));
    let memberships = users::memberships(&tx, SYSTEM, &ada).await.expect("runs");
    let roles: Vec<_> = memberships.iter().map(|m| (m.tenant_id.as_str(), m.role)).collect();
    assert_eq!(roles, [("demo", Role::Administrator), ("stranger", Role::Viewer)]);
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    users::set_role(&tx, &db.scope, &ada, Role::Builder).await.expect("changes");
    assert_eq!(users::get_member(&tx, &db.scope, &ada).await.expect("ada").role, Role::Builder);
    let page = users::list_members(&tx, &db.scope, Paging::first(10)).await.expect("lists");
    assert_eq!((page.items[0].user.id.as_str(), page.items.len()), ("ada", 1));
    users::remove_member(&tx, &db.scope, &ada).await.expect("removes");
    assert!(matches!(users::get_member(&tx, &db.scope, &ada).await, Err(StoreError::NotFound { .. })));
    tx.commit().await.expect("commits");

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let twice = users::insert(&tx, SYSTEM, credentials("ada2", "ADA@example.com")).await;
    assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
}

async fn a_session_ends(db: Db) {
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    users::insert(&tx, SYSTEM, credentials("ada", "ada@example.com")).await.expect("inserts");
    let session = |token: u8| Session {
        token_hash: [token; 32],
        user: id("ada"),
        created_at: at(0),
        expires_at: at(100),
        last_seen: at(0),
        user_agent: "browser".into(),
    };
    for token in 1..=3 {
        sessions::insert(&tx, SYSTEM, session(token)).await.expect("inserts");
    }
    assert_eq!(sessions::find(&tx, SYSTEM, &[1; 32], at(99)).await.expect("runs"), Some(session(1)));
    assert_eq!(sessions::find(&tx, SYSTEM, &[1; 32], at(100)).await.expect("runs"), None);
    sessions::touch(&tx, SYSTEM, &[1; 32], at(90), at(190)).await.expect("touches");
    let touched = sessions::find(&tx, SYSTEM, &[1; 32], at(150)).await.expect("runs").expect("a session");
    assert_eq!(touched.last_seen, at(90));
    sessions::delete(&tx, SYSTEM, &[2; 32]).await.expect("deletes");
    sessions::delete(&tx, SYSTEM, &[2; 32]).await.expect("deletes again");
    assert_eq!(sessions::purge_expired(&tx, SYSTEM, at(150)).await.expect("purges"), 1);
    sessions::delete_of_user(&tx, SYSTEM, &id("ada")).await.expect("deletes");
    assert_eq!(sessions::find(&tx, SYSTEM, &[1; 32], at(150)).await.expect("runs"), None);
}

async fn failed_sign_ins_are_counted(db: Db) {
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let window = Duration::seconds(60);
    let (account, address) = (Subject::Account("Ada@Example.com".into()), Subject::Address("10.0.0.1".into()));
    for expected in 1..=5 {
        assert_eq!(throttle::add_failure(&tx, SYSTEM, &account, at(expected), window).await.expect("adds"), expected);
    }
    assert_eq!(throttle::add_failure(&tx, SYSTEM, &address, at(5), window).await.expect("adds"), 1);
    let same = Subject::Account("ada@example.com".into());
    let failures = throttle::failures(&tx, SYSTEM, &same, at(6)).await.expect("runs").expect("failures");
    assert_eq!((failures.count, failures.until), (5, at(61)));
    assert_eq!(throttle::failures(&tx, SYSTEM, &same, at(61)).await.expect("runs"), None);
    assert_eq!(throttle::add_failure(&tx, SYSTEM, &account, at(61), window).await.expect("adds"), 1);
    throttle::forget(&tx, SYSTEM, &account).await.expect("forgets");
    assert_eq!(throttle::failures(&tx, SYSTEM, &account, at(62)).await.expect("runs"), None);
    assert_eq!(throttle::purge(&tx, SYSTEM, at(65)).await.expect("purges"), 1);
}

async fn a_token_is_found_by_its_hash(db: Db) {
    let token = |name: &str| ApiToken {
        id: id(name),
        role: Role::Operator,
        created_at: at(0),
        expires_at: Some(at(100)),
        last_used: None,
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    tokens::insert(&tx, &db.scope, token("a"), &[1; 32]).await.expect("inserts");
    tokens::insert(&tx, &db.scope, token("b"), &[2; 32]).await.expect("inserts");
    assert_eq!(tokens::get(&tx, &db.scope, &id("a")).await.expect("gets"), token("a"));
    let page = tokens::list(&tx, &db.scope, Paging::after(id::<TokenId>("a"), 10)).await.expect("lists");
    assert_eq!(page.items, [token("b")]);
    tx.commit().await.expect("commits");

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    tokens::touch(&tx, SYSTEM, &[1; 32], at(5)).await.expect("touches");
    let owner = tokens::find_by_hash(&tx, SYSTEM, &[1; 32]).await.expect("runs").expect("a token");
    assert_eq!((owner.tenant, owner.tenant_id.as_str(), owner.token.last_used), (db.scope.tenant, "demo", Some(at(5))));
    assert!(tokens::find_by_hash(&tx, SYSTEM, &[9; 32]).await.expect("runs").is_none());
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    tokens::delete(&tx, &db.scope, &id("a")).await.expect("deletes");
    assert!(matches!(tokens::delete(&tx, &db.scope, &id("a")).await, Err(StoreError::NotFound { .. })));
    let taken = tokens::insert(&tx, &db.scope, token("b"), &[3; 32]).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
}

async fn a_secret_stands_once(db: Db) {
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    assert_eq!(secrets::find(&tx, SYSTEM, "ca").await.expect("runs"), None);
    assert_eq!(secrets::insert_if_absent(&tx, SYSTEM, "ca", b"one", at(0)).await.expect("runs"), b"one");
    assert_eq!(secrets::insert_if_absent(&tx, SYSTEM, "ca", b"two", at(1)).await.expect("runs"), b"one");
    secrets::put(&tx, SYSTEM, "ca", b"three", at(2)).await.expect("puts");
    assert_eq!(secrets::find(&tx, SYSTEM, "ca").await.expect("runs").as_deref(), Some(&b"three"[..]));
}

async fn the_audit_log_is_read_backwards(db: Db) {
    let actor = muster_model::Actor { kind: muster_model::ActorKind::User, id: "ada".into(), name: "Ada".into() };
    let entry = |number: u128| AuditEntry {
        id: Uuid::from_u128(number),
        at: at(number as i64),
        actor: actor.clone(),
        action: "created".into(),
        kind: if number.is_multiple_of(2) { "device" } else { "rule" }.into(),
        object: format!("thing-{number}"),
        details: Map::new(),
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for number in 1..=5 {
        audit::insert(&tx, &db.scope, entry(number)).await.expect("inserts");
    }
    let page = audit::list(&tx, &db.scope, &AuditFilter::default(), Paging::first(2)).await.expect("lists");
    assert_eq!((page.items, page.more), (vec![entry(5), entry(4)], true));
    let devices = AuditFilter { kind: Some("device".into()), object: None };
    let paging = Paging::after(Uuid::from_u128(4), 10);
    let page = audit::list(&tx, &db.scope, &devices, paging).await.expect("lists");
    assert_eq!((page.items, page.more), (vec![entry(2)], false));
}

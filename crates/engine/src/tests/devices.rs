//! Devices: create, change, delete, credentials.

use super::*;
use crate::{
    EngineError,
    devices::{self, DevicePatch, NewDevice},
    precondition::IfMatch,
};
use muster_model::{Permission, Role, TemplateId, wire::sas};
use muster_store::{Paging, audit, devices as stored};

pub(super) fn new(id: &str) -> NewDevice {
    NewDevice { id: device(id), display_name: None, template: None, enabled: true, simulated: false }
}

#[tokio::test]
async fn a_device_lives_and_leaves_its_traces() {
    let home = Home::new().await;
    let Tenant { admin, .. } = home.tenant("plant").await;
    let made = devices::create(&home.engine, &admin, new("pump-1")).await.expect("a device");
    assert_eq!(made.display_name, "pump-1");
    assert!(matches!(devices::create(&home.engine, &admin, new("pump-1")).await, Err(EngineError::Conflict { .. })));

    let patch = DevicePatch { display_name: Some("Pump".into()), ..DevicePatch::default() };
    let stale = IfMatch::parse(Some("\"ffff\""));
    let refused = devices::update(&home.engine, &admin, &made.id, patch.clone(), &stale).await;
    assert!(matches!(refused, Err(EngineError::PreconditionFailed { .. })));
    let current = IfMatch::parse(Some(&made.etag));
    let changed = devices::update(&home.engine, &admin, &made.id, patch, &current).await.expect("changed");
    assert_eq!(changed.display_name, "Pump");
    assert_ne!(changed.etag, made.etag);

    devices::delete(&home.engine, &admin, &made.id, &IfMatch::Any).await.expect("deleted");
    let again = devices::delete(&home.engine, &admin, &made.id, &IfMatch::Any).await;
    assert!(matches!(again, Err(EngineError::NotFound { .. })));

    let tx = home.engine.store().begin_read(&admin.scope).await.expect("a transaction");
    let filter = audit::AuditFilter { kind: Some("device".into()), object: Some("pump-1".into()) };
    let log = audit::list(&tx, &admin.scope, &filter, Paging::first(10)).await.expect("a log");
    let actions: Vec<_> = log.items.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["created", "updated", "deleted"]);
    drop(tx);
    home.end().await;
}

#[tokio::test]
async fn what_fails_leaves_no_trace() {
    let home = Home::new().await;
    let Tenant { admin, .. } = home.tenant("plant").await;
    let bad = [
        NewDevice { display_name: Some(String::new()), ..new("a") },
        NewDevice { display_name: Some("x".repeat(149)), ..new("a") },
        NewDevice { template: Some(TemplateId::parse("dtmi:none;1").expect("an id")), ..new("a") },
    ];
    for new in bad {
        let refused = devices::create(&home.engine, &admin, new).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    }
    let tx = home.engine.store().begin_read(&admin.scope).await.expect("a transaction");
    let filter = audit::AuditFilter { kind: Some("device".into()), object: None };
    assert!(audit::list(&tx, &admin.scope, &filter, Paging::first(10)).await.expect("a log").items.is_empty());
    assert_eq!(stored::count(&tx, &admin.scope, &Default::default()).await.expect("a count"), 0);
    drop(tx);
    home.end().await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other_and_roles_hold() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    let made = devices::create(&home.engine, &plant.admin, new("pump-1")).await.expect("a device");
    let patch = DevicePatch { display_name: Some("Mine".into()), ..DevicePatch::default() };
    let refused = devices::update(&home.engine, &other.admin, &made.id, patch.clone(), &IfMatch::Any).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })));
    let refused = devices::delete(&home.engine, &other.admin, &made.id, &IfMatch::Any).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })));
    let refused = devices::credentials(&home.engine, &other.admin, &made.id).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })));

    let viewer = Caller { permissions: Role::Viewer.permissions(), ..plant.admin.clone() };
    let refused = devices::update(&home.engine, &viewer, &made.id, patch, &IfMatch::Any).await;
    let Err(EngineError::Denied(denied)) = refused else { panic!("a viewer may not") };
    assert_eq!(denied.permission, Permission::DevicesUpdate);
    for refused in [
        devices::create(&home.engine, &viewer, new("pump-2")).await.map(|_| ()),
        devices::delete(&home.engine, &viewer, &made.id, &IfMatch::Any).await,
        devices::credentials(&home.engine, &viewer, &made.id).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(EngineError::Denied(_))));
    }
    home.end().await;
}

#[tokio::test]
async fn credentials_are_those_of_the_default_group_and_sealed() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    let pump = devices::create(&home.engine, &admin, new("pump-1")).await.expect("a device");
    let credentials = devices::credentials(&home.engine, &admin, &pump.id).await.expect("credentials");
    let derived = sas::derive_key(&made.keys.primary_key, "pump-1").expect("derived");
    assert_eq!(credentials.symmetric_key.primary_key, derived);
    assert_eq!(credentials.id_scope, made.id_scope);
    assert!(!format!("{credentials:?}").contains(&derived), "no key in Debug");
    let tx = home.engine.store().begin_read(&admin.scope).await.expect("a transaction");
    let sealed = stored::find_credentials(&tx, &admin.scope, pump.key).await.expect("read").expect("sealed");
    assert!(!sealed.windows(derived.len()).any(|window| window == derived.as_bytes()));
    drop(tx);
    home.end().await;
}

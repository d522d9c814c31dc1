//! Modules of devices.

use super::{devices::new, twins::session, *};
use crate::{
    EngineError,
    devices::{self, DevicePatch},
    hub_auth::{self, Connect, ConnectRefused, DeviceSession},
    modules::{self, MAX_MODULES, ModuleIdentity},
    precondition::IfMatch,
    queries, twins, twins_service,
};
use muster_model::{Address, ModuleId, push::PushAction, wire::twin::ServiceChange};
use serde_json::{Value, json};

fn module(id: &str) -> ModuleId {
    ModuleId::parse(id).expect("a module id")
}

/// Makes the module; its primary key.
async fn make(home: &Home, tenant: &Tenant, id: &str) -> String {
    let (device, id) = (device("pump-1"), module(id));
    let made = modules::create(&home.engine, &tenant.admin, (&device, &id), ModuleIdentity::default()).await;
    let made = made.expect("a module");
    made["authentication"]["symmetricKey"]["primaryKey"].as_str().expect("a key").to_owned()
}

async fn connect(home: &Home, id: &str, key: &str, model: Option<&str>) -> Result<DeviceSession, ConnectRefused> {
    let (device, module) = (device("pump-1"), module(id));
    let token = hub_token(home, &format!("pump-1/modules/{id}"), key);
    let connect = Connect {
        host: HOST,
        device: &device,
        module: Some(&module),
        password: Some(&token),
        model_id: model,
        client_type: None,
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
        chain: &[],
    };
    let mut session = hub_auth::authenticate(&home.engine, connect).await?;
    hub_auth::opened(&home.engine, &mut session).await?;
    Ok(session)
}

fn refused<T>(result: Result<T, ConnectRefused>) -> bool {
    matches!(result, Err(ConnectRefused::BadCredential { .. }))
}

#[tokio::test]
async fn a_module_connects_with_its_own_key_beside_its_device() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let own = session(&home, &tenant, "pump-1").await;
    let (key, other) = (make(&home, &tenant, "motor").await, make(&home, &tenant, "valve").await);
    let session = connect(&home, "motor", &key, Some("dtmi:test:Motor;1")).await.expect("connected");
    assert_eq!((session.source, session.partition), (own.device, own.partition), "its telemetry is its device's");
    assert_ne!(session.device, own.device);
    assert!(refused(connect(&home, "motor", &other, None).await), "another module's key");
    let device_key = devices::credentials(&home.engine, &tenant.admin, &device("pump-1")).await.expect("keys");
    assert!(refused(connect(&home, "motor", &device_key.symmetric_key.primary_key, None).await), "the device's key");
    assert!(refused(connect(&home, "nobody", &key, None).await));
    let address = Address::from((device("pump-1"), module("motor")));
    let twin = twins_service::get(&home.engine, &tenant.admin, &address).await.expect("a twin");
    assert_eq!((&twin["moduleId"], &twin["modelId"]), (&json!("motor"), &json!("dtmi:test:Motor;1")));
    assert_eq!(twin["connectionState"], "Connected");

    let mut pushes = home.engine.pushes().await.expect("pushes");
    let desired = json!({"speed": 3}).as_object().cloned();
    let change = ServiceChange { desired: desired.clone(), ..ServiceChange::default() };
    twins_service::change(&home.engine, &tenant.admin, &address, change, &IfMatch::Any).await.expect("changed");
    let push = pushes.recv().await.expect("a push");
    assert_eq!(push.device, session.device, "the module is told, its device is not");
    assert_eq!(push.action, PushAction::Desired { patch: desired.expect("an object"), version: 2 });
    twins::patch_reported(&home.engine, &session, b"{\"rpm\":900}").await.expect("reported");
    let seen = twins::get(&home.engine, &session).await.expect("a twin");
    assert_eq!((&seen["desired"]["speed"], &seen["reported"]["rpm"]), (&json!(3), &json!(900)));
    assert_eq!(twins::get(&home.engine, &own).await.expect("a twin")["reported"], json!({"$version": 1}));
    home.end().await;
}

#[tokio::test]
async fn a_module_ends_with_its_device() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    devices::create(&home.engine, &tenant.admin, new("pump-1")).await.expect("a device");
    let key = make(&home, &tenant, "motor").await;
    let session = connect(&home, "motor", &key, None).await.expect("connected");
    let mut pushes = home.engine.pushes().await.expect("pushes");
    let mut ended = async |what: &str| {
        let push = pushes.recv().await.expect(what);
        assert!(matches!(push.action, PushAction::Disconnect { .. }), "{what}");
        assert_eq!(push.device, session.device, "{what}");
    };
    let block = |enabled| DevicePatch { enabled: Some(enabled), ..DevicePatch::default() };
    let id = device("pump-1");
    devices::update(&home.engine, &tenant.admin, &id, block(false), &IfMatch::Any).await.expect("blocked");
    ended("blocked").await;
    assert!(refused(connect(&home, "motor", &key, None).await), "its device is blocked");
    devices::update(&home.engine, &tenant.admin, &id, block(true), &IfMatch::Any).await.expect("unblocked");
    connect(&home, "motor", &key, None).await.expect("connected");
    devices::delete(&home.engine, &tenant.admin, &id, &IfMatch::Any).await.expect("deleted");
    ended("deleted").await;
    assert!(refused(connect(&home, "motor", &key, None).await), "its device is gone");
    devices::create(&home.engine, &tenant.admin, new("pump-1")).await.expect("a device");
    assert_eq!(modules::list(&home.engine, &tenant.admin, &id).await.expect("listed"), Vec::<Value>::new());
    home.end().await;
}

#[tokio::test]
async fn modules_are_managed_under_their_etags_and_counted() {
    let home = Home::new().await;
    let (tenant, stranger) = (home.tenant("plant").await, home.tenant("other").await);
    let (engine, admin, id, motor) = (&home.engine, &tenant.admin, device("pump-1"), module("motor"));
    let missing = modules::create(engine, admin, (&id, &motor), ModuleIdentity::default()).await;
    assert!(matches!(missing, Err(EngineError::NotFound { kind: "device", .. })), "{missing:?}");
    devices::create(engine, admin, new("pump-1")).await.expect("a device");
    make(&home, &tenant, "motor").await;
    let twice = modules::create(engine, admin, (&id, &motor), ModuleIdentity::default()).await;
    assert!(matches!(twice, Err(EngineError::Conflict { kind: "module", .. })), "{twice:?}");
    let change = ModuleIdentity { managed_by: Some("ops".into()), ..ModuleIdentity::default() };
    let stale = modules::update(engine, admin, (&id, &motor), change.clone(), &IfMatch::parse(Some("9"))).await;
    assert!(matches!(stale, Err(EngineError::PreconditionFailed { .. })), "{stale:?}");
    let changed = modules::update(engine, admin, (&id, &motor), change, &IfMatch::parse(Some("1"))).await;
    let changed = changed.expect("changed");
    assert_eq!((&changed["managedBy"], &changed["etag"]), (&json!("ops"), &json!("2")));
    for caller in [&stranger.admin] {
        let foreign = modules::get(engine, caller, (&id, &motor)).await;
        assert!(matches!(foreign, Err(EngineError::NotFound { kind: "device", .. })), "{foreign:?}");
    }
    for number in 1..MAX_MODULES {
        make(&home, &tenant, &format!("m-{number}")).await;
    }
    let full = modules::create(engine, admin, (&id, &module("more")), ModuleIdentity::default()).await;
    assert!(matches!(full, Err(EngineError::Invalid { .. })), "{full:?}");
    assert_eq!(modules::list(engine, admin, &id).await.expect("listed").len(), MAX_MODULES);
    let count = "SELECT COUNT() AS n FROM devices.modules WHERE moduleId != 'motor'";
    let counted = queries::run(engine, admin, count, 9, None).await.expect("answered").items;
    assert_eq!(counted, [json!({"n": MAX_MODULES - 1})]);
    let devices_only = queries::run(engine, admin, "SELECT deviceId FROM devices", 9, None).await.expect("answered");
    assert_eq!(devices_only.items, [json!({"deviceId": "pump-1"})]);
    let page = queries::run(engine, admin, "SELECT * FROM devices.modules", 30, None).await.expect("answered");
    let rest = queries::run(engine, admin, "SELECT * FROM devices.modules", 30, page.continuation.as_deref()).await;
    assert_eq!(page.items.len() + rest.expect("answered").items.len(), MAX_MODULES);
    modules::delete(engine, admin, (&id, &motor), &IfMatch::Any).await.expect("deleted");
    let gone = modules::get(engine, admin, (&id, &motor)).await;
    assert!(matches!(gone, Err(EngineError::NotFound { kind: "module", .. })), "{gone:?}");
    home.end().await;
}

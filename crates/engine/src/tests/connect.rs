//! Devices connect to the hub.

use super::{devices::new, *};
use crate::{
    connections,
    devices::{self, DevicePatch},
    events::feed::{self, Wanted},
    hub_auth::{self, Connect, ConnectRefused, DeviceSession, Subscribed},
    modules::{self, ModuleIdentity},
    precondition::IfMatch,
};
use muster_model::{ModuleId, SystemScope, device::SymmetricKeys, push::PushAction};
use muster_store::{devices as stored, hub_sessions};
use serde_json::Value;

async fn connect(home: &Home, id: &str, token: &str) -> Result<DeviceSession, ConnectRefused> {
    connect_to(home, HOST, id, Some(token)).await
}

async fn connect_to(home: &Home, host: &str, id: &str, token: Option<&str>) -> Result<DeviceSession, ConnectRefused> {
    let device = device(id);
    let peer = std::net::IpAddr::from([192, 0, 2, 1]);
    let connect = Connect {
        host,
        device: &device,
        module: None,
        password: token,
        model_id: None,
        client_type: None,
        peer,
        chain: &[],
    };
    assert!(!format!("{connect:?}").contains("sig"), "no token in Debug");
    hub_auth::authenticate(&home.engine, connect).await
}

fn refused(result: Result<DeviceSession, ConnectRefused>) -> bool {
    matches!(result, Err(ConnectRefused::BadCredential { .. }))
}

async fn make(home: &Home, tenant: &Tenant, id: &str) -> SymmetricKeys {
    devices::create(&home.engine, &tenant.admin, new(id)).await.expect("a device");
    devices::credentials(&home.engine, &tenant.admin, &device(id)).await.expect("credentials").symmetric_key
}

#[tokio::test]
async fn either_key_connects_and_nothing_else() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let keys = make(&home, &tenant, "pump-1").await;
    for key in [&keys.primary_key, &keys.secondary_key] {
        let session = connect(&home, "pump-1", &hub_token(&home, "pump-1", key)).await.expect("connected");
        assert_eq!(session.tenant_id.as_str(), "plant");
        assert_eq!(session.expires_at, Some(home.engine.clock().now() + Duration::hours(1)));
    }
    let good = hub_token(&home, "pump-1", &keys.primary_key);
    assert!(connect_to(&home, "HUB.test", "pump-1", Some(&good)).await.is_ok(), "host names have no case");
    let other_key = tenant.made.keys.primary_key.clone();
    assert!(refused(connect(&home, "pump-1", &hub_token(&home, "pump-1", &other_key)).await), "the group's key");
    assert!(refused(connect(&home, "pump-2", &good).await), "unknown device, foreign token");
    assert!(refused(connect(&home, "pump-2", &hub_token(&home, "pump-2", &keys.primary_key)).await), "unknown device");
    assert!(refused(connect(&home, "pump-1", "nonsense").await));
    assert!(refused(connect_to(&home, HOST, "pump-1", None).await), "no token");
    assert!(refused(connect_to(&home, "elsewhere", "pump-1", Some(&good)).await), "another hub");
    let (id, module) = (device("pump-1"), ModuleId::parse("m").expect("an id"));
    let peer = std::net::IpAddr::from([192, 0, 2, 1]);
    let connect = Connect {
        host: HOST,
        device: &id,
        module: Some(&module),
        password: Some(&good),
        model_id: None,
        client_type: None,
        peer,
        chain: &[],
    };
    assert!(refused(hub_auth::authenticate(&home.engine, connect).await), "a module is none of its device");
    home.advance(Duration::hours(1) + Duration::seconds(299));
    assert!(connect_to(&home, HOST, "pump-1", Some(&good)).await.is_ok(), "clocks drift");
    home.advance(Duration::seconds(2));
    assert!(refused(connect_to(&home, HOST, "pump-1", Some(&good)).await), "expired");
    home.end().await;
}

#[tokio::test]
async fn two_tenants_may_have_the_same_device_id() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await, home.tenant("other").await);
    for tenant in [&plant, &other] {
        let keys = make(&home, tenant, "pump-1").await;
        let session = connect(&home, "pump-1", &hub_token(&home, "pump-1", &keys.primary_key)).await;
        assert_eq!(session.expect("connected").tenant, tenant.admin.scope.tenant);
    }
    let same = SymmetricKeys {
        primary_key: "c2FtZSBrZXkgZm9yIGJvdGg=".into(),
        secondary_key: "c2FtZSBrZXkgZm9yIGJvdGg=".into(),
    };
    for tenant in [&plant, &other] {
        devices::set_keys(&home.engine, &tenant.admin, &device("pump-1"), same.clone()).await.expect("set");
    }
    let token = hub_token(&home, "pump-1", &same.primary_key);
    assert!(refused(connect(&home, "pump-1", &token).await), "whose it is cannot be told");
    home.end().await;
}

#[tokio::test]
async fn a_blocked_or_deleted_device_is_cut_off_at_once() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let keys = make(&home, &tenant, "pump-1").await;
    let token = hub_token(&home, "pump-1", &keys.primary_key);
    let mut pushes = home.engine.pushes().await.expect("pushes");
    let mut session = connect(&home, "pump-1", &token).await.expect("connected");
    hub_auth::opened(&home.engine, &mut session).await.expect("opened");
    assert!(session.epoch > 0);

    let block = |enabled| DevicePatch { enabled: Some(enabled), ..DevicePatch::default() };
    let (admin, id) = (&tenant.admin, device("pump-1"));
    devices::update(&home.engine, admin, &id, block(false), &IfMatch::Any).await.expect("blocked");
    let push = pushes.recv().await.expect("a push");
    assert!(matches!(push.action, PushAction::Disconnect { .. }));
    assert_eq!((push.device, push.epoch), (session.device, session.epoch));
    assert!(refused(connect(&home, "pump-1", &token).await), "blocked");

    devices::update(&home.engine, admin, &id, block(true), &IfMatch::Any).await.expect("unblocked");
    let mut session = connect(&home, "pump-1", &token).await.expect("connected again");
    hub_auth::opened(&home.engine, &mut session).await.expect("opened");
    devices::delete(&home.engine, admin, &id, &IfMatch::Any).await.expect("deleted");
    assert!(matches!(pushes.recv().await.expect("a push").action, PushAction::Disconnect { .. }));
    assert!(refused(connect(&home, "pump-1", &token).await), "deleted");
    home.end().await;
}

#[tokio::test]
async fn a_session_is_noted_and_a_newer_one_is_higher() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let keys = make(&home, &tenant, "pump-1").await;
    let token = hub_token(&home, "pump-1", &keys.primary_key);
    let mut first = connect(&home, "pump-1", &token).await.expect("connected");
    hub_auth::opened(&home.engine, &mut first).await.expect("opened");
    let mut second = connect(&home, "pump-1", &token).await.expect("connected");
    hub_auth::opened(&home.engine, &mut second).await.expect("opened");
    assert!(second.epoch > first.epoch);

    let subscribed = Subscribed { filters: vec!["$iothub/twin/res/#".into()], expiry_seconds: None };
    hub_auth::save_subscriptions(&home.engine, &first, &subscribed).await.expect("saved");
    assert_eq!(hub_auth::subscriptions(&home.engine, &second).await.expect("read"), subscribed);

    let scope = &tenant.admin.scope;
    let read = async || {
        let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
        stored::get(&tx, scope, &device("pump-1")).await.expect("a device")
    };
    assert!(read().await.connected);
    assert!(read().await.provisioned, "it has connected once");
    hub_auth::closed(&home.engine, &first).await;
    hub_auth::closed(&home.engine, &second).await;
    let engine = home.engine.clone();
    home.end().await;
    let tx = engine.store().begin_read(scope).await.expect("a transaction");
    assert!(!stored::get(&tx, scope, &device("pump-1")).await.expect("a device").connected);
}

#[tokio::test]
async fn what_a_dead_instance_held_is_told_to_be_over() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let keys = make(&home, &tenant, "pump-1").await;
    let (engine, admin, id) = (&home.engine, &tenant.admin, device("pump-1"));
    let module = ModuleId::parse("motor").expect("an id");
    let made = modules::create(engine, admin, (&id, &module), ModuleIdentity::default()).await.expect("a module");
    let module_key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().expect("a key");
    let dead = home.neighbour().await;
    let mut session =
        connect(&home, "pump-1", &hub_token(&home, "pump-1", &keys.primary_key)).await.expect("connected");
    hub_auth::opened(&dead, &mut session).await.expect("opened");
    let token = hub_token(&home, "pump-1/modules/motor", module_key);
    let of_module = Connect {
        host: HOST,
        device: &id,
        module: Some(&module),
        password: Some(&token),
        model_id: None,
        client_type: None,
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
        chain: &[],
    };
    let mut session = hub_auth::authenticate(engine, of_module).await.expect("connected");
    hub_auth::opened(&dead, &mut session).await.expect("opened");
    connections::expire(engine).await.expect("runs");
    let told = async || {
        let wanted = Wanted { after: -1, max: 100, wait: std::time::Duration::ZERO };
        let events = feed::read(engine, admin, wanted).await.expect("events");
        let state = events.into_iter().filter(|event| event.source == "deviceConnectionStateEvents");
        let mut state: Vec<_> =
            state.map(|event| (event.properties["opType"].clone(), event.module_id.map(String::from))).collect();
        state.sort_by_key(|(operation, module)| (operation.to_string(), module.clone()));
        state
    };
    let motor = || Some("motor".to_owned());
    let connected = Value::from("deviceConnected");
    let both = vec![(connected.clone(), None), (connected, motor())];
    assert_eq!(told().await, both, "its lease lives");

    let tx = engine.store().begin_system(&SystemScope).await.expect("begins");
    let past = engine.clock().now() - Duration::seconds(1);
    hub_sessions::renew_lease(&tx, &SystemScope, &dead.instance().0, past).await.expect("over");
    tx.commit().await.expect("commits");
    connections::expire(engine).await.expect("runs");
    connections::expire(engine).await.expect("runs");
    let over = Value::from("deviceDisconnected");
    assert_eq!(told().await, [both, vec![(over.clone(), None), (over, motor())]].concat(), "once each");
    home.end().await;
}

#[tokio::test]
async fn several_connections_make_a_device_known_at_once() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    for round in 0..5 {
        let id = format!("pump-{round}");
        let key = make(&home, &tenant, &id).await.primary_key;
        let token = hub_token(&home, &id, &key);
        let all = futures::future::join_all((0..16).map(|_| connect(&home, &id, &token))).await;
        assert!(all.iter().all(Result::is_ok), "{all:?}");
    }
    home.end().await;
}

#[tokio::test]
async fn the_model_is_that_of_the_last_connection() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let scope = &tenant.admin.scope;
    let key = make(&home, &tenant, "pump-1").await.primary_key;
    let token = hub_token(&home, "pump-1", &key);
    let id = device("pump-1");
    let mut given = None;
    for (model, kept) in [
        (Some("dtmi:muster:catalogue:Climate;1"), "dtmi:muster:catalogue:Climate;1"),
        (Some("dtmi:other:Thing;2"), "dtmi:other:Thing;2"),
        (None, "dtmi:other:Thing;2"),
        (Some("dtmi:muster:catalogue:Soil;1"), "dtmi:muster:catalogue:Soil;1"),
    ] {
        let peer = std::net::IpAddr::from([192, 0, 2, 1]);
        let connect = Connect {
            host: HOST,
            device: &id,
            module: None,
            password: Some(&token),
            model_id: model,
            client_type: None,
            peer,
            chain: &[],
        };
        hub_auth::authenticate(&home.engine, connect).await.expect("connected");
        let tx = home.engine.store().begin_read(scope).await.expect("a transaction");
        let found = stored::get(&tx, scope, &id).await.expect("a device");
        let twin = muster_store::twins::get(&tx, scope, found.key).await.expect("a twin");
        assert_eq!(twin.model_id.as_deref(), Some(kept), "{model:?}");
        given = given.or(found.template.clone());
        assert_eq!(found.template, given, "a template that a device has stays");
    }
    assert_eq!(given.expect("a template").as_str(), "dtmi:muster:catalogue:Climate;1");
    home.end().await;
}

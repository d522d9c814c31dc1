//! Reported and desired properties.

use super::{devices::new, *};
use crate::{
    EngineError, devices,
    hub_auth::{self, Connect, DeviceSession},
    properties::{self, Write},
    templates,
    twins::{self, Change},
};
use muster_model::push::PushAction;
use serde_json::{Map, Value, json};

pub(super) async fn session(home: &Home, tenant: &Tenant, id: &str) -> DeviceSession {
    devices::create(&home.engine, &tenant.admin, new(id)).await.expect("a device");
    let id = device(id);
    let keys = devices::credentials(&home.engine, &tenant.admin, &id).await.expect("credentials").symmetric_key;
    let token = hub_token(home, id.as_str(), &keys.primary_key);
    let connect = Connect {
        host: HOST,
        device: &id,
        module: None,
        password: Some(&token),
        model_id: None,
        client_type: None,
        chain: &[],
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
    };
    let mut session = hub_auth::authenticate(&home.engine, connect).await.expect("connected");
    hub_auth::opened(&home.engine, &mut session).await.expect("opened");
    session
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn what_a_device_reports_is_merged_and_counted() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let session = session(&home, &tenant, "pump-1").await;
    let report = async |text: &str| twins::patch_reported(&home.engine, &session, text.as_bytes()).await;
    let first = report(r#"{"a":1,"b":{"c":2,"d":3}}"#).await.expect("merged");
    let second = report(r#"{"a":null,"b":{"c":4}}"#).await.expect("merged");
    assert_eq!(second, first + 1);
    let document = twins::get(&home.engine, &session).await.expect("a twin");
    assert_eq!(document["reported"], json!({"b": {"c": 4, "d": 3}, "$version": second}));
    assert_eq!(document["desired"], json!({"$version": 1}));
    let large = json!({ "a": "x".repeat(4_000), "b": vec!["x".repeat(4_000); 9] }).to_string();
    for (text, status) in [("[1]", 400), ("{", 400), (large.as_str(), 413)] {
        assert_eq!(report(text).await.expect_err("refused").status, status);
    }
    assert_eq!(twins::get(&home.engine, &session).await.expect("a twin"), document, "refused patches change nothing");
    home.end().await;
}

#[tokio::test]
async fn desired_properties_reach_the_instance_that_holds_the_device() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let session = session(&home, &tenant, "pump-1").await;
    let mut pushes = home.engine.pushes().await.expect("pushes");
    let patch = object(json!({"target": 20, "old": null}));
    let (admin, id) = (&tenant.admin, device("pump-1"));
    let twin = twins::update_desired(&home.engine, admin, &id, &patch, Change::Merge).await.expect("updated");
    assert_eq!(twin.desired_version, 2);
    let push = pushes.recv().await.expect("a push");
    assert_eq!((push.device, push.epoch), (session.device, session.epoch));
    assert_eq!(push.action, PushAction::Desired { patch, version: 2 });

    let whole = object(json!({"other": 1}));
    let twin = twins::update_desired(&home.engine, admin, &id, &whole, Change::Replace).await.expect("replaced");
    assert_eq!(Value::Object(twin.desired), json!({"other": 1}));
    let deep = object(json!({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":{"k":1}}}}}}}}}}}));
    let refused = twins::update_desired(&home.engine, admin, &id, &deep, Change::Merge).await;
    assert!(matches!(refused, Err(EngineError::Invalid { .. })));
    home.end().await;
}

#[tokio::test]
async fn properties_go_to_the_device_and_cloud_properties_do_not() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let text = include_str!("../demo/documents/room.json");
    let template = templates::import(&home.engine, &tenant.admin, text).await.expect("a template");
    let room = devices::NewDevice { template: Some(template.id), ..new("room-1") };
    devices::create(&home.engine, &tenant.admin, room).await.expect("a device");
    let write = async |body: Value, change| {
        let body = object(body);
        let write = Write { component: None, body: &body, change };
        properties::write(&home.engine, &tenant.admin, &device("room-1"), write).await
    };
    let twin = write(json!({"targetTemperature": 21.5, "floor": "2nd"}), Change::Merge).await.expect("written");
    assert_eq!(Value::Object(twin.desired), json!({"targetTemperature": 21.5}));
    assert_eq!(Value::Object(twin.tags), json!({"floor": "2nd"}));
    let twin = write(json!({"lights": true}), Change::Replace).await.expect("replaced");
    assert_eq!(Value::Object(twin.desired), json!({"lights": true}));
    assert_eq!(Value::Object(twin.tags), json!({}));
    let refused = write(json!({"sensorModel": "x", "lights": "on"}), Change::Merge).await;
    let Err(EngineError::Invalid { problems }) = refused else { panic!("it is not valid") };
    assert_eq!(problems.len(), 2);
    home.end().await;
}

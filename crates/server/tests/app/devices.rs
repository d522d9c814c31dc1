//! Devices: created, blocked, deleted; their twins; and the provisioning service.

use crate::{MACHINE, on_both, with_device};
use muster_model::wire::sas;
use muster_testkit::{Backend, Device, TestApp, eventually};
use serde_json::{Value, json};

on_both! {
    a_device_is_provisioned_by_its_group_key_and_connects
    the_twin_goes_both_ways
    a_blocked_device_is_disconnected_and_refused
    a_second_connection_takes_over
    lists_page_without_gaps
}

async fn a_device_is_provisioned_by_its_group_key_and_connects(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), crate::machine()).await.ok();
    let address = app.app().addresses().mqtt.unwrap();
    let scope = &tenant.tenant.id_scope;
    let key = sas::derive_key(&tenant.tenant.keys.primary_key, "new-1").unwrap();
    let uri = format!("{scope}/registrations/new-1");
    let password = sas::sign(&uri, &key, 4_102_444_800, Some("registration")).unwrap();
    let user = format!("{scope}/registrations/new-1/api-version=2019-03-31&ClientVersion=test");
    let mut dps = Device::connect(address, "new-1", &user, &password).await.unwrap();
    dps.subscribe("$dps/registrations/res/#").await.unwrap();
    let body = json!({ "registrationId": "new-1", "payload": { "modelId": MACHINE } }).to_string();
    dps.publish("$dps/registrations/PUT/iotdps-register/?$rid=1", body.as_bytes()).await.unwrap();
    let (topic, payload) = dps.message().await.unwrap();
    let mut state: Value = serde_json::from_slice(&payload).unwrap();
    if topic.starts_with("$dps/registrations/res/202/") {
        let operation = state["operationId"].as_str().unwrap();
        let topic = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId={operation}");
        dps.publish(&topic, b" ").await.unwrap();
        state = serde_json::from_slice(&dps.message().await.unwrap().1).unwrap();
    }
    assert_eq!(state["status"], "assigned", "{state}");
    assert_eq!(state["registrationState"]["assignedHub"], tenant.tenant.hub_host.as_str());
    assert_eq!(state["registrationState"]["deviceId"], "new-1");

    let mut device = app.device(&tenant, "new-1").await.unwrap();
    device.send("devices/new-1/messages/events/", b"{\"temperature\":5}").await.unwrap();
    let read = tenant.admin.get("/api/devices/new-1").await.ok();
    assert_eq!((&read["template"], &read["provisioned"]), (&json!(MACHINE), &json!(true)), "{read}");
    app.stop().await;
}

async fn the_twin_goes_both_ways(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    device.subscribe("$iothub/twin/res/#").await.unwrap();
    device.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    device.publish("$iothub/twin/GET/?$rid=7", b" ").await.unwrap();
    let (topic, body) = device.message().await.unwrap();
    assert_eq!(topic, "$iothub/twin/res/200/?$rid=7");
    let twin: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&twin["desired"]["$version"], &twin["reported"]["$version"]), (&json!(1), &json!(1)), "{twin}");

    let report = br#"{"serialNumber":"SN-1"}"#;
    device.publish("$iothub/twin/PATCH/properties/reported/?$rid=8", report).await.unwrap();
    assert_eq!(device.message().await.unwrap().0, "$iothub/twin/res/204/?$rid=8&$version=2");
    let properties = tenant.admin.get("/api/devices/machine-1/properties").await.ok();
    assert_eq!(properties["serialNumber"], "SN-1", "{properties}");

    let changed = tenant.admin.patch("/api/devices/machine-1/properties", json!({ "target": 21.5 })).await;
    assert_eq!(changed.status, 202, "{}", changed.text);
    let (topic, body) = device.message().await.unwrap();
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "target": 21.5, "$version": 2 }));

    let bad = b"{not json";
    device.publish("$iothub/twin/PATCH/properties/reported/?$rid=9", bad).await.unwrap();
    let (topic, body) = device.message().await.unwrap();
    assert_eq!(topic, "$iothub/twin/res/400/?$rid=9");
    assert!(serde_json::from_slice::<Value>(&body).unwrap()["errorCode"].is_number());
    app.stop().await;
}

async fn a_blocked_device_is_disconnected_and_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    tenant.admin.patch("/api/devices/machine-1", json!({ "enabled": false })).await.ok();
    device.closed().await.unwrap();
    assert!(app.device(&tenant, "machine-1").await.is_err());
    tenant.admin.patch("/api/devices/machine-1", json!({ "enabled": true })).await.ok();
    assert!(app.device(&tenant, "machine-1").await.is_ok());
    app.stop().await;
}

async fn a_second_connection_takes_over(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut first = app.device(&tenant, "machine-1").await.unwrap();
    let mut second = app.device(&tenant, "machine-1").await.unwrap();
    first.closed().await.unwrap();
    second.send("devices/machine-1/messages/events/", b"{\"temperature\":1}").await.unwrap();
    eventually("connected", || async {
        let device = tenant.admin.get("/api/devices/machine-1").await.ok();
        (device["connectionState"] == "connected").then_some(())
    })
    .await;
    drop(second);
    eventually("disconnected", || async {
        let device = tenant.admin.get("/api/devices/machine-1").await.ok();
        (device["connectionState"] == "disconnected").then_some(())
    })
    .await;
    app.stop().await;
}

async fn lists_page_without_gaps(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    for number in 0..60 {
        tenant.admin.put(&format!("/api/devices/d-{number:03}"), json!({})).await.ok();
    }
    let mut seen = Vec::new();
    let mut next = Some("/api/devices".to_owned());
    while let Some(path) = next {
        let page = tenant.admin.get(&path).await.ok();
        seen.extend(page["value"].as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap().to_owned()));
        next = page["nextLink"].as_str().map(|link| link[link.find("/api").unwrap()..].to_owned());
        assert!(seen.len() <= 60, "a page came twice");
    }
    let expected: Vec<_> = (0..60).map(|number| format!("d-{number:03}")).collect();
    assert_eq!(seen, expected);
    app.stop().await;
}

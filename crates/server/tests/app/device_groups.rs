//! Device groups over the API.

use crate::{MACHINE, machine, on_both, with_device};
use muster_testkit::{Backend, Bootstrapped, Client, TestApp};
use serde_json::{Value, json};

on_both! {
    a_group_is_made_changed_and_deleted
    who_is_in_a_group_is_asked_anew
    what_no_group_can_be_is_refused
    every_template_has_a_group
    strangers_and_viewers_may_not
}

const GROUP: &str = "/api/deviceGroups/group1";

fn group(filter: &str) -> Value {
    json!({ "displayName": "Device group 1", "description": "Custom device group.", "filter": filter })
}

fn of_machine(rest: &str) -> Value {
    group(&format!("SELECT * FROM devices WHERE $template = \"{MACHINE}\"{rest}"))
}

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let page = client.get(&path).await.ok();
        let devices = page["value"].as_array().unwrap().iter();
        ids.extend(devices.map(|device| device["id"].as_str().unwrap().to_owned()));
        next = page["nextLink"].as_str().map(|link| link[link.find("/api/").unwrap()..].to_owned());
    }
    ids
}

async fn a_group_is_made_changed_and_deleted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    let made = admin.put(GROUP, of_machine(" AND $provisioned = true")).await.ok();
    assert_eq!((&made["id"], &made["displayName"]), (&json!("group1"), &json!("Device group 1")));
    assert_eq!(admin.get(GROUP).await.ok(), made);
    let renamed = admin.patch(GROUP, json!({ "displayName": "New group name" })).await.ok();
    assert_eq!((&renamed["displayName"], &renamed["filter"]), (&json!("New group name"), &made["filter"]));
    let stale = json!({ "displayName": "x", "etag": made["etag"] });
    assert_eq!(admin.patch(GROUP, stale).await.status, 412);
    let blocked = admin.delete(&format!("/api/deviceTemplates/{MACHINE}")).await;
    assert_eq!(blocked.status, 409, "a group of ours names the template");
    assert!(blocked.text.contains("device group 'New group name'"), "{}", blocked.text);
    assert_eq!(admin.delete(GROUP).await.status, 204);
    assert_eq!(admin.get(GROUP).await.status, 404);
    assert_eq!(admin.delete(&format!("/api/deviceTemplates/{MACHINE}")).await.status, 204);
    app.stop().await;
}

async fn who_is_in_a_group_is_asked_anew(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    for id in ["machine-1", "machine-2", "machine-3"] {
        with_device(&tenant, id).await;
    }
    let admin = &tenant.admin;
    admin.put("/api/devices/other", json!({})).await.ok();
    admin.patch("/api/devices/machine-3", json!({ "enabled": false })).await.ok();
    admin.put(GROUP, of_machine(" AND $enabled = true")).await.ok();
    let members = format!("{GROUP}/devices");
    assert_eq!(ids(admin, &members).await, ["machine-1", "machine-2"]);
    assert_eq!(ids(admin, &format!("{members}?maxpagesize=1")).await, ["machine-1", "machine-2"]);
    admin.patch("/api/devices/machine-3", json!({ "enabled": true })).await.ok();
    assert_eq!(ids(admin, &members).await.len(), 3);

    admin.patch("/api/devices/machine-2/properties", json!({ "target": 40 })).await.ok();
    admin.put(GROUP, of_machine(" AND target > 30")).await.ok();
    assert_eq!(ids(admin, &members).await, ["machine-2"], "what is wanted counts until the device says otherwise");
    let preview = of_machine(" AND ($id = 'machine-1' OR target > 30)");
    let preview = admin.post("/api/deviceGroupPreview", json!({ "filter": preview["filter"] })).await.ok();
    assert_eq!(preview["value"].as_array().unwrap().len(), 2, "{preview}");
    app.stop().await;
}

async fn what_no_group_can_be_is_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    for (body, code) in [
        (group("SELECT"), "filter"),
        (group("SELECT * FROM devices"), "filter"),
        (group("SELECT * FROM devices WHERE $template = \"dtmi:no:such;1\""), "unknownTemplate"),
        (of_machine(" AND temperature > 3"), "filter"),
        (of_machine(" AND $nothing = 3"), "filter"),
        (group(&format!("SELECT * FROM devices WHERE $id = '{}'", "x".repeat(9_000))), "filter"),
    ] {
        let reply = admin.put(GROUP, body.clone()).await;
        assert_eq!((reply.status, reply.text.contains(code)), (422, true), "{body}: {}", reply.text);
        let preview = json!({ "filter": body["filter"] });
        assert_eq!(admin.post("/api/deviceGroupPreview", preview).await.status, 422);
    }
    for (path, body) in [
        ("/api/deviceGroups/with%20space", of_machine("")),
        (GROUP, json!([])),
        (GROUP, json!({ "displayName": 3, "filter": "" })),
    ] {
        let status = admin.put(path, body.clone()).await.status;
        assert!((400..=422).contains(&status), "{path} {body}: {status}");
    }
    assert_eq!(admin.get(GROUP).await.status, 404, "nothing was made");
    app.stop().await;
}

async fn every_template_has_a_group(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let admin = &tenant.admin;
    let all = admin.get("/api/deviceGroups").await.ok();
    let automatic = all["value"].as_array().unwrap().iter().find(|group| group["automaticOf"] == MACHINE).unwrap();
    let path = format!("/api/deviceGroups/{}", automatic["id"].as_str().unwrap());
    assert_eq!(ids(admin, &format!("{path}/devices")).await, ["machine-1"]);
    admin.delete("/api/devices/machine-1").await;
    assert_eq!(admin.delete(&format!("/api/deviceTemplates/{MACHINE}")).await.status, 204, "it holds nothing");
    assert_eq!(admin.get(&path).await.status, 404, "it went with its template");
    app.stop().await;
}

async fn strangers_and_viewers_may_not(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    with_device(&tenant, "machine-1").await;
    let admin = &tenant.admin;
    admin.put(GROUP, of_machine("")).await.ok();
    for path in [GROUP.to_owned(), format!("{GROUP}/devices")] {
        assert_eq!(stranger.admin.get(&path).await.status, 404, "{path}");
        assert_eq!(app.client(None).get(&path).await.status, 401, "{path}");
    }
    assert_eq!(stranger.admin.patch(GROUP, json!({ "displayName": "x" })).await.status, 404);
    assert_eq!(stranger.admin.delete(GROUP).await.status, 404);
    let foreign = stranger.admin.post("/api/deviceGroupPreview", json!({ "filter": of_machine("")["filter"] })).await;
    assert_eq!(foreign.status, 422, "another tenant's template is not known");
    let role = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = admin.put("/api/apiTokens/viewer", role).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    assert_eq!(viewer.get(GROUP).await.status, 200);
    assert_eq!(viewer.put(GROUP, of_machine("")).await.status, 403);
    assert_eq!(viewer.patch(GROUP, json!({ "displayName": "x" })).await.status, 403);
    assert_eq!(viewer.delete(GROUP).await.status, 403);
    app.stop().await;
}

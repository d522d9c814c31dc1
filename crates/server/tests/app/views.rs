//! Views of device templates over the API.

use crate::{MACHINE, machine, on_both, template_life::changed};
use muster_testkit::{Backend, Bootstrapped, Client, TestApp};
use serde_json::{Value, json};

on_both! {
    views_are_made_changed_and_deleted
    default_views_are_generated
    what_the_template_does_not_have_is_refused
    a_new_version_takes_its_views_along
    strangers_and_viewers_may_not
}

fn path(part: &str) -> String {
    format!("/api/deviceTemplates/{MACHINE}/views{part}")
}

fn chart(capabilities: Value) -> Value {
    json!({
        "displayName": "Heat", "type": "view",
        "tiles": [{ "displayName": "Temperature", "kind": "lineChart", "capabilities": capabilities }],
    })
}

async fn with_machine(app: &TestApp) -> Client {
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    admin
}

async fn views_are_made_changed_and_deleted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let admin = with_machine(&app).await;
    assert_eq!(admin.get(&path("")).await.ok()["value"], json!([]));
    let made = admin.put(&path("/heat"), chart(json!(["temperature"]))).await.ok();
    assert_eq!((&made["id"], &made["type"], &made["order"]), (&json!("heat"), &json!("view"), &json!(0)));
    assert_eq!(admin.get(&path("/heat")).await.ok(), made);
    let form = json!({
        "displayName": "Settings", "type": "form", "order": 1,
        "sections": [{ "displayName": "Speed", "capabilities": ["target"] }],
    });
    admin.put(&path("/settings"), form).await.ok();
    let mut stale = chart(json!(["temperature"]));
    stale["etag"] = json!("ff");
    assert_eq!(admin.put(&path("/heat"), stale).await.status, 412);
    let all = admin.get(&path("")).await.ok();
    let ids: Vec<_> = all["value"].as_array().unwrap().iter().map(|view| view["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["heat", "settings"]);
    let impact = admin.get(&format!("/api/deviceTemplates/{MACHINE}/impact")).await.ok();
    assert!(impact["uses"].as_array().unwrap().iter().any(|used| used["kind"] == "view"), "{impact}");
    assert_eq!(admin.delete(&path("/heat")).await.status, 204);
    assert_eq!(admin.get(&path("/heat")).await.status, 404);
    assert_eq!(admin.delete(&format!("/api/deviceTemplates/{MACHINE}")).await.status, 204, "views go with it");
    assert_eq!(admin.get(&path("")).await.status, 404);
    app.stop().await;
}

async fn default_views_are_generated(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let admin = with_machine(&app).await;
    admin.put(&path("/mine"), chart(json!(["temperature"]))).await.ok();
    for _ in 0..2 {
        let views = admin.post_empty(&path("")).await.ok();
        let ids: Vec<_> = views["value"].as_array().unwrap().iter().map(|view| view["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["mine", "overview", "about", "edit"], "there are no commands; what is there is replaced");
    }
    app.stop().await;
}

async fn what_the_template_does_not_have_is_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let admin = with_machine(&app).await;
    for (body, pointer) in [
        (chart(json!(["nothing"])), "/tiles/0/capabilities/0"),
        (chart(json!(["temperature", "serialNumber"])), "/tiles/0/capabilities/1"),
        (chart(json!([])), "/tiles/0/capabilities"),
        (json!({ "displayName": "", "type": "view", "tiles": [] }), "/displayName"),
        (
            json!({ "displayName": "F", "type": "form", "sections": [{ "displayName": "S", "capabilities": ["serialNumber"] }] }),
            "/sections/0/capabilities/0",
        ),
    ] {
        let refused = admin.put(&path("/a"), body.clone()).await;
        assert_eq!((refused.status, refused.text.contains(pointer)), (422, true), "{body}: {}", refused.text);
    }
    for (id, body) in [
        ("a", json!({ "displayName": "x", "type": "cake" })),
        ("a", json!([])),
        ("with%20space", chart(json!(["temperature"]))),
    ] {
        let status = admin.put(&path(&format!("/{id}")), body).await.status;
        assert!((400..=422).contains(&status), "{id}: {status}");
    }
    assert_eq!(admin.put("/api/deviceTemplates/dtmi:no:such;1/views/a", chart(json!(["x"]))).await.status, 404);
    for number in 0..20 {
        admin.put(&path(&format!("/v{number}")), chart(json!(["temperature"]))).await.ok();
    }
    assert_eq!(admin.put(&path("/v20"), chart(json!(["temperature"]))).await.status, 409);
    assert_eq!(admin.post_empty(&path("")).await.status, 409);
    app.stop().await;
}

async fn a_new_version_takes_its_views_along(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let admin = with_machine(&app).await;
    let mut view = chart(json!(["temperature", "running"]));
    view["tiles"][0]["kind"] = json!("lastValue");
    admin.put(&path("/heat"), view).await.ok();
    let without = changed(|contents| contents.retain(|content| content["name"] != "running"));
    let next = admin.post(&format!("/api/deviceTemplates/{MACHINE}/versions"), without).await.ok();
    let views = admin.get(&format!("/api/deviceTemplates/{}/views", next["@id"].as_str().unwrap())).await.ok();
    assert_eq!(views["value"][0]["tiles"][0]["capabilities"], json!(["temperature"]), "{views}");
    app.stop().await;
}

async fn strangers_and_viewers_may_not(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let admin = with_machine(&app).await;
    let stranger = app.bootstrap("fabrikam").await.admin;
    admin.put(&path("/heat"), chart(json!(["temperature"]))).await.ok();
    for part in ["", "/heat"] {
        assert_eq!(stranger.get(&path(part)).await.status, 404, "{part}");
        assert_eq!(app.client(None).get(&path(part)).await.status, 401, "{part}");
    }
    assert_eq!(stranger.post_empty(&path("")).await.status, 404);
    assert_eq!(stranger.delete(&path("/heat")).await.status, 404);
    let role = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = admin.put("/api/apiTokens/viewer", role).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    assert_eq!(viewer.get(&path("/heat")).await.status, 200);
    assert_eq!(viewer.put(&path("/heat"), chart(json!(["temperature"]))).await.status, 403);
    assert_eq!(viewer.post_empty(&path("")).await.status, 403);
    assert_eq!(viewer.delete(&path("/heat")).await.status, 403);
    app.stop().await;
}

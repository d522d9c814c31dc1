//! The life of a device template over the API: drafts, versions, what a change breaks.

use crate::{MACHINE, machine, on_both, with_device};
use muster_testkit::{Backend, Bootstrapped, Client, TestApp};
use serde_json::{Value, json};

on_both! {
    a_draft_waits_until_it_is_published
    a_template_that_was_never_published_has_no_devices
    what_breaks_only_becomes_a_new_version
    what_uses_a_template_is_told_before_a_change
    the_catalogue_is_there_to_begin_with
    others_may_not
}

fn path(part: &str) -> String {
    format!("/api/deviceTemplates/{MACHINE}{part}")
}

/// The machine with a change to its contents.
pub(crate) fn changed(change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let mut document = machine();
    change(document["capabilityModel"]["contents"].as_array_mut().unwrap());
    document
}

fn with_humidity() -> Value {
    changed(|contents| contents.push(json!({"@type": "Telemetry", "name": "humidity", "schema": "double"})))
}

fn without_state() -> Value {
    changed(|contents| contents.retain(|content| content["name"] != "state"))
}

fn keys(template: &Value) -> Vec<&str> {
    template["capabilities"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect()
}

pub(crate) async fn with_rule(admin: &Client, template: &str, telemetry: &str, value: Value) -> String {
    let id = uuid::Uuid::now_v7().to_string();
    let rule = json!({
        "displayName": format!("On {telemetry}"), "enabled": true, "template": template, "matching": "all",
        "conditions": [{"telemetry": telemetry, "operator": if value.is_string() { "equals" } else { "greaterThan" }, "value": value}],
        "severity": "warning", "actions": [],
    });
    admin.put(&format!("/api/rules/{id}"), rule).await.ok();
    id
}

async fn a_draft_waits_until_it_is_published(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    admin.put(&path(""), machine()).await.ok();
    assert_eq!(admin.get(&path("/draft")).await.status, 404);
    assert_eq!(admin.post(&path("/publish"), json!({})).await.status, 404);
    let saved = admin.put(&path("/draft"), with_humidity()).await.ok();
    assert!(saved["published"] == false && keys(&saved).contains(&"humidity"), "{saved}");
    let published = admin.get(&path("")).await.ok();
    assert!(published["published"] == true && published["draft"] == true, "{published}");
    assert!(!keys(&published).contains(&"humidity"));
    assert_eq!(admin.delete(&path("/draft")).await.status, 204);
    assert_eq!(admin.delete(&path("/draft")).await.status, 404);
    admin.put(&path("/draft"), with_humidity()).await.ok();
    let published = admin.post(&path("/publish"), json!({})).await.ok();
    assert!(published["draft"] == false && keys(&published).contains(&"humidity"), "{published}");
    assert_eq!(admin.put(&path("/draft"), json!({"@type": "Interface"})).await.status, 422);
    let versions = admin.get(&path("/versions")).await.ok();
    let publications = versions["value"][0]["publications"].as_array().unwrap();
    assert_eq!(publications.len(), 2, "{versions}");
    assert_eq!(publications[0]["changes"][0]["path"], "humidity");
    assert!(publications[0]["publishedBy"].as_str().is_some_and(|name| !name.is_empty()), "{versions}");
    app.stop().await;
}

async fn a_template_that_was_never_published_has_no_devices(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    admin.put(&path("/draft"), machine()).await.ok();
    assert_eq!(admin.get(&path("")).await.ok()["published"], false);
    let device = json!({"displayName": "M", "template": MACHINE});
    let refused = admin.put("/api/devices/m-1", device.clone()).await;
    assert_eq!((refused.status, refused.code()), (422, "InvalidBody"), "{}", refused.text);
    // A draft may change in any way.
    admin.put(&path("/draft"), without_state()).await.ok();
    admin.post(&path("/publish"), json!({})).await.ok();
    admin.put("/api/devices/m-1", device).await.ok();
    app.stop().await;
}

async fn what_breaks_only_becomes_a_new_version(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    with_device(&tenant, "m-1").await;
    admin.put(&path(""), with_humidity()).await.ok();
    let refused = admin.put(&path(""), machine()).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(
        refused.json["error"]["details"][0]["message"].as_str().unwrap().contains("'humidity'"),
        "{}",
        refused.text
    );
    admin.put(&path("/draft"), machine()).await.ok();
    assert_eq!(admin.post(&path("/publish"), json!({})).await.status, 409);
    let next = admin.post_empty(&path("/versions")).await.ok();
    assert_eq!(next["@id"], "dtmi:test:Machine;2");
    assert_eq!(next["capabilityModel"]["@id"], "dtmi:test:MachineModel;2");
    assert!(next["published"] == true && !keys(&next).contains(&"humidity"), "{next}");
    assert_eq!(admin.get(&path("")).await.ok()["draft"], false, "the draft has left");
    let third = admin.post(&path("/versions?publish=false"), without_state()).await.ok();
    assert!(third["@id"] == "dtmi:test:Machine;3" && third["published"] == false, "{third}");
    let versions = admin.get(&path("/versions")).await.ok();
    let told: Vec<_> = versions["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["number"].clone(), one["devices"].clone()))
        .collect();
    assert_eq!(told, [(json!(3), json!(0)), (json!(2), json!(0)), (json!(1), json!(1))], "{versions}");
    assert_eq!(versions["value"][1]["publications"][0]["changes"][0]["path"], "humidity", "{versions}");
    app.stop().await;
}

async fn what_uses_a_template_is_told_before_a_change(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    with_device(&tenant, "m-1").await;
    let rule = with_rule(admin, MACHINE, "state", json!("bad")).await;
    let tile = json!({
        "displayName": "T", "x": 0, "y": 0, "width": 2, "height": 2,
        "configuration": {"type": "lineChart", "range": "PT1H", "source": {"template": MACHINE, "capabilities": ["temperature"]}},
    });
    admin.put("/api/dashboards/plant", json!({"displayName": "Plant", "tiles": [tile]})).await.ok();
    let impact = admin.post(&path("/impact"), without_state()).await.ok();
    assert!(impact["breaking"] == true && impact["devices"] == 1, "{impact}");
    assert_eq!(impact["changes"][0]["usedBy"][0]["id"], rule, "{impact}");
    let uses = impact["uses"].as_array().unwrap();
    let broken = |id: &str| uses.iter().find(|one| one["id"] == id).unwrap()["broken"].clone();
    assert_eq!((broken(&rule), broken("plant")), (json!(true), json!(false)), "{impact}");
    let delete = admin.get(&path("/impact")).await.ok();
    assert!(delete["inUse"] == true && delete["uses"].as_array().unwrap().len() == 2, "{delete}");
    let refused = admin.delete(&path("")).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json["error"]["details"].as_array().unwrap().len(), 3, "{}", refused.text);
    // A change of what names it is seen at once.
    assert_eq!(admin.delete(&format!("/api/rules/{rule}")).await.status, 204);
    admin.put("/api/dashboards/plant", json!({"displayName": "Plant", "tiles": []})).await.ok();
    assert_eq!(admin.delete("/api/devices/m-1").await.status, 204);
    assert_eq!(admin.get(&path("/impact")).await.ok()["inUse"], false);
    assert_eq!(admin.delete(&path("")).await.status, 204);
    assert_eq!(admin.post(&path("/impact"), machine()).await.status, 404);
    app.stop().await;
}

async fn others_may_not(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let stranger = app.bootstrap("fabrikam").await.admin;
    tenant.admin.put(&path(""), machine()).await.ok();
    tenant.admin.put(&path("/draft"), with_humidity()).await.ok();
    let role = tenant.admin.get("/api/roles").await.ok();
    let viewer =
        role["value"].as_array().unwrap().iter().find(|one| one["displayName"] == "Viewer").unwrap()["id"].clone();
    let token = tenant.admin.put("/api/apiTokens/reader", json!({"roles": [{"role": viewer}]})).await.ok();
    let viewer = app.client(token["token"].as_str().map(str::to_owned));
    for part in ["/draft", "/versions", "/impact"] {
        assert_eq!(stranger.get(&path(part)).await.status, 404, "{part}");
        assert_eq!(viewer.get(&path(part)).await.status, 200, "{part}");
    }
    for part in ["/publish", "/versions"] {
        assert_eq!(stranger.post_empty(&path(part)).await.status, 404, "{part}");
        assert_eq!(viewer.post_empty(&path(part)).await.status, 403, "{part}");
    }
    assert_eq!(viewer.put(&path("/draft"), machine()).await.status, 403);
    assert_eq!(viewer.delete(&path("/draft")).await.status, 403);
    assert_eq!(stranger.delete(&path("/draft")).await.status, 404);
    for part in ["/versions", "/impact"] {
        assert_eq!(tenant.admin.post(&path(part), json!(["no", "template"])).await.status, 422, "{part}");
    }
    assert_eq!(tenant.admin.post_empty(&path("/versions?publish=perhaps")).await.status, 400);
    app.stop().await;
}

async fn the_catalogue_is_there_to_begin_with(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let Bootstrapped { admin, .. } = app.bootstrap("contoso").await;
    let catalogue = admin.get("/api/templateCatalogue").await.ok();
    let templates = catalogue["value"].as_array().unwrap();
    assert!(templates.len() >= 12, "{catalogue}");
    for template in templates {
        let document = json!({
            "@id": template["@id"], "@type": template["@type"], "displayName": template["displayName"],
            "capabilityModel": template["capabilityModel"],
        });
        let imported = admin.post("/api/deviceTemplates", document).await.ok();
        assert_eq!(imported["capabilities"], template["capabilities"]);
    }
    assert_eq!(admin.get("/api/deviceTemplates").await.ok()["value"].as_array().unwrap().len(), templates.len());
    assert_eq!(app.client(None).get("/api/templateCatalogue").await.status, 401);
    app.stop().await;
}

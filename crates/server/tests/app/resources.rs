//! The API resource by resource: what is put in comes out, and what is wrong is refused.

use crate::{MACHINE, machine, on_both, with_device};
use muster_testkit::{Backend, TestApp, eventually};
use serde_json::{Value, json};

on_both! {
    rules_are_made_changed_and_deleted
    dashboards_are_made_changed_and_deleted
    a_tokens_text_is_shown_once
    telemetry_is_read_in_every_form
    properties_are_written_where_they_belong
    alerts_are_acknowledged_and_cleared
    everything_is_found_and_counted
    people_roles_and_groups_are_listed
    a_template_is_imported_by_its_own_id
}

const EVENTS: &str = "devices/machine-1/messages/events/";

fn rule(name: &str) -> Value {
    json!({
        "displayName": name, "template": MACHINE, "severity": "warning",
        "conditions": [{ "telemetry": "temperature", "operator": "greaterThan", "value": 30 }]
    })
}

async fn rules_are_made_changed_and_deleted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    let path = format!("/api/rules/{}", uuid::Uuid::now_v7());
    let made = tenant.admin.put(&path, rule("Too hot")).await.ok();
    assert_eq!((&made["enabled"], &made["matching"]), (&json!(true), &json!("all")), "{made}");
    assert_eq!(tenant.admin.get(&path).await.ok(), made);
    assert_eq!(tenant.admin.get("/api/rules").await.ok()["value"], json!([made]));
    let changed = tenant.admin.patch(&path, json!({ "enabled": false, "severity": "critical" })).await.ok();
    assert_eq!((&changed["enabled"], &changed["severity"]), (&json!(false), &json!("critical")), "{changed}");
    let stale = tenant.admin.patch(&path, json!({ "enabled": true, "etag": made["etag"] })).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    let unknown = json!({ "conditions": [{ "telemetry": "nothing", "operator": "greaterThan", "value": 1 }] });
    let refused = tenant.admin.patch(&path, unknown).await;
    assert_eq!((refused.status, refused.code()), (422, "InvalidBody"), "{}", refused.text);
    assert!(!refused.json["error"]["details"].as_array().unwrap().is_empty());
    assert_eq!(tenant.admin.delete(&path).await.status, 204);
    assert_eq!(tenant.admin.get(&path).await.status, 404);
    assert_eq!(tenant.admin.get("/api/rules/nonsense").await.status, 400);
    app.stop().await;
}

async fn dashboards_are_made_changed_and_deleted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let source = json!({ "template": MACHINE, "devices": [], "capabilities": ["temperature"] });
    let tile = json!({
        "displayName": "Heat", "x": 0, "y": 0, "width": 4, "height": 3,
        "configuration": { "type": "lineChart", "source": source, "range": "PT1H" }
    });
    let body = json!({ "displayName": "Plant", "tiles": [tile] });
    let made = tenant.admin.put("/api/dashboards/plant", body.clone()).await.ok();
    assert_eq!(made["tiles"][0]["configuration"], tile["configuration"]);
    assert!(!made["tiles"][0]["id"].as_str().unwrap().is_empty(), "{made}");
    assert_eq!(tenant.admin.get("/api/dashboards").await.ok()["value"], json!([made]));
    let changed = tenant.admin.patch("/api/dashboards/plant", json!({ "favorite": true })).await.ok();
    assert_eq!((&changed["favorite"], &changed["tiles"]), (&json!(true), &made["tiles"]));
    let mut wide = body;
    wide["tiles"][0]["width"] = json!(200);
    assert_eq!(tenant.admin.put("/api/dashboards/plant", wide).await.status, 422);
    let unknown = json!({ "displayName": "x", "tiles": [{ "configuration": { "type": "clock" } }] });
    assert_eq!(tenant.admin.put("/api/dashboards/plant", unknown).await.status, 400);
    assert_eq!(tenant.admin.delete("/api/dashboards/plant").await.status, 204);
    assert_eq!(tenant.admin.get("/api/dashboards/plant").await.status, 404);
    app.stop().await;
}

async fn a_tokens_text_is_shown_once(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let operator = json!({ "roles": [{ "role": "ae2c9854-393b-4f97-8c42-479d70ce626e" }] });
    let made = tenant.admin.put("/api/apiTokens/script", operator.clone()).await.ok();
    let text = made["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with("SharedAccessSignature sr="), "an API token in IoT Central's form");
    let read = tenant.admin.get("/api/apiTokens/script").await.ok();
    assert_eq!((&read["token"], &read["roles"]), (&Value::Null, &operator["roles"]), "{read}");
    let list = tenant.admin.get("/api/apiTokens").await;
    assert!(!list.text.contains("SharedAccessSignature"), "{}", list.text);
    assert_eq!(tenant.admin.put("/api/apiTokens/script", operator).await.status, 409);
    let script = app.client(Some(text));
    assert_eq!(script.get("/api/devices").await.status, 200);
    let wider = json!({ "roles": [{ "role": "ca310b8d-2f4a-44e0-a36e-957c202cd8d4" }] });
    assert_eq!(script.put("/api/apiTokens/more", wider).await.status, 403);
    let none = json!({ "roles": [] });
    assert_eq!(tenant.admin.put("/api/apiTokens/none", none).await.status, 422);
    assert_eq!(tenant.admin.delete("/api/apiTokens/script").await.status, 204);
    assert_eq!(script.get("/api/devices").await.status, 401);
    app.stop().await;
}

async fn telemetry_is_read_in_every_form(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let base = "/api/devices/machine-1";
    assert_eq!(tenant.admin.get(&format!("{base}/telemetry/temperature")).await.ok(), json!({}));
    assert_eq!(tenant.admin.get(&format!("{base}/telemetry/nothing")).await.status, 404);
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    let message =
        json!({ "temperature": 20.5, "running": true, "state": "cutting", "place": { "lat": 1.5, "lon": 2.5 } });
    device.send(EVENTS, message.to_string().as_bytes()).await.unwrap();
    device.send(&format!("{EVENTS}shift=late"), br#"{"temperature":21.5}"#).await.unwrap();
    device.send(EVENTS, b"{broken").await.unwrap();

    eventually("the last value", || async {
        let value = tenant.admin.get(&format!("{base}/telemetry/temperature")).await.ok();
        (value["value"] == 21.5).then_some(())
    })
    .await;
    let place = tenant.admin.get(&format!("{base}/telemetry/place")).await.ok();
    assert_eq!(place["value"], json!({ "lat": 1.5, "lon": 2.5 }));
    let latest =
        tenant.admin.get(&format!("/api/telemetry-latest?template={MACHINE}&keys=temperature&keys=state")).await.ok();
    assert_eq!(latest["value"][0]["values"]["state"]["value"], "cutting", "{latest}");
    assert!(latest["value"][0]["values"]["running"].is_null(), "{latest}");
    let history =
        tenant.admin.get(&format!("/api/telemetry-history?template={MACHINE}&keys=temperature&buckets=10")).await.ok();
    let series = &history["series"][0];
    assert_eq!(
        (&series["device"], &series["displayName"], &series["unit"]),
        (&json!("machine-1"), &json!("Temperature"), &json!("°C"))
    );
    let count: i64 = series["points"].as_array().unwrap().iter().map(|point| point["count"].as_i64().unwrap()).sum();
    assert_eq!((count, &history["devicesLeftOut"]), (2, &json!(0)), "{history}");
    for query in
        ["", "devices=machine-1&buckets=0", "devices=machine-1&from=2&to=1", "devices=machine-1&from=yesterday"]
    {
        assert_eq!(tenant.admin.get(&format!("/api/telemetry-history?{query}")).await.status, 400, "{query}");
    }
    let messages = tenant.admin.get(&format!("{base}/messages?maxpagesize=1")).await.ok();
    assert_eq!(messages["value"][0]["properties"], json!({ "shift": "late" }), "{messages}");
    let older = tenant.admin.send(tenant.admin.http().get(messages["nextLink"].as_str().unwrap())).await.ok();
    assert_eq!(older["value"][0]["telemetry"]["state"], "cutting", "{older}");
    let rejected = eventually("the rejected message", || async {
        tenant.admin.get(&format!("{base}/rejected")).await.ok()["value"].as_array()?.first().cloned()
    });
    let rejected = rejected.await;
    assert_eq!((&rejected["reason"], &rejected["text"]), (&json!("notJson"), &json!("{broken")), "{rejected}");
    app.stop().await;
}

async fn properties_are_written_where_they_belong(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let path = "/api/devices/machine-1/properties";
    assert_eq!(tenant.admin.get(path).await.ok(), json!({}));
    let changed = tenant.admin.patch(path, json!({ "target": 21.5 })).await;
    assert_eq!(changed.status, 202, "{}", changed.text);
    let target = &changed.json["$metadata"]["target"];
    assert_eq!((&target["desiredValue"], &target["desiredVersion"]), (&json!(21.5), &json!(2)), "{}", changed.text);
    let refused = tenant.admin.patch(path, json!({ "serialNumber": "x", "nothing": 1, "target": "warm" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json["error"]["details"].as_array().unwrap().len(), 3, "{}", refused.text);
    let replaced = tenant.admin.put(path, json!({})).await;
    assert_eq!(replaced.status, 202, "{}", replaced.text);
    assert!(tenant.admin.get(path).await.ok()["$metadata"]["target"]["desiredValue"].is_null());
    assert_eq!(tenant.admin.get("/api/devices/machine-1/components/none/properties").await.status, 404);
    assert_eq!(tenant.admin.patch(path, json!([1])).await.status, 400);
    app.stop().await;
}

async fn alerts_are_acknowledged_and_cleared(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    tenant.admin.put(&format!("/api/rules/{}", uuid::Uuid::now_v7()), rule("Too hot")).await.ok();
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    device.send(EVENTS, br#"{"temperature":40}"#).await.unwrap();
    let alert = eventually("the alert", || async {
        tenant.admin.get("/api/alerts?state=open&device=machine-1").await.ok()["value"].as_array()?.first().cloned()
    })
    .await;
    let path = format!("/api/alerts/{}", alert["id"].as_str().unwrap());
    let open = tenant.admin.get("/api/statistics").await.ok();
    assert_eq!(open["alerts"], json!({ "information": 0, "warning": 1, "critical": 0 }));
    let seen = tenant.admin.post(&format!("{path}/acknowledge"), Value::Null).await.ok();
    assert_eq!((&seen["state"], &seen["acknowledgedBy"]), (&json!("acknowledged"), &json!("bootstrap")), "{seen}");
    let over = tenant.admin.post(&format!("{path}/clear"), Value::Null).await.ok();
    assert_eq!(over["state"], "cleared");
    assert_eq!(tenant.admin.get(&path).await.ok(), over);
    assert_eq!(tenant.admin.get("/api/alerts?state=open&state=acknowledged").await.ok()["value"], json!([]));
    assert_eq!(tenant.admin.get("/api/alerts?state=loud").await.status, 400);
    assert_eq!(tenant.admin.get("/api/alerts?device=none").await.status, 404);
    let none = format!("/api/alerts/{}/clear", uuid::Uuid::now_v7());
    assert_eq!(tenant.admin.post(&none, Value::Null).await.status, 404);
    app.stop().await;
}

async fn everything_is_found_and_counted(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    with_device(&tenant, "machine-2").await;
    tenant.admin.put("/api/devices/other", json!({ "displayName": "Sensor" })).await.ok();
    tenant.admin.put("/api/dashboards/halls", json!({ "displayName": "Machine hall" })).await.ok();
    let found = tenant.admin.get("/api/search?q=MACHINE").await.ok();
    let kinds: Vec<_> = found["value"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["device", "device", "template", "dashboard"], "{found}");
    assert_eq!(tenant.admin.get("/api/search?q=").await.ok()["value"], json!([]));
    assert_eq!(tenant.admin.get("/api/search?q=%25").await.ok()["value"], json!([]), "no wildcard");
    let all = tenant.admin.get("/api/statistics").await.ok();
    assert_eq!((&all["devices"], &all["connected"]), (&json!(3), &json!(0)), "{all}");
    let of_template = tenant.admin.get(&format!("/api/statistics?template={MACHINE}")).await.ok();
    assert_eq!(of_template["devices"], 2, "{of_template}");
    let info = tenant.admin.get("/api/tenant").await.ok();
    assert_eq!(info["idScope"], tenant.tenant.id_scope.as_str());
    assert!(info["mqttPort"].as_u64().unwrap() > 0, "{info}");
    app.stop().await;
}

async fn people_roles_and_groups_are_listed(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let users = tenant.admin.get("/api/users").await.ok();
    assert_eq!(
        (&users["value"][0]["type"], &users["value"][0]["email"]),
        (&json!("email"), &json!(tenant.email)),
        "{users}"
    );
    let user = users["value"][0]["id"].as_str().unwrap();
    assert_eq!(tenant.admin.get(&format!("/api/users/{user}")).await.ok(), users["value"][0]);
    let roles = tenant.admin.get("/api/roles").await.ok();
    assert_eq!(roles["value"].as_array().unwrap().len(), 4);
    let role = roles["value"][0]["id"].as_str().unwrap();
    assert_eq!(tenant.admin.get(&format!("/api/roles/{role}")).await.ok(), roles["value"][0]);
    assert_eq!(tenant.admin.get(&format!("/api/roles/{}", uuid::Uuid::now_v7())).await.status, 404);
    let groups = tenant.admin.get("/api/enrollmentGroups").await.ok();
    let group = &groups["value"][0];
    assert_eq!(group["attestation"]["symmetricKey"]["primaryKey"], tenant.tenant.keys.primary_key.as_str(), "{group}");
    let path = format!("/api/enrollmentGroups/{}", group["id"].as_str().unwrap());
    assert_eq!(tenant.admin.get(&path).await.ok(), *group);
    app.stop().await;
}

async fn a_template_is_imported_by_its_own_id(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let interface = json!({
        "@context": "dtmi:dtdl:context;2", "@id": "dtmi:test:Lamp;1", "@type": "Interface",
        "contents": [{ "@type": "Telemetry", "name": "brightness", "schema": "integer" }]
    });
    let made = tenant.admin.post("/api/deviceTemplates", interface).await.ok();
    let path = format!("/api/deviceTemplates/{}", made["@id"].as_str().unwrap());
    assert_eq!(tenant.admin.get(&path).await.ok()["capabilities"][0]["key"], "brightness");
    let renamed = tenant.admin.patch(&path, json!({ "displayName": "Lamp", "etag": made["etag"] })).await.ok();
    assert_eq!((&renamed["displayName"], &renamed["capabilityModel"]), (&json!("Lamp"), &made["capabilityModel"]));
    let stale = tenant.admin.put(&path, made).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    let text = tenant
        .admin
        .http()
        .post(tenant.admin.url("/api/deviceTemplates"))
        .body("{\n  \"@id\": \"dtmi:a:b;1\",\n  oops }");
    let broken = tenant.admin.send(text.header("content-type", "application/json")).await;
    assert_eq!(broken.json["error"]["details"][0]["line"], 3, "{}", broken.text);
    app.stop().await;
}

//! What devices sent, held against their template: a proposal, and what a template does not know.

use crate::{MACHINE, machine, on_both};
use muster_testkit::{Backend, Bootstrapped, Client, Device, TestApp, eventually};
use serde_json::{Value, json};

on_both! {
    a_device_without_a_template_gets_one_that_draws_what_it_sent
    a_template_is_told_what_its_devices_send_beside_it
    traffic_is_for_those_who_may
}

async fn connected(app: &TestApp, tenant: &Bootstrapped, id: &str, template: Option<&str>) -> Device {
    let body = template.map_or_else(|| json!({}), |template| json!({"template": template}));
    tenant.admin.put(&format!("/api/devices/{id}"), body).await.ok();
    app.device(tenant, id).await.unwrap()
}

async fn send(device: &mut Device, id: &str, message: Value) {
    device.send(&format!("devices/{id}/messages/events/"), message.to_string().as_bytes()).await.unwrap();
}

async fn stored(admin: &Client, id: &str, count: usize) {
    eventually("the messages are stored", || async {
        let page = admin.get(&format!("/api/devices/{id}/messages")).await.ok();
        (page["value"].as_array().unwrap().len() >= count).then_some(())
    })
    .await;
}

async fn a_device_without_a_template_gets_one_that_draws_what_it_sent(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    let mut device = connected(&app, &tenant, "pump-7", None).await;
    for n in 0..5 {
        send(&mut device, "pump-7", json!({"temperature": 20 + n, "on": n % 2 == 0})).await;
        send(&mut device, "pump-7", json!({"place": {"lat": 48.1, "lon": 11.5 + f64::from(n) / 10.0}})).await;
        send(
            &mut device,
            "pump-7",
            json!({"motor": {"speed": 900 + n, "state": if n % 2 == 0 { "slow" } else { "fast" }}}),
        )
        .await;
    }
    stored(admin, "pump-7", 15).await;
    let proposal = admin.get("/api/devices/pump-7/templateProposal").await.ok();
    assert_eq!(proposal["messages"], 15);
    assert_eq!(proposal["leftOut"], json!([]));
    let guesses = proposal["guesses"].as_array().unwrap().iter();
    let guesses: Vec<_> = guesses.map(|one| (one["key"].as_str().unwrap(), one["schema"].as_str().unwrap())).collect();
    assert_eq!(guesses, [("motor", "object"), ("on", "boolean"), ("place", "geopoint"), ("temperature", "double")]);
    let id = proposal["document"]["@id"].as_str().unwrap();
    let template = admin.put(&format!("/api/deviceTemplates/{id}"), proposal["document"].clone()).await.ok();
    let keys: Vec<_> = template["capabilities"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["motor", "on", "place", "temperature"]);
    admin.patch("/api/devices/pump-7", json!({"template": id})).await.ok();

    // What was received before is drawn under the template's names and units.
    let history =
        admin.get("/api/devices/pump-7/telemetry-history?keys=temperature&keys=on&keys=motor.speed").await.ok();
    let series = history["series"].as_array().unwrap();
    let counts: Vec<(&str, u64)> = series
        .iter()
        .map(|one| {
            let points = one["points"].as_array().unwrap().iter();
            (one["key"].as_str().unwrap(), points.map(|point| point["count"].as_u64().unwrap()).sum())
        })
        .collect();
    assert_eq!(counts, [("temperature", 5), ("on", 5), ("motor.speed", 5)], "{history}");
    assert_eq!((&series[0]["displayName"], &series[0]["unit"]), (&json!("Temperature"), &json!("°C")));
    let report = admin.get("/api/devices/pump-7/unmodeled").await.ok();
    assert_eq!((&report["messages"], &report["values"]), (&json!(15), &json!([])), "{report}");
    app.stop().await;
}

async fn a_template_is_told_what_its_devices_send_beside_it(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    for id in ["m-1", "m-2"] {
        let mut device = connected(&app, &tenant, id, Some(MACHINE)).await;
        send(&mut device, id, json!({"temperature": 20, "flow": 1.5})).await;
        send(&mut device, id, json!({"temperature": "hot", "flow": 2.5})).await;
        stored(admin, id, 2).await;
    }
    let report = admin.get(&format!("/api/deviceTemplates/{MACHINE}/unmodeled")).await.ok();
    assert_eq!((&report["messages"], &report["complete"]), (&json!(4), &json!(true)));
    let values = report["values"].as_array().unwrap();
    let seen: Vec<_> = values
        .iter()
        .map(|one| json!([one["key"], one["expected"], one["seen"], one["count"], one["devices"]]))
        .collect();
    assert_eq!(seen, [json!(["flow", null, "double", 4, 2]), json!(["temperature", "double", "string", 2, 2])]);
    let one = admin.get("/api/devices/m-1/unmodeled").await.ok();
    assert_eq!((&one["messages"], &one["values"][0]["count"]), (&json!(2), &json!(2)));
    // A proposal for a device with a template is that template and what it lacks.
    let proposal = admin.get("/api/devices/m-1/templateProposal").await.ok();
    assert_eq!(proposal["document"]["@id"], MACHINE);
    let keys: Vec<_> = proposal["guesses"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["flow"]);
    let impact = admin.post(&format!("/api/deviceTemplates/{MACHINE}/impact"), proposal["document"].clone()).await.ok();
    assert_eq!((&impact["breaking"], &impact["changes"][0]["path"]), (&json!(false), &json!("flow")), "{impact}");
    let later = admin.get("/api/devices/m-1/unmodeled?since=2100-01-01T00:00:00Z").await.ok();
    assert_eq!((&later["messages"], &later["values"]), (&json!(0), &json!([])));
    app.stop().await;
}

async fn traffic_is_for_those_who_may(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let stranger = app.bootstrap("fabrikam").await.admin;
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    tenant.admin.put("/api/devices/m-1", json!({"template": MACHINE})).await.ok();
    let paths = [
        "/api/devices/m-1/templateProposal".to_owned(),
        "/api/devices/m-1/unmodeled".to_owned(),
        format!("/api/deviceTemplates/{MACHINE}/unmodeled"),
    ];
    let roles = tenant.admin.get("/api/roles").await.ok();
    let viewer =
        roles["value"].as_array().unwrap().iter().find(|one| one["displayName"] == "Viewer").unwrap()["id"].clone();
    let token = tenant.admin.put("/api/apiTokens/reader", json!({"roles": [{"role": viewer}]})).await.ok();
    let viewer = app.client(token["token"].as_str().map(str::to_owned));
    let nobody = app.client(None);
    for path in &paths {
        assert_eq!(tenant.admin.get(path).await.status, 200, "{path}");
        assert_eq!(stranger.get(path).await.status, 404, "{path}");
        assert_eq!(viewer.get(path).await.status, 403, "{path}");
        assert_eq!(nobody.get(path).await.status, 401, "{path}");
    }
    assert_eq!(tenant.admin.get(&format!("{}?since=soon", paths[1])).await.status, 400);
    assert_eq!(tenant.admin.get(&format!("{}?since=%FF", paths[2])).await.status, 400);
    app.stop().await;
}

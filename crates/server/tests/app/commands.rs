//! Commands of devices over the API: checked against the template, run, and remembered.

use crate::on_both;
use muster_testkit::{Backend, Bootstrapped, Client, Device, TestApp, eventually};
use serde_json::{Value, json};

on_both! {
    a_command_is_checked_run_and_remembered
    a_command_that_goes_on_ends_with_what_is_reported
    a_command_may_wait_for_its_device
    a_device_without_a_template_runs_what_it_likes
    what_fails_is_remembered_too
    strangers_and_viewers_may_not
}

const OVEN: &str = "dtmi:test:Oven;1";

fn oven() -> Value {
    let parameter = |schema: &str| json!({ "@type": "CommandPayload", "name": "value", "schema": schema });
    json!({
        "@id": OVEN, "@type": ["ModelDefinition", "DeviceModel"], "displayName": "Oven",
        "capabilityModel": {
            "@id": "dtmi:test:OvenModel;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2",
            "contents": [
                { "@type": "Command", "name": "heat", "request": parameter("double"), "response": parameter("string") },
                { "@type": "Command", "name": "reboot" },
                { "@type": "Command", "name": "update", "durable": true, "request": parameter("string") },
                { "@type": "Component", "name": "door", "schema": {
                    "@id": "dtmi:test:Door;1", "@type": "Interface",
                    "contents": [{ "@type": "Command", "name": "open", "durable": true }, { "@type": "Command", "name": "close" }],
                } },
            ],
        },
    })
}

/// An oven that is connected and listens to methods.
async fn connected(app: &TestApp, tenant: &Bootstrapped) -> Device {
    tenant.admin.put(&format!("/api/deviceTemplates/{OVEN}"), oven()).await.ok();
    tenant.admin.put("/api/devices/oven", json!({ "template": OVEN })).await.ok();
    let mut device = app.device(tenant, "oven").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    device
}

fn path(command: &str) -> String {
    format!("/api/devices/oven/commands/{command}")
}

/// Runs a command while the device answers it; the reply and what the device was asked.
async fn answered(
    admin: &Client,
    device: &mut Device,
    (path, body): (&str, Value),
    (status, answer): (u16, &str),
) -> (Value, (String, Value)) {
    let (reply, asked) = tokio::join!(admin.post(path, body), answer_one(device, status, answer));
    assert_eq!(reply.status, 201, "{}", reply.text);
    (reply.json, asked)
}

/// Answers the next method; its name and what it was given.
async fn answer_one(device: &mut Device, status: u16, answer: &str) -> (String, Value) {
    let (topic, payload) = device.message().await.unwrap();
    let (name, rid) = topic.strip_prefix("$iothub/methods/POST/").unwrap().split_once("/?$rid=").unwrap();
    device.send(&format!("$iothub/methods/res/{status}/?$rid={rid}"), answer.as_bytes()).await.unwrap();
    (name.to_owned(), serde_json::from_slice(&payload).unwrap())
}

async fn runs(admin: &Client, path: &str) -> Vec<Value> {
    admin.get(path).await.ok()["value"].as_array().unwrap().clone()
}

async fn a_command_is_checked_run_and_remembered(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let (mut device, admin) = (connected(&app, &tenant).await, &tenant.admin);
    let heat = (path("heat"), json!({ "request": 21.5 }));
    let (ran, asked) = answered(admin, &mut device, (&heat.0, heat.1), (200, "\"warm\"")).await;
    assert_eq!(asked, ("heat".to_owned(), json!(21.5)));
    assert_eq!(
        (&ran["response"], &ran["responseCode"], &ran["state"]),
        (&json!("warm"), &json!(200), &json!("completed"))
    );
    assert_eq!((&ran["fits"], &ran["request"]), (&json!(true), &json!(21.5)));
    let (odd, _) = answered(admin, &mut device, (&path("heat"), json!({ "request": 3 })), (200, "7")).await;
    assert_eq!((&odd["response"], &odd["fits"]), (&json!(7), &json!(false)), "what does not fit is kept and marked");
    let (own, asked) = answered(
        admin,
        &mut device,
        ("/api/devices/oven/components/door/commands/close", json!({})),
        (500, "{\"stuck\":true}"),
    )
    .await;
    assert_eq!((asked.0.as_str(), &own["responseCode"]), ("door*close", &json!(500)));

    let history = runs(admin, &path("heat")).await;
    assert_eq!(history, [odd, ran], "newest first");
    assert_eq!(runs(admin, "/api/devices/oven/components/door/commands/close").await, [own]);
    let page = admin.get(&format!("{}?maxpagesize=1", path("heat"))).await.ok();
    assert!(page["nextLink"].is_string(), "{page}");
    for (command, body, pointer) in [
        ("heat", json!({}), "/request"),
        ("heat", json!({ "request": "hot" }), "/request"),
        ("reboot", json!({ "request": 1 }), "/request"),
        ("heat", json!({ "request": 1, "responseTimeout": 4 }), "/responseTimeout"),
        ("heat", json!({ "request": 1, "connectionTimeout": 31 }), "/connectionTimeout"),
    ] {
        let refused = admin.post(&path(command), body.clone()).await;
        assert_eq!((refused.status, refused.text.contains(pointer)), (422, true), "{body}: {}", refused.text);
    }
    for unknown in ["dance", "door.close", "door*close"] {
        assert_eq!(admin.post(&path(unknown), json!({})).await.status, 404, "{unknown}");
    }
    assert!((400..=422).contains(&admin.post(&path("heat"), json!({ "responseTimeout": "x" })).await.status));
    assert_eq!(runs(admin, &path("heat")).await.len(), 2, "what is not valid is no run");
    app.stop().await;
}

async fn a_command_that_goes_on_ends_with_what_is_reported(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let (mut device, admin) = (connected(&app, &tenant).await, &tenant.admin);
    let (ran, _) = answered(admin, &mut device, (&path("reboot"), json!({})), (202, "")).await;
    assert_eq!((&ran["state"], ran.get("response")), (&json!("running"), None));
    device
        .send("$iothub/twin/PATCH/properties/reported/?$rid=1", br#"{"reboot":{"value":{"seconds":3}}}"#)
        .await
        .unwrap();
    let ended = eventually("the result is noted", || async {
        let run = runs(admin, &path("reboot")).await.remove(0);
        (run["state"] == "completed").then_some(run)
    })
    .await;
    assert_eq!((&ended["id"], &ended["response"]), (&ran["id"], &json!({ "seconds": 3 })));
    assert_eq!(ended["responseCode"], 202);

    // A quick device has reported before its answer.
    let heat = path("heat");
    let (reply, ()) = tokio::join!(admin.post(&heat, json!({ "request": 1 })), async {
        let (topic, _) = device.message().await.unwrap();
        let rid = topic.split_once("/?$rid=").unwrap().1.to_owned();
        let reported = br#"{"heat":{"value":7}}"#;
        device.send("$iothub/twin/PATCH/properties/reported/?$rid=2", reported).await.unwrap();
        eventually("the result is noted", || async {
            (runs(admin, &path("heat")).await.remove(0)["state"] == "completed").then_some(())
        })
        .await;
        device.send(&format!("$iothub/methods/res/202/?$rid={rid}"), b"").await.unwrap();
    });
    let run = reply.ok();
    assert_eq!((&run["state"], &run["response"], &run["responseCode"]), (&json!("completed"), &json!(7), &json!(202)));
    assert_eq!(run["fits"], false, "the template says that it is a text");
    app.stop().await;
}

async fn a_command_may_wait_for_its_device(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    drop(connected(&app, &tenant).await);
    let queued = admin.post(&path("update"), json!({ "request": "v2" })).await;
    assert_eq!((queued.status, &queued.json["state"]), (201, &json!("queued")), "{}", queued.text);
    let open = "/api/devices/oven/components/door/commands/open";
    assert_eq!(admin.post(open, json!({})).await.json["state"], "queued");
    let mut device = app.device(&tenant, "oven").await.unwrap();
    device.subscribe("devices/oven/messages/devicebound/#").await.unwrap();
    let mut got = Vec::new();
    for _ in 0..2 {
        let (topic, body) = device.message_acknowledged().await.unwrap();
        got.push((topic.contains("method-name=update"), topic.contains("method-name=door"), body.to_vec()));
    }
    assert_eq!(got, [(true, false, b"\"v2\"".to_vec()), (false, true, b"@".to_vec())]);
    for path in [path("update"), open.to_owned()] {
        eventually("the device has it", || async {
            (runs(admin, &path).await.remove(0)["state"] == "delivered").then_some(())
        })
        .await;
    }
    app.stop().await;
}

async fn a_device_without_a_template_runs_what_it_likes(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put("/api/devices/oven", json!({})).await.ok();
    let mut device = app.device(&tenant, "oven").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let body = json!({ "request": { "any": [1] } });
    let (ran, asked) = answered(&tenant.admin, &mut device, (&path("whatever"), body), (200, "true")).await;
    assert_eq!((asked.1, &ran["response"]), (json!({ "any": [1] }), &json!(true)));
    for name in ["a%2Fb", "a%23", &"x".repeat(200)] {
        assert_eq!(tenant.admin.post(&path(name), json!({})).await.status, 422, "{name}");
    }
    app.stop().await;
}

async fn what_fails_is_remembered_too(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    let device = connected(&app, &tenant).await;
    drop(device);
    let away = eventually("the hub knows that it left", || async {
        let reply = admin.post(&path("reboot"), json!({ "responseTimeout": 5 })).await;
        (reply.status == 409).then_some(reply)
    })
    .await;
    assert!(away.text.contains("DeviceNotOnline"), "{}", away.text);
    let run = runs(admin, &path("reboot")).await.remove(0);
    assert_eq!(run["state"], "failed");
    assert!(run["reason"].as_str().unwrap().contains("did not connect"), "{run}");
    app.stop().await;
}

async fn strangers_and_viewers_may_not(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    drop(connected(&app, &tenant).await);
    assert_eq!(stranger.admin.post(&path("reboot"), json!({})).await.status, 404);
    assert_eq!(stranger.admin.get(&path("reboot")).await.status, 404);
    assert_eq!(app.client(None).post(&path("reboot"), json!({})).await.status, 401);
    let role = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = tenant.admin.put("/api/apiTokens/viewer", role).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    assert_eq!(viewer.post(&path("reboot"), json!({})).await.status, 403);
    assert_eq!(viewer.get(&path("reboot")).await.status, 200);
    app.stop().await;
}

//! Devices move to a new version of their template, a thousand at once, while they send.

use crate::{on_both, template_life::with_rule};
use muster_engine::{devices, identity};
use muster_model::{Caller, DeviceId, TemplateId};
use muster_testkit::{Backend, Bootstrapped, TestApp, eventually};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

on_both! {
    a_thousand_devices_move_and_come_back_while_they_send
    a_migration_is_refused_where_it_makes_no_sense
}

const FRIDGE: &str = "dtmi:contoso:fridge;1";
const NEXT: &str = "dtmi:contoso:fridge;2";
const DEVICES: usize = 1000;
const SENDING: usize = 3;
/// Those that send among the first 20 by id, which a tile draws: fridge-0 and fridge-1.
const DRAWN: usize = 2;

/// As IoT Central exports it.
fn fridge() -> Value {
    json!({
        "@id": FRIDGE, "@type": ["ModelDefinition", "DeviceModel"], "displayName": "Fridge", "etag": "\"8a00\"",
        "@context": ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"],
        "capabilityModel": {
            "@id": "dtmi:contoso:fridgeModel;1", "@type": "Interface", "displayName": "Fridge",
            "contents": [
                {"@type": ["Telemetry", "NumberValue", "Temperature"], "name": "temperature", "displayName": {"en": "Temperature"},
                 "schema": "double", "unit": "degreeCelsius", "minValue": -20, "maxValue": "40", "decimalPlaces": 1},
                {"@type": "Telemetry", "name": "load", "schema": "double"},
                {"@type": ["Telemetry", "State"], "name": "door", "schema": {"@type": "Enum", "valueSchema": "string",
                 "enumValues": [{"name": "open", "enumValue": "open"}, {"name": "shut", "enumValue": "shut"}]}},
                {"@type": ["Property", "Cloud", "StringValue"], "name": "city", "schema": "string", "maxLength": 20},
                {"@type": ["Property", "Initialized"], "name": "target", "schema": "double", "writable": true, "initialValue": "4"},
            ],
        },
    })
}

/// Without the door, and with a load in words.
fn next() -> Value {
    let mut document = fridge();
    document.as_object_mut().unwrap().remove("etag");
    let contents = document["capabilityModel"]["contents"].as_array_mut().unwrap();
    contents.retain(|content| content["name"] != "door");
    contents[1]["schema"] = json!("string");
    document
}

fn at(part: &str) -> String {
    format!("/api/deviceTemplates/{FRIDGE}{part}")
}

async fn caller(app: &TestApp, tenant: &Bootstrapped) -> Caller {
    let token = tenant.tenant.api_token.as_ref().unwrap().expose_secret();
    identity::api_token(app.app().engine(), token).await.unwrap()
}

async fn fleet(app: &TestApp, tenant: &Bootstrapped, count: usize) {
    let caller = caller(app, tenant).await;
    for number in 0..count {
        let new = devices::NewDevice {
            id: DeviceId::parse(format!("fridge-{number}")).unwrap(),
            display_name: None,
            template: Some(TemplateId::parse(FRIDGE).unwrap()),
            enabled: true,
            simulated: false,
        };
        devices::create(app.app().engine(), &caller, new).await.unwrap();
    }
}

async fn finished(tenant: &Bootstrapped, migration: &Value) -> Value {
    let path = at(&format!("/migrations/{}", migration["id"].as_str().unwrap()));
    eventually("the migration", || async {
        let found = tenant.admin.get(&path).await.ok();
        (found["status"] == "completed").then_some(found)
    })
    .await
}

async fn numbers(tenant: &Bootstrapped) -> Vec<(Value, Value)> {
    let versions = tenant.admin.get(&at("/versions")).await.ok();
    versions["value"].as_array().unwrap().iter().map(|one| (one["number"].clone(), one["devices"].clone())).collect()
}

async fn series(tenant: &Bootstrapped, key: &str) -> usize {
    let found = tenant.admin.get(&format!("/api/telemetry-history?template={FRIDGE}&keys={key}")).await.ok();
    found["series"].as_array().unwrap().iter().filter(|series| !series["points"].as_array().unwrap().is_empty()).count()
}

async fn a_thousand_devices_move_and_come_back_while_they_send(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    let imported = admin.post("/api/deviceTemplates", fridge()).await.ok();
    assert_eq!(imported["capabilityModel"], fridge()["capabilityModel"]);
    fleet(&app, &tenant, DEVICES).await;
    with_rule(admin, FRIDGE, "temperature", json!(90)).await;
    let of_door = with_rule(admin, FRIDGE, "door", json!("open")).await;

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut traffic = Vec::new();
    for number in 0..SENDING {
        let mut device = app.device(&tenant, &format!("fridge-{number}")).await.unwrap();
        let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
        traffic.push(tokio::spawn(async move {
            let topic = format!("devices/fridge-{number}/messages/events/");
            device.send(&topic, br#"{"temperature":4,"load":1,"door":"open"}"#).await.unwrap();
            sent.fetch_add(1, Ordering::SeqCst);
            while !stop.load(Ordering::SeqCst) {
                device.send(&topic, br#"{"temperature":5.5,"load":2}"#).await.unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
            device
        }));
    }
    eventually("the doors are told to be open", || async {
        let alerts = admin.get("/api/alerts").await.ok();
        (alerts["value"].as_array().unwrap().len() == SENDING).then_some(())
    })
    .await;
    eventually("the doors are known", || async {
        let latest = admin.get(&format!("/api/telemetry-latest?template={FRIDGE}&keys=door")).await.ok();
        let known = latest["value"].as_array().unwrap().iter().filter(|one| one["values"]["door"].is_object());
        (known.count() == SENDING).then_some(())
    })
    .await;

    assert_eq!(admin.put(&at(""), next()).await.status, 409);
    let made = admin.post(&at("/versions"), next()).await.ok();
    assert_eq!((&made["@id"], &made["capabilityModel"]["@id"]), (&json!(NEXT), &json!("dtmi:contoso:fridgeModel;2")));
    let started = admin.post(&at("/migrate"), json!({"to": NEXT})).await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert_eq!(started.json["progress"]["total"], DEVICES, "{}", started.text);
    let done = finished(&tenant, &started.json).await;
    assert_eq!(done["progress"], json!({"total": DEVICES, "pending": 0, "completed": DEVICES, "failed": 0}));
    assert_eq!(numbers(&tenant).await, [(json!(2), json!(DEVICES)), (json!(1), json!(0))]);
    let report = admin.get(&at(&format!("/migrations/{}/devices", done["id"].as_str().unwrap()))).await.ok();
    assert_eq!(report["value"][0]["device"], "fridge-0");
    assert_eq!(report["value"][0]["telemetry"], json!(["door"]), "{report}");

    // The rule about the door has nobody to watch: its alerts are over. The one about the temperature goes on.
    let open = admin.get("/api/alerts?state=open").await.ok();
    assert!(open["value"].as_array().unwrap().iter().all(|alert| alert["rule"] != of_door.as_str()), "{open}");
    let mut hot = app.device(&tenant, "fridge-7").await.unwrap();
    hot.send("devices/fridge-7/messages/events/", br#"{"temperature":95}"#).await.unwrap();
    sent.fetch_add(1, Ordering::SeqCst);
    eventually("an alert of a device of the new version", || async {
        let alerts = admin.get("/api/alerts").await.ok();
        alerts["value"].as_array().unwrap().iter().any(|alert| alert["device"] == "fridge-7").then_some(())
    })
    .await;
    // So does a tile of the old version, where what it draws is untouched.
    assert_eq!((series(&tenant, "temperature").await, series(&tenant, "load").await), (DRAWN, 0));

    let back = admin.post_empty(&at(&format!("/migrations/{}/undo", done["id"].as_str().unwrap()))).await;
    assert_eq!((back.status, &back.json["undoes"]), (202, &done["id"]), "{}", back.text);
    finished(&tenant, &back.json).await;
    assert_eq!(numbers(&tenant).await, [(json!(2), json!(0)), (json!(1), json!(DEVICES))]);
    assert_eq!(admin.get(&at("/migrations")).await.ok()["value"].as_array().unwrap().len(), 2);

    stop.store(true, Ordering::SeqCst);
    for one in traffic {
        one.await.unwrap();
    }
    let sent = sent.load(Ordering::SeqCst);
    let ledger = eventually("every message is stored", || async {
        let ledger = admin.get("/api/ledger").await.ok();
        (ledger["received"] == sent).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["stored"], sent, "{ledger}");
    assert_eq!((series(&tenant, "temperature").await, series(&tenant, "load").await), (DRAWN, DRAWN));
    app.stop().await;
}

async fn a_migration_is_refused_where_it_makes_no_sense(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let stranger = app.bootstrap("fabrikam").await.admin;
    let admin = &tenant.admin;
    admin.post("/api/deviceTemplates", fridge()).await.ok();
    fleet(&app, &tenant, 2).await;
    admin.post(&at("/versions?publish=false"), next()).await.ok();
    for (body, status) in [
        (json!({"to": "dtmi:nothing;1"}), 422),
        (json!({"to": FRIDGE}), 422),
        (json!({"to": NEXT}), 422),
        (json!({"to": 3}), 400),
        (json!(["x"]), 400),
        (json!({}), 400),
    ] {
        let reply = admin.post(&at("/migrate"), body.clone()).await;
        assert_eq!(reply.status, status, "{body} {}", reply.text);
    }
    let next_path = format!("/api/deviceTemplates/{NEXT}/publish");
    admin.post_empty(&next_path).await.ok();
    for devices in [json!([]), json!(["fridge-0", "no-such"])] {
        let reply = admin.post(&at("/migrate"), json!({"to": NEXT, "devices": devices})).await;
        assert_eq!(reply.status, 422, "{}", reply.text);
    }
    assert_eq!(stranger.post(&at("/migrate"), json!({"to": NEXT})).await.status, 404);
    let viewer = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = admin.put("/api/apiTokens/viewer", viewer).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    assert_eq!(viewer.post(&at("/migrate"), json!({"to": NEXT})).await.status, 403);
    let started = admin.post(&at("/migrate"), json!({"to": NEXT, "devices": ["fridge-0"]})).await.ok();
    finished(&tenant, &started).await;
    assert_eq!(numbers(&tenant).await, [(json!(2), json!(1)), (json!(1), json!(1))]);
    let one = at(&format!("/migrations/{}", started["id"].as_str().unwrap()));
    assert_eq!(stranger.get(&one).await.status, 404);
    assert_eq!(stranger.get(&format!("{one}/devices")).await.status, 404);
    assert_eq!(stranger.post_empty(&format!("{one}/undo")).await.status, 404);
    assert_eq!(viewer.get(&one).await.status, 200);
    assert_eq!(viewer.post_empty(&format!("{one}/undo")).await.status, 403);
    assert_eq!(viewer.post_empty(&format!("{one}/cancel")).await.status, 403);
    assert_eq!(admin.post_empty(&format!("{one}/cancel")).await.ok()["status"], "completed");
    assert_eq!(admin.get(&at("/migrations/nothing")).await.status, 404);
    app.stop().await;
}

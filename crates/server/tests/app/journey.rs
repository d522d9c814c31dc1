//! A device's message becomes a value, a chart, an alert, an e-mail and a webhook call.

use crate::{MACHINE, on_both, with_device};
use muster_testkit::{Backend, MailSink, TestApp, WebhookSink, eventually};
use serde_json::{Value, json};

on_both! {
    a_message_becomes_a_value_an_alert_a_mail_and_a_webhook
    every_message_is_accounted_for
    a_message_is_stored_before_it_is_acknowledged_on_stop
    an_alert_clears_when_the_value_is_good_again
}

async fn a_message_becomes_a_value_an_alert_a_mail_and_a_webhook(backend: Backend) {
    let (mail, hook) = (MailSink::start().await, WebhookSink::start().await);
    let app = TestApp::start(backend, &[("smtp.url", mail.url()), ("outbound.allow", "127.0.0.0/8")]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let rule = json!({
        "displayName": "Too hot", "template": MACHINE, "severity": "critical",
        "conditions": [{ "telemetry": "temperature", "operator": "greaterThan", "value": 30 }],
        "actions": [
            { "type": "email", "to": ["operator@contoso.example"], "note": "call Anna" },
            { "type": "webhook", "displayName": "Pager", "url": hook.url() }
        ]
    });
    let id = uuid::Uuid::now_v7();
    let stored = tenant.admin.put(&format!("/api/rules/{id}"), rule).await.ok();
    assert!(stored["sentence"].as_str().unwrap().contains("30"), "{stored}");

    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    for temperature in [21.5, 24.0, 31.5] {
        let body = json!({ "temperature": temperature, "running": true, "state": "cutting" }).to_string();
        device.send("devices/machine-1/messages/events/", body.as_bytes()).await.unwrap();
    }

    let value = eventually("the last value", || async {
        let reply = tenant.admin.get("/api/devices/machine-1/telemetry/temperature").await.ok();
        (reply["value"] == 31.5).then_some(reply)
    });
    assert!(value.await["timestamp"].is_string());
    let history = tenant.admin.get("/api/devices/machine-1/telemetry-history?keys=temperature").await.ok();
    let points = history["series"][0]["points"].as_array().unwrap();
    let count: i64 = points.iter().map(|point| point["count"].as_i64().unwrap()).sum();
    assert_eq!(count, 3, "{history}");

    let alert = eventually("the alert", || async {
        tenant.admin.get("/api/alerts").await.ok()["value"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&alert["severity"], &alert["state"]), (&json!("critical"), &json!("open")));

    let mail = eventually("the e-mail", || async { mail.mails().first().cloned() }).await;
    assert!(mail.contains("To: operator@contoso.example"), "{mail}");
    assert!(mail.contains("Content-Type: image/png"), "no picture in {mail}");
    let call: Value = eventually("the webhook call", || async { hook.calls().first().cloned() }).await;
    assert_eq!(call["device"]["id"], "machine-1");
    assert_eq!(call["device"]["telemetry"]["temperature"]["value"], 31.5);
    assert_eq!(call["rule"]["displayName"], "Too hot");
    app.stop().await;
}

async fn every_message_is_accounted_for(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    for payload in [br#"{"temperature":1}"#.as_slice(), b"not json", b"[1,2]", deep.as_bytes(), b"\xff\xfe", b""] {
        device.send("devices/machine-1/messages/events/", payload).await.unwrap();
    }
    let ledger = eventually("six messages in the ledger", || async {
        let ledger = tenant.admin.get("/api/ledger").await.ok();
        (ledger["received"] == 6).then_some(ledger)
    })
    .await;
    assert_eq!(ledger["stored"], 1, "{ledger}");
    let rejected: i64 = ledger["rejected"].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(rejected, 5, "{ledger}");
    let kept = tenant.admin.get("/api/devices/machine-1/rejected").await.ok();
    assert_eq!(kept["value"].as_array().unwrap().len(), 5, "{kept}");
    app.stop().await;
}

async fn a_message_is_stored_before_it_is_acknowledged_on_stop(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    let mut ids = Vec::new();
    for number in 0..50 {
        let body = json!({ "temperature": number }).to_string();
        ids.push(device.publish("devices/machine-1/messages/events/", body.as_bytes()).await.unwrap());
    }
    for id in ids {
        device.acked(id).await.unwrap();
    }
    let stored = eventually("all fifty", || async {
        let ledger = tenant.admin.get("/api/ledger").await.ok();
        (ledger["stored"] == 50).then_some(())
    });
    stored.await;
    app.stop().await;
}

async fn an_alert_clears_when_the_value_is_good_again(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let rule = json!({
        "displayName": "Too hot", "template": MACHINE, "severity": "warning",
        "conditions": [{ "telemetry": "temperature", "operator": "greaterThan", "value": 30 }]
    });
    tenant.admin.put(&format!("/api/rules/{}", uuid::Uuid::now_v7()), rule).await.ok();
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    let state = async |expected: &str| {
        eventually("the alert's state", || async {
            let alerts = tenant.admin.get("/api/alerts").await.ok();
            let alert = alerts["value"].as_array()?.first().cloned()?;
            (alert["state"] == expected).then_some(alert)
        })
        .await
    };
    for temperature in [31, 32, 33] {
        let body = json!({ "temperature": temperature }).to_string();
        device.send("devices/machine-1/messages/events/", body.as_bytes()).await.unwrap();
    }
    let alert = state("open").await;
    let id = alert["id"].as_str().unwrap().to_owned();
    tenant.admin.post(&format!("/api/alerts/{id}/acknowledge"), json!({})).await.ok();
    state("acknowledged").await;
    device.send("devices/machine-1/messages/events/", br#"{"temperature":20}"#).await.unwrap();
    state("cleared").await;
    let alerts = tenant.admin.get("/api/alerts").await.ok();
    assert_eq!(alerts["value"].as_array().unwrap().len(), 1, "one alert for the whole time above 30: {alerts}");
    app.stop().await;
}

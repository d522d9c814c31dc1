//! The live stream: what happens is seen at once, by whoever may see it.

use crate::{on_both, with_device};
use muster_testkit::{Backend, Bootstrapped, TestApp, eventually};
use serde_json::{Value, json};

on_both! {
    a_message_is_seen_at_once_and_only_by_its_tenant
    a_stream_of_named_devices_leaves_others_out
}

/// An open stream.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(tenant: &Bootstrapped, path: &str, token: &str) -> Self {
        let request = tenant.admin.http().get(tenant.admin.url(path)).header("authorization", token);
        let mut response = request.header("accept-encoding", "gzip, br").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("content-encoding"), "a packed stream comes late");
        let text = String::from_utf8(response.chunk().await.unwrap().unwrap().to_vec()).unwrap();
        Self { response, text }
    }

    /// The next event that is not about a connection.
    async fn event(&mut self) -> Value {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let event = frame.strip_prefix("data: ").map(|data| serde_json::from_str::<Value>(data).unwrap());
                self.text = rest.to_owned();
                match event {
                    Some(event) if event["type"] != "device" => return event,
                    _ => continue,
                }
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn token(tenant: &Bootstrapped) -> &str {
    use secrecy::ExposeSecret;
    tenant.tenant.api_token.as_ref().unwrap().expose_secret()
}

async fn a_message_is_seen_at_once_and_only_by_its_tenant(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, other) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    with_device(&tenant, "machine-1").await;
    with_device(&other, "machine-1").await;
    let mut theirs = Stream::open(&other, "/api/live", token(&other)).await;
    let mut ours = Stream::open(&tenant, "/t/contoso/api/live", token(&tenant)).await;
    for (tenant, temperature) in [(&tenant, 1.5), (&other, 2.5)] {
        let mut device = app.device(tenant, "machine-1").await.unwrap();
        let body = json!({ "temperature": temperature }).to_string();
        device.send("devices/machine-1/messages/events/", body.as_bytes()).await.unwrap();
    }
    let event = ours.event().await;
    assert_eq!((&event["type"], &event["values"]["temperature"]), (&json!("telemetry"), &json!(1.5)), "{event}");
    assert_eq!(theirs.event().await["values"]["temperature"], 2.5);
    drop(ours);
    app.stop().await;
}

async fn a_stream_of_named_devices_leaves_others_out(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    with_device(&tenant, "machine-2").await;
    let mut stream = Stream::open(&tenant, "/api/live?devices=machine-2", token(&tenant)).await;
    for id in ["machine-1", "machine-2"] {
        let mut device = app.device(&tenant, id).await.unwrap();
        device.send(&format!("devices/{id}/messages/events/"), br#"{"temperature":3}"#).await.unwrap();
        eventually("the value", || async {
            let value = tenant.admin.get(&format!("/api/devices/{id}/telemetry/temperature")).await.ok();
            (value["value"] == 3.0).then_some(())
        })
        .await;
    }
    assert_eq!(stream.event().await["device"], "machine-2");
    let bad = tenant.admin.get("/api/live?devices=a%2Fb").await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    app.stop().await;
}

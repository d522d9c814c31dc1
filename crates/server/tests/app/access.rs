//! Who may do what, and that a stranger learns nothing.

use crate::{MACHINE, machine, on_both, with_device};
use muster_testkit::{Backend, TestApp};
use secrecy::ExposeSecret;
use serde_json::json;

on_both! {
    without_credentials_every_route_refuses
    another_tenants_things_are_not_found
    a_forged_or_expired_token_is_refused
    signing_in_gives_a_session_that_signing_out_ends
    wrong_passwords_are_refused_alike_and_then_throttled
    a_viewer_reads_and_does_not_write
}

const READS: &[&str] = &[
    "/api/devices",
    "/api/devices/machine-1",
    "/api/devices/machine-1/credentials",
    "/api/devices/machine-1/properties",
    "/api/devices/machine-1/telemetry/temperature",
    "/api/devices/machine-1/telemetry-history?keys=temperature",
    "/api/devices/machine-1/messages",
    "/api/devices/machine-1/rejected",
    "/api/devices/machine-1/files",
    "/api/devices/machine-1/files/logs/a.txt",
    "/api/deviceTemplates",
    "/api/rules",
    "/api/alerts",
    "/api/dashboards",
    "/api/deviceGroups",
    "/api/apiTokens",
    "/api/enrollmentGroups",
    "/api/ledger",
    "/api/tenant",
    "/api/search?q=machine",
    "/api/live",
];

async fn without_credentials_every_route_refuses(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let nobody = app.client(None);
    for path in READS {
        let reply = nobody.get(path).await;
        assert_eq!(reply.status, 401, "{path}: {}", reply.text);
        assert!(reply.json["error"]["message"].is_string(), "{path}: {}", reply.text);
    }
    app.stop().await;
}

async fn another_tenants_things_are_not_found(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (owner, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    with_device(&owner, "machine-1").await;
    for path in READS.iter().filter(|path| path.contains("machine-1")) {
        let reply = stranger.admin.get(path).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    let template = stranger.admin.get(&format!("/api/deviceTemplates/{MACHINE}")).await;
    assert_eq!(template.status, 404, "{}", template.text);
    for path in ["/api/devices", "/api/deviceTemplates", "/api/rules", "/api/alerts"] {
        let page = stranger.admin.get(path).await.ok();
        assert_eq!(page["value"], json!([]), "{path}");
    }
    for path in ["/api/devices", "/t/contoso/api/devices"] {
        let reply = stranger.admin.get(&path.replace("/api/devices", "/api/devices/machine-1")).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    assert_eq!(stranger.admin.delete("/api/devices/machine-1").await.status, 404);
    assert_eq!(owner.admin.get("/api/devices/machine-1").await.status, 200);
    app.stop().await;
}

async fn a_forged_or_expired_token_is_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let token = tenant.tenant.api_token.as_ref().unwrap().expose_secret().to_owned();
    let start = token.find("sig=").unwrap() + 4;
    let mut forged = token.clone();
    forged.replace_range(start..start + 4, "AAAA");
    for bad in
        [forged, "SharedAccessSignature".into(), "Bearer abc".into(), "SharedAccessSignature sr=&sig=&skn=&se=".into()]
    {
        let reply = app.client(Some(bad.clone())).get("/api/devices").await;
        assert_eq!(reply.status, 401, "{bad}: {}", reply.text);
    }
    let expired =
        json!({ "roles": [{ "role": "ca310b8d-2f4a-44e0-a36e-957c202cd8d4" }], "expiry": "2020-01-01T00:00:00Z" });
    let reply = tenant.admin.put("/api/apiTokens/old", expired).await;
    assert!(
        reply.status == 422
            || app.client(reply.json["token"].as_str().map(str::to_owned)).get("/api/devices").await.status == 401
    );
    app.stop().await;
}

async fn signing_in_gives_a_session_that_signing_out_ends(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let browser = app.client(None);
    let reply = browser.post("/api/session", json!({ "email": tenant.email, "password": tenant.password() })).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let cookie = reply.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let csrf = reply.json["csrf"].as_str().unwrap().to_owned();
    let with_cookie = |request: reqwest::RequestBuilder| request.header("cookie", cookie.clone());

    let devices = browser.send(with_cookie(browser.http().get(browser.url("/t/contoso/api/devices")))).await;
    assert_eq!(devices.status, 200, "{}", devices.text);
    let without_csrf = with_cookie(browser.http().put(browser.url("/t/contoso/api/devices/d1"))).json(&json!({}));
    assert_eq!(browser.send(without_csrf).await.status, 403);
    let with_csrf = with_cookie(browser.http().put(browser.url("/t/contoso/api/devices/d1")));
    let with_csrf = with_csrf.header("x-muster-csrf", csrf.clone()).json(&json!({}));
    assert_eq!(browser.send(with_csrf).await.status, 200);
    let other = browser.send(with_cookie(browser.http().get(browser.url("/t/fabrikam/api/devices")))).await;
    assert_eq!(other.status, 404, "{}", other.text);

    let out = with_cookie(browser.http().delete(browser.url("/api/session"))).header("x-muster-csrf", csrf);
    assert!(browser.send(out).await.status < 300);
    let after = browser.send(with_cookie(browser.http().get(browser.url("/t/contoso/api/devices")))).await;
    assert_eq!(after.status, 401, "{}", after.text);
    app.stop().await;
}

async fn wrong_passwords_are_refused_alike_and_then_throttled(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let browser = app.client(None);
    let wrong = browser.post("/api/session", json!({ "email": tenant.email, "password": "wrong" })).await;
    let unknown = browser.post("/api/session", json!({ "email": "nobody@contoso.example", "password": "wrong" })).await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.json["error"]["message"], unknown.json["error"]["message"]);
    let mut last = wrong;
    for _ in 0..30 {
        last = browser.post("/api/session", json!({ "email": tenant.email, "password": "wrong" })).await;
        if last.status == 429 {
            break;
        }
    }
    assert_eq!(last.status, 429, "{}", last.text);
    assert!(last.headers.contains_key("retry-after"));
    app.stop().await;
}

async fn a_viewer_reads_and_does_not_write(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let role = json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] });
    let token = tenant.admin.put("/api/apiTokens/viewer", role).await.ok()["token"].as_str().unwrap().to_owned();
    let viewer = app.client(Some(token));
    assert_eq!(viewer.get("/api/devices/machine-1").await.status, 200);
    assert_eq!(viewer.get("/api/devices/machine-1/credentials").await.status, 403);
    assert_eq!(viewer.get("/api/devices/machine-1/messages").await.status, 403);
    for reply in [
        viewer.put("/api/devices/machine-2", json!({})).await,
        viewer.patch("/api/devices/machine-1", json!({ "displayName": "x" })).await,
        viewer.delete("/api/devices/machine-1").await,
        viewer.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await,
        viewer
            .put("/api/apiTokens/mine", json!({ "roles": [{ "role": "84cc62c1-dabe-49d3-b16e-8b291232b285" }] }))
            .await,
    ] {
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    app.stop().await;
}

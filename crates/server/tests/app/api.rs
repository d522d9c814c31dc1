//! The API as a whole: every described operation is there, ids survive their addresses, replies are protected.

use crate::{on_both, with_device};
use muster_contract::urls::{DeviceList, TenantUrls};
use muster_model::{DeviceId, TenantId};
use muster_testkit::{Backend, TestApp};
use reqwest::Method;
use serde_json::{Value, json};

on_both! {
    every_described_operation_is_routed_and_guarded
    ids_survive_their_addresses
    pages_are_followed_by_their_links
    every_reply_is_protected_and_named
    another_sites_page_cannot_act
    machines_learn_how_the_process_is
    a_stale_etag_is_refused
    a_lost_database_is_said_and_not_explained
}

async fn every_described_operation_is_routed_and_guarded(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let nobody = app.client(None);
    let document: Value = serde_json::from_str(&muster_api::openapi().unwrap()).unwrap();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let guarded = path.starts_with("/api/") && path != "/api/session";
        for method in item.as_object().unwrap().keys().filter(|_| guarded) {
            let path = filled(path);
            for path in [path.clone(), format!("/t/contoso{path}")] {
                let method: Method = method.to_uppercase().parse().unwrap();
                let reply =
                    nobody.send(nobody.http().request(method.clone(), nobody.url(&path)).json(&json!({}))).await;
                assert_eq!((reply.status, reply.code()), (401, "Unauthorized"), "{method} {path}: {}", reply.text);
                asked += 1;
            }
        }
    }
    assert!(asked > 90, "only {asked} operations");
    app.stop().await;
}

/// `/api/rules/{ruleId}` with an id in it.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{ruleId}" | "{alertId}" | "{roleId}" => "018f0000-0000-7000-8000-000000000000",
        "{deviceTemplateId}" => "dtmi:a:b;1",
        part if part.starts_with('{') => "a",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn ids_survive_their_addresses(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let urls = TenantUrls::new(&tenant.tenant.tenant);
    for id in ["a%b", "100%25", "a+b", "a#b?c", "a,b=c;d", "a:b.c_d*e!(f)@$'", "%2F"] {
        let address = urls.device(&DeviceId::parse(id).unwrap());
        let made = tenant.admin.put(&address, json!({ "displayName": "odd" })).await.ok();
        assert_eq!(made["id"], id);
        assert_eq!(tenant.admin.get(&address).await.ok()["id"], id);
        assert_eq!(tenant.admin.delete(&address).await.status, 204, "{id}");
    }
    app.stop().await;
}

async fn pages_are_followed_by_their_links(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let odd = ["a#1", "a%2", "a+3", "b", "c"];
    for id in odd {
        let address = TenantUrls::new(&tenant.tenant.tenant).device(&DeviceId::parse(id).unwrap());
        tenant.admin.put(&address, json!({})).await.ok();
    }
    let list = DeviceList { page_size: Some(2), ..DeviceList::default() };
    let mut next = Some(tenant.admin.url(&TenantUrls::new(&TenantId::parse("contoso").unwrap()).devices(&list)));
    let mut seen = Vec::new();
    while let Some(address) = next {
        let page = tenant.admin.send(tenant.admin.http().get(address)).await.ok();
        assert!(page["value"].as_array().unwrap().len() <= 2);
        seen.extend(page["value"].as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap().to_owned()));
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, odd);
    for query in
        ["maxpagesize=0", "maxpagesize=101", "%24skiptoken=nonsense", "filter=id%20eq%20%27a%27", "connected=perhaps"]
    {
        let reply = tenant.admin.get(&format!("/api/devices?{query}")).await;
        assert_eq!((reply.status, reply.code()), (400, "Malformed"), "{query}: {}", reply.text);
    }
    app.stop().await;
}

async fn every_reply_is_protected_and_named(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    for path in
        ["/", "/sign-in", "/t/contoso/devices", "/assets/none.js", "/health/live", "/api/devices", "/api/nonsense"]
    {
        let reply = tenant.admin.get(path).await;
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe-inline"), "{path}: {policy}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
        assert!(reply.headers.contains_key("x-request-id") && reply.headers.contains_key("cache-control"), "{path}");
    }
    let missing = tenant.admin.get("/api/nonsense").await;
    assert_eq!((missing.status, missing.code()), (404, "NotFound"));
    assert_eq!(missing.json["error"]["requestId"].as_str(), missing.headers["x-request-id"].to_str().ok());
    assert!(missing.json["error"]["time"].as_str().unwrap().ends_with(" GMT"));
    let method = tenant.admin.send(tenant.admin.http().delete(tenant.admin.url("/api/devices"))).await;
    assert_eq!((method.status, method.code()), (405, "MethodNotAllowed"), "{}", method.text);
    let form =
        tenant.admin.http().put(tenant.admin.url("/api/devices/d1")).header("content-type", "text/plain").body("{}");
    let form = tenant.admin.send(form).await;
    assert_eq!((form.status, form.code()), (415, "UnsupportedMediaType"), "{}", form.text);
    let packed = tenant.admin.http().get(tenant.admin.url("/api/devices")).header("accept-encoding", "gzip");
    assert_eq!(tenant.admin.send(packed).await.headers["content-encoding"], "gzip");
    app.stop().await;
}

async fn another_sites_page_cannot_act(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let browser = app.client(None);
    let sign_in = json!({ "email": tenant.email, "password": tenant.password() });
    let from = |site: &str| {
        browser.http().post(browser.url("/api/session")).header("sec-fetch-site", site.to_owned()).json(&sign_in)
    };
    let refused = browser.send(from("cross-site")).await;
    assert_eq!((refused.status, refused.code()), (403, "CrossSiteRequest"), "{}", refused.text);
    let session = browser.send(from("same-origin")).await;
    assert_eq!(
        session.json["tenants"][0],
        json!({ "id": "contoso", "displayName": "contoso", "role": "administrator" })
    );
    let cookie = session.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let csrf = session.json["csrf"].as_str().unwrap().to_owned();
    let change = |header: (&'static str, &'static str)| {
        let request = browser.http().put(browser.url("/t/contoso/api/devices/d1")).header("cookie", cookie.clone());
        request.header("x-muster-csrf", csrf.clone()).header(header.0, header.1).json(&json!({}))
    };
    for header in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-site")] {
        assert_eq!(browser.send(change(header)).await.code(), "CrossSiteRequest", "{header:?}");
    }
    assert_eq!(browser.send(change(("sec-fetch-site", "same-origin"))).await.status, 200);
    let no_tenant = browser.http().get(browser.url("/api/devices")).header("cookie", cookie.clone());
    assert_eq!(browser.send(no_tenant).await.code(), "TenantRequired");
    app.stop().await;
}

async fn machines_learn_how_the_process_is(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let nobody = app.client(None);
    assert_eq!(nobody.get("/health/live").await.status, 200);
    let ready = nobody.get("/health/ready").await.ok();
    assert_eq!(ready["ready"], true, "{ready}");
    assert_eq!(ready["checks"].as_array().unwrap().len(), 3, "{ready}");
    let metrics = nobody.get("/metrics").await;
    assert!(metrics.text.contains("muster_http_requests_total"), "{}", metrics.text);
    let authority = nobody.get("/ca.pem").await;
    assert!(authority.text.starts_with("-----BEGIN CERTIFICATE-----") && !authority.text.contains("PRIVATE"));
    app.stop().await;
}

async fn a_stale_etag_is_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let seen = tenant.admin.get("/api/devices/machine-1").await.ok();
    let rename = |name: &str| json!({ "displayName": name, "etag": seen["etag"] });
    let first = tenant.admin.patch("/api/devices/machine-1", rename("first")).await.ok();
    assert_ne!(first["etag"], seen["etag"]);
    let second = tenant.admin.patch("/api/devices/machine-1", rename("second")).await;
    assert_eq!((second.status, second.code()), (412, "PreconditionFailed"), "{}", second.text);
    let header = tenant.admin.http().patch(tenant.admin.url("/api/devices/machine-1"));
    let header = header.header("if-match", format!("\"{}\"", first["etag"].as_str().unwrap()));
    tenant.admin.send(header.json(&json!({ "displayName": "third" }))).await.ok();
    app.stop().await;
}

async fn a_lost_database_is_said_and_not_explained(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    app.app().engine().store().close().await;
    let ready = tenant.admin.get("/health/ready").await;
    assert_eq!((ready.status, &ready.json["ready"]), (503, &json!(false)), "{}", ready.text);
    assert!(ready.json["checks"][0]["problem"].is_string() && !ready.text.contains("://"), "{}", ready.text);
    assert_eq!(tenant.admin.get("/health/live").await.status, 200);
    let reply = tenant.admin.get("/api/devices").await;
    assert_eq!((reply.status, reply.code()), (503, "Unavailable"), "{}", reply.text);
    assert_eq!(reply.json["error"]["message"], "the database is not available");
    assert!(reply.headers.contains_key("retry-after"));
    app.stop().await;
}

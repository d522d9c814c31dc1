//! The hub over HTTPS: the service API, and what devices do there.

use crate::on_both;
use muster_engine::policies::Policy;
use muster_model::{Scope, SystemScope, wire::sas};
use muster_store::{Paging, audit, tenants};
use muster_testkit::{Backend, Bootstrapped, Device, Reply, TestApp, eventually};
use reqwest::{Certificate, Method, RequestBuilder};
use serde_json::{Value, json};

on_both! {
    identities_are_managed_under_their_etags
    twins_and_methods_go_through_to_the_device
    messages_reach_the_device_and_feedback_the_service
    what_services_send_and_hear_is_kept_to_their_tenant
    queries_are_answered_in_pages
    policies_are_kept_to_what_they_grant
    a_device_sends_and_fetches_over_https
    whoever_asks_too_much_waits_and_is_refused_last
    a_replaced_policy_key_lets_nobody_in_and_cuts_off
}

pub(crate) const NEVER: i64 = 4_102_444_800;

/// Somebody who talks to the hub over HTTPS.
pub(crate) struct Https<'a> {
    app: &'a TestApp,
    client: reqwest::Client,
    host: String,
    token: String,
}

impl<'a> Https<'a> {
    pub(crate) fn with(app: &'a TestApp, token: String) -> Self {
        Self::at(app, &app.app().engine().config().hub_host, token)
    }

    /// Somebody who knows the hub by this name.
    pub(crate) fn at(app: &'a TestApp, host: &str, token: String) -> Self {
        let ca = std::fs::read(app.folder().join("tls/ca.pem")).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(&ca).unwrap()])
            .no_proxy()
            .resolve(host, app.app().addresses().hub_https.unwrap())
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .unwrap();
        Self { app, client, host: host.to_owned(), token }
    }

    /// A service with a policy's key.
    pub(crate) fn service(app: &'a TestApp, tenant: &Bootstrapped, policy: Policy) -> Self {
        let string = &tenant.tenant.connection_strings[policy.name()];
        let (_, key) = string.split_once("SharedAccessKey=").unwrap();
        let host = &tenant.tenant.hub_host;
        Self::at(app, host, sas::sign(host, key, NEVER, Some(policy.name())).unwrap())
    }

    /// A device with its own key.
    pub(crate) fn device(app: &'a TestApp, tenant: &Bootstrapped, id: &str) -> Self {
        let key = sas::derive_key(&tenant.tenant.keys.primary_key, id).unwrap();
        let host = &tenant.tenant.hub_host;
        let uri = format!("{host}/devices/{id}");
        Self::at(app, host, sas::sign(&uri, &key, NEVER, None).unwrap())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let port = self.app.app().addresses().hub_https.unwrap().port();
        let host = &self.host;
        self.client.request(method, format!("https://{host}:{port}{path}")).header("authorization", &self.token)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Reply {
        send(self.request(method, path).json(&body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Reply { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

async fn identities_are_managed_under_their_etags(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    let body = json!({
        "deviceId": "pump-1", "status": "enabled", "capabilities": {"iotEdge": false},
        "authentication": {"type": "sas", "symmetricKey": {}},
    });
    let made = service.call(Method::PUT, "/devices/pump-1?api-version=2021-04-12", body.clone()).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let key = made.json["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned();
    assert_eq!(key, sas::derive_key(&tenant.tenant.keys.primary_key, "pump-1").unwrap());
    let twice = service.call(Method::PUT, "/devices/pump-1", body.clone()).await;
    assert_eq!((twice.status, &twice.headers["iothub-errorcode"]), (409, &"DeviceAlreadyExists".parse().unwrap()));
    assert!(twice.json["Message"].as_str().unwrap().starts_with("ErrorCode:DeviceAlreadyExists;"), "{}", twice.text);

    let mut disabled = made.json.clone();
    disabled["status"] = json!("disabled");
    let put = |etag: &str, body: &Value| {
        send(service.request(Method::PUT, "/devices/pump-1").header("if-match", etag).json(body))
    };
    assert_eq!(put("\"99\"", &disabled).await.status, 412);
    let changed = put(&format!("\"{}\"", made.json["etag"].as_str().unwrap()), &disabled).await.ok();
    assert_eq!((&changed["status"], &changed["authentication"]), (&json!("disabled"), &made.json["authentication"]));
    let counts = service.get("/statistics/devices").await.ok();
    assert_eq!(counts, json!({"totalDeviceCount": 1, "enabledDeviceCount": 0, "disabledDeviceCount": 1}));

    let thumbprint = "a".repeat(40);
    let certificate = json!({"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}});
    let bulk = json!([
        {"id": "pump-2", "importMode": "create", "status": "enabled", "authentication": certificate, "tags": {"a": 1}},
        {"id": "pump-1", "importMode": "delete"},
    ]);
    let done = service.call(Method::POST, "/devices", bulk.clone()).await.ok();
    assert_eq!(done, json!({"isSuccessful": true, "errors": [], "warnings": []}));
    let again = service.call(Method::POST, "/devices", bulk).await;
    assert_eq!((again.status, &again.json["errors"][0]["errorCode"]), (400, &json!("DeviceAlreadyExists")));
    assert_eq!(again.json["errors"][1]["errorCode"], "DeviceNotFound");
    let listed = service.get("/devices?top=10").await.ok();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["authentication"]["type"], "selfSigned");
    assert_eq!(service.get("/twins/pump-2").await.ok()["tags"], json!({"a": 1}));

    let gone = send(service.request(Method::DELETE, "/devices/pump-2").header("if-match", "\"*\"")).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    let missing = service.get("/devices/pump-2").await;
    assert_eq!((missing.status, &missing.headers["iothub-errorcode"]), (404, &"DeviceNotFound".parse().unwrap()));
    app.stop().await;
}

async fn twins_and_methods_go_through_to_the_device(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::Service);
    let owner = Https::service(&app, &tenant, Policy::RegistryReadWrite);
    owner.call(Method::PUT, "/devices/pump-1", json!({"deviceId": "pump-1"})).await.ok();
    let absent = service.call(Method::POST, "/twins/pump-1/methods", json!({"methodName": "stop"})).await;
    assert_eq!(absent.status, 404, "{}", absent.text);
    let inner: Value = serde_json::from_str(absent.json["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&inner["errorCode"], &absent.json["ExceptionMessage"]), (&json!(404_103), &json!("")));

    assert_eq!(service.get("/statistics/service").await.ok(), json!({"connectedDeviceCount": 0}));
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    assert_eq!(service.get("/statistics/service").await.ok(), json!({"connectedDeviceCount": 1}));
    device.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let twin = service.get("/twins/pump-1").await;
    assert_eq!(twin.headers["etag"].to_str().unwrap(), format!("\"{}\"", twin.json["etag"].as_str().unwrap()));
    assert_eq!((&twin.json["connectionState"], &twin.json["version"]), (&json!("Connected"), &json!(2)));
    let patch = json!({"tags": {"site": "north"}, "properties": {"desired": {"target": 20, "old": null}}});
    let patch = service.request(Method::PATCH, "/twins/pump-1").header("if-match", "\"*\"").json(&patch);
    let patched = send(patch).await.ok();
    assert_eq!(patched["properties"]["desired"]["$version"], 2);
    assert_eq!(patched["properties"]["desired"]["$metadata"]["target"]["$lastUpdatedVersion"], 2);
    let (topic, body) = device.message().await.unwrap();
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told, json!({"target": 20, "old": null, "$version": 2}));
    let stale = service
        .request(Method::PATCH, "/twins/pump-1")
        .header("if-match", "\"AAAAAAAAAAE=\"")
        .json(&json!({"tags": {}}));
    assert_eq!(send(stale).await.status, 412);
    let whole =
        service.call(Method::PUT, "/twins/pump-1", json!({"properties": {"desired": {"mode": "eco"}}})).await.ok();
    assert_eq!((&whole["properties"]["desired"]["mode"], &whole["tags"]), (&json!("eco"), &json!({"site": "north"})));
    let told: Value = serde_json::from_slice(&device.message().await.unwrap().1).unwrap();
    assert_eq!(told, json!({"mode": "eco", "$version": 3}));

    let call = json!({"methodName": "reboot", "payload": {"delay": 3}, "responseTimeoutInSeconds": "30"});
    let (answer, ()) = tokio::join!(service.call(Method::POST, "/twins/pump-1/methods", call), async {
        let (topic, _) = device.message().await.unwrap();
        let rid = topic.strip_prefix("$iothub/methods/POST/reboot/?$rid=").unwrap();
        device.send(&format!("$iothub/methods/res/418/?$rid={rid}"), b"[1]").await.unwrap();
    });
    assert_eq!(answer.ok(), json!({"status": 418, "payload": [1]}));
    let slow = json!({"methodName": "reboot", "responseTimeoutInSeconds": 1});
    let silent = service.call(Method::POST, "/twins/pump-1/methods", slow).await;
    assert_eq!((silent.status, &silent.headers["iothub-errorcode"]), (504, &"GatewayTimeout".parse().unwrap()));
    app.stop().await;
}

async fn messages_reach_the_device_and_feedback_the_service(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let sent = |id: &str| {
        let request = service.request(Method::POST, "/devices/pump-1/messages/deviceBound?api-version=2021-04-12");
        let request = request.header("iothub-messageid", id).header("iothub-ack", "full");
        send(request.header("iothub-app-color", "dark red").body("hello"))
    };
    assert_eq!(sent("m-1").await.status, 204);
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    device.subscribe("devices/pump-1/messages/devicebound/#").await.unwrap();
    let (topic, body) = device.message().await.unwrap();
    let bag = "%24.mid=m-1&%24.to=%2Fdevices%2Fpump-1%2Fmessages%2FdeviceBound&iothub-ack=full&color=dark%20red";
    assert_eq!((topic, &body[..]), (format!("devices/pump-1/messages/devicebound/{bag}"), &b"hello"[..]));
    // The device has not acknowledged it and connects again.
    drop(device);
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    assert_eq!(&device.message().await.unwrap().1[..], b"hello");
    assert_eq!(service.get("/devices/pump-1").await.ok()["cloudToDeviceMessageCount"], 1);
    let purged = service.call(Method::DELETE, "/devices/pump-1/commands", json!({})).await.ok();
    assert_eq!(purged, json!({"totalMessagesPurged": 1, "deviceId": "pump-1", "moduleId": null}));

    let feedback = service.get("/messages/serviceBound/feedback").await;
    assert_eq!(feedback.status, 200, "{}", feedback.text);
    let records = &feedback.json;
    assert_eq!((&records[0]["originalMessageId"], &records[0]["statusCode"]), (&json!("m-1"), &json!("Purged")));
    let token = feedback.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    assert_eq!(service.get("/messages/servicebound/feedback").await.status, 204);
    let path = format!("/messages/serviceBound/feedback/{token}");
    assert_eq!(service.call(Method::POST, &format!("{path}/abandon"), json!({})).await.status, 204);
    assert_eq!(service.call(Method::DELETE, &path, json!({})).await.status, 412, "it was given back");
    let again = service.get("/messages/servicebound/feedback").await;
    let token = again.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let path = format!("/messages/serviceBound/feedback/{token}");
    assert_eq!(service.call(Method::DELETE, &path, json!({})).await.status, 204);
    for number in 0..50 {
        assert_eq!(sent(&format!("n-{number}")).await.status, 204);
    }
    let full = sent("one too many").await;
    assert_eq!(
        (full.status, &full.headers["iothub-errorcode"]),
        (403, &"DeviceMaximumQueueDepthExceeded".parse().unwrap())
    );
    app.stop().await;
}

async fn what_services_send_and_hear_is_kept_to_their_tenant(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let owner = Https::service(&app, &tenant, Policy::IotHubOwner);
    let identity = owner.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner);
    let (bound, commands) = ("/devices/pump-1/messages/deviceBound", "/devices/pump-1/commands");
    let (feedback, notices) = ("/messages/serviceBound/feedback", "/messages/serviceBound/fileNotifications");
    let message = |by: &Https<'_>, headers: &[(&str, &str)]| {
        let request = by.request(Method::POST, bound).header("iothub-messageid", "m-1").body("hello");
        send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    assert_eq!(message(&foreign, &[]).await.status, 404);
    assert_eq!(foreign.call(Method::DELETE, commands, json!({})).await.status, 404);
    for bad in [("iothub-ack", "perhaps"), ("iothub-expiry", "soon")] {
        let refused = message(&owner, &[bad]).await;
        assert_eq!(
            (refused.status, &refused.headers["iothub-errorcode"]),
            (400, &"ArgumentInvalid".parse().unwrap()),
            "{bad:?}"
        );
    }
    assert_eq!(message(&owner, &[("iothub-ack", "full")]).await.status, 204);
    let purged = owner.call(Method::DELETE, commands, json!({})).await.ok();
    assert_eq!(purged["totalMessagesPurged"], 1, "what was refused was not sent");

    // Neither another tenant nor another right gets at what is told of it.
    assert_eq!((foreign.get(feedback).await.status, foreign.get(notices).await.status), (204, 204));
    let told = owner.get(feedback).await;
    let token = told.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    assert_eq!(told.headers["content-type"], "application/vnd.microsoft.iothub.feedback.json");
    let record = &told.json[0];
    assert_eq!((&record["deviceId"], &record["deviceGenerationId"]), (&json!("pump-1"), &identity["generationId"]));
    assert!(record["enqueuedTimeUtc"].as_str().unwrap().ends_with('Z'), "{record}");
    let complete = format!("{feedback}/{token}");
    let registry = Https::service(&app, &tenant, Policy::RegistryReadWrite);
    let nobody = Https::with(&app, String::new());
    for by in [&registry, &nobody] {
        for path in [feedback, notices] {
            assert_eq!(by.get(path).await.status, 401, "{path}");
            let path = format!("{path}/{token}");
            assert_eq!(by.call(Method::DELETE, &path, json!({})).await.status, 401, "{path}");
            assert_eq!(by.call(Method::POST, &format!("{path}/abandon"), json!({})).await.status, 401, "{path}");
        }
        assert_eq!(by.call(Method::DELETE, commands, json!({})).await.status, 401);
        assert_eq!(message(by, &[]).await.status, 401);
    }
    for path in [feedback, notices] {
        for token in [token.as_str(), "nonsense", "00000000-0000-0000-0000-000000000000"] {
            let path = format!("{path}/{token}");
            assert_eq!(foreign.call(Method::DELETE, &path, json!({})).await.status, 412, "{path}");
            assert_eq!(foreign.call(Method::POST, &format!("{path}/abandon"), json!({})).await.status, 412, "{path}");
        }
    }
    assert_eq!(owner.call(Method::DELETE, &complete, json!({})).await.status, 204, "it is still the owner's");
    app.stop().await;
}

async fn queries_are_answered_in_pages(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    let devices: Vec<Value> = (0..5)
        .map(|number| json!({"id": format!("d-{number}"), "importMode": "create", "tags": {"n": number}}))
        .collect();
    service.call(Method::POST, "/devices", Value::Array(devices)).await.ok();
    let ask = |text: &str, continuation: Option<String>| {
        let request = service.request(Method::POST, "/devices/query").header("x-ms-max-item-count", 2);
        let request = match continuation {
            Some(continuation) => request.header("x-ms-continuation", continuation),
            None => request,
        };
        send(request.json(&json!({"query": text})))
    };
    let (mut seen, mut continuation) = (Vec::new(), None);
    loop {
        let page = ask("SELECT * FROM devices WHERE tags.n > 0", continuation).await;
        assert_eq!(page.headers["x-ms-item-type"], "Twin");
        seen.extend(page.json.as_array().unwrap().iter().map(|twin| twin["deviceId"].as_str().unwrap().to_owned()));
        continuation = page.headers.get("x-ms-continuation").map(|text| text.to_str().unwrap().to_owned());
        if continuation.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["d-1", "d-2", "d-3", "d-4"]);
    let count = ask("SELECT COUNT() AS n FROM devices", None).await;
    assert_eq!((count.json, &count.headers["x-ms-item-type"]), (json!([{"n": 5}]), &"Raw".parse().unwrap()));
    let bad = ask("SELECT * FROM", None).await;
    assert_eq!((bad.status, &bad.headers["iothub-errorcode"]), (400, &"ArgumentInvalid".parse().unwrap()));
    app.stop().await;
}

async fn policies_are_kept_to_what_they_grant(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let owner = Https::service(&app, &tenant, Policy::IotHubOwner);
    owner.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    for (policy, path, allowed) in [
        (Policy::RegistryRead, "/devices/pump-1", true),
        (Policy::RegistryRead, "/twins/pump-1", false),
        (Policy::Service, "/devices/pump-1", false),
        (Policy::Service, "/twins/pump-1", true),
        (Policy::Device, "/twins/pump-1", false),
        (Policy::ProvisioningServiceOwner, "/devices", false),
    ] {
        let status = Https::service(&app, &tenant, policy).get(path).await.status;
        assert_eq!(status, if allowed { 200 } else { 401 }, "{policy} {path}");
    }
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner).get("/devices/pump-1").await;
    assert_eq!(foreign.status, 404, "another tenant's device is not there");
    let nobody = Https::with(&app, "SharedAccessSignature sr=x&sig=eA%3D%3D&se=1&skn=service".into());
    assert_eq!(nobody.get("/devices").await.status, 401);
    let made =
        Https::service(&app, &tenant, Policy::RegistryRead).call(Method::PUT, "/devices/pump-2", json!({})).await;
    assert_eq!(made.status, 401);
    app.stop().await;
}

async fn a_device_sends_and_fetches_over_https(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let device = Https::device(&app, &tenant, "pump-1");
    let events = "/devices/pump-1/messages/events?api-version=2021-04-12";
    assert_eq!(device.call(Method::POST, events, json!({"temperature": 5})).await.status, 204);
    let batch =
        r#"[{"body":"eyJ0IjoxfQ==","properties":{"iothub-app-k":"v"}},{"body":"{\"t\":2}","base64Encoded":false}]"#;
    let batch = device
        .request(Method::POST, events)
        .header("content-type", "application/vnd.microsoft.iothub.json")
        .body(batch);
    assert_eq!(send(batch).await.status, 204);
    eventually("three messages", || async {
        (tenant.admin.get("/api/ledger").await.ok()["received"] == 3).then_some(())
    })
    .await;
    let foreign = device.call(Method::POST, "/devices/pump-2/messages/events", json!({})).await;
    assert_eq!(foreign.status, 401);

    let bound = "/devices/pump-1/messages/devicebound";
    assert_eq!(device.get(bound).await.status, 204);
    for id in ["m-1", "m-2"] {
        let request = service.request(Method::POST, "/devices/pump-1/messages/deviceBound");
        let request = request.header("iothub-messageid", id).header("iothub-app-k", "v").header("iothub-ack", "full");
        assert_eq!(send(request.body(id)).await.status, 204);
    }
    let token = |reply: &Reply| reply.headers["etag"].to_str().unwrap().trim_matches('"').to_owned();
    let first = device.get(bound).await;
    assert_eq!((first.status, first.text.as_str()), (200, "m-1"));
    assert_eq!(
        (&first.headers["iothub-messageid"], &first.headers["iothub-app-k"]),
        (&"m-1".parse().unwrap(), &"v".parse().unwrap())
    );
    let abandoned = device.call(Method::POST, &format!("{bound}/{}/abandon", token(&first)), json!({})).await;
    assert_eq!(abandoned.status, 204, "{}", abandoned.text);
    let again = device.get("/devices/pump-1/messages/deviceBound").await;
    assert_eq!(
        (&again.headers["iothub-messageid"], &again.headers["iothub-deliverycount"]),
        (&"m-1".parse().unwrap(), &"1".parse().unwrap())
    );
    let done =
        device.call(Method::DELETE, &format!("{bound}/{}?api-version=2020-03-13", token(&again)), json!({})).await;
    assert_eq!(done.status, 204);
    let second = device.get(bound).await;
    let rejected = format!("{bound}/{}?reject&api-version=2020-03-13", token(&second));
    assert_eq!(device.call(Method::DELETE, &rejected, json!({})).await.status, 204);
    let late = device.call(Method::DELETE, &rejected, json!({})).await;
    assert_eq!((late.status, &late.headers["iothub-errorcode"]), (412, &"DeviceMessageLockLost".parse().unwrap()));
    let feedback = service.get("/messages/serviceBound/feedback").await.ok();
    let outcomes: Vec<&str> =
        feedback.as_array().unwrap().iter().map(|record| record["statusCode"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["Success", "Rejected"]);
    app.stop().await;
}

async fn whoever_asks_too_much_waits_and_is_refused_last(backend: Backend) {
    let limits = [("limits.tenant_calls", "1"), ("limits.device_messages", "1")];
    let app = TestApp::start(backend, &limits).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put("/api/devices/pump-1", json!({})).await.ok();
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    let device = Https::device(&app, &tenant, "pump-1");
    // Its first message makes it known; what comes after waits for its turn.
    assert_eq!(device.call(Method::POST, "/devices/pump-1/messages/events", json!({})).await.status, 204);
    let ask = || service.get("/statistics/devices");
    let asked = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask(), ask(), ask()).into();
    let send = || device.call(Method::POST, "/devices/pump-1/messages/events", json!({}));
    let sent = tokio::join!(send(), send(), send(), send(), send(), send(), send(), send()).into();
    let each: [([Reply; 8], u16); 2] = [(asked, 200), (sent, 204)];
    for (answers, good) in each {
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert!((2..=3).contains(&refused.len()), "{answers:?}");
        assert!(refused.iter().all(|answer| answer.headers.contains_key("retry-after")), "{refused:?}");
        assert_eq!(answers.iter().filter(|answer| answer.status == good).count(), 8 - refused.len(), "{answers:?}");
    }
    let failures = eventually("the failures are written", async || {
        let events = tenant.admin.get("/api/devices/pump-1/events").await.ok();
        Some(events.to_string()).filter(|events| events.contains("throttled"))
    });
    failures.await;
    app.stop().await;
}

async fn a_replaced_policy_key_lets_nobody_in_and_cuts_off(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, other) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    tenant.admin.put("/api/devices/pump-1", json!({})).await.ok();
    let listed = async |tenant: &Bootstrapped, name: &str| {
        let policies = tenant.admin.get("/api/policies").await.ok();
        policies["value"].as_array().unwrap().iter().find(|policy| policy["name"] == name).unwrap().clone()
    };
    let (before, foreign) = (listed(&tenant, "iothubowner").await, listed(&other, "iothubowner").await);
    let key = |policy: &Value, name: &str| policy[name].as_str().unwrap().to_owned();
    let host = &tenant.tenant.hub_host;
    let service = |key: &str| Https::with(&app, sas::sign(host, key, NEVER, Some("iothubowner")).unwrap());
    let status = async |key: &str| service(key).get("/statistics/devices").await.status;
    let connect = async |key: &str| {
        let token = sas::sign(&format!("{host}/devices/pump-1"), key, NEVER, Some("iothubowner")).unwrap();
        let user = format!("{host}/pump-1/?api-version=2021-04-12");
        Device::connect(app.app().addresses().mqtt.unwrap(), "pump-1", &user, &token).await
    };
    let (old, second) = (key(&before, "primaryKey"), key(&before, "secondaryKey"));
    assert_eq!((status(&old).await, status(&second).await), (200, 200));
    let mut device = connect(&old).await.unwrap();

    let path = "/api/policies/iothubowner/regenerateKey";
    let made = tenant.admin.post(path, json!({ "key": "primary" })).await.ok();
    let new = key(&made, "primaryKey");
    assert_ne!(new, old);
    assert_eq!((&made, key(&made, "secondaryKey")), (&listed(&tenant, "iothubowner").await, second.clone()));
    assert!(key(&made, "connectionString").ends_with(&new), "{made}");
    assert!(device.message().await.is_err(), "its connection stood on the key");
    assert_eq!((status(&old).await, status(&new).await, status(&second).await), (401, 200, 200));
    assert!(connect(&old).await.is_err());
    let mut device = connect(&second).await.unwrap();
    let made = tenant.admin.post(path, json!({ "key": "primary" })).await.ok();
    device.send("devices/pump-1/messages/events/", b"{}").await.unwrap();
    let made =
        (made, tenant.admin.post("/api/policies/IOTHUBOWNER/regenerateKey", json!({ "key": "secondary" })).await.ok());
    assert_eq!(made.0["primaryKey"], made.1["primaryKey"]);
    assert!(device.message().await.is_err(), "now its key is gone as well");
    assert_eq!(listed(&other, "iothubowner").await, foreign, "another tenant's keys stay");

    let (engine, id) = (app.app().engine(), &tenant.tenant.tenant);
    let store = engine.store();
    let tx = store.begin_system_read(&SystemScope).await.unwrap();
    let scope = Scope { tenant: tenants::find_by_id(&tx, &SystemScope, id).await.unwrap().unwrap().key };
    drop(tx);
    let filter = audit::AuditFilter { kind: Some("policy".into()), object: Some("iothubowner".into()) };
    let tx = store.begin_read(&scope).await.unwrap();
    let log = audit::list(&tx, &scope, &filter, Paging::first(10)).await.unwrap().items;
    drop(tx);
    let keys: Vec<_> =
        log.iter().map(|entry| (entry.action.as_str(), entry.details["key"].as_str().unwrap())).collect();
    assert_eq!(keys, [("regenerated", "secondary"), ("regenerated", "primary"), ("regenerated", "primary")]);
    for (path, body, status) in [
        (path, json!({ "key": "third" }), 400),
        (path, json!({}), 400),
        (path, json!({ "key": "primary", "more": 1 }), 400),
        ("/api/policies/nobody/regenerateKey", json!({ "key": "primary" }), 404),
    ] {
        assert_eq!(tenant.admin.post(path, body.clone()).await.status, status, "{path} {body}");
    }
    let role = json!({ "roles": [{ "role": "ae2c9854-393b-4f97-8c42-479d70ce626e" }] });
    let made = tenant.admin.put("/api/apiTokens/operator", role).await.ok();
    let operator = app.client(made["token"].as_str().map(str::to_owned));
    assert_eq!(operator.post(path, json!({ "key": "primary" })).await.status, 403);
    assert_eq!(app.client(None).post(path, json!({ "key": "primary" })).await.status, 401);
    app.stop().await;
}

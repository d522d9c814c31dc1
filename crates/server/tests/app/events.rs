//! What happens, as services read it and people see it.

use crate::{
    on_both,
    service::{Https, NEVER, send},
    service_work::module,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use muster_engine::{policies::Policy, series, tenants};
use muster_model::wire::sas;
use muster_testkit::{Backend, Bootstrapped, Device, DeviceError, TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};

on_both! {
    telemetry_is_read_byte_for_byte_and_resumed_anywhere
    what_happens_to_a_device_is_told
    who_sent_a_message_is_what_the_hub_says
    a_message_has_the_time_that_its_device_gives
    a_reader_waits_for_what_comes
    the_feed_is_for_those_who_may_and_ask_well
    failures_are_folded_and_shown_with_the_device
    health_is_shown_over_time
}

/// The events after a number, as one answer holds them.
async fn read(service: &Https<'_>, query: &str) -> Vec<Value> {
    let answer = service.get(&format!("/messages/events?api-version=2021-04-12&{query}")).await;
    answer.ok().as_array().cloned().unwrap()
}

async fn switch_on(app: &TestApp, tenant: &Bootstrapped) {
    tenants::begin_event_feed(app.app().engine(), &tenant.tenant.tenant).await.unwrap();
}

fn body(event: &Value) -> Vec<u8> {
    BASE64.decode(event["body"].as_str().unwrap()).unwrap()
}

fn document(event: &Value) -> Value {
    serde_json::from_slice(&body(event)).unwrap()
}

fn operations(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["properties"]["opType"].as_str().unwrap_or("telemetry")).collect()
}

async fn telemetry_is_read_byte_for_byte_and_resumed_anywhere(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let owner = Https::service(&app, &tenant, Policy::IotHubOwner);
    owner.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    device.send("devices/pump-1/messages/events/", b"{\"before\":1}").await.unwrap();
    stored(&tenant, 1).await;
    switch_on(&app, &tenant).await;
    let sent: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n, 0, 255, b'{']).collect();
    let bag = "%24.mid=m-1&%24.ct=application%2Foctet-stream&%24.sub=fan&color=dark%20red";
    let mut last = 0;
    for payload in &sent {
        last = device.publish(&format!("devices/pump-1/messages/events/{bag}"), payload).await.unwrap();
    }
    device.acked(last).await.unwrap();

    let service = Https::service(&app, &tenant, Policy::Service);
    let all = eventually("all messages", || async {
        let all = read(&service, "max=1000").await;
        (all.iter().filter(|event| event["source"] == "Telemetry").count() >= sent.len()).then_some(all)
    })
    .await;
    let telemetry: Vec<&Value> = all.iter().filter(|event| event["source"] == "Telemetry").collect();
    assert_eq!(
        telemetry.iter().map(|event| body(event)).collect::<Vec<_>>(),
        sent,
        "none of before it was switched on"
    );
    let numbers: Vec<i64> = all.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let first = telemetry[0];
    assert_eq!((&first["deviceId"], &first["moduleId"]), (&json!("pump-1"), &Value::Null));
    let system = json!({"message-id": "m-1", "content-type": "application/octet-stream"});
    assert_eq!((&first["systemProperties"], &first["properties"]), (&system, &json!({"color": "dark red"})));
    let annotations = &first["annotations"];
    let method: Value = serde_json::from_str(annotations["iothub-connection-auth-method"].as_str().unwrap()).unwrap();
    assert_eq!((&method["scope"], &method["type"]), (&json!("device"), &json!("sas")));
    let generation = &owner.get("/devices/pump-1").await.ok()["generationId"];
    assert_eq!(&annotations["iothub-connection-auth-generation-id"], generation);
    assert_eq!(
        (&annotations["dt-subject"], &annotations["iothub-message-source"]),
        (&json!("fan"), &json!("Telemetry"))
    );
    let enqueued = DateTime::parse_from_rfc3339(first["enqueuedTime"].as_str().unwrap()).unwrap();
    assert_eq!(annotations["iothub-enqueuedtime"], enqueued.timestamp_millis());

    // One by one, which stops within batches.
    let (mut after, mut found) = (-1, Vec::new());
    while let [event] = &read(&service, &format!("after={after}&max=1")).await[..] {
        after = event["seq"].as_i64().unwrap();
        found.push(event.clone());
    }
    assert_eq!(found, all);
    assert_eq!(read(&Https::service(&app, &stranger, Policy::Service), "").await, [Value::Null; 0]);
    app.stop().await;
}

async fn what_happens_to_a_device_is_told(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    device.subscribe("$iothub/twin/res/#").await.unwrap();
    device.send("devices/pump-1/messages/events/", b"{\"t\":1}").await.unwrap();
    device
        .send("$iothub/twin/PATCH/properties/reported/?$rid=1", b"{\"fan\":{\"speed\":3},\"old\":null}")
        .await
        .unwrap();
    device.message().await.unwrap();
    let patch = json!({"tags": {"site": "north", "gone": null}, "properties": {"desired": {"target": 20, "x": null}}});
    service.call(Method::PATCH, "/twins/pump-1", patch.clone()).await.ok();
    service.call(Method::PUT, "/twins/pump-1", json!({"tags": {"site": "south"}})).await.ok();
    tenant.admin.patch("/api/devices/pump-1/properties", json!({"mode": "eco"})).await.ok();
    drop(device);
    let events = eventually("the events", || async {
        let events = read(&service, "").await;
        (operations(&events).last() == Some(&"deviceDisconnected")).then_some(events)
    })
    .await;
    let again = app.device(&tenant, "pump-1").await.unwrap();
    let gone = send(service.request(Method::DELETE, "/devices/pump-1").header("if-match", "*")).await;
    assert_eq!(gone.status, 204);
    drop(again);
    let expected = [
        "createDeviceIdentity",
        "deviceConnected",
        "updateTwin",
        "updateTwin",
        "replaceTwin",
        "updateTwin",
        "deviceDisconnected",
    ];
    assert_eq!(operations(&events), expected, "no telemetry: it is off");
    let sources: Vec<_> = events.iter().map(|event| event["source"].as_str().unwrap()).collect();
    let (life, state, twin) = ("deviceLifecycleEvents", "deviceConnectionStateEvents", "twinChangeEvents");
    assert_eq!(sources, [life, state, twin, twin, twin, twin, state]);

    let [created, connected, reported, patched, replaced, ..] = &events[..] else { panic!("{events:?}") };
    assert_eq!(document(created)["properties"]["desired"]["$version"], 1);
    let properties = &created["properties"];
    assert_eq!((&properties["hubName"], &properties["deviceId"]), (&json!("contoso"), &json!("pump-1")));
    assert_eq!(properties["iothub-message-schema"], "deviceLifecycleNotification");
    let time = properties["operationTimestamp"].as_str().unwrap();
    assert_eq!(time.split_once('.').unwrap().1.len(), "1234567Z".len(), "{time}");
    let encoded = json!({"content-type": "application/json", "content-encoding": "utf-8"});
    assert_eq!(created["systemProperties"], encoded);
    let told = document(reported);
    let section = &told["properties"]["reported"];
    assert_eq!((&section["fan"], &section["old"]), (&json!({"speed": 3}), &Value::Null));
    assert!(section.as_object().unwrap().contains_key("old"), "nulls are told: {section}");
    assert_eq!((&section["$version"], &told["version"]), (&json!(2), &json!(3)));
    assert!(section["$metadata"]["fan"]["speed"]["$lastUpdated"].is_string(), "{section}");
    let told = document(patched);
    assert_eq!((&told["tags"], &told["properties"]["desired"]["x"]), (&patch["tags"], &Value::Null));
    assert_eq!(told["properties"]["desired"]["$metadata"]["target"]["$lastUpdatedVersion"], 2);
    let told = document(replaced);
    assert_eq!((&told["tags"], &told["deviceId"]), (&json!({"site": "south"}), &json!("pump-1")));

    let after = events.last().unwrap()["seq"].as_i64().unwrap();
    let rest = read(&service, &format!("after={after}")).await;
    assert_eq!(operations(&rest), ["deviceConnected", "deleteDeviceIdentity", "deviceDisconnected"]);
    assert_eq!(document(&rest[1])["tags"], json!({"site": "south"}));
    let number = |event: &Value| document(event)["sequenceNumber"].as_str().unwrap().to_owned();
    let numbers = [number(connected), number(&events[6]), number(&rest[0]), number(&rest[2])];
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.iter().all(|number| number.len() == 64), "{numbers:?}");
    app.stop().await;
}

async fn who_sent_a_message_is_what_the_hub_says(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    switch_on(&app, &tenant).await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let made = service.call(Method::PUT, "/devices/pump-1/modules/motor", json!({"managedBy": "ops"})).await;
    let key = made.json["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
    let mut motor = module(&app, &tenant, ("pump-1", "motor"), key).await;
    motor.send("devices/pump-1/modules/motor/messages/events/%24.cmid=valve&a=1", b"{\"of\":\"motor\"}").await.unwrap();

    // A device that claims to be the module, and one that says which model it follows.
    let host = &tenant.tenant.hub_host;
    let key = sas::derive_key(&tenant.tenant.keys.primary_key, "pump-1").unwrap();
    let token = sas::sign(&format!("{host}/devices/pump-1"), &key, NEVER, None).unwrap();
    let user = format!("{host}/pump-1/?api-version=2021-04-12&model-id=dtmi%3Aexample%3APump%3B1");
    let mut device = Device::connect(app.app().addresses().mqtt.unwrap(), "pump-1", &user, &token).await.unwrap();
    let claim = "$.cmid=motor&iothub-connection-module-id=motor&iothub-connection-device-id=pump-2&b=2";
    device.send(&format!("devices/pump-1/messages/events/{claim}"), b"{\"of\":\"pump\"}").await.unwrap();
    let events = eventually("both messages", || async {
        let events = read(&service, "max=1000").await;
        (operations(&events).iter().filter(|name| **name == "telemetry").count() == 2).then_some(events)
    })
    .await;
    let sent = |of: &str| events.iter().find(|event| document(event)["of"] == of).unwrap();
    let (of_motor, of_pump) = (sent("motor"), sent("pump"));
    assert_eq!((&of_motor["deviceId"], &of_motor["moduleId"]), (&json!("pump-1"), &json!("motor")));
    assert_eq!(of_motor["annotations"]["iothub-connection-module-id"], "motor");
    let method = of_motor["annotations"]["iothub-connection-auth-method"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(method).unwrap()["scope"], "module");
    assert_eq!((&of_motor["properties"], of_motor["annotations"].get("dt-dataschema")), (&json!({"a": "1"}), None));

    assert_eq!((&of_pump["deviceId"], &of_pump["moduleId"]), (&json!("pump-1"), &Value::Null));
    assert_eq!((&of_pump["properties"], &of_pump["systemProperties"]), (&json!({"b": "2"}), &json!({})));
    let annotations = &of_pump["annotations"];
    assert_eq!(annotations.get("iothub-connection-module-id"), None, "{annotations}");
    assert_eq!(annotations["iothub-connection-device-id"], "pump-1");
    assert_eq!(annotations["dt-dataschema"], "dtmi:example:Pump;1");

    let path = "/devices/pump-1/modules/motor";
    assert_eq!(send(service.request(Method::DELETE, path).header("if-match", "*")).await.status, 204);
    let events = read(&service, "max=1000").await;
    let of_module: Vec<_> = events.iter().filter(|event| event["moduleId"] == "motor").collect();
    let told: Vec<_> = of_module.iter().map(|event| event["properties"]["opType"].as_str().unwrap_or("sent")).collect();
    let expected = ["createModuleIdentity", "deviceConnected", "sent", "deleteModuleIdentity", "deviceDisconnected"];
    assert_eq!(told, expected);
    for event in [of_module[0], of_module[3]] {
        assert_eq!(event["source"], "deviceLifecycleEvents");
        assert_eq!(event["properties"]["iothub-message-schema"], "moduleLifecycleNotification");
        assert_eq!(event["properties"]["moduleId"], "motor");
        assert_eq!((&document(event)["moduleId"], &document(event)["deviceId"]), (&json!("motor"), &json!("pump-1")));
    }
    app.stop().await;
}

async fn a_message_has_the_time_that_its_device_gives(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    tenant.admin.put("/api/devices/pump-1", json!({})).await.ok();
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    let now = minute(app.app().engine().clock().now());
    let times = [now - Duration::hours(2), now - Duration::hours(1)];
    let text = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H%%3A%M%%3A%SZ");
    let own = [
        format!("iothub-creation-time-utc={}&iothub-connection-device-id=x&a=1", text(times[0])),
        format!("%24.ctime={}", text(times[1])),
        "iothub-creation-time-utc=soon".to_owned(),
    ];
    for bag in own {
        device.send(&format!("devices/pump-1/messages/events/{bag}"), b"{\"t\":1}").await.unwrap();
    }
    stored(&tenant, 3).await;
    let page = tenant.admin.get("/api/devices/pump-1/messages").await.ok();
    let messages: Vec<_> = page["value"].as_array().unwrap().iter().rev().collect();
    let at = |message: &Value| DateTime::parse_from_rfc3339(message["enqueuedTime"].as_str().unwrap()).unwrap();
    assert_eq!([at(messages[0]), at(messages[1])], times);
    assert!(at(messages[2]) >= now, "what is no time is left alone: {}", messages[2]);
    let properties = json!({"iothub-creation-time-utc": times[0].to_rfc3339_opts(SecondsFormat::Secs, true), "a": "1"});
    assert_eq!(messages[0]["properties"], properties);
    app.stop().await;
}

async fn a_reader_waits_for_what_comes(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    assert_eq!(read(&service, "wait=1").await, [Value::Null; 0], "nothing came in time");
    let started = std::time::Instant::now();
    let (events, ()) = tokio::join!(read(&service, "after=-1&wait=60"), async {
        service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    });
    assert_eq!(operations(&events), ["createDeviceIdentity"]);
    assert!(started.elapsed().as_secs() < 30, "it did not wait to the end");
    app.stop().await;
}

async fn the_feed_is_for_those_who_may_and_ask_well(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    for (policy, status) in
        [(Policy::Service, 200), (Policy::IotHubOwner, 200), (Policy::Device, 401), (Policy::RegistryReadWrite, 401)]
    {
        let answer = Https::service(&app, &tenant, policy).get("/messages/events").await;
        assert_eq!(answer.status, status, "{policy}: {}", answer.text);
    }
    let nobody = Https::with(&app, String::new());
    assert_eq!(nobody.get("/messages/events").await.status, 401);
    let service = Https::service(&app, &tenant, Policy::Service);
    for bad in ["after=x", "after=-2", "max=0", "max=1001", "wait=61", "wait=-1", "after=99999999999999999999"] {
        let answer = service.get(&format!("/messages/events?{bad}")).await;
        assert_eq!(
            (answer.status, &answer.headers["iothub-errorcode"]),
            (400, &"ArgumentInvalid".parse().unwrap()),
            "{bad}"
        );
    }
    assert_eq!(service.get("/Messages/Events?after=9223372036854775807").await.ok(), json!([]));

    assert_eq!(tenant.admin.get("/api/tenant").await.ok()["eventFeed"], false);
    let operator = json!({ "roles": [{ "role": "ae2c9854-393b-4f97-8c42-479d70ce626e" }] });
    let token = tenant.admin.put("/api/apiTokens/operator", operator).await.ok()["token"].as_str().unwrap().to_owned();
    let refused = app.client(Some(token)).patch("/api/tenant", json!({"eventFeed": true})).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(tenant.admin.patch("/api/tenant", json!({"eventFeed": 1})).await.status, 400);
    assert_eq!(tenant.admin.patch("/api/tenant", json!({"eventFeed": true})).await.ok()["eventFeed"], true);
    assert_eq!(tenant.admin.patch("/api/tenant", json!({})).await.ok()["eventFeed"], true);
    app.stop().await;
}

async fn failures_are_folded_and_shown_with_the_device(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let (host, key) = (&tenant.tenant.hub_host, sas::derive_key(&tenant.tenant.keys.primary_key, "another").unwrap());
    let token = sas::sign(&format!("{host}/devices/pump-1"), &key, NEVER, None).unwrap();
    let address = app.app().addresses().mqtt.unwrap();
    for _ in 0..3 {
        let refused =
            Device::connect(address, "pump-1", &format!("{host}/pump-1/?api-version=2021-04-12"), &token).await;
        assert!(matches!(refused, Err(DeviceError::Refused(_))));
    }
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    device.publish("devices/another/messages/events/", b"{}").await.unwrap();
    device.closed().await.unwrap();
    let failures = async |path: &str| {
        let page = tenant.admin.get(path).await.ok();
        let entries = page["value"].as_array().cloned().unwrap();
        entries.into_iter().filter(|entry| entry["type"] == "failure").collect::<Vec<_>>()
    };
    let found = eventually("the events", || async {
        let found = failures("/api/devices/pump-1/events").await;
        (found.len() == 2).then_some(found)
    })
    .await;
    assert_eq!((&found[0]["code"], &found[0]["count"]), (&json!("protocolViolation"), &json!(1)));
    assert_eq!((&found[1]["code"], &found[1]["count"]), (&json!("wrongKey"), &json!(3)));
    assert!(found[1]["since"].as_str().unwrap() <= found[1]["timestamp"].as_str().unwrap());
    assert_eq!(failures("/api/events").await, found);

    let page = tenant.admin.get("/api/devices/pump-1/events?maxpagesize=2").await.ok();
    let next = page["nextLink"].as_str().unwrap();
    let next = &next[next.find("/api/").unwrap()..];
    let second = tenant.admin.get(next).await.ok();
    assert!(!second["value"].as_array().unwrap().is_empty(), "{second}");
    assert_eq!(stranger.admin.get("/api/devices/pump-1/events").await.status, 404);
    assert_eq!(stranger.admin.get("/api/events").await.ok()["value"], json!([]));
    assert_eq!(app.client(None).get("/api/events").await.status, 401);
    assert_eq!(tenant.admin.get("/api/events?$skiptoken=nonsense").await.status, 400);
    assert_eq!(tenant.admin.get("/api/events?maxpagesize=0").await.status, 400);
    app.stop().await;
}

async fn health_is_shown_over_time(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let engine = app.app().engine();
    // Two minutes that the clock has not come to yet.
    let begin = minute(engine.clock().now()) + Duration::minutes(10);
    series::note(engine, begin).await.unwrap();
    let mut device = app.device(&tenant, "pump-1").await.unwrap();
    device.send("devices/pump-1/messages/events/", b"{\"t\":1}").await.unwrap();
    stored(&tenant, 1).await;
    series::note(engine, begin + Duration::minutes(1)).await.unwrap();
    let time = |minutes| (begin + Duration::minutes(minutes)).timestamp_millis();
    let path = format!("/api/health/series?interval=PT1M&from={}&to={}", time(0), time(2));
    let shown = tenant.admin.get(&path).await.ok();
    let values = |metric: &str| {
        let series = shown["series"].as_array().unwrap().iter().find(|one| one["metric"] == metric).unwrap();
        series["points"].as_array().unwrap().iter().map(|point| point["value"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(shown["interval"], "PT1M");
    assert_eq!(values("connectedDeviceCount"), [0, 1]);
    assert_eq!(values("provisionedDeviceCount"), [1, 1]);
    assert_eq!(values("d2c.telemetry.ingress.allProtocol"), [1]);
    assert_eq!(values("d2c.telemetry.ingress.success"), [1]);
    for bad in ["interval=PT2M", "from=x", "from=0&interval=PT1M", "from=2000000&to=1000000"] {
        assert_eq!(tenant.admin.get(&format!("/api/health/series?{bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(app.client(None).get("/api/health/series").await.status, 401);
    app.stop().await;
}

/// Waits until the tenant has so many messages.
async fn stored(tenant: &Bootstrapped, messages: u64) {
    eventually("messages are stored", || async {
        (tenant.admin.get("/api/ledger").await.ok()["stored"] == messages).then_some(())
    })
    .await;
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis() / 60_000 * 60_000).unwrap()
}

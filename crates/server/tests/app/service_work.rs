//! The service API over many devices and modules: modules, jobs, configurations, digital twins.

use crate::{
    on_both,
    service::{Https, send},
};
use muster_engine::policies::Policy;
use muster_model::wire::sas;
use muster_testkit::{Backend, Bootstrapped, Device, TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};

on_both! {
    modules_are_managed_and_speak
    many_identities_are_changed_at_once
    jobs_are_done_by_the_worker
    configurations_are_applied_by_the_worker
    digital_twins_go_through_to_the_device
    what_is_not_allowed_or_read_is_refused
}

/// Connects a module with this key.
pub(crate) async fn module(app: &TestApp, tenant: &Bootstrapped, (device, id): (&str, &str), key: &str) -> Device {
    let host = &tenant.tenant.hub_host;
    let token = sas::sign(&format!("{host}/devices/{device}/modules/{id}"), key, 4_102_444_800, None).unwrap();
    let user = format!("{host}/{device}/{id}/?api-version=2021-04-12");
    let address = app.app().addresses().mqtt.unwrap();
    Device::connect(address, &format!("{device}/{id}"), &user, &token).await.unwrap()
}

/// Answers the next method of the device with its own name.
async fn answer(device: &mut Device, name: &str) -> Value {
    let (topic, body) = device.message().await.unwrap();
    let rid = topic.strip_prefix(&format!("$iothub/methods/POST/{name}/?$rid=")).unwrap();
    device.send(&format!("$iothub/methods/res/207/?$rid={rid}"), name_of(name).as_bytes()).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn name_of(name: &str) -> String {
    json!({"name": name}).to_string()
}

async fn modules_are_managed_and_speak(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    let path = "/devices/pump-1/modules/motor?api-version=2021-04-12";
    let body = json!({"deviceId": "pump-1", "moduleId": "motor", "managedBy": "ops"});
    let early = service.call(Method::PUT, path, body.clone()).await;
    assert_eq!((early.status, &early.headers["iothub-errorcode"]), (404, &"DeviceNotFound".parse().unwrap()));
    service.call(Method::PUT, "/devices/pump-1", json!({})).await.ok();
    let made = service.call(Method::PUT, path, body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((&made.json["managedBy"], &made.json["connectionState"]), (&json!("ops"), &json!("Disconnected")));
    let twice = service.call(Method::PUT, path, body).await;
    let exists = "ModuleAlreadyExistsOnDevice".parse().unwrap();
    assert_eq!((twice.status, &twice.headers["iothub-errorcode"]), (409, &exists));
    let missing = service.get("/devices/pump-1/modules/valve").await;
    assert_eq!((missing.status, &missing.headers["iothub-errorcode"]), (404, &"ModuleNotFound".parse().unwrap()));
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner).get("/devices/pump-1/modules/motor").await;
    assert_eq!(foreign.status, 404);
    let put = |etag: &str| {
        let request = service.request(Method::PUT, path).header("if-match", etag);
        send(request.json(&json!({"managedBy": "others"})))
    };
    assert_eq!(put("\"77\"").await.status, 412);
    assert_eq!(put(made.headers["etag"].to_str().unwrap()).await.ok()["managedBy"], "others");

    let key = made.json["authentication"]["symmetricKey"]["secondaryKey"].as_str().unwrap();
    let mut motor = module(&app, &tenant, ("pump-1", "motor"), key).await;
    motor.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    motor.subscribe("$iothub/methods/POST/#").await.unwrap();
    motor.send("devices/pump-1/modules/motor/messages/events/", br#"{"rpm": 900}"#).await.unwrap();
    eventually("the module's message", || async {
        (tenant.admin.get("/api/ledger").await.ok()["stored"] == 1).then_some(())
    })
    .await;
    let latest = tenant.admin.get("/api/devices/pump-1").await.ok();
    assert_eq!(latest["id"], "pump-1");
    let patch = json!({"tags": {"a": 1}, "properties": {"desired": {"speed": 3}}});
    let patched = service.call(Method::PATCH, "/twins/pump-1/modules/motor", patch).await;
    assert_eq!((&patched.json["moduleId"], &patched.json["connectionState"]), (&json!("motor"), &json!("Connected")));
    assert_eq!(motor.message().await.unwrap().0, "$iothub/twin/PATCH/properties/desired/?$version=2");
    let whole = json!({"properties": {"desired": {"mode": "eco"}}});
    let replaced = service.call(Method::PUT, "/twins/pump-1/modules/motor", whole).await.ok();
    assert_eq!(replaced["properties"]["desired"].get("speed"), None);
    motor.message().await.unwrap();
    let call = service.call(Method::POST, "/twins/pump-1/modules/motor/methods", json!({"methodName": "spin"}));
    let (answered, _) = tokio::join!(call, answer(&mut motor, "spin"));
    assert_eq!(answered.ok(), json!({"status": 207, "payload": {"name": "spin"}}));
    let away = service.call(Method::POST, "/twins/pump-1/methods", json!({"methodName": "spin"})).await;
    assert_eq!(away.status, 404, "its device is not connected");

    let query = json!({"query": "SELECT * FROM devices.modules WHERE tags.a = 1"});
    let found = service.call(Method::POST, "/devices/query", query).await;
    assert_eq!(
        (found.json[0]["moduleId"].as_str(), &found.headers["x-ms-item-type"]),
        (Some("motor"), &"Twin".parse().unwrap())
    );
    assert_eq!(service.get("/devices/pump-1/modules").await.ok().as_array().map(Vec::len), Some(1));
    assert_eq!(service.get("/statistics/devices").await.ok()["totalDeviceCount"], 1);
    let gone = send(service.request(Method::DELETE, path).header("if-match", "*")).await;
    assert_eq!(gone.status, 204);
    assert!(motor.message().await.is_err(), "it is cut off");
    app.stop().await;
}

async fn many_identities_are_changed_at_once(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    let bulk = |items: Value| service.call(Method::POST, "/devices", items);
    let mut items = vec![json!({"id": "d", "importMode": "create"})];
    for number in 0..49 {
        items.push(json!({"id": format!("d-{number}"), "importMode": "create", "tags": {"n": number}}));
        items.push(json!({
            "id": "d", "moduleId": format!("m-{number}"), "importMode": "create", "managedBy": "x",
            "properties": {"desired": {"n": number}},
        }));
    }
    items.push(json!({"id": "d", "moduleId": "m-49"}));
    assert_eq!(items.len(), 100);
    bulk(Value::Array(items.clone())).await.ok();
    assert_eq!(service.get("/twins/d/modules/m-7").await.ok()["properties"]["desired"]["n"], 7);
    items.push(json!({"id": "one-too-many"}));
    let many = bulk(Value::Array(items)).await;
    assert_eq!((many.status, &many.headers["iothub-errorcode"]), (400, &"ArgumentInvalid".parse().unwrap()));
    assert_eq!(service.get("/devices/one-too-many").await.status, 404);

    let etag = service.get("/devices/d-0").await.ok()["etag"].clone();
    let twin_etag = service.get("/twins/d-1").await.ok()["etag"].clone();
    let module_etag = service.get("/devices/d/modules/m-0").await.ok()["etag"].clone();
    let keys = json!({"symmetricKey": {"primaryKey": "A".repeat(44), "secondaryKey": "B".repeat(44)}});
    let done = bulk(json!([
        {"id": "d-0", "importMode": "updateIfMatchETag", "eTag": etag, "status": "disabled"},
        {"id": "d-1", "importMode": "updateTwinIfMatchETag", "twinETag": twin_etag, "tags": {"n": 100}},
        {"id": "d-2", "importMode": "updateTwin", "properties": {"desired": {"x": 1}}},
        {"id": "d-3", "importMode": "update", "status": "disabled", "statusReason": "old"},
        {"id": "d-4", "importMode": "delete"},
        {"id": "d", "moduleId": "m-0", "importMode": "updateIfMatchETag", "eTag": module_etag, "authentication": keys},
        {"id": "d", "moduleId": "m-1", "importMode": "update", "managedBy": "y"},
        {"id": "d", "moduleId": "m-2", "importMode": "updateTwin", "tags": {"a": 1}},
        {"id": "d", "moduleId": "m-3", "importMode": "delete"},
    ]));
    assert_eq!(done.await.ok()["isSuccessful"], true);
    assert_eq!(service.get("/devices/d-0").await.ok()["status"], "disabled");
    assert_eq!(service.get("/twins/d-1").await.ok()["tags"], json!({"n": 100}));
    assert_eq!(service.get("/devices/d-3").await.ok()["statusReason"], "old");
    let changed = service.get("/devices/d/modules/m-0").await.ok();
    assert_eq!(changed["authentication"]["symmetricKey"]["primaryKey"], "A".repeat(44));
    assert_eq!(service.get("/devices/d/modules/m-1").await.ok()["managedBy"], "y");

    let regenerate = |body: Value| service.call(Method::POST, "/devices/keys/regenerate?api-version=2024-03-31", body);
    let before = service.get("/devices/d-1").await.ok()["authentication"]["symmetricKey"].clone();
    let certificate = json!({"type": "certificateAuthority"});
    bulk(json!([{"id": "d-2", "importMode": "update", "authentication": certificate}])).await.ok();
    let devices = json!([{"id": "d-1"}, {"id": "d", "moduleId": "m-0"}, {"id": "nobody"}, {"id": "d-2"}, {"id": "d-1", "etag": "x"}]);
    let rotated = regenerate(json!({"policyKey": "primaryKey", "devices": devices})).await.ok();
    let after = service.get("/devices/d-1").await.ok()["authentication"]["symmetricKey"].clone();
    assert_eq!(rotated["rotatedKeys"][0]["primaryKey"], after["primaryKey"]);
    assert_ne!(after["primaryKey"], before["primaryKey"]);
    assert_eq!(after["secondaryKey"], before["secondaryKey"]);
    assert_eq!(rotated["rotatedKeys"][1]["secondaryKey"], "B".repeat(44));
    let codes: Vec<&str> =
        rotated["errors"].as_array().unwrap().iter().map(|error| error["errorCode"].as_str().unwrap()).collect();
    assert_eq!(codes, ["DeviceNotFound", "ArgumentInvalid", "PreconditionFailed"]);
    for bad in [
        json!({}),
        json!({"policyKey": "both", "devices": []}),
        json!({"policyKey": "primaryKey", "devices": vec![json!({"id": "d"}); 101]}),
    ] {
        assert_eq!(regenerate(bad).await.status, 400);
    }

    let refused = bulk(json!([
        {"id": "d-0", "importMode": "updateIfMatchETag", "eTag": "stale", "status": "enabled"},
        {"id": "d-5", "importMode": "deleteIfMatchETag", "eTag": "stale"},
        {"id": "d-1", "importMode": "updateTwinIfMatchETag", "twinETag": "stale", "tags": {}},
        {"id": "d", "moduleId": "m-1", "importMode": "deleteIfMatchETag", "eTag": "stale"},
        {"id": "d", "moduleId": "m-3", "importMode": "delete"},
        {"id": "d-6", "importMode": "somehow"},
        {"id": "d", "moduleId": "a/b", "importMode": "create"},
    ]))
    .await;
    assert_eq!(refused.status, 400);
    let errors = refused.json["errors"].as_array().unwrap();
    let codes: Vec<&str> = errors.iter().map(|error| error["errorCode"].as_str().unwrap()).collect();
    let stale = "PreconditionFailed";
    assert_eq!(codes, [stale, stale, stale, stale, "ModuleNotFound", "ArgumentInvalid", "ArgumentInvalid"]);
    assert_eq!(errors[3]["moduleId"], "m-1");
    app.stop().await;
}

async fn jobs_are_done_by_the_worker(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    for number in 0..3 {
        let device = json!([{"id": format!("d-{number}"), "importMode": "create", "tags": {"n": number}}]);
        service.call(Method::POST, "/devices", device).await.ok();
    }
    let mut device = app.device(&tenant, "d-1").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let ended = async |id: &str| {
        eventually("the end of a job", || async {
            let job = service.get(&format!("/jobs/v2/{id}")).await.ok();
            (job["status"] == "completed").then_some(job)
        })
        .await
    };
    let twin = json!({
        "jobId": "twins", "type": "scheduleUpdateTwin", "queryCondition": "tags.n > 0", "maxExecutionTimeInSeconds": 60,
        "updateTwin": {"etag": "*", "properties": {"desired": {"speed": 5}}},
    });
    let made = service.call(Method::PUT, "/jobs/v2/twins?api-version=2021-04-12", twin).await.ok();
    assert_eq!(made["type"], "scheduleUpdateTwin");
    let done = ended("twins").await;
    let statistics =
        json!({"deviceCount": 2, "failedCount": 0, "succeededCount": 2, "runningCount": 0, "pendingCount": 0});
    assert_eq!(done["deviceJobStatistics"], statistics);
    assert_eq!(service.get("/twins/d-2").await.ok()["properties"]["desired"]["speed"], 5);
    let method = json!({
        "type": "scheduleDeviceMethod", "queryCondition": "deviceId IN ['d-0', 'd-1']",
        "cloudToDeviceMethod": {"methodName": "reboot", "payload": {"delay": 1}, "responseTimeoutInSeconds": 20},
    });
    let (made, asked) =
        tokio::join!(service.call(Method::PUT, "/jobs/v2/methods", method), answer(&mut device, "reboot"));
    assert_eq!((made.status, asked), (200, json!({"delay": 1})));
    let done = ended("methods").await;
    assert_eq!(
        (&done["deviceJobStatistics"]["failedCount"], &done["deviceJobStatistics"]["succeededCount"]),
        (&json!(1), &json!(1))
    );
    let query = json!({"query": "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'methods'"});
    let told = service.call(Method::POST, "/devices/query", query).await;
    assert_eq!(told.headers["x-ms-item-type"], "DeviceJob");
    assert_eq!((&told.json[0]["error"]["code"], &told.json[0]["status"]), (&json!("404103"), &json!("failed")));
    let outcome = json!({"deviceMethodResponse": {"status": 207, "payload": {"name": "reboot"}}});
    assert_eq!(told.json[1]["outcome"], outcome);

    let later = json!({
        "type": "scheduleUpdateTwin", "queryCondition": "*", "startTime": (chrono_now() + chrono::Duration::hours(1)).to_rfc3339(),
        "updateTwin": {"tags": {"never": true}},
    });
    assert_eq!(service.call(Method::PUT, "/jobs/v2/later", later.clone()).await.ok()["status"], "scheduled");
    let cancelled = service.call(Method::POST, "/jobs/v2/later/cancel", json!({})).await.ok();
    assert_eq!(cancelled["status"], "cancelled");
    let listed = service.get("/jobs/v2/query?jobType=scheduleUpdateTwin&jobStatus=completed&pageSize=1").await;
    assert_eq!(
        (listed.json[0]["jobId"].as_str(), &listed.headers["x-ms-item-type"]),
        (Some("twins"), &"JobResponse".parse().unwrap())
    );
    let all = service.get("/jobs/v2/query?pageSize=2").await;
    assert_eq!(all.headers["x-ms-continuation"], "methods");
    let rest = service.get("/jobs/v2/query?continuationToken=methods").await;
    assert_eq!(rest.json.as_array().map(Vec::len), Some(1));

    assert_eq!(service.call(Method::PUT, "/jobs/v2/later", later).await.status, 409);
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner);
    for path in ["/jobs/v2/twins", "/jobs/v2/nobody's"] {
        let missing = foreign.get(path).await;
        assert_eq!(
            (missing.status, &missing.headers["iothub-errorcode"]),
            (404, &"JobNotFound".parse().unwrap()),
            "{path}"
        );
    }
    app.stop().await;
}

fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    std::time::SystemTime::now().into()
}

async fn configurations_are_applied_by_the_worker(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    for (id, site) in [("d-0", "north"), ("d-1", "north"), ("d-2", "south")] {
        let device = json!([{"id": id, "importMode": "create", "tags": {"site": site}}]);
        service.call(Method::POST, "/devices", device).await.ok();
    }
    let mut device = app.device(&tenant, "d-1").await.unwrap();
    device.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    let configuration = |condition: &str, priority: i64, speed: i64| {
        json!({
            "schemaVersion": "1.0", "labels": {"by": "test"}, "priority": priority, "targetCondition": condition,
            "content": {"deviceContent": {"properties.desired.fan.speed": speed}},
            "metrics": {"queries": {"fast": "SELECT deviceId FROM devices WHERE properties.desired.fan.speed >= 3"}},
        })
    };
    let path = "/configurations/base?api-version=2021-04-12";
    let made = service.call(Method::PUT, path, configuration("tags.site = 'north'", 1, 2)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (topic, told) = device.message().await.unwrap();
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    assert_eq!(serde_json::from_slice::<Value>(&told).unwrap(), json!({"fan": {"speed": 2}, "$version": 2}));
    service.call(Method::PUT, "/configurations/fast", configuration("deviceId = 'd-1'", 5, 4)).await.ok();
    let told: Value = serde_json::from_slice(&device.message().await.unwrap().1).unwrap();
    assert_eq!(told["fan"]["speed"], 4, "the higher priority wins");
    let seen = eventually("the counts", || async {
        let seen = service.get(path).await.ok();
        (seen["systemMetrics"]["results"] == json!({"targetedCount": 2, "appliedCount": 2})
            && seen["metrics"]["results"] == json!({"fast": 1}))
        .then_some(seen)
    })
    .await;
    assert_eq!(
        (&seen["id"], &seen["labels"], &seen["etag"]),
        (&json!("base"), &json!({"by": "test"}), &made.json["etag"])
    );
    let twin = service.get("/twins/d-1").await.ok();
    let applied = json!({"status": "Applied"});
    assert_eq!(twin["configurations"], json!({"base": applied, "fast": applied}));
    assert_eq!(service.get("/twins/d-2").await.ok()["properties"]["desired"].get("fan"), None);
    let query = "SELECT deviceId FROM devices WHERE configurations.[[base]].status = 'Applied'";
    let found = service.call(Method::POST, "/devices/query", json!({"query": query})).await.ok();
    assert_eq!(found.as_array().map(Vec::len), Some(2));

    let put = |etag: &str, body: Value| send(service.request(Method::PUT, path).header("if-match", etag).json(&body));
    assert_eq!(put("\"stale\"", configuration("*", 1, 2)).await.status, 412);
    assert_eq!(put("*", configuration("*", 1, 3)).await.status, 400, "the content stays");
    let etag = made.headers["etag"].to_str().unwrap();
    assert_eq!(
        put(etag, configuration("tags.site = 'south'", 1, 2)).await.ok()["targetCondition"],
        "tags.site = 'south'"
    );
    eventually("the other device", || async {
        let twin = service.get("/twins/d-2").await.ok();
        (twin["properties"]["desired"]["fan"]["speed"] == 2).then_some(())
    })
    .await;
    let twin = service.get("/twins/d-0").await.ok();
    assert_eq!((&twin["properties"]["desired"]["fan"]["speed"], twin.get("configurations")), (&json!(2), None));

    service.call(Method::PUT, "/devices/d-0/modules/motor", json!({})).await.ok();
    let content = json!({
        "deviceContent": {"properties.desired.x": 1}, "modulesContent": {"motor": {"properties.desired": {"y": 2}}},
    });
    let apply = "/devices/d-0/applyConfigurationContent";
    assert_eq!(service.call(Method::POST, apply, content).await.status, 204);
    assert_eq!(service.get("/twins/d-0/modules/motor").await.ok()["properties"]["desired"]["y"], 2);
    let absent = json!({"modulesContent": {"$edgeAgent": {"properties.desired": {}}}});
    assert_eq!(service.call(Method::POST, apply, absent).await.status, 404);
    let queries =
        json!({"targetCondition": "tags.a =", "customMetricQueries": {"a": "SELECT", "b": "SELECT * FROM devices"}});
    let tested = service.call(Method::POST, "/configurations/testQueries", queries).await.ok();
    assert!(tested["targetConditionError"].is_string(), "{tested}");
    assert_eq!(tested["customMetricQueryErrors"].as_object().map(|errors| errors.len()), Some(1));

    assert_eq!(service.get("/configurations?top=1").await.ok().as_array().map(Vec::len), Some(1));
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner);
    assert_eq!(foreign.get("/configurations/fast").await.status, 404);
    assert_eq!(foreign.get("/configurations").await.ok(), json!([]));
    assert_eq!(
        send(service.request(Method::DELETE, "/configurations/fast").header("if-match", "\"*\"")).await.status,
        204
    );
    let gone = service.get("/configurations/fast").await;
    assert_eq!((gone.status, &gone.headers["iothub-errorcode"]), (404, &"ConfigurationNotFound".parse().unwrap()));
    app.stop().await;
}

async fn digital_twins_go_through_to_the_device(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let (tenant, stranger) = (app.bootstrap("contoso").await, app.bootstrap("fabrikam").await);
    let service = Https::service(&app, &tenant, Policy::IotHubOwner);
    service.call(Method::PUT, "/devices/d-1", json!({})).await.ok();
    let mut device = app.device(&tenant, "d-1").await.unwrap();
    device.subscribe("$iothub/twin/PATCH/properties/desired/#").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let patch = json!([
        {"op": "add", "path": "/target", "value": 20},
        {"op": "add", "path": "/thermostat1/target", "value": 21},
    ]);
    let patched = service.call(Method::PATCH, "/digitaltwins/d-1", patch.clone()).await;
    assert_eq!((patched.status, &patched.headers["location"]), (202, &"/digitaltwins/d-1".parse().unwrap()));
    let told: Value = serde_json::from_slice(&device.message().await.unwrap().1).unwrap();
    assert_eq!(told, json!({"target": 20, "thermostat1": {"__t": "c", "target": 21}, "$version": 2}));
    let stale = service.request(Method::PATCH, "/digitaltwins/d-1").header("if-match", "\"AAAAAAAAAAE=\"");
    assert_eq!(send(stale.json(&patch)).await.status, 412);
    let report = "$iothub/twin/PATCH/properties/reported/?$rid=1";
    device.send(report, br#"{"target": {"value": 20, "ac": 200, "av": 2}, "serial": "x"}"#).await.unwrap();
    let seen = eventually("what is reported", || async {
        let seen = service.get("/digitaltwins/d-1").await;
        (seen.json["target"] == 20).then_some(seen)
    })
    .await;
    assert_eq!(seen.headers["etag"], patched.headers["etag"]);
    assert_eq!((&seen.json["$dtId"], &seen.json["serial"]), (&json!("d-1"), &json!("x")));
    assert_eq!(seen.json["$metadata"]["target"]["ackCode"], 200);
    assert_eq!(seen.json["thermostat1"]["$metadata"]["target"]["desiredValue"], 21);

    let root = service.call(
        Method::POST,
        "/digitaltwins/d-1/commands/reboot?responseTimeoutInSeconds=20",
        json!({"delay": 3}),
    );
    let (answered, asked) = tokio::join!(root, answer(&mut device, "reboot"));
    assert_eq!((&answered.headers["x-ms-command-statuscode"], asked), (&"207".parse().unwrap(), json!({"delay": 3})));
    assert_eq!(answered.ok(), json!({"name": "reboot"}));
    let path = "/digitaltwins/d-1/components/thermostat1/commands/max?connectTimeoutInSeconds=1";
    let (answered, _) =
        tokio::join!(service.call(Method::POST, path, json!(null)), answer(&mut device, "thermostat1*max"));
    assert_eq!(answered.ok(), json!({"name": "thermostat1*max"}));

    for bad in [
        json!({}),
        json!([]),
        json!([{"op": "move", "from": "/a", "path": "/b"}]),
        json!([{"op": "remove", "path": "x"}]),
    ] {
        assert_eq!(service.call(Method::PATCH, "/digitaltwins/d-1", bad.clone()).await.status, 400, "{bad}");
    }
    let foreign = Https::service(&app, &stranger, Policy::IotHubOwner);
    assert_eq!(foreign.get("/digitaltwins/d-1").await.status, 404);
    assert_eq!(foreign.call(Method::POST, "/digitaltwins/d-1/commands/reboot", json!(1)).await.status, 404);
    app.stop().await;
}

async fn what_is_not_allowed_or_read_is_refused(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let owner = Https::service(&app, &tenant, Policy::IotHubOwner);
    owner.call(Method::PUT, "/devices/d-1", json!({})).await.ok();
    owner.call(Method::PUT, "/devices/d-1/modules/m", json!({})).await.ok();
    let (registry, service) =
        (Https::service(&app, &tenant, Policy::RegistryRead), Https::service(&app, &tenant, Policy::Service));
    let job = json!({"type": "scheduleUpdateTwin", "updateTwin": {}});
    for (method, path) in [
        (Method::PUT, "/devices/d-1/modules/n"),
        (Method::DELETE, "/devices/d-1/modules/m"),
        (Method::POST, "/devices/keys/regenerate"),
        (Method::GET, "/twins/d-1/modules/m"),
        (Method::PATCH, "/twins/d-1/modules/m"),
        (Method::PUT, "/twins/d-1/modules/m"),
        (Method::POST, "/twins/d-1/modules/m/methods"),
        (Method::PUT, "/jobs/v2/j"),
        (Method::GET, "/jobs/v2/j"),
        (Method::POST, "/jobs/v2/j/cancel"),
        (Method::GET, "/jobs/v2/query"),
        (Method::PUT, "/configurations/c"),
        (Method::DELETE, "/configurations/c"),
        (Method::POST, "/devices/d-1/applyConfigurationContent"),
        (Method::GET, "/digitaltwins/d-1"),
        (Method::PATCH, "/digitaltwins/d-1"),
        (Method::POST, "/digitaltwins/d-1/commands/c"),
        (Method::POST, "/digitaltwins/d-1/components/a/commands/c"),
    ] {
        let refused = registry.call(method.clone(), path, job.clone()).await;
        assert_eq!(refused.status, 401, "{method} {path}: {}", refused.text);
    }
    for (method, path) in [
        (Method::GET, "/devices/d-1/modules"),
        (Method::GET, "/devices/d-1/modules/m"),
        (Method::GET, "/configurations"),
        (Method::GET, "/configurations/c"),
        (Method::POST, "/configurations/testQueries"),
    ] {
        assert_eq!(service.call(method.clone(), path, json!({})).await.status, 401, "{method} {path}");
    }
    for (method, path, body) in [
        (Method::PUT, "/devices/d-1/modules/a%20b", json!({})),
        (Method::PUT, "/devices/d-1/modules/n", json!({"moduleId": "other"})),
        (Method::PUT, "/devices/d-1/modules/n", json!(5)),
        (Method::PATCH, "/twins/d-1/modules/m", json!({"tags": 5})),
        (Method::PATCH, "/twins/d-1/modules/m", json!({"properties": {"desired": {"a.b": 1}}})),
        (Method::POST, "/twins/d-1/modules/m/methods", json!({"methodName": "a/b"})),
        (Method::PUT, "/jobs/v2/j", json!({"type": "export"})),
        (Method::PUT, "/jobs/v2/a%20b", job.clone()),
        (Method::PUT, "/jobs/v2/j", json!({"type": "scheduleUpdateTwin", "updateTwin": {}, "queryCondition": "a ="})),
        (Method::PUT, "/configurations/UPPER", json!({})),
        (Method::PUT, "/configurations/c", json!({"targetCondition": "a ="})),
        (
            Method::PUT,
            "/configurations/c",
            json!({"content": {"deviceContent": {"tags.a": 1}}, "targetCondition": "*"}),
        ),
        (Method::POST, "/devices/d-1/applyConfigurationContent", json!({})),
        (Method::POST, "/configurations/testQueries", json!({"targetCondition": 5})),
    ] {
        let refused = owner.call(method.clone(), path, body.clone()).await;
        assert_eq!(refused.status, 400, "{method} {path} {body}: {}", refused.text);
    }
    for path in ["/jobs/v2/query?jobStatus=odd", "/jobs/v2/query?continuationToken=a%20b"] {
        assert_eq!(owner.get(path).await.status, 400, "{path}");
    }
    app.stop().await;
}

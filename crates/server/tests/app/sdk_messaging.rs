//! Services on Microsoft's SDKs for Python and Node.

use crate::{methods::service, on_both, with_device};
use muster_engine::{
    methods::{self, Invocation},
    modules::{self, ModuleIdentity},
    precondition::IfMatch,
    twins_service as twins,
};
use muster_model::{Address, DeviceId, ModuleId, wire::twin::ServiceChange};
use muster_testkit::{Backend, Device, DeviceError, TestApp, eventually, skip};
use serde_json::json;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

on_both! {
    a_module_of_the_sdk_hears_what_it_is_told
    the_service_sdk_manages_devices
    the_service_sdk_manages_modules_jobs_and_configurations
    the_node_service_sdk_manages_what_it_may
}

const PATIENCE: Duration = Duration::from_secs(120);

async fn a_module_of_the_sdk_hears_what_it_is_told(backend: Backend) {
    let name = "sdk_messaging::a_module_of_the_sdk_hears_what_it_is_told";
    let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else { return skip(name, "no MUSTER_TEST_PYTHON") };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "py-1").await;
    let (engine, caller) = (app.app().engine(), service(&app, &tenant).await);
    let (device, module) = (DeviceId::parse("py-1").unwrap(), ModuleId::parse("motor").unwrap());
    let made = modules::create(engine, &caller, (&device, &module), ModuleIdentity::default()).await.unwrap();
    let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap();
    let host = &tenant.tenant.hub_host;
    let string = format!("HostName={host};DeviceId=py-1;ModuleId=motor;SharedAccessKey={key}");
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/module.py"));
    command.args(["--connection-string", &string]).arg("--ca").arg(app.folder().join("tls/ca.pem"));
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = Address::from((device, module));
    for round in 0..2 {
        let said = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(said.as_deref(), Some("ready"), "round {round}");
        let desired = json!({"speed": 3}).as_object().cloned();
        let change = ServiceChange { desired, ..ServiceChange::default() };
        twins::change(engine, &caller, &address, change, &IfMatch::Any).await.unwrap();
        let invocation = Invocation {
            address: &address,
            name: "spin",
            payload: &json!(round),
            response_timeout: PATIENCE,
            connect_timeout: PATIENCE,
        };
        let answer = methods::invoke(engine, &caller, invocation).await.unwrap();
        assert_eq!((answer.status, answer.payload), (207, json!({"name": "spin"})));
    }
    for expected in ["ready", "ok"] {
        let said = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(said.as_deref(), Some(expected));
    }
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
    eventually("the messages", || async {
        (tenant.admin.get("/api/ledger").await.ok()["received"] == 2).then_some(())
    })
    .await;
    app.stop().await;
}

async fn the_service_sdk_manages_modules_jobs_and_configurations(backend: Backend) {
    let name = "sdk_messaging::the_service_sdk_manages_modules_jobs_and_configurations";
    service_script(backend, name, "service_work.py").await;
}

async fn the_service_sdk_manages_devices(backend: Backend) {
    service_script(backend, "sdk_messaging::the_service_sdk_manages_devices", "registry.py").await;
}

async fn the_node_service_sdk_manages_what_it_may(backend: Backend) {
    let name = "sdk_messaging::the_node_service_sdk_manages_what_it_may";
    let Some(node) = std::env::var_os("MUSTER_TEST_NODE") else { return skip(name, "no MUSTER_TEST_NODE") };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "node-live").await;
    let mut device = app.device(&tenant, "node-live").await.unwrap();
    device.subscribe("$iothub/methods/POST/#").await.unwrap();
    let mut command = Command::new(node);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/node/service.mjs"));
    command.args(["--connection-string", &tenant.tenant.connection_strings["iothubowner"]]);
    command.env("NODE_EXTRA_CA_CERTS", app.folder().join("tls/ca.pem")).kill_on_drop(true);
    let output = tokio::select! {
        output = timeout(PATIENCE, command.output()) => output.unwrap().unwrap(),
        () = answer(&mut device) => panic!("the device was cut off"),
    };
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{errors}");
    app.stop().await;
}

/// Answers methods with their own names for as long as the device is connected.
async fn answer(device: &mut Device) {
    loop {
        let topic = match device.message().await {
            Ok((topic, _)) => topic,
            Err(DeviceError::Silent) => continue,
            Err(_) => return,
        };
        let Some((name, rid)) = topic.strip_prefix("$iothub/methods/POST/").and_then(|rest| rest.split_once("/?$rid="))
        else {
            continue;
        };
        let body = json!({"name": name}).to_string();
        if device.send(&format!("$iothub/methods/res/207/?$rid={rid}"), body.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Lets a script on the service SDK run against a product of its own.
async fn service_script(backend: Backend, name: &str, script: &str) {
    let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else { return skip(name, "no MUSTER_TEST_PYTHON") };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = app.bootstrap("contoso").await;
    let mut command = Command::new(python);
    command.arg(format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/{}"), script));
    command.args(["--connection-string", &tenant.tenant.connection_strings["iothubowner"]]);
    command.env("REQUESTS_CA_BUNDLE", app.folder().join("tls/ca.pem")).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{errors}");
    app.stop().await;
}

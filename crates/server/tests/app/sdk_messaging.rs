//! A service on Microsoft's Python SDK.

use crate::on_both;
use muster_testkit::{Backend, TestApp, skip};
use std::time::Duration;
use tokio::{process::Command, time::timeout};

on_both! {
    the_service_sdk_manages_devices
}

const PATIENCE: Duration = Duration::from_secs(120);

async fn the_service_sdk_manages_devices(backend: Backend) {
    let name = "sdk_messaging::the_service_sdk_manages_devices";
    let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else { return skip(name, "no MUSTER_TEST_PYTHON") };
    let Some(app) = TestApp::start_for_sdks(backend, name, &[]).await else { return };
    let tenant = app.bootstrap("contoso").await;
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/registry.py"));
    command.args(["--connection-string", &tenant.tenant.connection_strings["iothubowner"]]);
    command.env("REQUESTS_CA_BUNDLE", app.folder().join("tls/ca.pem")).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim().ends_with("ok"), "{said}\n{errors}");
    app.stop().await;
}

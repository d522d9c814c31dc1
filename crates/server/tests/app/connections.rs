//! Many devices at once: all come back after the hub was killed, and nothing is left of those that come and go.

use crate::on_both;
use muster_loadgen::{DeviceLogin, Endpoint, Fleet, Group, churn, provision};
use muster_testkit::{Backend, Processes, TestApp, eventually, own_address};
use serde_json::Value;
use std::time::Duration;
use tokio::runtime::Handle;

on_both! {
    nothing_is_left_of_connections_that_come_and_go
}

const DEVICES: usize = 300;

/// Devices that have provisioned themselves.
async fn devices(endpoint: &Endpoint, (id_scope, key): (&str, &str), count: usize) -> Vec<DeviceLogin> {
    let group = Group { id_scope: id_scope.to_owned(), key: key.to_owned().into() };
    provision(endpoint, &group, "crowd", count).await.unwrap()
}

async fn nothing_is_left_of_connections_that_come_and_go(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let address = app.app().addresses().mqtt.unwrap();
    let endpoint = Endpoint::parse(&format!("mqtt://{address}"), None).await.unwrap();
    let secret = (tenant.tenant.id_scope.as_str(), tenant.tenant.keys.primary_key.as_str());
    let devices = devices(&endpoint, secret, 16).await;
    let come_and_go = async |times| {
        let report = churn(endpoint.clone(), devices.clone(), times).await.unwrap();
        assert_eq!((report.acknowledged, report.errors.len()), (times, 0), "{report:?}");
    };
    come_and_go(100).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let settled = eventually("the sessions end", || async {
        let now = tasks();
        tokio::task::yield_now().await;
        (now == tasks()).then_some(now)
    })
    .await;
    come_and_go(1_000).await;
    // Tasks that do other work now and then are not sessions.
    eventually("no session is left", || async { (tasks() <= settled + 8).then_some(()) }).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_devices_come_back_at_once_after_a_kill() {
    if !Backend::Servers.available("connections::all_devices_come_back_at_once_after_a_kill") {
        return;
    }
    // Where they come back to is where they were.
    let bind = format!("{}:18883", own_address());
    let split =
        Processes::new(env!("CARGO_BIN_EXE_muster"), Backend::Servers, &[("hub.mqtt_bind", bind.clone())]).await;
    let (mut hub, _api) = (split.start("hub").await, split.start("api").await);
    let tenant: Value = split.bootstrap("api").await;
    let endpoint = Endpoint::parse(&format!("mqtt://{bind}"), None).await.unwrap();
    let text = |pointer: &str| tenant.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let devices = devices(&endpoint, (&text("/idScope"), &text("/enrollmentGroup/primaryKey")), DEVICES).await;
    let fleet = Fleet::connect(endpoint, devices).await.unwrap();
    assert_eq!(fleet.connected(), DEVICES);
    let back = tokio::spawn(fleet.outlast(Duration::from_secs(60)));
    hub.kill().await;
    hub = split.start("hub").await;
    let report = back.await.unwrap().unwrap();
    assert!(report.errors.is_empty(), "no good device is refused: {report:?}");
    assert_eq!(report.acknowledged, DEVICES as u64, "{report:?}");
    drop(hub);
}

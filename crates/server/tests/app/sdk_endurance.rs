//! A device on Microsoft's SDK that keeps sending while its connection breaks in every way: its token is renewed, the
//! network drops, the hub is killed, another connection takes its place. What was acknowledged is stored, and what it is
//! told arrives afterwards without a new SUBSCRIBE.

use crate::{crash::numbers, on_both};
use muster_model::wire::sas;
use muster_testkit::{Backend, Client, Device, Gate, Process, Processes, eventually, own_address, skip};
use reqwest::Certificate;
use serde_json::{Value, json};
use std::{collections::HashSet, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
    time::timeout,
};

on_both! {
    a_device_outlasts_whatever_breaks
}

const NEVER: i64 = 4_102_444_800;
const PATIENCE: Duration = Duration::from_secs(90);
/// The SDK renews a token two minutes before its end: that is five seconds after the start.
const TOKEN_SECONDS: u32 = 125;

async fn a_device_outlasts_whatever_breaks(backend: Backend) {
    let name = "sdk_endurance::a_device_outlasts_whatever_breaks";
    let Some(python) = std::env::var_os("MUSTER_TEST_PYTHON") else { return skip(name, "no MUSTER_TEST_PYTHON") };
    // The device knows the address of the gate, behind which the hub is at the same address after a restart.
    let (host, behind) = (own_address().to_string(), format!("{}:8883", own_address()));
    let (entrance, https) = (format!("{host}:8883"), format!("{host}:0"));
    for address in [&entrance, &behind] {
        if let Err(error) = std::net::TcpListener::bind(address) {
            return skip(name, &format!("{address} cannot be had: {error}"));
        }
    }
    let overrides = [("hub.host", host.clone()), ("hub.mqtts_bind", behind.clone()), ("hub.https_bind", https)];
    let product = Processes::new(env!("CARGO_BIN_EXE_muster"), backend, &overrides).await;
    let (hub_role, api_role) = if backend == Backend::Embedded { ("all", "all") } else { ("hub", "api") };
    let mut hub = product.start(hub_role).await;
    let others = match backend {
        Backend::Embedded => None,
        Backend::Servers => Some((product.start("worker").await, product.start("api").await)),
    };
    let tenant = product.bootstrap(api_role).await;
    let gate = Gate::at(&entrance, &behind).await;
    gate.open();

    let key = sas::derive_key(tenant["enrollmentGroup"]["primaryKey"].as_str().unwrap(), "tough").unwrap();
    let mut service = Service::of(&hub, &host, &tenant);
    service.put("/devices/tough", json!({ "deviceId": "tough", "status": "enabled" })).await;
    let mut command = Command::new(python);
    command.arg(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/python/endurance.py")));
    command.args(["--host", &host, "--device", "tough", "--key", &key]);
    command.args(["--token-seconds", &TOKEN_SECONDS.to_string(), "--ca"]).arg(hub.data_dir().join("tls/ca.pem"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut device = Said(BufReader::new(child.stdout.take().unwrap()).lines());
    device.says(&["ready"]).await;
    service.speak(1, &mut device).await;

    // The token is renewed on a new connection.
    device.says(&["disconnected", "connected"]).await;
    service.speak(2, &mut device).await;

    // The network drops. A message that is sent meanwhile waits; of desired properties a device only hears what changes
    // while it is there.
    gate.shut();
    device.says(&["disconnected"]).await;
    service.send(3).await;
    gate.open();
    device.says(&["connected", "message 3"]).await;
    service.speak(4, &mut device).await;

    // The hub is killed.
    hub.kill().await;
    device.says(&["disconnected"]).await;
    let mut hub = product.start(hub_role).await;
    service = Service::of(&hub, &host, &tenant);
    device.says(&["connected"]).await;
    service.speak(5, &mut device).await;

    // Another connection takes its place, until the device comes back and takes it again.
    let token = sas::sign(&format!("{host}/devices/tough"), &key, NEVER, None).unwrap();
    let user = format!("{host}/tough/?api-version=2021-04-12");
    let mut thief = Device::connect(hub.address("mqtt"), "tough", &user, &token).await.unwrap();
    device.says(&["disconnected", "connected"]).await;
    thief.closed().await.unwrap();
    service.speak(6, &mut device).await;

    drop(child.stdin.take());
    let acknowledged: HashSet<u32> = serde_json::from_str(&device.last().await).unwrap();
    assert!(acknowledged.len() > 100, "{} are acknowledged", acknowledged.len());
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
    let api = others.as_ref().map_or(&hub, |(_, api)| api);
    all_are_stored(&api.client(&tenant), &acknowledged).await;
    hub.kill().await;
}

async fn all_are_stored(admin: &Client, acknowledged: &HashSet<u32>) {
    eventually("every acknowledged message is stored", || async {
        let stored: HashSet<u32> = numbers(admin, "tough").await.into_iter().collect();
        acknowledged.is_subset(&stored).then_some(())
    })
    .await;
}

/// What the device's script prints.
struct Said(Lines<BufReader<ChildStdout>>);

impl Said {
    async fn next(&mut self) -> String {
        let line = self.0.next_line().await.unwrap();
        line.expect("the device goes on")
    }

    /// Waits until all of this was said, in any order and with anything between.
    async fn says(&mut self, expected: &[&str]) {
        let mut missing: Vec<&str> = expected.to_vec();
        let saying = async {
            while !missing.is_empty() {
                let said = self.next().await;
                missing.retain(|expected| *expected != said);
            }
        };
        assert!(timeout(PATIENCE, saying).await.is_ok(), "the device does not say {missing:?}");
    }

    /// The last line: a JSON array.
    async fn last(&mut self) -> String {
        loop {
            let said = self.next().await;
            if said.starts_with('[') {
                return said;
            }
        }
    }
}

/// A service that speaks to the device over the hub's REST API.
struct Service {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Service {
    fn of(hub: &Process, host: &str, tenant: &Value) -> Self {
        let ca = std::fs::read(hub.data_dir().join("tls/ca.pem")).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([Certificate::from_pem(&ca).unwrap()]).no_proxy();
        let string = tenant["connectionStrings"]["iothubowner"].as_str().unwrap();
        let (_, key) = string.split_once("SharedAccessKey=").unwrap();
        Self {
            http: http.timeout(PATIENCE).build().unwrap(),
            base: format!("https://{}", hub.address("hubHttps")),
            token: sas::sign(host, key, NEVER, Some("iothubowner")).unwrap(),
        }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: String) -> String {
        let request = self.http.request(method, format!("{}{path}?api-version=2021-04-12", self.base));
        let request = request.header("authorization", &self.token).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }

    async fn put(&self, path: &str, body: Value) {
        self.call(reqwest::Method::PUT, path, body.to_string()).await;
    }

    /// A message and a change of desired properties.
    async fn send(&self, round: u32) {
        self.call(reqwest::Method::POST, "/devices/tough/messages/deviceBound", round.to_string()).await;
        let desired = json!({ "properties": { "desired": { "round": round } } });
        self.call(reqwest::Method::PATCH, "/twins/tough", desired.to_string()).await;
    }

    /// Sends both, and calls a method.
    async fn speak(&self, round: u32, device: &mut Said) {
        self.send(round).await;
        let call = json!({
            "methodName": "echo", "payload": round, "responseTimeoutInSeconds": 30, "connectTimeoutInSeconds": 30,
        });
        let answer = self.call(reqwest::Method::POST, "/twins/tough/methods", call.to_string()).await;
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), json!({ "status": 200, "payload": round }));
        let expected = ["method", "message", "patch"].map(|kind| format!("{kind} {round}"));
        device.says(&expected.each_ref().map(String::as_str)).await;
    }
}

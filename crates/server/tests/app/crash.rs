//! Three processes, and one of them, or the broker between them, killed as a power cut would: what was acknowledged is
//! stored, once.

use muster_model::wire::sas;
use muster_testkit::{Backend, Broker, Client, Device, DeviceError, Servers, eventually};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_worker_loses_and_doubles_nothing() {
    kill_under_load("worker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_hub_loses_nothing_that_was_acknowledged() {
    kill_under_load("hub").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_rabbitmq_loses_and_doubles_nothing() {
    let name = "crash::rabbitmq";
    if !Backend::Servers.available(name) {
        return;
    }
    let Some(mut broker) = Broker::prepare(name) else { return };
    broker.start().await;
    let split = Split::new(Some(broker.url())).await;
    let (hub, _worker, api) = (split.start("hub").await, split.start("worker").await, split.start("api").await);
    let tenant = split.bootstrap().await;
    let admin = split.admin(&api, &tenant).await;
    let mut device = connect(&hub, &tenant).await;
    let mut acknowledged = HashSet::new();
    for round in 0..3_u32 {
        let sent = send(&mut device, round * ROUND).await;
        if round == 1 {
            broker.kill();
            broker.start().await;
        }
        for (id, number) in sent {
            patiently_acked(&mut device, id).await;
            acknowledged.insert(number);
        }
    }
    assert_eq!(acknowledged.len(), 3 * ROUND as usize, "the connection outlives the broker");
    all_stored_once(&admin, &acknowledged).await;
}

/// A broker that has just started takes its time on a busy machine.
async fn patiently_acked(device: &mut Device, id: u16) {
    for _ in 0..3 {
        match device.acked(id).await {
            Err(DeviceError::Silent) => {}
            answer => return answer.unwrap(),
        }
    }
    panic!("message {id} is not acknowledged");
}

/// Messages of a round.
const ROUND: u32 = 200;

/// A hub, a worker and an api process on PostgreSQL and RabbitMQ.
struct Split {
    folder: TempDir,
    servers: Servers,
}

/// A process; killed when the test ends.
struct Role {
    child: Child,
    data_dir: PathBuf,
}

impl Split {
    /// On the tests' RabbitMQ, or on one of the test's own.
    async fn new(broker: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("master.key");
        std::fs::write(&key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        let mut servers = muster_testkit::servers().await;
        servers.settings.push(("secrets.master_key_file", key.display().to_string()));
        servers.settings.extend(broker.map(|url| ("bus.url", url)));
        let split = Self { folder, servers };
        let migrated = split.command(Path::new("migrate")).arg("migrate").status().await.unwrap();
        assert!(migrated.success());
        split
    }

    fn command(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.env("MUSTER__DATA_DIR", self.folder.path().join(data_dir)).kill_on_drop(true);
        let fixed = [
            ("bus.partitions", "2"),
            ("http.bind", "127.0.0.1:0"),
            ("hub.mqtts_bind", ""),
            ("hub.mqtt_bind", "127.0.0.1:0"),
            ("hub.https_bind", ""),
            ("log.filter", "warn"),
        ];
        let all = fixed.iter().map(|(key, value)| (*key, *value));
        for (key, value) in all.chain(self.servers.settings.iter().map(|(key, value)| (*key, value.as_str()))) {
            command.env(format!("MUSTER__{}", key.to_uppercase().replace('.', "__")), value);
        }
        command
    }

    async fn start(&self, role: &str) -> Role {
        let data_dir = self.folder.path().join(role);
        let _ = std::fs::remove_file(data_dir.join("addresses.json"));
        let child =
            self.command(Path::new(role)).args(["serve", "--roles", role]).stdout(Stdio::null()).spawn().unwrap();
        let role = Role { child, data_dir };
        eventually("the process is ready", || async { role.data_dir.join("addresses.json").exists().then_some(()) })
            .await;
        role
    }

    async fn bootstrap(&self) -> Value {
        let words =
            ["admin", "bootstrap", "--tenant", "contoso", "--name", "Contoso", "--admin-email", "a@contoso.example"];
        let mut command = self.command(Path::new("api"));
        command.args(words).args(["--admin-password-stdin", "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"correct horse battery staple\n").await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Split {
    /// Calls the API, and has made the device `d1`.
    async fn admin(&self, api: &Role, tenant: &Value) -> Client {
        let token = tenant["apiToken"].as_str().unwrap().to_owned();
        let admin = Client::new(format!("http://{}", api.address("http")), Some(token));
        admin.put("/api/devices/d1", json!({})).await.ok();
        admin
    }
}

impl Role {
    fn address(&self, name: &str) -> SocketAddr {
        let text = std::fs::read_to_string(self.data_dir.join("addresses.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[name].as_str().unwrap().parse().unwrap()
    }
}

async fn kill_under_load(victim: &str) {
    if !Backend::Servers.available(&format!("crash::{victim}")) {
        return;
    }
    let split = Split::new(None).await;
    let (mut hub, mut worker, api) = (split.start("hub").await, split.start("worker").await, split.start("api").await);
    let tenant = split.bootstrap().await;
    let admin = split.admin(&api, &tenant).await;
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let mut device = connect(&hub, &tenant).await;
        let sent = send(&mut device, round * ROUND).await;
        if round == 1 {
            let role = if victim == "hub" { &mut hub } else { &mut worker };
            role.child.kill().await.unwrap();
        }
        for (id, number) in sent {
            // After the hub was killed, what it had not acknowledged is the device's to send again.
            if victim == "hub" && round == 1 && device.acked(id).await.is_err() {
                break;
            }
            if !(victim == "hub" && round == 1) {
                device.acked(id).await.unwrap();
            }
            acknowledged.insert(number);
        }
        if round == 1 {
            *(if victim == "hub" { &mut hub } else { &mut worker }) = split.start(victim).await;
        }
    }

    all_stored_once(&admin, &acknowledged).await;
    assert!(acknowledged.len() >= 2 * ROUND as usize, "{} were acknowledged", acknowledged.len());
}

async fn all_stored_once(admin: &Client, acknowledged: &HashSet<u32>) {
    let stored = eventually("every acknowledged message is stored", || async {
        let stored = numbers(admin).await;
        acknowledged.iter().all(|number| stored.contains(number)).then_some(stored)
    })
    .await;
    let distinct: HashSet<_> = stored.iter().copied().collect();
    assert_eq!(distinct.len(), stored.len(), "a message is stored twice");
}

/// Publishes a round's messages without waiting; their packet ids.
async fn send(device: &mut Device, first: u32) -> Vec<(u16, u32)> {
    let mut sent = Vec::new();
    for number in first..first + ROUND {
        let body = json!({ "number": number }).to_string();
        let Ok(id) = device.publish("devices/d1/messages/events/", body.as_bytes()).await else { break };
        sent.push((id, number));
    }
    sent
}

async fn connect(hub: &Role, tenant: &Value) -> Device {
    let host = tenant["hubHost"].as_str().unwrap();
    let key = sas::derive_key(tenant["enrollmentGroup"]["primaryKey"].as_str().unwrap(), "d1").unwrap();
    let password = sas::sign(&format!("{host}/devices/d1"), &key, 4_102_444_800, None).unwrap();
    let user = format!("{host}/d1/?api-version=2021-04-12");
    eventually("the device connects", || async {
        Device::connect(hub.address("mqtt"), "d1", &user, &password).await.ok()
    })
    .await
}

/// Every stored number, however often.
async fn numbers(admin: &Client) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut next = Some("/api/devices/d1/messages?maxpagesize=100".to_owned());
    while let Some(path) = next {
        let page = admin.get(&path).await.ok();
        for message in page["value"].as_array().unwrap() {
            let number = message["telemetry"].get("number").or(message["unmodeled"].get("number"));
            numbers.push(number.unwrap().as_u64().unwrap() as u32);
        }
        next = page["nextLink"].as_str().map(|link| link[link.find("/api").unwrap()..].to_owned());
    }
    numbers
}

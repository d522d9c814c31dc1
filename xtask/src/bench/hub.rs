//! A hub of ours with a database of its own: in front of queues and without a worker, as Mosquitto has no subscriber, or as
//! the whole product in one process, which acknowledges what it has stored.

use super::load::Target;
use crate::{
    paths::{self, Profile},
    process::{self, Background, BackgroundOptions, Output},
    run,
    services::{Folder, postgres::Postgres, rabbitmq::RabbitMq},
};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a hub may take to be ready, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Its name: an address, as "localhost" may be one that we do not listen on. It stands in the certificate.
const HOST: &str = "127.0.0.1";

/// What a hub behind RabbitMQ is told: no worker, as Mosquitto has no subscriber; the API tells of its tasks.
const ROLES: [&str; 3] = ["serve", "--roles", "hub,api"];

/// What a hub stands on.
pub struct Place<'a> {
    pub folder: &'a Folder,
    pub postgres: &'a Postgres,
    /// Absent: the bus in the process.
    pub rabbitmq: Option<&'a RabbitMq>,
}

/// What a hub is.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub partitions: u16,
    pub event_feed: EventFeed,
}

/// Whether the tenant wants its telemetry as events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventFeed {
    Off,
    On,
}

/// A running hub; it stops when this is dropped.
pub struct Hub {
    name: String,
    kind: Kind,
    data: PathBuf,
    group_key: String,
    /// A key of the policy that may call methods.
    service_key: String,
    addresses: Addresses,
    process: Background,
}

/// What the hub writes to `addresses.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addresses {
    http: String,
    mqtt: String,
    mqtts: String,
    hub_https: String,
}

/// What `muster admin bootstrap` prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tenant {
    id_scope: String,
    enrollment_group: Group,
    connection_strings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    primary_key: String,
}

impl Hub {
    /// Starts a hub with a tenant and as many devices, which provision themselves.
    pub fn start(place: &Place<'_>, kind: Kind, devices: u32) -> Result<Self> {
        let Kind { partitions, event_feed } = kind;
        let name = format!("bench{partitions}{}", if event_feed == EventFeed::On { "events" } else { "" });
        place.postgres.create_database(&name)?;
        let data = place.folder.path().join(&name);
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let muster = |arguments: &[&str]| command(place, &name, partitions, arguments);
        process::capture(&mut muster(&["migrate"])?)?;
        let mut making = muster(&[
            "admin",
            "bootstrap",
            "--tenant=bench",
            "--name=Bench",
            "--admin-email=bench@localhost",
            "--admin-password-stdin",
            "--json",
        ])?;
        if event_feed == EventFeed::On {
            making.arg("--event-feed");
        }
        let tenant = bootstrap(&mut making)?;
        let (process, addresses) = serve(place, &name, partitions)?;
        let service = tenant.connection_strings.get("service").and_then(|string| string.split_once("SharedAccessKey="));
        let (_, service_key) = service.context("there is no connection string of the policy 'service'")?;
        let (service_key, group_key) = (service_key.to_owned(), tenant.enrollment_group.primary_key);
        let hub = Self { name, kind, data, group_key, service_key, addresses, process };
        hub.provision(&tenant.id_scope, devices)?;
        Ok(hub)
    }

    /// Stops it and starts it again, with memory as new.
    pub fn restart(&mut self, place: &Place<'_>) -> Result<()> {
        self.process.stop(PATIENCE);
        fs::remove_file(self.data.join("addresses.json")).ok();
        (self.process, self.addresses) = serve(place, &self.name, self.kind.partitions)?;
        Ok(())
    }

    /// Kills it and starts it again at the same addresses; how long that took.
    pub fn kill_and_restart(&mut self, place: &Place<'_>) -> Result<Duration> {
        let start = Instant::now();
        self.process.stop(Duration::ZERO);
        fs::remove_file(self.data.join("addresses.json")).ok();
        let mut command = command(place, &self.name, self.kind.partitions, &ROLES)?;
        command
            .env("MUSTER__HUB__MQTT_BIND", &self.addresses.mqtt)
            .env("MUSTER__HUB__MQTTS_BIND", &self.addresses.mqtts);
        (self.process, self.addresses) = started(place, &self.name, &command)?;
        Ok(start.elapsed())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tasks of its runtime.
    pub fn tasks(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.addresses.http)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics)?;
        let tasks = metrics.lines().find_map(|line| line.strip_prefix("muster_tasks ")?.trim().parse::<f64>().ok());
        Ok(tasks.context("the hub does not tell its tasks")? as u64)
    }

    /// Where load goes; `broker` is the process group of what stands behind the hub.
    pub fn target(&self, broker: u32, tls: bool) -> Target {
        let url =
            if tls { format!("mqtts://{}", self.addresses.mqtts) } else { format!("mqtt://{}", self.addresses.mqtt) };
        Target {
            server: "muster",
            partitions: Some(self.kind.partitions),
            tls,
            url,
            authority: self.data.join("tls/ca.pem"),
            access: ["--hub", HOST, "--group-key", &self.group_key].map(str::to_owned).to_vec(),
            process: self.process.id(),
            broker: Some(broker),
        }
    }

    /// What `muster simulate` needs to call methods, beside [`Hub::target`].
    pub fn service(&self) -> [String; 4] {
        let base = format!("https://{}", self.addresses.hub_https);
        ["--methods-at", &base, "--service-key", &self.service_key].map(str::to_owned)
    }

    /// Registers the devices as real ones do, over TLS, and has them send a little: the first message for a queue that
    /// never was waits until the broker has put the queue on record.
    fn provision(&self, id_scope: &str, devices: u32) -> Result<()> {
        let mut command = Command::new(paths::muster(Profile::Release));
        command.args(["simulate", "--json", "--window", "1", "--pause", "0", "--seconds", "1"]);
        command.args(["--target", &format!("mqtts://{}", self.addresses.mqtts)]);
        command.arg("--ca").arg(self.data.join("tls/ca.pem"));
        command.args(["--id-scope", id_scope, "--group-key", &self.group_key]);
        command.args(["--connections", &devices.to_string()]);
        let start = Instant::now();
        let status = process::stream(command.stderr(Stdio::inherit()), |_| {})?;
        if !status.success() {
            bail!(
                "devices could not provision themselves ({status}); see hub-{}.log beside {}",
                self.name,
                self.data.display()
            );
        }
        eprintln!("{devices} devices provisioned in {:.1} s", start.elapsed().as_secs_f64());
        Ok(())
    }
}

/// `muster` with the environment of the hub `name`.
fn command(place: &Place<'_>, name: &str, partitions: u16, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(paths::muster(Profile::Release));
    command
        .args(arguments)
        .env("MUSTER__DATA_DIR", place.folder.path().join(name))
        .env("MUSTER__DATABASE__URL", place.postgres.url(name))
        .env("MUSTER__BUS__URL", place.rabbitmq.map_or_else(|| "embedded".to_owned(), RabbitMq::amqp_url))
        .env("MUSTER__BUS__NAMESPACE", name)
        .env("MUSTER__BUS__PARTITIONS", partitions.to_string())
        .env("MUSTER__SECRETS__MASTER_KEY_FILE", run::master_key(place.folder.path())?)
        .env("MUSTER__HTTP__BIND", "127.0.0.1:0")
        .env("MUSTER__HUB__HOST", HOST)
        .env("MUSTER__HUB__MQTT_BIND", "127.0.0.1:0")
        .env("MUSTER__HUB__MQTTS_BIND", "127.0.0.1:0")
        .env("MUSTER__HUB__HTTPS_BIND", "127.0.0.1:0")
        .env("MUSTER__LOG__FILTER", "warn");
    Ok(command)
}

/// Makes a tenant.
fn bootstrap(command: &mut Command) -> Result<Tenant> {
    let printed = process::capture_with_input(command, b"a password for the bench\n")?;
    serde_json::from_str(&printed).context("cannot read what `muster admin bootstrap` printed")
}

fn serve(place: &Place<'_>, name: &str, partitions: u16) -> Result<(Background, Addresses)> {
    // The bus in a process needs every role there.
    let roles: &[&str] = if place.rabbitmq.is_some() { &ROLES } else { &["serve"] };
    started(place, name, &command(place, name, partitions, roles)?)
}

fn started(place: &Place<'_>, name: &str, command: &Command) -> Result<(Background, Addresses)> {
    let log = format!("hub-{name}");
    let folder = place.folder.path();
    let options = BackgroundOptions { name: &log, folder, user: None, stop: Signal::TERM, output: Output::Log };
    let mut process = Background::start(command, options)?;
    let file = folder.join(name).join("addresses.json");
    let start = Instant::now();
    while !file.exists() {
        let log = folder.join(format!("{log}.log"));
        if let Some(status) = process.ended()? {
            bail!("the hub ended ({status}); see {}", log.display());
        }
        if start.elapsed() > PATIENCE {
            bail!("the hub did not get ready; see {}", log.display());
        }
        process::pause(Duration::from_millis(100))?;
    }
    let addresses =
        serde_json::from_str(&fs::read_to_string(&file)?).context("cannot read the hub's addresses.json")?;
    Ok((process, addresses))
}

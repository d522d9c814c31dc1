//! `cargo xtask bench ingest`: our hub, Mosquitto and RabbitMQ's MQTT plugin under the same load, in one run.
//! `cargo xtask bench hub`: our hub and Mosquitto, with its connections and methods.
//! `cargo xtask bench connections`: thousands of them, in `connections`.
//! `cargo xtask bench ingest --event-feed`: what the event feed costs a whole product of ours.
//! `cargo xtask bench dtdl`: device models, without any server.
//!
//! All servers run all the time and take their turns, round after round, so that whatever else the machine does meets
//! all of them; the report holds medians. What a connection costs is measured before that, on servers just started.

mod connections;
mod dtdl;
mod feed;
mod hub;
mod load;
mod report;
mod usage;

use crate::{
    paths::Profile,
    run,
    services::{Data, Folder, mosquitto::Mosquitto, postgres::Postgres, rabbitmq::RabbitMq, tls::Certificate},
    stage::Stages,
};
use anyhow::{Context, Result, bail};
pub use connections::{Crowd, measure as measure_connections};
pub use dtdl::measure as measure_dtdl;
pub use feed::measure as measure_event_feed;
use hub::{EventFeed, Hub, Kind, Place};
use load::Target;
use report::{Goal, Idle, Machine, Measured, Methods, Report, Round};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::fs;

/// Devices whose methods are called, one and many at a time.
const METHOD_DEVICES: [u32; 2] = [1, 32];
/// Files that a server and the load generator need beside a connection's.
const OTHER_FILES: u64 = 500;
const WITHOUT_TLS: &str = "the server has no TLS";

/// The load on each server.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Devices that send at once.
    pub connections: u32,
    /// Messages that each has under way, unacknowledged.
    pub window: u32,
    /// How long messages are sent in a round.
    pub seconds: u32,
    /// Times that each server has its turn.
    pub rounds: u32,
    /// Devices that are connected and send nothing, to see what a connection costs.
    pub idle_connections: u32,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject {
    /// Messages: against Mosquitto and RabbitMQ's plugin, with one partition, whose batches are the fullest, and with
    /// the default.
    Ingest,
    /// Messages, connections and methods: against Mosquitto.
    Hub,
}

impl Subject {
    fn partitions(self) -> &'static [u16] {
        match self {
            Self::Ingest => &[1, 8],
            Self::Hub => &[8],
        }
    }

    fn goal(self) -> Goal {
        match self {
            Self::Ingest => Goal { mosquitto: 0.7, rabbitmq_mqtt: Some(10.0), mosquitto_cpu: None },
            Self::Hub => Goal { mosquitto: 1.0, rabbitmq_mqtt: None, mosquitto_cpu: Some(0.8) },
        }
    }
}

/// Measures every server and prints the report as JSON on standard output; progress goes to standard error.
pub fn measure(subject: Subject, load: Load) -> Result<()> {
    raise_file_limit(load.connections.max(load.idle_connections))?;
    let mut stages = Stages::default();
    stages.run("build", || run::build_server(Profile::Release))?;
    let machine = Machine::look()?.with_brokers();
    let folder = Folder::take("bench", Data::Fresh)?;
    let certificate = Certificate::make(folder.path())?;
    let (rabbitmq, postgres) = stages.run("RabbitMQ and PostgreSQL", || {
        let mut rabbitmq = RabbitMq::start(&folder, Some(&certificate))?;
        let mut postgres = Postgres::start(&folder)?;
        rabbitmq.wait()?;
        postgres.wait()?;
        Ok((rabbitmq, postgres))
    })?;
    let place = Place { folder: &folder, postgres: &postgres, rabbitmq: Some(&rabbitmq) };
    let mut hubs = stages.run("hubs, and devices that provision themselves", || {
        let devices = load.connections.max(load.idle_connections);
        subject
            .partitions()
            .iter()
            .map(|&partitions| Hub::start(&place, Kind { partitions, event_feed: EventFeed::Off }, devices))
            .collect::<Result<Vec<_>>>()
    })?;
    let idle = stages.run("idle connections", || {
        let mut idle = idle_elsewhere(subject, &folder, &rabbitmq, &certificate, load.idle_connections)?;
        if let Some(hub) = hubs.last_mut() {
            for tls in [false, true] {
                hub.restart(&place)?;
                idle.push(load::idle(&hub.target(rabbitmq.id(), tls), load.idle_connections)?);
            }
        }
        Ok(idle)
    })?;
    let mut mosquitto = Mosquitto::start(&folder, Some(&certificate))?;
    mosquitto.wait()?;
    let mut targets = foreign(subject, &mosquitto, &rabbitmq, &certificate)?;
    targets.extend(hubs.iter().flat_map(|hub| [false, true].map(|tls| hub.target(rabbitmq.id(), tls))));
    let mut rounds: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
    for number in 1..=load.rounds {
        stages.run(&format!("round {number} of {}", load.rounds), || {
            for (target, rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(load::round(target, load)?);
            }
            Ok(())
        })?;
    }
    let methods = stages.run("methods", || methods(subject, &hubs, &rabbitmq, load.seconds))?;
    let results = targets.iter().zip(rounds).map(|(target, rounds)| Measured::of(target, rounds)).collect();
    drop((hubs, mosquitto, rabbitmq));
    // Gigabytes of messages that nobody reads.
    fs::remove_dir_all(folder.path().join("rabbitmq")).ok();
    stages.report();
    let report = Report::new(machine, (load, subject.goal()), results, idle, methods)?;
    eprintln!("{}", report.verdict());
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn methods(subject: Subject, hubs: &[Hub], rabbitmq: &RabbitMq, seconds: u32) -> Result<Vec<Methods>> {
    let called = hubs.iter().filter(|_| subject == Subject::Hub);
    let calls = called.flat_map(|hub| METHOD_DEVICES.map(|devices| (hub, devices)));
    calls
        .map(|(hub, devices)| load::methods(&hub.target(rabbitmq.id(), true), &hub.service(), devices, seconds))
        .collect()
}

/// Mosquitto and RabbitMQ's plugin, plain and over TLS.
fn foreign(
    subject: Subject,
    mosquitto: &Mosquitto,
    rabbitmq: &RabbitMq,
    certificate: &Certificate,
) -> Result<Vec<Target>> {
    let mut targets =
        vec![mosquitto_target(mosquitto, certificate, false)?, mosquitto_target(mosquitto, certificate, true)?];
    if subject == Subject::Ingest {
        for url in [rabbitmq.mqtt_url(), rabbitmq.mqtts_url().context(WITHOUT_TLS)?] {
            targets.push(Target::foreign("rabbitmq-mqtt", url, rabbitmq.id(), certificate));
        }
    }
    Ok(targets)
}

fn mosquitto_target(mosquitto: &Mosquitto, certificate: &Certificate, tls: bool) -> Result<Target> {
    let url = if tls { mosquitto.tls_url().context(WITHOUT_TLS)? } else { mosquitto.url() };
    Ok(Target::foreign("mosquitto", url, mosquitto.id(), certificate))
}

/// What a connection costs the others. Mosquitto is fresh each time; RabbitMQ gives back what it no longer needs.
fn idle_elsewhere(
    subject: Subject,
    folder: &Folder,
    rabbitmq: &RabbitMq,
    certificate: &Certificate,
    connections: u32,
) -> Result<Vec<Idle>> {
    let mut idle = Vec::new();
    loop {
        let mut mosquitto = Mosquitto::start(folder, Some(certificate))?;
        mosquitto.wait()?;
        match foreign(subject, &mosquitto, rabbitmq, certificate)?.get(idle.len()) {
            Some(target) => idle.push(load::idle(target, connections)?),
            None => return Ok(idle),
        }
    }
}

/// A connection is a file: allow as many as the system does, for us and what we start.
fn raise_file_limit(connections: u32) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < u64::from(connections) + OTHER_FILES) {
        bail!("{connections} connections need a higher limit of open files (ulimit -Hn)");
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

//! `cargo xtask bench ingest`: our hub, Mosquitto and RabbitMQ's MQTT plugin under the same load, in one run.
//!
//! All servers run all the time and take their turns, round after round, so that whatever else the machine does meets
//! all of them; the report holds medians. What a connection costs is measured before that, on servers just started.

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
use hub::{Hub, Place};
use load::Target;
use report::{Idle, Machine, Measured, Report, Round};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::fs;

/// One partition, whose batches are the fullest, and the default.
const PARTITIONS: [u16; 2] = [1, 8];
/// Files that a server and the load generator need beside a connection's.
const OTHER_FILES: u64 = 500;

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

/// Measures every server and prints the report as JSON on standard output; progress goes to standard error.
pub fn ingest(load: Load) -> Result<()> {
    raise_file_limit(load.connections.max(load.idle_connections))?;
    let mut stages = Stages::default();
    stages.run("build", || run::build_server(Profile::Release))?;
    let machine = Machine::look()?;
    let folder = Folder::take("bench", Data::Fresh)?;
    let certificate = Certificate::make(folder.path())?;
    let (rabbitmq, postgres) = stages.run("RabbitMQ and PostgreSQL", || {
        let mut rabbitmq = RabbitMq::start(&folder, Some(&certificate))?;
        let mut postgres = Postgres::start(&folder)?;
        rabbitmq.wait()?;
        postgres.wait()?;
        Ok((rabbitmq, postgres))
    })?;
    let place = Place { folder: &folder, postgres: &postgres, rabbitmq: &rabbitmq };
    let mut hubs = stages.run("hubs, and devices that provision themselves", || {
        let devices = [load.connections, load.connections.max(load.idle_connections)];
        let start = |(partitions, devices)| Hub::start(&place, partitions, devices);
        PARTITIONS.into_iter().zip(devices).map(start).collect::<Result<Vec<_>>>()
    })?;
    let idle = stages.run("idle connections", || {
        let mut idle = idle_elsewhere(&folder, &rabbitmq, &certificate, load.idle_connections)?;
        if let Some(hub) = hubs.last_mut() {
            for tls in [false, true] {
                hub.restart(&place)?;
                idle.push(load::idle(&hub.target(&rabbitmq, tls), load.idle_connections)?);
            }
        }
        Ok(idle)
    })?;
    let mut mosquitto = Mosquitto::start(&folder, Some(&certificate))?;
    mosquitto.wait()?;
    let mut targets = foreign(&mosquitto, &rabbitmq, &certificate)?;
    targets.extend(hubs.iter().flat_map(|hub| [false, true].map(|tls| hub.target(&rabbitmq, tls))));
    let mut rounds: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
    for number in 1..=load.rounds {
        stages.run(&format!("round {number} of {}", load.rounds), || {
            for (target, rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(load::round(target, load)?);
            }
            Ok(())
        })?;
    }
    let results = targets.iter().zip(rounds).map(|(target, rounds)| Measured::of(target, rounds)).collect();
    drop((hubs, mosquitto, rabbitmq));
    // Gigabytes of messages that nobody reads.
    fs::remove_dir_all(folder.path().join("rabbitmq")).ok();
    stages.report();
    let report = Report::new(machine, load, results, idle)?;
    eprintln!("{}", report.verdict());
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// Mosquitto and RabbitMQ's plugin, plain and over TLS.
fn foreign(mosquitto: &Mosquitto, rabbitmq: &RabbitMq, certificate: &Certificate) -> Result<Vec<Target>> {
    let without_tls = "the server has no TLS";
    Ok(vec![
        Target::foreign("mosquitto", mosquitto.url(), mosquitto.id(), certificate),
        Target::foreign("mosquitto", mosquitto.tls_url().context(without_tls)?, mosquitto.id(), certificate),
        Target::foreign("rabbitmq-mqtt", rabbitmq.mqtt_url(), rabbitmq.id(), certificate),
        Target::foreign("rabbitmq-mqtt", rabbitmq.mqtts_url().context(without_tls)?, rabbitmq.id(), certificate),
    ])
}

/// What a connection costs the others. Mosquitto is fresh each time; RabbitMQ gives back what it no longer needs.
fn idle_elsewhere(
    folder: &Folder,
    rabbitmq: &RabbitMq,
    certificate: &Certificate,
    connections: u32,
) -> Result<Vec<Idle>> {
    let mut idle = Vec::new();
    for place in 0..4 {
        let mut mosquitto = Mosquitto::start(folder, Some(certificate))?;
        mosquitto.wait()?;
        let targets = foreign(&mosquitto, rabbitmq, certificate)?;
        idle.push(load::idle(&targets[place], connections)?);
    }
    Ok(idle)
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

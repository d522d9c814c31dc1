//! `cargo xtask bench connections`: what thousands of connections cost our hub beside Mosquitto, how it takes all of them
//! back after it was killed, and what thousands that come and go leave behind.

use super::{
    hub::{EventFeed, Hub, Kind, Place},
    load::{self, Finished},
    report::{Idle, Machine},
    usage::Usage,
};
use crate::{
    paths::Profile,
    process, run,
    services::{Data, Folder, mosquitto::Mosquitto, postgres::Postgres, rabbitmq::RabbitMq, tls::Certificate},
    stage::Stages,
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::time::Duration;

/// As it is by default.
const PARTITIONS: u16 = 8;
/// Bytes of a silent connection at most: plain, and over TLS.
const MOST_BYTES: [u64; 2] = [8 * 1024, 24 * 1024];
/// How long all devices may take to be back.
const PATIENCE_SECONDS: u32 = 120;
/// Connections that come and go before what is there counts, to those that count: pools, caches and the allocator have
/// had their fill by then.
const WARM_UP: f64 = 0.5;
/// Bytes that may be left of each connection that came and went: less than anything that is kept for one.
const MOST_LEFT: u64 = 64;
/// Tasks and files more or less, of a process that does other things as well.
const SLACK: u64 = 16;
/// Time for a server to put away what was closed.
const SETTLE: Duration = Duration::from_secs(5);

/// How many.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crowd {
    /// Devices that are connected at once.
    pub connections: u32,
    /// Connections that come and go.
    pub churn: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    machine: Machine,
    crowd: Crowd,
    idle: Vec<Idle>,
    storm: Vec<Storm>,
    churn: Vec<Churn>,
    goal_met: bool,
}

/// All devices at once, after the hub was killed and started again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Storm {
    tls: bool,
    devices: u32,
    back: u64,
    /// Attempts of all devices, those before the hub was there again too.
    attempts: u64,
    /// Sign-ins of good devices that were refused, and devices that did not come back.
    failed: u64,
    /// From the first drop: until the hub was there again.
    restart_seconds: f64,
    /// Until half, 99 of 100 and all devices were back.
    back_p50_seconds: f64,
    back_p99_seconds: f64,
    all_back_seconds: f64,
}

/// What connections leave that came and went.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Churn {
    tls: bool,
    connections: u64,
    connects_per_second: f64,
    failed: u64,
    before: Held,
    after: Held,
    /// Memory more by connection.
    bytes_left: f64,
}

/// What the hub's process holds.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    memory_bytes: u64,
    files: u64,
    tasks: u64,
}

/// Measures and prints the report as JSON on standard output; progress goes to standard error.
pub fn measure(crowd: Crowd) -> Result<()> {
    super::raise_file_limit(crowd.connections)?;
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
    let place = Place { folder: &folder, postgres: &postgres, rabbitmq: Some(&rabbitmq) };
    let kind = Kind { partitions: PARTITIONS, event_feed: EventFeed::Off };
    let mut hub =
        stages.run("hub, and devices that provision themselves", || Hub::start(&place, kind, crowd.connections))?;
    let idle = stages.run("idle connections", || {
        let mut idle = Vec::new();
        for tls in [false, true] {
            let mut mosquitto = Mosquitto::start(&folder, Some(&certificate))?;
            mosquitto.wait()?;
            let target = super::mosquitto_target(&mosquitto, &certificate, tls)?;
            idle.push(load::idle(&target, crowd.connections)?);
            hub.restart(&place)?;
            idle.push(load::idle(&hub.target(rabbitmq.id(), tls), crowd.connections)?);
        }
        Ok(idle)
    })?;
    let mut storms = Vec::new();
    let mut churns = Vec::new();
    for tls in [false, true] {
        storms.push(stages.run("reconnect storm", || storm(&mut hub, (&place, &rabbitmq), crowd, tls))?);
        // What the allocator keeps of the storm is not left by them.
        hub.restart(&place)?;
        churns.push(stages.run("connections that come and go", || churn(&hub, &rabbitmq, crowd, tls))?);
    }
    drop((hub, rabbitmq));
    stages.report();
    let report = Report { goal_met: met(&idle, &storms, &churns), machine, crowd, idle, storm: storms, churn: churns };
    eprintln!("connections: {}", if report.goal_met { "all goals met" } else { "a goal was MISSED" });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

fn met(idle: &[Idle], storms: &[Storm], churns: &[Churn]) -> bool {
    let ours = idle.iter().filter(|idle| idle.server == "muster");
    ours.clone().all(|idle| idle.bytes_per_connection <= MOST_BYTES[usize::from(idle.tls)])
        && storms.iter().all(|storm| storm.failed == 0 && storm.back == u64::from(storm.devices))
        && churns.iter().all(|churn| {
            churn.failed == 0
                && churn.bytes_left <= MOST_LEFT as f64
                && churn.after.files <= churn.before.files + SLACK
                && churn.after.tasks <= churn.before.tasks + SLACK
        })
}

fn storm(hub: &mut Hub, (place, rabbitmq): (&Place<'_>, &RabbitMq), crowd: Crowd, tls: bool) -> Result<Storm> {
    let target = hub.target(rabbitmq.id(), tls);
    let patience = PATIENCE_SECONDS.to_string();
    let arguments = ["--reconnect", "--seconds", &patience];
    let mut restarted = None;
    let finished = load::watched(&target, crowd.connections, &arguments, |phase| {
        if phase == "loading" {
            restarted = Some(hub.kill_and_restart(place));
        }
    })?;
    let restart = restarted.context("the load generator never said that it was connected")??;
    let storm = Storm {
        tls,
        devices: crowd.connections,
        back: finished.acknowledged,
        attempts: finished.sent,
        failed: finished.errors.values().sum(),
        restart_seconds: restart.as_secs_f64(),
        back_p50_seconds: finished.latency_p50_ms / 1e3,
        back_p99_seconds: finished.latency_p99_ms / 1e3,
        all_back_seconds: finished.seconds,
    };
    eprintln!("{:9} of {} back after {:.1} s", storm.back, storm.devices, storm.all_back_seconds);
    Ok(storm)
}

fn churn(hub: &Hub, rabbitmq: &RabbitMq, crowd: Crowd, tls: bool) -> Result<Churn> {
    let target = hub.target(rabbitmq.id(), tls);
    // Few devices, often: what is kept for a device is not what is looked for.
    let devices = crowd.connections.min(1_000);
    let come_and_go = |times: u64| -> Result<(Finished, Held)> {
        let finished = load::watched(&target, devices, &["--churn", &times.to_string()], |_| {})?;
        process::pause(SETTLE)?;
        Ok((finished, held(hub)?))
    };
    let (_, before) = come_and_go((crowd.churn as f64 * WARM_UP) as u64)?;
    let (finished, after) = come_and_go(crowd.churn)?;
    let churn = Churn {
        tls,
        connections: crowd.churn,
        connects_per_second: finished.acknowledged_per_second,
        failed: finished.errors.values().sum(),
        before,
        after,
        bytes_left: after.memory_bytes.saturating_sub(before.memory_bytes) as f64 / crowd.churn as f64,
    };
    eprintln!("{:9.0} connects/s, {:.1} bytes left of each", churn.connects_per_second, churn.bytes_left);
    Ok(churn)
}

fn held(hub: &Hub) -> Result<Held> {
    let usage = Usage::of_group(hub.id())?;
    Ok(Held { memory_bytes: usage.memory_bytes, files: usage.files, tasks: hub.tasks()? })
}

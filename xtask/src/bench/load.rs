//! A load on one server, and what the server takes of the machine under it.
//!
//! The load comes from `muster simulate --json`, which prints a JSON object a line and stops a while after each of its
//! phases; this process looks at the server while it prints them.

use super::{
    Load,
    report::{Idle, Methods, Round},
    usage::Usage,
};
use crate::{
    paths::{self, Profile},
    process,
    services::tls::Certificate,
};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

/// Time for a server to put away what connecting took, before its memory counts.
const SETTLE: Duration = Duration::from_secs(3);
/// The part of the connections that comes first: what they take beside their own is what a server allocates once.
const FIRST_PART: u32 = 5;

/// Where the load goes, and whose usage counts.
pub struct Target {
    pub server: &'static str,
    pub partitions: Option<u16>,
    pub tls: bool,
    /// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
    pub url: String,
    /// The authority of the server's certificate.
    pub authority: PathBuf,
    /// Arguments that let devices of ours in; other servers take anybody.
    pub access: Vec<String>,
    /// The server's process group.
    pub process: u32,
    /// That of the broker behind it.
    pub broker: Option<u32>,
}

/// The last line of `muster simulate --json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    pub connected: u64,
    pub connect_seconds: f64,
    pub sent: u64,
    pub acknowledged: u64,
    pub acknowledged_per_second: f64,
    pub seconds: f64,
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
    pub errors: BTreeMap<String, u64>,
}

impl Target {
    /// A server that lets anybody in.
    pub fn foreign(server: &'static str, url: String, process: u32, certificate: &Certificate) -> Self {
        let tls = url.starts_with("mqtts");
        let authority = certificate.chain.clone();
        Self { server, partitions: None, tls, url, authority, access: Vec::new(), process, broker: None }
    }

    /// How messages call it.
    fn name(&self) -> String {
        let partitions = self.partitions.map(|count| format!(", partitions: {count}")).unwrap_or_default();
        format!("{}{partitions}, {}", self.server, if self.tls { "TLS" } else { "plain" })
    }
}

/// Has the devices send for one round.
pub fn round(target: &Target, load: Load) -> Result<Round> {
    let mut command = simulate(&target.url, &target.authority, load.connections);
    command.args(&target.access).args(["--window", &load.window.to_string(), "--seconds", &load.seconds.to_string()]);
    let (mut loading, mut finished) = (None, None);
    watch(target, &mut command, |phase, event| match phase {
        "loading" => loading = Some(snapshot(target)),
        "finished" => finished = Some((snapshot(target), serde_json::from_value::<Finished>(event))),
        _ => {}
    })?;
    let (from, broker_from) = loading.context("the load generator never began")??;
    let (after, finished) = finished.context("the load generator never said that it had finished")?;
    let ((to, broker_to), finished) = (after?, finished?);
    let per_message = |from: Usage, to: Usage| {
        to.cpu.saturating_sub(from.cpu).as_secs_f64() * 1e6 / (finished.acknowledged.max(1) as f64)
    };
    let round = Round {
        connects_per_second: finished.connected as f64 / finished.connect_seconds,
        acknowledged_per_second: finished.acknowledged_per_second,
        cpu_microseconds_per_message: per_message(from, to),
        broker_cpu_microseconds_per_message: broker_from.zip(broker_to).map(|(from, to)| per_message(from, to)),
        latency_p50_ms: finished.latency_p50_ms,
        latency_p99_ms: finished.latency_p99_ms,
    };
    eprintln!("{:9.0} messages/s  {}", round.acknowledged_per_second, target.name());
    Ok(round)
}

/// Has a service call methods of the devices, one call of each at a time.
pub fn methods(target: &Target, service: &[String], devices: u32, seconds: u32) -> Result<Methods> {
    let mut command = simulate(&target.url, &target.authority, devices);
    command.args(&target.access).args(service).args(["--seconds", &seconds.to_string()]);
    let mut finished = None;
    watch(target, &mut command, |phase, event| {
        if phase == "finished" {
            finished = Some(serde_json::from_value::<Finished>(event));
        }
    })?;
    let finished = finished.context("the load generator never said that it had finished")??;
    eprintln!("{:9.0} methods/s  {}", finished.acknowledged_per_second, target.name());
    Ok(Methods {
        devices,
        calls_per_second: finished.acknowledged_per_second,
        round_trip_p50_ms: finished.latency_p50_ms,
        round_trip_p99_ms: finished.latency_p99_ms,
    })
}

/// Runs the load generator with these arguments and shows each phase that it tells of; devices that fail are in what it
/// says at last.
pub fn watched(
    target: &Target,
    connections: u32,
    arguments: &[&str],
    mut on_phase: impl FnMut(&str) + Send,
) -> Result<Finished> {
    let mut command = simulate(&target.url, &target.authority, connections);
    command.args(&target.access).args(arguments);
    let mut finished = None;
    let status = stream(&mut command, |phase, event| match phase {
        "finished" => finished = Some(serde_json::from_value::<Finished>(event)),
        other => on_phase(other),
    })?;
    let silent = || format!("the load generator ended ({status}) before it had finished with {}", target.name());
    Ok(finished.with_context(silent)??)
}

/// Has devices connect and be silent: first some, then all. What the server takes more then is what the rest of them
/// cost.
pub fn idle(target: &Target, connections: u32) -> Result<Idle> {
    let first = (connections / FIRST_PART).max(1);
    let (some, all) = (memory_holding(target, first)?, memory_holding(target, connections)?);
    let bytes_per_connection = all.saturating_sub(some) / u64::from(connections.saturating_sub(first).max(1));
    eprintln!("{bytes_per_connection:9} bytes/connection  {}", target.name());
    Ok(Idle { server: target.server, tls: target.tls, connections, bytes_per_connection })
}

fn memory_holding(target: &Target, connections: u32) -> Result<u64> {
    let mut command = simulate(&target.url, &target.authority, connections);
    command.args(&target.access).args(["--idle", "--seconds", &(SETTLE.as_secs() + 1).to_string()]);
    let mut usage = None;
    watch(target, &mut command, |phase, _| {
        if phase == "loading" {
            usage = Some(process::pause(SETTLE).and_then(|()| Usage::of_group(target.process)));
        }
    })?;
    Ok(usage.context("the load generator never said that it was connected")??.memory_bytes)
}

fn simulate(url: &str, authority: &Path, connections: u32) -> Command {
    let mut command = Command::new(paths::muster(Profile::Release));
    command.args(["simulate", "--json", "--pause", "1", "--target", url]).arg("--ca").arg(authority);
    command.args(["--connections", &connections.to_string()]).stderr(Stdio::inherit());
    command
}

/// Runs the load generator and shows each phase it tells of, as soon as it does.
fn watch(target: &Target, command: &mut Command, phase: impl FnMut(&str, serde_json::Value) + Send) -> Result<()> {
    let status = stream(command, phase)?;
    if !status.success() {
        bail!("the load generator failed ({status}) against {}", target.name());
    }
    Ok(())
}

fn stream(command: &mut Command, mut phase: impl FnMut(&str, serde_json::Value) + Send) -> Result<ExitStatus> {
    process::stream(command, |line| {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else { return };
        if let Some(name) = event["phase"].as_str().map(str::to_owned) {
            phase(&name, event);
        }
    })
}

fn snapshot(target: &Target) -> Result<(Usage, Option<Usage>)> {
    Ok((Usage::of_group(target.process)?, target.broker.map(Usage::of_group).transpose()?))
}

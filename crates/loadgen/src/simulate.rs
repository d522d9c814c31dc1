//! `muster simulate`: the load generator's command line.

use crate::{
    endpoint::Endpoint,
    fleet::{Activity, DeviceLogin, Fleet, Quality, churn},
    methods::Service,
    payload::Payload,
    provision::{Group, provision, provisioned},
    report::LoadReport,
};
use anyhow::{Context, Result, bail};
use clap::{Args, builder::RangedU64ValueParser};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{io::Write, num::NonZeroU16, path::PathBuf, time::Duration};
use tokio::task::JoinHandle;

/// What `muster simulate` is told.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Where to: mqtt://HOST:PORT or mqtts://HOST:PORT, of Muster or of any other broker.
    #[arg(long)]
    target: String,
    /// PEM file with the authorities that sign the server's certificate (default: the operating system's).
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Id scope of the tenant: the devices provision themselves.
    #[arg(long, requires = "group_key")]
    id_scope: Option<String>,
    /// The hub's name: the devices have provisioned themselves before and go straight to it.
    #[arg(long, requires = "group_key", conflicts_with = "id_scope")]
    hub: Option<String>,
    /// Key of the enrollment group that lets them in; goes with --id-scope or --hub.
    #[arg(long, env = "MUSTER_SIMULATE_GROUP_KEY", hide_env_values = true)]
    group_key: Option<SecretString>,
    /// Devices.
    #[arg(long, default_value_t = 100, value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    connections: u32,
    /// The devices are called PREFIX-0, PREFIX-1 …
    #[arg(long, default_value = "simulated")]
    prefix: String,
    /// Messages of one device that may be under way, unacknowledged.
    #[arg(long, default_value = "8")]
    window: NonZeroU16,
    /// Messages a second of all devices together (default: as many as go).
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// How long to send.
    #[arg(long, default_value_t = 10, value_parser = RangedU64ValueParser::<u32>::new().range(1..=86_400 * 7))]
    seconds: u32,
    /// The payload; "{value}" becomes a number that wanders, "{sequence}" counts.
    #[arg(long, default_value = Payload::DEFAULT)]
    payload: String,
    /// Quality of service: 0 without acknowledgements, 1 with them.
    #[arg(long, default_value_t = 1, value_parser = RangedU64ValueParser::<u8>::new().range(0..=1))]
    qos: u8,
    /// Send nothing, just hold the connections.
    #[arg(long)]
    idle: bool,
    /// Send nothing, and when the server drops the devices, connect again, all at once; --seconds is the patience.
    #[arg(long, conflicts_with = "idle")]
    reconnect: bool,
    /// Connect and leave so many times in all, the devices in turn, instead of sending.
    #[arg(long, conflicts_with_all = ["idle", "reconnect"], value_parser = RangedU64ValueParser::<u64>::new().range(1..=10_000_000))]
    churn: Option<u64>,
    /// Call methods of the devices, over the hub's REST API at https://HOST:PORT, instead of having them send.
    #[arg(long, requires_all = ["hub", "service_key"], conflicts_with_all = ["idle", "reconnect", "churn"])]
    methods_at: Option<String>,
    /// A key of the tenant's policy "service"; goes with --methods-at.
    #[arg(long, env = "MUSTER_SIMULATE_SERVICE_KEY", hide_env_values = true)]
    service_key: Option<SecretString>,
    /// Seconds between the last connection and the first message, to look at the server in peace.
    #[arg(long, default_value_t = 2, value_parser = RangedU64ValueParser::<u32>::new().range(0..=3600))]
    pause: u32,
    /// Print one JSON object a line instead of words.
    #[arg(long)]
    json: bool,
}

/// Connects, sends and reports, as the arguments say.
///
/// Printed as JSON: `{"phase":"connected","connected":N,"connectSeconds":S}` when all that can are connected,
/// `{"phase":"loading"}` after the pause, and after the load [`LoadReport`] with `"phase":"finished"`.
///
/// # Errors
/// When the target can't be reached, refuses the devices, or lost some of them on the way.
pub async fn simulate(args: SimulateArgs) -> Result<()> {
    let endpoint = Endpoint::parse(&args.target, args.ca.as_deref()).await?;
    let devices = devices(&args, &endpoint).await?;
    let wanted = devices.len();
    if let Some(times) = args.churn {
        return finish(&args, churn(endpoint, devices, times).await?, wanted);
    }
    let fleet = Fleet::connect(endpoint, devices).await?;
    let (connected, connecting) = (fleet.connected(), fleet.connecting());
    let seconds = connecting.as_secs_f64();
    if args.json {
        print_line(&json!({"phase": "connected", "connected": connected, "connectSeconds": seconds}))?;
    } else {
        println!("{connected} of {wanted} devices connected in {seconds:.1} s");
    }
    tokio::time::sleep(Duration::from_secs(args.pause.into())).await;
    if args.json {
        print_line(&json!({"phase": "loading"}))?;
    }
    let progress = (!args.json).then(|| show_progress(fleet.counter()));
    let duration = Duration::from_secs(args.seconds.into());
    let report = match service(&args)? {
        Some(service) => fleet.call_methods(service, duration).await,
        None if args.reconnect => fleet.outlast(duration).await,
        None => fleet.load(activity(&args), duration).await,
    };
    if let Some(progress) = progress {
        progress.abort();
    }
    finish(&args, report?, wanted)
}

/// Prints the report, and fails where devices did.
fn finish(args: &SimulateArgs, report: LoadReport, wanted: usize) -> Result<()> {
    if args.json {
        let mut line = serde_json::to_value(&report)?;
        line["phase"] = Value::from("finished");
        print_line(&line)?;
    } else {
        print_report(&report);
    }
    let failed: u64 = report.errors.values().sum();
    match report.errors.into_iter().max_by_key(|(_, count)| *count) {
        Some((error, _)) => bail!("{failed} of {wanted} devices failed, most by: {error}"),
        None => Ok(()),
    }
}

async fn devices(args: &SimulateArgs, endpoint: &Endpoint) -> Result<Vec<DeviceLogin>> {
    let count = args.connections as usize;
    match (&args.group_key, &args.id_scope, &args.hub) {
        (Some(key), Some(id_scope), _) => {
            let group = Group { id_scope: id_scope.clone(), key: key.clone() };
            return provision(endpoint, &group, &args.prefix, count).await;
        }
        (Some(key), None, Some(hub)) => return provisioned(hub, key, &args.prefix, count),
        (Some(_), None, None) => bail!("a group's key goes with --id-scope or --hub"),
        (None, ..) => {}
    }
    let login = |index| {
        let id = format!("{}-{index}", args.prefix);
        DeviceLogin { topic: format!("devices/{id}/messages/events/"), client_id: id, username: None, password: None }
    };
    Ok((0..count).map(login).collect())
}

fn service(args: &SimulateArgs) -> Result<Option<Service>> {
    let (Some(base), Some(hub), Some(key)) = (&args.methods_at, &args.hub, &args.service_key) else { return Ok(None) };
    Service::new(base, hub, key, args.ca.as_deref()).map(Some)
}

fn activity(args: &SimulateArgs) -> Activity {
    if args.idle {
        return Activity::Hold;
    }
    let quality = if args.qos == 0 { Quality::AtMostOnce } else { Quality::AtLeastOnce };
    Activity::Send { window: args.window, rate: args.rate, payload: Payload::parse(&args.payload), quality }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}

fn print_line(line: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output")
}

/// A line each second; its task ends with the load.
fn show_progress(counter: impl Fn() -> (u64, u64) + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut before = 0;
        loop {
            tick.tick().await;
            let (sent, acknowledged) = counter();
            println!("{sent} sent, {acknowledged} acknowledged, {} in the last second", acknowledged - before);
            before = acknowledged;
        }
    })
}

fn print_report(report: &LoadReport) {
    println!("sent                     {}", report.sent);
    println!("acknowledged             {}", report.acknowledged);
    println!("acknowledged a second    {:.0}", report.acknowledged_per_second);
    println!(
        "latency in ms            p50 {:.1}, p90 {:.1}, p99 {:.1}, longest {:.1}",
        report.latency_p50_ms, report.latency_p90_ms, report.latency_p99_ms, report.latency_max_ms
    );
    for (error, count) in &report.errors {
        println!("failed {count} times: {error}");
    }
}

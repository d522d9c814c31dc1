//! What `cargo xtask bench ingest` and `cargo xtask bench hub` print.

use super::Load;
use crate::{bench::load::Target, paths};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{fs, process::Command};

/// What is asked of our hub in a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// Our rate against Mosquitto's, at least.
    pub mosquitto: f64,
    /// Our rate against that of RabbitMQ's MQTT plugin, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rabbitmq_mqtt: Option<f64>,
    /// Our processor time a message against Mosquitto's, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mosquitto_cpu: Option<f64>,
}

/// Everything that is printed.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    load: Load,
    results: Vec<Measured>,
    ratios: Vec<Ratio>,
    goal: Goal,
    goal_met: bool,
    idle: Vec<Idle>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    methods: Vec<Methods>,
}

/// Where and with what it was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    processor: String,
    processors: usize,
    memory_bytes: u64,
    kernel: String,
    commit: String,
    /// Versions of the brokers, where they take part.
    #[serde(skip_serializing_if = "Option::is_none")]
    mosquitto: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rabbitmq: Option<String>,
    /// One minute's load average at the start and at the end; what is above our own work is others'.
    load_average: Vec<f64>,
}

/// The numbers of one server: medians of its rounds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    server: &'static str,
    tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<u16>,
    #[serde(flatten)]
    median: Round,
    rounds: Vec<Round>,
}

/// The product with its event feed on, against the same with it off: medians of the rounds' ratios.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedReport {
    machine: Machine,
    load: Load,
    off: Measured,
    on: Measured,
    ratio: FeedRatio,
}

/// What the feed leaves of the rate, and what it adds to the processor time of a message.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedRatio {
    rate: f64,
    cpu_per_message: f64,
    database_cpu_per_message: f64,
}

/// One turn of a server.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    pub acknowledged_per_second: f64,
    /// While all devices connected and signed in, before the load.
    pub connects_per_second: f64,
    pub cpu_microseconds_per_message: f64,
    /// Of RabbitMQ behind our hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_cpu_microseconds_per_message: Option<f64>,
    /// With every window full: how long the queue is, rather than how fast the server.
    pub latency_p50_ms: f64,
    pub latency_p99_ms: f64,
}

/// Our hub against another server, both plain or both over TLS: medians of the rounds' ratios.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ratio {
    against: &'static str,
    tls: bool,
    partitions: u16,
    rate: f64,
    cpu_per_message: f64,
    connects: f64,
}

/// Direct methods, called over REST and answered over MQTT with TLS; nobody else has them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Methods {
    /// Devices, each with one call under way.
    pub devices: u32,
    pub calls_per_second: f64,
    pub round_trip_p50_ms: f64,
    pub round_trip_p99_ms: f64,
}

/// What a connection costs that says nothing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    pub server: &'static str,
    pub tls: bool,
    pub connections: u32,
    pub bytes_per_connection: u64,
}

impl Report {
    /// Compares and judges.
    pub fn new(
        machine: Machine,
        (load, goal): (Load, Goal),
        results: Vec<Measured>,
        idle: Vec<Idle>,
        methods: Vec<Methods>,
    ) -> Result<Self> {
        let machine = machine.done()?;
        let ratios = ratios(&results);
        let goal_met = goal.is_met_by(&ratios);
        Ok(Self { machine, load, results, ratios, goal, goal_met, idle, methods })
    }

    /// The outcome in a line.
    pub fn verdict(&self) -> String {
        let outcome = if self.goal_met { "met" } else { "MISSED" };
        format!(
            "goal of {} × Mosquitto's rate{}{}: {outcome}",
            self.goal.mosquitto,
            self.goal.rabbitmq_mqtt.map(|rate| format!(", {rate} × the plugin's")).unwrap_or_default(),
            self.goal.mosquitto_cpu.map(|cpu| format!(", {cpu} × its processor time")).unwrap_or_default(),
        )
    }
}

impl FeedReport {
    /// Compares.
    pub fn new(machine: Machine, load: Load, (off, on): (Measured, Measured)) -> Result<Self> {
        let machine = machine.done()?;
        let ratio = FeedRatio {
            rate: on.against(&off, |round| round.acknowledged_per_second),
            cpu_per_message: on.against(&off, |round| round.cpu_microseconds_per_message),
            database_cpu_per_message: on
                .against(&off, |round| round.broker_cpu_microseconds_per_message.unwrap_or(f64::NAN)),
        };
        Ok(Self { machine, load, off, on, ratio })
    }

    /// The outcome in a line.
    pub fn verdict(&self) -> String {
        let FeedRatio { rate, cpu_per_message, database_cpu_per_message } = &self.ratio;
        format!(
            "with the event feed on: {rate:.2} × the rate, {cpu_per_message:.2} × the processor time, \
             {database_cpu_per_message:.2} × the database's"
        )
    }
}

impl Machine {
    /// Looks around.
    pub fn look() -> Result<Self> {
        let field = |file: &str, name: &str| -> Result<String> {
            let text = fs::read_to_string(file)?;
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_prefix(':').map(str::trim));
            Ok(line.unwrap_or("unknown").to_owned())
        };
        let kibibytes = field("/proc/meminfo", "MemTotal")?;
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name")?,
            processors: std::thread::available_parallelism()?.get(),
            memory_bytes: kibibytes.trim_end_matches(" kB").parse::<u64>().context("memory of the machine")? * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            commit: first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(paths::root())),
            mosquitto: None,
            rabbitmq: None,
            load_average: vec![load_average()?],
        })
    }

    /// With the versions of the brokers.
    pub fn with_brokers(self) -> Self {
        let (mosquitto, rabbitmq) = (package_version("mosquitto"), package_version("rabbitmq-server"));
        Self { mosquitto: Some(mosquitto), rabbitmq: Some(rabbitmq), ..self }
    }

    /// With the load at the end.
    pub fn done(mut self) -> Result<Self> {
        self.load_average.push(load_average()?);
        Ok(self)
    }
}

impl Measured {
    /// From the rounds of a server.
    pub fn of(target: &Target, rounds: Vec<Round>) -> Self {
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
        let broker: Vec<f64> = rounds.iter().filter_map(|round| round.broker_cpu_microseconds_per_message).collect();
        let median = Round {
            acknowledged_per_second: of(|round| round.acknowledged_per_second),
            connects_per_second: of(|round| round.connects_per_second),
            cpu_microseconds_per_message: of(|round| round.cpu_microseconds_per_message),
            broker_cpu_microseconds_per_message: (!broker.is_empty()).then(|| median(broker.into_iter())),
            latency_p50_ms: of(|round| round.latency_p50_ms),
            latency_p99_ms: of(|round| round.latency_p99_ms),
        };
        Self { server: target.server, tls: target.tls, partitions: target.partitions, median, rounds }
    }

    /// The median of a value's ratios, round by round.
    fn against(&self, other: &Self, value: fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| value(own) / value(other)))
    }
}

impl Goal {
    fn is_met_by(&self, ratios: &[Ratio]) -> bool {
        let fits = |ratio: &Ratio| match ratio.against {
            "mosquitto" => {
                ratio.rate >= self.mosquitto && self.mosquitto_cpu.is_none_or(|most| ratio.cpu_per_message <= most)
            }
            _ => self.rabbitmq_mqtt.is_none_or(|least| ratio.rate >= least),
        };
        !ratios.is_empty() && ratios.iter().all(fits)
    }
}

/// Each of our results against the others' of its kind, round by round.
fn ratios(results: &[Measured]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for ours in results {
        let Some(partitions) = ours.partitions else { continue };
        for other in results.iter().filter(|other| other.partitions.is_none() && other.tls == ours.tls) {
            ratios.push(Ratio {
                against: other.server,
                tls: ours.tls,
                partitions,
                rate: ours.against(other, |round| round.acknowledged_per_second),
                cpu_per_message: ours.against(other, |round| round.cpu_microseconds_per_message),
                connects: ours.against(other, |round| round.connects_per_second),
            });
        }
    }
    ratios
}

/// The one in the middle, or the mean of the two there.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle), middle.checked_sub(1).and_then(|below| values.get(below))) {
        (1, Some(value), _) => *value,
        (_, Some(above), Some(below)) => (above + below) / 2.0,
        _ => f64::NAN,
    }
}

fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|first| first.parse().ok()).context("cannot read /proc/loadavg")
}

fn package_version(package: &str) -> String {
    first_line(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", package]))
}

/// What the command says first; a report without it is still of use.
fn first_line(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(server: &'static str, tls: bool, partitions: Option<u16>, rates: &[f64]) -> Measured {
        let round = |rate: &f64| Round {
            acknowledged_per_second: *rate,
            connects_per_second: 1.0,
            cpu_microseconds_per_message: 2.0,
            broker_cpu_microseconds_per_message: partitions.map(|_| 1.0),
            latency_p50_ms: 1.0,
            latency_p99_ms: 1.0,
        };
        let target = Target {
            server,
            partitions,
            tls,
            url: String::new(),
            authority: "ca.pem".into(),
            access: Vec::new(),
            process: 1,
            broker: None,
        };
        Measured::of(&target, rates.iter().map(round).collect())
    }

    #[test]
    fn plain_is_compared_with_plain_and_tls_with_tls_in_each_round() {
        let results = [
            measured("mosquitto", false, None, &[100.0, 10.0, 100.0]),
            measured("mosquitto", true, None, &[50.0, 50.0, 50.0]),
            measured("muster", false, Some(1), &[150.0, 15.0, 10.0]),
            measured("muster", true, Some(8), &[200.0, 1.0, 200.0]),
        ];
        let ratio = |tls, partitions, rate| Ratio {
            against: "mosquitto",
            tls,
            partitions,
            rate,
            cpu_per_message: 1.0,
            connects: 1.0,
        };
        let ratios = ratios(&results);
        assert_eq!(ratios, [ratio(false, 1, 1.5), ratio(true, 8, 4.0)]);
        let goal = Goal { mosquitto: 0.7, rabbitmq_mqtt: Some(10.0), mosquitto_cpu: None };
        assert!(goal.is_met_by(&ratios));
        assert!(!goal.is_met_by(&[ratio(false, 1, 0.69)]));
        assert!(!goal.is_met_by(&[]));
        assert!(!Goal { mosquitto_cpu: Some(0.8), ..goal }.is_met_by(&ratios));
    }

    #[test]
    fn the_feed_is_compared_round_by_round() {
        let (off, on) = (
            measured("muster, event feed off", false, Some(8), &[100.0, 200.0, 100.0]),
            measured("muster, event feed on", false, Some(8), &[90.0, 100.0, 95.0]),
        );
        assert_eq!(on.against(&off, |round| round.acknowledged_per_second), 0.9);
        assert_eq!(on.against(&off, |round| round.broker_cpu_microseconds_per_message.unwrap_or_default()), 1.0);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median(std::iter::empty()).is_nan());
        let measured = measured("muster", false, Some(1), &[3.0, 1.0, 2.0]);
        assert_eq!(measured.median.acknowledged_per_second, 2.0);
        assert_eq!(measured.median.broker_cpu_microseconds_per_message, Some(1.0));
    }
}

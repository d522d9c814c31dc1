//! `cargo xtask`: builds, checks, tests and runs Muster.

mod bench;
mod check;
mod counts;
mod deploy;
mod fuzz;
mod licences;
mod lock;
mod paths;
mod process;
mod run;
mod services;
mod setup;
mod stage;
mod test;
mod tidy;
mod web;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use paths::Profile;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, checks, tests and runs Muster", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds everything and starts it with the demo
    Run {
        /// PostgreSQL, RabbitMQ and three processes instead of one process
        #[arg(long)]
        full: bool,
        /// Optimised, as shipped
        #[arg(long)]
        release: bool,
    },
    /// Runs all tests, with private servers and a browser
    Test {
        /// Words of test names; none runs all
        filter: Vec<String>,
        /// Leave out the tests in a browser
        #[arg(long)]
        no_e2e: bool,
    },
    /// Starts the tests' private servers and prints how tests find them, for a plain `cargo test`
    Services,
    /// Checks format, lints, house rules, documentation, deployment files and generated files
    Check,
    /// Checks the house rules alone
    Tidy,
    /// Measures
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
    /// Throws bytes at the parsers, guided by coverage
    Fuzz {
        /// Targets, by the folders of fuzz/corpus; none runs all in turn
        name: Vec<String>,
        /// How long each of them runs
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
    /// Builds the web app into frontend/dist
    Web {
        /// Large and soon there, instead of small
        #[arg(long)]
        dev: bool,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// Acknowledged messages a second, processor time and memory: our hub, Mosquitto, RabbitMQ's MQTT plugin
    Ingest {
        #[command(flatten)]
        load: Load,
        /// What the event feed costs instead: the whole product with it on and off
        #[arg(long)]
        event_feed: bool,
    },
    /// Messages, connections, memory and direct methods: our hub beside Mosquitto
    Hub(Load),
    /// Thousands of connections: bytes of each beside Mosquitto, all back after a kill, nothing left of those that go
    Connections {
        /// Devices that are connected at once
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..))]
        connections: u32,
        /// Connections that come and go
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
        churn: u64,
    },
    /// How fast device models are read beside serde_json, and what hostile ones cost
    Dtdl,
}

#[derive(Args)]
struct Load {
    /// Devices that send at once
    #[arg(long, default_value_t = 1000)]
    connections: u32,
    /// Messages that each has under way
    #[arg(long, default_value_t = 8)]
    window: u32,
    /// How long a server is under load in a round
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Times that each server has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Silent devices, to see what a connection costs (default: as many as send)
    #[arg(long)]
    idle_connections: Option<u32>,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    process::watch_signals()?;
    match task {
        Task::Run { full: false, release } => run::single(Profile::from_switch(release)),
        Task::Run { full: true, release } => run::full(Profile::from_switch(release)),
        Task::Test { filter, no_e2e } => {
            let end_to_end = if no_e2e { test::EndToEnd::LeaveOut } else { test::EndToEnd::Run };
            test::run(&test::Selection { filter, end_to_end })
        }
        Task::Services => test::serve(),
        Task::Bench { bench: Bench::Ingest { load, event_feed: false } } => {
            bench::measure(bench::Subject::Ingest, load.into())
        }
        Task::Bench { bench: Bench::Ingest { load, event_feed: true } } => bench::measure_event_feed(load.into()),
        Task::Bench { bench: Bench::Hub(load) } => bench::measure(bench::Subject::Hub, load.into()),
        Task::Bench { bench: Bench::Connections { connections, churn } } => {
            bench::measure_connections(bench::Crowd { connections, churn })
        }
        Task::Bench { bench: Bench::Dtdl } => bench::measure_dtdl(),
        Task::Fuzz { name, seconds } => fuzz::run(&name, seconds),
        Task::Check => check::run(),
        Task::Tidy => tidy::run(),
        Task::Web { dev } => web::build(if dev { web::Build::Dev } else { web::Build::Release }, web::Keep::Same),
    }
}

impl From<Load> for bench::Load {
    fn from(Load { connections, window, seconds, rounds, idle_connections }: Load) -> Self {
        Self { connections, window, seconds, rounds, idle_connections: idle_connections.unwrap_or(connections) }
    }
}

//! `cargo xtask test`: every test there is, with the servers they need.

use crate::{
    counts::{CargoTest, Counts, playwright},
    paths::{self, Profile},
    process,
    services::{Data, Folder, mosquitto::Mosquitto, postgres::Postgres, rabbitmq::RabbitMq},
    setup,
    stage::Stages,
    web,
};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What to test.
pub struct Selection {
    /// Words of test names; none selects all.
    pub filter: Vec<String>,
    /// Whether a browser is started.
    pub end_to_end: EndToEnd,
}

/// Whether the end-to-end tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndToEnd {
    /// They do.
    Run,
    /// They do not.
    LeaveOut,
}

/// Runs the tests; the last line printed is their count.
pub fn run(selection: &Selection) -> Result<()> {
    let mut stages = Stages::default();
    let result = run_stages(selection, &mut stages);
    stages.report();
    let counts = result?;
    println!("\n{counts}");
    if counts.failed > 0 { bail!("{} tests failed", counts.failed) } else { Ok(()) }
}

/// Starts the servers alone and says how tests find them, until we are told to end.
pub fn serve() -> Result<()> {
    let python = set_up(EndToEnd::LeaveOut)?;
    let folder = Folder::take("test", Data::Fresh)?;
    let mut servers = Servers::start(&folder)?;
    servers.wait()?;
    for (name, value) in servers.environment(python)? {
        println!("export {name}='{}'", value.to_string_lossy());
    }
    println!("# ready; Ctrl-C stops");
    while process::pause(Duration::from_secs(1)).is_ok() {}
    Ok(())
}

fn run_stages(selection: &Selection, stages: &mut Stages) -> Result<Counts> {
    let python = stages.run("set-up", || set_up(selection.end_to_end))?;
    let folder = Folder::take("test", Data::Fresh)?;
    // The servers get ready while the compiler works.
    let mut servers = stages.run("start of PostgreSQL, RabbitMQ and Mosquitto", || Servers::start(&folder))?;
    stages.run("build of the tests", build)?;
    stages.run("wait for the servers", || servers.wait())?;
    let environment = servers.environment(python)?;
    let mut counts = stages.run("cargo test", || cargo_test(&selection.filter, &environment))?;
    if selection.end_to_end == EndToEnd::Run {
        stages.run("web app", || web::build(web::Build::Release, web::Keep::Same))?;
        counts += stages.run("end-to-end tests", || end_to_end(&selection.filter, &environment, folder.path()))?;
    }
    stages.run("stop of the servers", || {
        drop(servers);
        Ok(())
    })?;
    Ok(counts)
}

/// Installs what is missing; returns the Python that has the SDKs.
fn set_up(end_to_end: EndToEnd) -> Result<PathBuf> {
    setup::provide(&[&setup::POSTGRESQL, &setup::RABBITMQ, &setup::MOSQUITTO])?;
    if end_to_end == EndToEnd::Run {
        setup::provide(&[&setup::CHROMIUM])?;
    }
    setup::provide(&setup::NODE.each_ref())?;
    setup::node_modules()?;
    setup::python()
}

/// What the tests talk to.
struct Servers {
    postgres: Postgres,
    rabbitmq: RabbitMq,
    mosquitto: Mosquitto,
}

impl Servers {
    fn start(folder: &Folder) -> Result<Self> {
        let rabbitmq = RabbitMq::start(folder, None)?;
        let postgres = Postgres::start(folder)?;
        Ok(Self { postgres, rabbitmq, mosquitto: Mosquitto::start(folder, None)? })
    }

    fn wait(&mut self) -> Result<()> {
        self.postgres.wait()?;
        self.mosquitto.wait()?;
        self.rabbitmq.wait()
    }

    /// How tests find everything.
    fn environment(&self, python: PathBuf) -> Result<Environment> {
        let spec = env::var_os("MUSTER_SPEC_DIR").map_or_else(|| paths::root().join("../shared/spec"), PathBuf::from);
        let mut environment = Environment::from([
            ("MUSTER_TEST_POSTGRES", self.postgres.url("postgres").into()),
            ("MUSTER_TEST_RABBITMQ", self.rabbitmq.amqp_url().into()),
            ("MUSTER_TEST_RABBITMQ_MQTT", self.rabbitmq.mqtt_address().into()),
            ("MUSTER_TEST_MOSQUITTO", self.mosquitto.address().into()),
            ("MUSTER_TEST_PYTHON", python.into_os_string()),
            ("MUSTER_TEST_BINARY", paths::muster(Profile::Dev).into_os_string()),
        ]);
        if let Ok(spec) = spec.canonicalize() {
            environment.insert("MUSTER_SPEC_DIR", spec.into_os_string());
        }
        for (variable, program) in [("MUSTER_TEST_CHROMIUM", "chromium"), ("MUSTER_TEST_NODE", "node")] {
            if let Some(found) = process::find_program(program) {
                environment.insert(variable, found.into_os_string());
            }
        }
        Ok(environment)
    }
}

type Environment = BTreeMap<&'static str, OsString>;

/// Builds what `cargo test` runs and the programs that tests start, in one go.
fn build() -> Result<()> {
    let mut command = Command::new("cargo");
    process::run(command.current_dir(paths::root()).args(["build", "--workspace", "--bins", "--tests"]))
}

fn cargo_test(filter: &[String], environment: &Environment) -> Result<Counts> {
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).envs(environment);
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]).args(filter);
    let mut reader = CargoTest::default();
    let status = process::stream(&mut command, |line| {
        if reader.line(line) {
            println!("{line}");
        }
    })?;
    let counts = reader.counts();
    if !status.success() && counts.failed == 0 {
        bail!("cargo test failed ({status}) although no test did");
    }
    Ok(counts)
}

fn end_to_end(filter: &[String], environment: &Environment, folder: &Path) -> Result<Counts> {
    let report = folder.join("playwright.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = Command::new("npx");
    command.current_dir(paths::root().join("e2e")).envs(environment);
    command.env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report).args(["playwright", "test", "--reporter=list,json"]);
    if !filter.is_empty() {
        command.args(["--pass-with-no-tests", "--grep", &filter.join("|")]);
    }
    let status = process::stream(&mut command, |line| println!("{line}"))?;
    let text = fs::read_to_string(&report).with_context(|| format!("Playwright ended ({status}) without a report"))?;
    let counts = playwright(&text)?;
    if !status.success() && counts.failed == 0 {
        bail!("Playwright failed ({status}) although no test did");
    }
    Ok(counts)
}

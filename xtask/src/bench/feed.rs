//! What the event feed costs: two products of ours under the same load, one whose tenant reads telemetry as events and one
//! whose does not.
//!
//! Each is one process with every role and the bus inside, on one PostgreSQL: what it acknowledges is stored, so the rate is
//! that of the worker, whose work the feed is. They take their turns, round after round.

use super::{
    Load,
    hub::{EventFeed, Hub, Kind, Place},
    load,
    report::{FeedReport, Machine, Measured, Round},
};
use crate::{
    paths::Profile,
    run,
    services::{Data, Folder, postgres::Postgres},
    stage::Stages,
};
use anyhow::Result;

/// As it is by default.
const PARTITIONS: u16 = 8;

/// Measures both and prints the report as JSON on standard output; progress goes to standard error.
pub fn measure(load: Load) -> Result<()> {
    super::raise_file_limit(load.connections)?;
    let mut stages = Stages::default();
    stages.run("build", || run::build_server(Profile::Release))?;
    let machine = Machine::look()?.with_brokers();
    let folder = Folder::take("bench", Data::Fresh)?;
    let mut postgres = stages.run("PostgreSQL", || Postgres::start(&folder))?;
    postgres.wait()?;
    let place = Place { folder: &folder, postgres: &postgres, rabbitmq: None };
    let hub = |event_feed| Hub::start(&place, Kind { partitions: PARTITIONS, event_feed }, load.connections);
    let (off, on) = stages
        .run("products, and devices that provision themselves", || Ok((hub(EventFeed::Off)?, hub(EventFeed::On)?)))?;
    let mut targets = [off.target(postgres.id(), false), on.target(postgres.id(), false)];
    for (target, server) in targets.iter_mut().zip(["muster, event feed off", "muster, event feed on"]) {
        target.server = server;
    }
    let mut rounds: [Vec<Round>; 2] = Default::default();
    for number in 1..=load.rounds {
        stages.run(&format!("round {number} of {}", load.rounds), || {
            for (target, rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(load::round(target, load)?);
            }
            Ok(())
        })?;
    }
    let [off_rounds, on_rounds] = rounds;
    let measured = (Measured::of(&targets[0], off_rounds), Measured::of(&targets[1], on_rounds));
    stages.report();
    let report = FeedReport::new(machine, load, measured)?;
    eprintln!("{}", report.verdict());
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

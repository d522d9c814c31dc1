//! `cargo xtask bench dtdl`: how fast device models are read, beside serde_json in the same run, and what hostile ones cost.
//!
//! `crates/model/benches/dtdl.rs` measures; this says where, and whether it is good enough.

use super::report::Machine;
use crate::{paths, process, stage::Stages};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::process::Command;

/// What is asked of the reader.
const GOAL: Goal =
    Goal { model_of_300_milliseconds: 2.0, cases_seconds: 5.0, hostile_seconds: 2.0, hostile_peak_bytes: 512 << 20 };

/// At most that much of each.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Goal {
    model_of_300_milliseconds: f64,
    cases_seconds: f64,
    hostile_seconds: f64,
    hostile_peak_bytes: u64,
}

/// Everything that is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    machine: Machine,
    #[serde(flatten)]
    measured: Measured,
    goal: Goal,
    goal_met: bool,
}

/// What the bench prints.
#[derive(Debug, Deserialize, Serialize)]
struct Measured {
    models: Vec<Model>,
    files: Vec<File>,
    hostile: Vec<Hostile>,
}

/// An ordinary interface.
#[derive(Debug, Deserialize, Serialize)]
struct Model {
    capabilities: u32,
    bytes: u64,
    #[serde(flatten)]
    times: Times,
}

/// A file of the specification with a case a line; absent files are named and skipped.
#[derive(Debug, Deserialize, Serialize)]
struct File {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    times: Option<Times>,
}

/// All texts once, medians of the rounds: serde_json alone, our reader of JSON alone, and the whole check.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    serde_json_microseconds: f64,
    json_microseconds: f64,
    check_microseconds: f64,
    /// Ours against serde_json.
    json_ratio: f64,
    check_ratio: f64,
}

/// A model made to cost much, in a process of its own.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Hostile {
    model: String,
    bytes: u64,
    errors: u64,
    milliseconds: f64,
    peak_bytes: u64,
    /// Did it end in the errors that it should?
    as_expected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Measures and prints the report as JSON on standard output; progress goes to standard error.
pub fn measure() -> Result<()> {
    let mut stages = Stages::default();
    let bench = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.current_dir(paths::root()).args(["bench", "--package", "muster-model", "--bench", "dtdl", "--locked"]);
        command.args(arguments);
        command
    };
    stages.run("build", || process::run(&mut bench(&["--no-run"])))?;
    let machine = Machine::look()?;
    let printed = stages.run("models, cases, hostile models", || process::capture(&mut bench(&[])))?;
    let measured: Measured = serde_json::from_str(&printed).context("cannot read what the bench printed")?;
    stages.report();
    for File { file, skipped, .. } in &measured.files {
        if let Some(reason) = skipped {
            eprintln!("skipped: {file}: {reason}");
        }
    }
    let goal_met = GOAL.is_met_by(&measured);
    eprintln!("goals for speed and memory: {}", if goal_met { "met" } else { "MISSED" });
    let report = Report { machine: machine.done()?, measured, goal: GOAL, goal_met };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

impl Goal {
    fn is_met_by(&self, measured: &Measured) -> bool {
        let model = measured.models.iter().find(|model| model.capabilities == 300);
        let cases = measured.files.iter().filter(|file| file.file.starts_with("cases-"));
        let cases: f64 = cases.filter_map(|file| Some(file.times.as_ref()?.check_microseconds)).sum();
        let bounded = |model: &Hostile| {
            model.as_expected
                && model.milliseconds <= self.hostile_seconds * 1e3
                && model.peak_bytes <= self.hostile_peak_bytes
        };
        model.is_some_and(|model| model.times.check_microseconds <= self.model_of_300_milliseconds * 1e3)
            && cases <= self.cases_seconds * 1e6
            && measured.hostile.iter().all(bounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(model: f64, cases: f64, peak: u64, expected: bool) -> Measured {
        let times = |check: f64| {
            json!({"serdeJsonMicroseconds": 1.0, "jsonMicroseconds": 1.0, "checkMicroseconds": check, "jsonRatio": 1.0,
                "checkRatio": check})
        };
        let with = |mut one: serde_json::Value, other: serde_json::Value| {
            one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
            one
        };
        let text = json!({
            "models": [with(times(model), json!({"capabilities": 300, "bytes": 9}))],
            "files": [
                with(times(cases), json!({"file": "cases-v2.jsonl", "cases": 2, "bytes": 9})),
                {"file": "models.jsonl", "skipped": "no file"},
            ],
            "hostile": [{"model": "a", "bytes": 1, "codes": [], "errors": 1, "milliseconds": 1.0, "peakBytes": peak,
                "asExpected": expected}],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_the_bench_prints_is_judged() {
        assert!(GOAL.is_met_by(&printed(1999.0, 4e6, 1, true)));
        assert!(!GOAL.is_met_by(&printed(2001.0, 4e6, 1, true)));
        assert!(!GOAL.is_met_by(&printed(1.0, 6e6, 1, true)));
        assert!(!GOAL.is_met_by(&printed(1.0, 1.0, u64::MAX, true)));
        assert!(!GOAL.is_met_by(&printed(1.0, 1.0, 1, false)));
        assert!(!GOAL.is_met_by(&Measured { models: Vec::new(), ..printed(1.0, 1.0, 1, true) }));
    }
}

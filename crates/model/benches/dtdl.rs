//! How fast device models are read, beside serde_json, which reads the same texts and asks nothing of them.
//! `cargo xtask bench dtdl` runs this; it prints JSON.

#[path = "../tests/hostile/mod.rs"]
mod hostile;

use hostile::Hostile;
use muster_model::dtdl::json::{self, Node};
use muster_model::dtdl::{self, Rules};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

/// Times that everything has its turn.
const ROUNDS: usize = 7;
/// How long a model's turn lasts at least.
const TURN: Duration = Duration::from_millis(100);

/// Tells the program to be the process of one hostile model.
const ALONE: &str = "--alone";

fn main() -> io::Result<()> {
    if env::args().any(|argument| argument == ALONE) {
        return alone();
    }
    let models = [10, 300, 1000].map(|capabilities| {
        let text = hostile::ordinary(capabilities);
        let measured = compare(&[&text], check);
        with(measured, json!({"capabilities": capabilities, "bytes": text.len()}))
    });
    let files = ["cases-v2.jsonl", "cases-v3.jsonl", "models.jsonl"].map(|name| file(&spec().join("dtdl").join(name)));
    let hostile: Vec<Value> = hostile::models().iter().map(apart).collect();
    println!("{}", json!({"models": models, "files": files, "hostile": hostile}));
    Ok(())
}

fn spec() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec");
    env::var_os("MUSTER_SPEC_DIR").map_or_else(beside, PathBuf::from)
}

/// Reads a model and tells what is wrong with it, as `muster dtdl check` does.
fn check(text: &str) {
    if let Ok(node) = json::parse(text) {
        black_box(dtdl::check(&[(&node, "")], Rules::Strict));
    }
}

/// A file with a case on each line, as `muster dtdl check --jsonl` reads it.
fn file(path: &Path) -> Value {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Ok(text) = fs::read_to_string(path) else {
        return json!({"file": name, "skipped": format!("no {}", path.display())});
    };
    let lines: Vec<&str> = text.lines().collect();
    let measured = compare(&lines, |line| {
        if let Ok(node) = json::parse(line) {
            let input = node.get("input").map(Node::each).unwrap_or_default();
            let documents: Vec<_> = input.iter().map(|node| (node, "")).collect();
            let lenient = node.get("options").is_some_and(|options| {
                options.each().iter().any(|option| option.as_text() == Some("AllowUndefinedExtensions"))
            });
            let rules = if lenient { Rules::UnknownExtensions } else { Rules::Strict };
            black_box(dtdl::check(&documents, rules));
        }
    });
    with(measured, json!({"file": name, "cases": lines.len(), "bytes": text.len()}))
}

/// Microseconds for all texts once: serde's, our reader of JSON alone, and all of our work. Medians of rounds in which
/// each has its turn, and of the rounds' ratios.
fn compare(texts: &[&str], work: impl Fn(&str)) -> Value {
    let serde = |text: &str| drop(black_box(serde_json::from_str::<Value>(text)));
    let nodes = |text: &str| drop(black_box(json::parse(text)));
    let rounds: Vec<[f64; 3]> =
        (0..ROUNDS).map(|_| [turn(texts, serde), turn(texts, nodes), turn(texts, &work)]).collect();
    let of = |value: fn(&[f64; 3]) -> f64| median(rounds.iter().map(value).collect());
    json!({
        "serdeJsonMicroseconds": of(|[serde, ..]| *serde),
        "jsonMicroseconds": of(|[_, json, _]| *json),
        "checkMicroseconds": of(|[.., check]| *check),
        "jsonRatio": of(|[serde, json, _]| json / serde),
        "checkRatio": of(|[serde, _, check]| check / serde),
    })
}

fn turn(texts: &[&str], work: impl Fn(&str)) -> f64 {
    let start = Instant::now();
    let mut times = 0;
    while times == 0 || start.elapsed() < TURN {
        texts.iter().for_each(|text| work(text));
        times += 1;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn with(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

/// A hostile model in a process of its own, whose memory is the model's.
fn apart(model: &Hostile) -> Value {
    match measured_apart(&model.text) {
        Ok(measured) => {
            let codes = measured.get("codes").and_then(Value::as_array).cloned().unwrap_or_default();
            let expected = model.errors.iter().all(|code| codes.contains(&code.as_str().into()));
            with(measured, json!({"model": model.name, "bytes": model.text.len(), "asExpected": expected}))
        }
        Err(error) => json!({"model": model.name, "asExpected": false, "failed": error.to_string()}),
    }
}

fn measured_apart(text: &str) -> io::Result<Value> {
    let mut command = Command::new(env::current_exe()?);
    let mut child = command.arg(ALONE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    Ok(serde_json::from_slice(&child.wait_with_output()?.stdout)?)
}

/// Checks the model on standard input once.
fn alone() -> io::Result<()> {
    let text = io::read_to_string(io::stdin())?;
    let before = memory("VmRSS");
    // From now on the peak counts.
    fs::write("/proc/self/clear_refs", "5")?;
    let start = Instant::now();
    let (codes, errors) = match json::parse(&text) {
        Ok(node) => {
            let report = dtdl::check(&[(&node, "")], Rules::Strict);
            let codes: BTreeSet<_> = report.errors.iter().map(|found| found.code.as_str()).collect();
            (codes, report.errors.len() + report.more_errors)
        }
        Err(found) => (BTreeSet::from([found.code.as_str()]), 1),
    };
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let peak = memory("VmHWM").saturating_sub(before);
    println!("{}", json!({"codes": codes, "errors": errors, "milliseconds": milliseconds, "peakBytes": peak}));
    Ok(())
}

/// Of `/proc/self/status`, in bytes.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
}

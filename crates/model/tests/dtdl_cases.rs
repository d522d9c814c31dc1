//! The language's own conformance cases, where the specification lies beside the project (`MUSTER_SPEC_DIR`).

use muster_model::dtdl::json::Node;
use muster_model::dtdl::{self, Rules};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Cases whose verdict must be the expected one, of a thousand.
const FLOOR_V2: usize = 1000;
const FLOOR_V3: usize = 1000;

#[derive(Deserialize)]
struct Case {
    #[serde(alias = "id")]
    case: String,
    input: Vec<Value>,
    #[serde(default = "yes")]
    valid: bool,
    #[serde(default)]
    options: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Case {
    fn check(&self) -> Result<(), Vec<dtdl::DtdlError>> {
        let tolerant = self.options.iter().any(|option| option == "AllowUndefinedExtensions");
        let rules = if tolerant { Rules::UnknownExtensions } else { Rules::Strict };
        let nodes: Vec<Node> = self.input.iter().map(Node::from_value).collect();
        dtdl::check(&nodes.iter().map(|node| (node, "")).collect::<Vec<_>>(), rules)
    }
}

/// The cases of a file; none where the specification is not there.
fn cases(name: &str) -> Vec<Case> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec");
    let folder = std::env::var_os("MUSTER_SPEC_DIR").map_or_else(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("dtdl").join(name)) else {
        println!("skipped: {name}: no specification at {}", folder.display());
        return Vec::new();
    };
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Runs the cases, tells which disagree, and returns how many of a thousand agree.
fn agreement(name: &str) -> usize {
    let cases = cases(name);
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let found = case.check();
        if found.is_ok() != case.valid {
            let (family, number) = case.case.split_once('#').unwrap_or((&case.case, ""));
            let reason =
                found.err().and_then(|errors| errors.first().map(|error| format!(" ({}: {error})", error.code)));
            wrong.entry(family.trim()).or_default().push(format!("{number}{}", reason.unwrap_or_default()));
        }
    }
    let agreed = cases.len() - wrong.values().map(Vec::len).sum::<usize>();
    println!("{name}: {agreed} of {} cases agree", cases.len());
    for (family, numbers) in &wrong {
        println!("  {family}: {}", numbers.join(", "));
    }
    if cases.is_empty() { 1000 } else { agreed * 1000 / cases.len() }
}

#[test]
fn version_2_agrees() {
    let agreed = agreement("cases-v2.jsonl");
    assert!(agreed >= FLOOR_V2, "{agreed} of 1000 agree");
}

#[test]
fn version_3_agrees() {
    let agreed = agreement("cases-v3.jsonl");
    assert!(agreed >= FLOOR_V3, "{agreed} of 1000 agree");
}

#[test]
fn real_models_are_read() {
    for case in cases("models.jsonl") {
        let problems: Vec<_> =
            case.check().err().unwrap_or_default().iter().map(|error| format!("{} {error}", error.pointer)).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", case.case);
    }
}

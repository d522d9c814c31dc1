//! The language's own conformance cases and real models, where the specification lies beside the project
//! (`MUSTER_SPEC_DIR`, or `../shared/spec` beside the workspace).

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

use muster_model::dtdl::json::{self, Node};
use muster_model::dtdl::{self, Report, Rules};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Cases whose verdict we do not share, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Cases that are as one advice wants them and not as another one does, each with that other one.
const OTHER_ADVICE: &[(&str, &str)] = &[
    ("Recommendation-ClassCommandPropertyCommandTypeTermV2#0", "deprecated"),
    ("Recommendation-ClassCommandPropertyCommandTypeTermV3#0", "deprecated"),
    ("Recommendation-ClassPropertyCotypePropertyValuePreferTermToDtmiV2#1", "preferTerm"),
    ("Recommendation-ClassTelemetryCotypePropertyValuePreferTermToDtmiV2#1", "preferTerm"),
];

/// Real models that break the language, each with the rule that it breaks.
const BROKEN_MODELS: &[(&str, &str)] = &[];

/// A line of a file of cases.
struct Case(Node);

impl Case {
    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Node::as_text).unwrap_or_default()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key)?.kind {
            json::Kind::Boolean(flag) => Some(flag),
            _ => None,
        }
    }

    fn check(&self) -> Report {
        let options = self.0.get("options").map(Node::each).unwrap_or_default();
        let lenient = options.iter().any(|option| option.as_text() == Some("AllowUndefinedExtensions"));
        let rules = if lenient { Rules::UnknownExtensions } else { Rules::Strict };
        let input = self.0.get("input").map(Node::each).unwrap_or_default();
        dtdl::check(&input.iter().map(|node| (node, "")).collect::<Vec<_>>(), rules)
    }
}

/// The cases of a file; none, counted as a skipped test, where the specification is not there.
fn cases(test: &str, name: &str) -> Vec<Case> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/spec");
    let file = std::env::var_os("MUSTER_SPEC_DIR").map_or_else(beside, PathBuf::from).join("dtdl").join(name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        skip(test, &format!("no {}", file.display()));
        return Vec::new();
    };
    text.lines().map(|line| Case(json::parse(line).expect("a case"))).collect()
}

/// Counts a test as skipped, by name; under `CI` nothing may be skipped.
fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{test} must not be skipped in CI: {reason}");
    println!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("MUSTER_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{test}: {reason}")).expect("the list of skipped tests can be written");
    }
}

/// Every verdict is the expected one, and what is legal and advised against has a warning.
fn agree(test: &str, name: &str) {
    let cases = cases(test, name);
    let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &cases {
        let report = case.check();
        let verdict = report.is_valid() == case.flag("valid").expect("a verdict");
        let full_name = case.text("case");
        let other = OTHER_ADVICE.iter().find(|(name, _)| *name == full_name).map(|(_, code)| *code);
        let warned = report.warnings.iter().any(|warning| Some(warning.code.as_str()) != other);
        let advice = case.flag("desirable").is_none_or(|desirable| desirable != warned);
        if verdict && advice || EXCEPTIONS.iter().any(|(name, _)| *name == full_name) {
            continue;
        }
        let (family, number) = full_name.split_once('#').unwrap_or((full_name, ""));
        let found = report.errors.first().or(report.warnings.first());
        let reason = found.map(|found| format!(" ({}: {found})", found.code)).unwrap_or_default();
        let what = if verdict { "warning" } else { "verdict" };
        wrong.entry(family).or_default().push(format!("{number} {what}{reason}"));
    }
    println!("{name}: {} cases, {} families disagree", cases.len(), wrong.len());
    for (family, numbers) in &wrong {
        println!("  {family}: {}", numbers.join(", "));
    }
    assert!(wrong.is_empty(), "{} families of cases disagree", wrong.len());
}

#[test]
fn version_2_agrees() {
    agree("version_2_agrees", "cases-v2.jsonl");
}

#[test]
fn version_3_agrees() {
    agree("version_3_agrees", "cases-v3.jsonl");
}

#[test]
fn real_models_are_read() {
    for case in cases("real_models_are_read", "models.jsonl") {
        let report = case.check();
        let id = case.text("id");
        match BROKEN_MODELS.iter().find(|(broken, _)| *broken == id) {
            Some((_, code)) => {
                assert!(report.errors.iter().any(|error| error.code.as_str() == *code), "{id}: {:?}", report.errors);
            }
            None => assert!(report.is_valid(), "{id}: {:?}", report.errors),
        }
    }
}

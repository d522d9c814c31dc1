//! Models made to cost time or memory end in an error soon, and an ordinary one is read fast.

mod hostile;

use hostile::{Hostile, interface, list};
use muster_model::dtdl::{self, Code, MAX_FINDINGS, Report, Rules, json};
use muster_model::template::{MAX_TEMPLATE_BYTES, Template};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Far more than any of these takes, debug builds and busy machines included; what grows with the square or worse of
/// a text takes minutes.
const SOON: Duration = Duration::from_secs(60);

fn check(text: &str) -> Report {
    let start = Instant::now();
    let report = match json::parse(text) {
        Ok(node) => dtdl::check(&[(&node, "")], Rules::Strict),
        Err(found) => {
            let mut report = Report::default();
            report.errors.push(found);
            report
        }
    };
    let took = start.elapsed();
    println!("{} bytes: {took:?}, {} errors", text.len(), report.errors.len() + report.more_errors);
    assert!(took < SOON, "{took:?}");
    assert!(report.errors.len() <= MAX_FINDINGS && report.warnings.len() <= MAX_FINDINGS);
    let said: usize = report.errors.iter().chain(&report.warnings).map(|found| found.message.len()).sum();
    assert!(said <= MAX_FINDINGS * 2048, "{said} bytes of messages");
    report
}

fn has(report: &Report, code: Code) {
    let codes: HashSet<_> = report.errors.iter().map(|found| found.code.as_str()).collect();
    assert!(codes.contains(code.as_str()), "{codes:?}, not {code}");
}

#[test]
fn every_one_ends_soon_in_its_error() {
    for Hostile { name, text, errors } in hostile::models() {
        println!("{name}");
        let report = check(&text);
        errors.iter().for_each(|code| has(&report, *code));
    }
}

#[test]
fn a_template_of_one_ends_soon() {
    for Hostile { name, text, .. } in hostile::models() {
        let start = Instant::now();
        let problems = Template::import_text(&text, None).expect_err(name);
        assert!(!problems.is_empty() && problems.len() <= MAX_FINDINGS);
        assert!(start.elapsed() < SOON, "{name}: {:?}", start.elapsed());
        // What was stored by a release that knew less is passed over where it goes too far.
        if text.len() <= MAX_TEMPLATE_BYTES
            && let Ok(document) = serde_json::from_str(&text)
        {
            let _ = Template::load(document, 1);
            assert!(start.elapsed() < SOON, "{name}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn long_names_are_not_repeated_in_messages() {
    let name = "n-".repeat(200_000);
    let contents = list(6, |_| format!(r#"{{"@type": "Telemetry", "name": "{name}", "schema": "{name}"}}"#));
    let report = check(&interface("a", &format!(r#""contents": [{contents}]"#)));
    has(&report, Code::InvalidName);
    assert!(report.errors.iter().all(|found| found.message.len() < 500));
}

/// Every cut and every changed letter of a model is read without a panic.
#[test]
fn damaged_texts_are_read() {
    let contents = r#""contents": [{"@type": ["Telemetry", "T"], "name": "ü", "schema": {"@type": "Enum", "valueSchema": "string", "enumValues": []}}]"#;
    let text = interface("a", contents);
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(!check(text.get(..end).unwrap_or_default()).is_valid());
        for letter in ["\"", "{", "}", "[", "]", ",", "\\", "\u{0}", "7", "\u{1f600}"] {
            check(&format!("{}{letter}{}", text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default()));
        }
    }
}

#[test]
fn an_ordinary_model_is_read_fast() {
    let text = hostile::ordinary(300);
    let runs = 20;
    let start = Instant::now();
    for _ in 0..runs {
        let node = json::parse(&text).expect("JSON");
        assert!(dtdl::check(&[(&node, "")], Rules::Strict).is_valid());
    }
    let each = start.elapsed() / runs;
    println!("300 capabilities, {} bytes: {each:?}", text.len());
    let most = if cfg!(debug_assertions) { Duration::from_millis(500) } else { Duration::from_millis(20) };
    assert!(each < most, "{each:?}");
}

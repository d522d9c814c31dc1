//! Models made to cost time or memory end in an error soon, and an ordinary one is read fast.

#![expect(clippy::expect_used, reason = "a test stops where something is not as it says")]

use muster_model::dtdl::{self, Code, MAX_FINDINGS, MAX_TEXT_BYTES, Report, Rules, json};
use std::collections::HashSet;
use std::fmt::Write;
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
    let said: usize = report.errors.iter().map(|found| found.message.len()).sum();
    assert!(said <= MAX_FINDINGS * 2048, "{said} bytes of messages");
    report
}

fn has(report: &Report, code: Code) {
    let codes: HashSet<_> = report.errors.iter().map(|found| found.code.as_str()).collect();
    assert!(codes.contains(code.as_str()), "{codes:?}");
}

/// An interface of version 3 around some members.
fn interface(id: &str, members: &str) -> String {
    let comma = if members.is_empty() { "" } else { ", " };
    format!(r#"{{"@context": "dtmi:dtdl:context;3", "@id": "dtmi:x:{id};1", "@type": "Interface"{comma}{members}}}"#)
}

/// `item(n)` for each number, between commas.
fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut list, number| {
        let comma = if number > 0 { "," } else { "" };
        write!(list, "{comma}{}", item(number)).expect("a text grows");
        list
    })
}

#[test]
fn nesting_is_limited() {
    for (open, close) in [("[", "]"), ("{\"schema\":", "}"), ("[{\"a\":[", "]}]")] {
        has(&check(&format!("{}1{}", open.repeat(100_000), close.repeat(100_000))), Code::TooLarge);
        has(&check(&open.repeat(500_000)), Code::TooLarge);
    }
}

#[test]
fn texts_and_values_are_limited() {
    has(&check(&format!("\"{}\"", "a".repeat(MAX_TEXT_BYTES))), Code::TooLarge);
    has(&check(&format!("[{}]", list(1_100_000, |_| "1".to_owned()))), Code::TooLarge);
    has(
        &check(&interface("a", &format!(r#""contents": [{}]"#, list(400_000, |_| "{}".to_owned())))),
        Code::MissingType,
    );
    let fields = list(210_000, |n| format!(r#"{{"name":"f{n}","schema":"long"}}"#));
    let object = format!(r#""schemas": {{"@id": "dtmi:x:o;1", "@type": "Object", "fields": [{fields}]}}"#);
    has(&check(&interface("a", &object)), Code::TooLarge);
}

#[test]
fn long_names_are_not_repeated_in_messages() {
    let name = "n-".repeat(200_000);
    let contents = list(6, |_| format!(r#"{{"@type": "Telemetry", "name": "{name}", "schema": "{name}"}}"#));
    let report = check(&interface("a", &format!(r#""contents": [{contents}]"#)));
    has(&report, Code::InvalidName);
    assert!(report.errors.iter().all(|found| found.message.len() < 500));
}

#[test]
fn many_of_everything_takes_no_square() {
    for members in [
        format!(r#""displayName": {{{}}}"#, list(200_000, |n| format!("\"l{n}\":\"x\""))),
        format!(r#""displayName": [{}]"#, list(100_000, |n| format!(r#"{{"@value":"x","@language":"l{n}"}}"#))),
        list(200_000, |n| format!("\"k{n}\":1")),
        list(200_000, |_| "\"k\":1".to_owned()),
        format!(r#""extends": [{}]"#, list(200_000, |n| format!("\"dtmi:y:b{n};1\""))),
        format!(
            r#""schemas": {{"@id": "dtmi:x:e;1", "@type": "Enum", "valueSchema": "integer", "enumValues": [{}]}}"#,
            list(90_000, |n| format!(r#"{{"name":"n{n}","enumValue":{n}}}"#))
        ),
        format!(
            r#""contents": {{"@type": [{}], "name": "t", "schema": "long"}}"#,
            list(300_000, |n| format!("\"T{n}\""))
        ),
    ] {
        check(&interface("a", &members));
    }
    let contexts = list(200_000, |n| format!("\"dtmi:c:c{n};1\""));
    has(
        &check(&format!(
            r#"{{"@context": ["dtmi:dtdl:context;3", {contexts}], "@id": "dtmi:x:a;1", "@type": "Interface"}}"#
        )),
        Code::UnknownContext,
    );
}

#[test]
fn cycles_end() {
    let ring =
        list(20_000, |n| interface(&format!("r{n}"), &format!(r#""extends": "dtmi:x:r{};1""#, (n + 1) % 20_000)));
    has(&check(&format!("[{ring}]")), Code::Cycle);
    let every = list(300, |n| {
        let all = list(300, |n| format!("\"dtmi:x:e{n};1\""));
        interface(&format!("e{n}"), &format!(r#""extends": [{all}]"#))
    });
    has(&check(&format!("[{every}]")), Code::Cycle);
    let components = list(2_000, |n| {
        interface(
            &format!("c{n}"),
            &format!(r#""contents": {{"@type": "Component", "name": "p", "schema": "dtmi:x:c{};1"}}"#, (n + 1) % 2_000),
        )
    });
    has(&check(&format!("[{components}]")), Code::Cycle);
}

#[test]
fn a_chain_of_references_is_no_recursion() {
    let chain =
        list(50_000, |n| format!(r#"{{"@id":"dtmi:x:s{n};1","@type":"Array","elementSchema":"dtmi:x:s{};1"}}"#, n + 1));
    let report = check(&interface("a", &format!(r#""schemas": [{chain}]"#)));
    has(&report, Code::UnknownReference);
    has(&report, Code::TooDeep);
}

#[test]
fn schemas_that_multiply_are_measured_once() {
    let schemas = list(60, |n| {
        let next = format!("dtmi:x:s{};1", n + 1);
        format!(
            r#"{{"@id":"dtmi:x:s{n};1","@type":"Object","fields":[{{"name":"a","schema":"{next}"}},{{"name":"b","schema":"{next}"}}]}}"#
        )
    });
    let last = r#"{"@id":"dtmi:x:s60;1","@type":"Object","fields":{"name":"a","schema":"long"}}"#;
    has(&check(&interface("a", &format!(r#""schemas": [{schemas},{last}]"#))), Code::TooDeep);
}

#[test]
fn inheritance_that_multiplies_is_bounded() {
    // Ten levels of a hundred interfaces, each of which extends all of the level below, with contents of their own.
    let level = |level: usize| {
        list(100, |n| {
            let bases = list(if level == 0 { 0 } else { 100 }, |n| format!("\"dtmi:x:i{}_{n};1\"", level - 1));
            let contents =
                list(20, |at| format!(r#"{{"@type":"Telemetry","name":"t{level}_{n}_{at}","schema":"long"}}"#));
            interface(&format!("i{level}_{n}"), &format!(r#""extends": [{bases}], "contents": [{contents}]"#))
        })
    };
    let report = check(&format!("[{}]", list(10, level)));
    has(&report, Code::WrongCount);
    has(&report, Code::TooLarge);
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
    let contents = list(300, |n| {
        format!(
            r#"{{"@type": ["Telemetry", "Temperature"], "name": "value{n}", "displayName": {{"en": "Value {n}", "de": "Wert {n}"}}, "description": "What the {n}th sensor of the machine measures.", "schema": "double", "unit": "degreeCelsius"}}"#
        )
    });
    let text = format!(
        r#"{{"@context": "dtmi:dtdl:context;2", "@id": "dtmi:x:a;1", "@type": "Interface", "contents": [{contents}]}}"#
    );
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

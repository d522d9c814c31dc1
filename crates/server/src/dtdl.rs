//! `muster dtdl`: models checked on the command line, for people and, a line each, for programs.

use anyhow::Context;
use clap::{Args, Subcommand};
use muster_model::dtdl::json::{self, Node};
use muster_model::dtdl::{self, Code, Finding, MAX_TEXT_BYTES, Report, Rules};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(crate) enum Dtdl {
    /// Tell all that is wrong with a model; ends with 1 where something is.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The files that make up the model, checked together; "-" or none is standard input.
    files: Vec<PathBuf>,
    /// Print one JSON object instead of lines for people.
    #[arg(long, conflicts_with = "jsonl")]
    json: bool,
    /// Read a model a line, {"input": […], "options": […]}, and print a JSON object for each; always ends with 0.
    #[arg(long)]
    jsonl: bool,
    /// Pass over what an unknown @context may define, instead of refusing it.
    #[arg(long, conflicts_with = "jsonl")]
    allow_undefined_extensions: bool,
}

pub(crate) fn run(command: Dtdl) -> anyhow::Result<ExitCode> {
    let Dtdl::Check(mut args) = command;
    if args.files.is_empty() {
        args.files.push(PathBuf::from("-"));
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.jsonl {
        for file in &args.files {
            check_lines(BufReader::new(open(file)?), &mut out)?;
        }
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut texts = Vec::new();
    for file in &args.files {
        texts.push(read(open(file)?).with_context(|| format!("{} could not be read", file.display()))?);
    }
    let rules = if args.allow_undefined_extensions { Rules::UnknownExtensions } else { Rules::Strict };
    let report = check_texts(&texts, rules);
    if args.json {
        serde_json::to_writer(&mut out, &Told::new(&report, |found| Place::in_file(found, &args.files)))?;
        writeln!(out)?;
    } else {
        print(&report, &args.files, &mut out)?;
    }
    out.flush()?;
    Ok(if report.is_valid() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("{} could not be opened", file.display()))?))
}

/// Reads a text; where it is too large, as much of it as the check needs to refuse it.
fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    source.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// Checks texts that make up one model; one that is no JSON is told, and the others are checked without it.
fn check_texts(texts: &[Vec<u8>], rules: Rules) -> Report {
    let parsed: Vec<_> = texts.iter().map(|text| parse(text)).collect();
    let nothing = Node::from_value(&serde_json::json!([]));
    // IoT Central keeps the model of a template inside it.
    let template = |node: &Node| node.get("capabilityModel").is_some();
    let rules = if parsed.iter().flatten().any(template) { Rules::Central } else { rules };
    let documents: Vec<_> = parsed
        .iter()
        .map(|node| match node {
            Ok(node) => node.get("capabilityModel").map_or((node, ""), |model| (model, "/capabilityModel")),
            Err(_) => (&nothing, ""),
        })
        .collect();
    let mut report = dtdl::check(&documents, rules);
    let broken = parsed.into_iter().enumerate().filter_map(|(document, node)| Some((document, node.err()?)));
    report.errors.extend(broken.map(|(document, finding)| Finding { document, ..finding }));
    report.errors.sort_by_key(|found| (found.document, found.position.line, found.position.column));
    report.warnings.sort_by_key(|found| (found.document, found.position.line, found.position.column));
    report
}

fn parse(text: &[u8]) -> Result<Node, Finding> {
    // A text that is too large may have been cut inside a letter.
    match std::str::from_utf8(text) {
        Err(_) if text.len() <= MAX_TEXT_BYTES => Err(problem("the text is not UTF-8".to_owned())),
        _ => json::parse(&String::from_utf8_lossy(text)),
    }
}

fn problem(message: String) -> Finding {
    let position = json::Position { line: 1, column: 1 };
    Finding { code: Code::NotJson, message, id: None, document: 0, pointer: String::new(), position }
}

/// `file:line:column: code: message` for each finding, and a summary.
fn print(report: &Report, files: &[PathBuf], out: &mut impl Write) -> io::Result<()> {
    let name = |found: &Finding| files.get(found.document).map(|file| file.display().to_string()).unwrap_or_default();
    for (kind, list) in [("", &report.errors), ("warning: ", &report.warnings)] {
        for found in list {
            let json::Position { line, column } = found.position;
            writeln!(out, "{}:{line}:{column}: {kind}{}: {}", name(found), found.code, found.message)?;
        }
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let errors = report.errors.len() + report.more_errors;
    if report.more_errors > 0 {
        writeln!(out, "{} more are not shown", count(report.more_errors, "error"))?;
    }
    let verdict = if report.is_valid() { "valid" } else { "not valid" };
    let (errors, warnings) = (count(errors, "error"), count(report.warnings.len(), "warning"));
    writeln!(out, "{verdict}: {errors}, {warnings} in {}", count(files.len(), "file"))
}

/// Answers each line in its order, one that is no case included.
fn check_lines(mut lines: impl BufRead, out: &mut impl Write) -> anyhow::Result<()> {
    let mut line = Vec::new();
    while next_line(&mut lines, &mut line)? {
        let report = check_line(&line).unwrap_or_else(|found| {
            let mut report = Report::default();
            report.errors.push(found);
            report
        });
        serde_json::to_writer(&mut *out, &Told::new(&report, |_| Place::default()))?;
        writeln!(out)?;
    }
    Ok(())
}

/// Reads a line without its end; of one that is too long only so much that it is refused. False at the end.
fn next_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = MAX_TEXT_BYTES as u64 + 1;
    if lines.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let mut rest = Vec::new();
    let mut ended = line.ends_with(b"\n") || (line.len() as u64) < most;
    while !ended {
        rest.clear();
        ended = lines.by_ref().take(64 * 1024).read_until(b'\n', &mut rest)? == 0 || rest.ends_with(b"\n");
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    Ok(true)
}

/// Checks the case in a line; findings point into the line.
fn check_line(line: &[u8]) -> Result<Report, Finding> {
    let case = parse(line)?;
    let Some(json::Kind::Array(input)) = case.get("input").map(|input| &input.kind) else {
        return Err(problem(
            "the line is not {\"input\": […], \"options\": […]}: input is missing or no list".to_owned(),
        ));
    };
    let mut rules = Rules::Strict;
    for option in case.get("options").map(Node::each).unwrap_or_default() {
        rules = match option.as_text() {
            Some("AllowUndefinedExtensions") => Rules::UnknownExtensions,
            Some("DisallowUndefinedExtensions") => Rules::Strict,
            _ => return Err(problem("options are AllowUndefinedExtensions or DisallowUndefinedExtensions".to_owned())),
        };
    }
    let pointers: Vec<_> = (0..input.len()).map(|index| format!("/input/{index}")).collect();
    let documents: Vec<_> = input.iter().zip(pointers.iter().map(String::as_str)).collect();
    Ok(dtdl::check(&documents, rules))
}

/// What is told as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'r> {
    valid: bool,
    errors: Vec<ToldFinding<'r>>,
    warnings: Vec<ToldFinding<'r>>,
    /// Errors that are counted only.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_errors: Option<usize>,
}

#[derive(Serialize)]
struct ToldFinding<'r> {
    code: &'static str,
    id: Option<&'r str>,
    pointer: &'r str,
    message: &'r str,
    #[serde(flatten)]
    place: Place,
}

/// Where in which file; nothing of it for a line of cases, which the pointer leads into.
#[derive(Default, Serialize)]
struct Place {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
}

impl Place {
    fn in_file(found: &Finding, files: &[PathBuf]) -> Self {
        Self {
            file: files.get(found.document).map(|file| file.display().to_string()),
            line: Some(found.position.line),
            column: Some(found.position.column),
        }
    }
}

impl<'r> Told<'r> {
    fn new(report: &'r Report, place: impl Fn(&Finding) -> Place) -> Self {
        let told = |found: &'r Finding| ToldFinding {
            code: found.code.as_str(),
            id: found.id.as_deref(),
            pointer: &found.pointer,
            message: &found.message,
            place: place(found),
        };
        Self {
            valid: report.is_valid(),
            errors: report.errors.iter().map(told).collect(),
            warnings: report.warnings.iter().map(told).collect(),
            more_errors: Some(report.more_errors).filter(|more| *more > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const MODEL: &str = r#"{"@context": "dtmi:dtdl:context;2", "@id": "dtmi:ex:Pump;1", "@type": "Interface"}"#;

    #[test]
    fn each_line_is_answered_in_its_order() {
        let broken = MODEL.replace("Interface", "Interfaces");
        let foreign = MODEL.replace("\"dtmi:dtdl:context;2\"", "[\"dtmi:dtdl:context;2\", \"dtmi:ex:context;1\"]");
        let lines = [
            format!("{{\"input\": [{MODEL}]}}"),
            format!("{{\"input\": [{MODEL}, {broken}], \"options\": [\"DisallowUndefinedExtensions\"]}}"),
            String::new(),
            "{".to_owned(),
            "[1]".to_owned(),
            format!("{{\"input\": [{MODEL}], \"options\": [\"Other\"]}}"),
            format!("{{\"input\": [{foreign}]}}"),
            format!("{{\"input\": [{foreign}], \"options\": [\"AllowUndefinedExtensions\"]}}"),
            "\"".to_owned() + &"x".repeat(MAX_TEXT_BYTES) + "\"",
            "{\"input\": [\"\u{fffd}\"]}".to_owned(),
            "{\"input\": []}".to_owned(),
        ];
        let mut out = Vec::new();
        check_lines(lines.join("\n").as_bytes(), &mut out).expect("answers");
        let answers: Vec<Value> = String::from_utf8(out)
            .expect("UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let codes: Vec<_> = answers.iter().map(|answer| answer["errors"][0]["code"].as_str().unwrap_or("")).collect();
        let expected = [
            "",
            "wrongType",
            "notJson",
            "notJson",
            "notJson",
            "notJson",
            "unknownContext",
            "",
            "tooLarge",
            "notAnInterface",
            "",
        ];
        assert_eq!(codes, expected);
        assert!(answers.iter().all(|answer| answer["valid"] == answer["errors"].as_array().is_some_and(Vec::is_empty)));
        assert_eq!(answers[1]["errors"][0]["pointer"], "/input/1/@type");
        assert_eq!(answers[1]["errors"][0]["id"], "dtmi:ex:Pump;1");
        assert_eq!(answers[7]["warnings"][0]["code"], "uncheckedContext");
        assert_eq!(answers[9]["errors"][0].as_object().map(serde_json::Map::len), Some(4));
    }

    #[test]
    fn files_are_one_model_and_told_apart() {
        let part = MODEL.replace("Pump", "Part");
        let pump = MODEL.replace(
            "\"Interface\"",
            "\"Interface\", \"contents\": [{\"@type\": \"Component\", \"name\": \"part\", \"schema\": \"dtmi:ex:Part;1\"},\n{\"@type\": \"Telemetry\"}]",
        );
        let texts = [pump.into_bytes(), part.into_bytes(), b"{\xff".to_vec()];
        let report = check_texts(&texts, Rules::Strict);
        let mut out = Vec::new();
        print(&report, &["pump.json".into(), "part.json".into(), "-".into()], &mut out).expect("lines");
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "pump.json:2:1: missingProperty: Telemetry has no name: add \"name\": \"temperature\"\n\
             pump.json:2:1: missingProperty: Telemetry has no schema: add \"schema\": \"double\"\n\
             -:1:1: notJson: the text is not UTF-8\n\
             not valid: 3 errors, 0 warnings in 3 files\n"
        );
    }

    #[test]
    fn a_template_of_iot_central_is_checked_inside() {
        let text = r#"{"@id": "dtmi:ex:T;1", "capabilityModel": {"@id": "dtmi:ex:m;1", "@type": "Interface", "contents": [{"@type": "Telemetry", "name": "1"}]}}"#;
        let report = check_texts(&[text.as_bytes().to_vec()], Rules::Strict);
        let found: Vec<_> = report.errors.iter().map(|found| (found.code, found.pointer.as_str())).collect();
        assert_eq!(
            found,
            [
                (Code::MissingProperty, "/capabilityModel/contents/0"),
                (Code::InvalidName, "/capabilityModel/contents/0/name")
            ]
        );
    }
}

//! Device models: JSON with places, DTDL, templates.

use super::{sure, text};
use muster_model::dtdl::json::{Kind, Node, Position, parse};
use muster_model::dtdl::{self, Code, Finding, MAX_FINDINGS, Rules};
use muster_model::telemetry::Layout;
use muster_model::template::Template;
use serde_json::Value;
use std::collections::HashSet;

/// No message is longer, whatever a model holds.
const MAX_MESSAGE_BYTES: usize = 2048;

/// Ours and serde's readers agree, but where ours has limits.
pub fn json(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let theirs = serde_json::from_str::<Value>(text.strip_prefix('\u{feff}').unwrap_or(text));
    match (parse(text), theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours.to_value(), theirs);
            assert_eq!(Node::from_value(&theirs).to_value(), theirs);
            every(&ours, &mut |node| within(node.position, text));
        }
        (Err(ours), theirs) => {
            assert!(theirs.is_err() || ours.code == Code::TooLarge, "{ours:?}");
            found(&ours, text);
        }
        (Ok(_), Err(theirs)) => panic!("ours takes what is no JSON: {theirs}"),
    }
}

fn every(node: &Node, visit: &mut impl FnMut(&Node)) {
    visit(node);
    match &node.kind {
        Kind::Array(items) => items.iter().for_each(|item| every(item, visit)),
        Kind::Object(members) => members.iter().for_each(|member| every(&member.value, visit)),
        _ => {}
    }
}

/// A place is in the text, or right behind a line of it.
fn within(position: Position, text: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = (position.line as usize).checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let columns = line.map(|line| line.chars().count() + 1);
    assert!(columns.is_some_and(|columns| (1..=columns).contains(&(position.column as usize))), "{position:?}");
}

fn found(finding: &Finding, text: &str) {
    assert!(!finding.message.is_empty() && finding.message.len() <= MAX_MESSAGE_BYTES, "{finding:?}");
    within(finding.position, text);
}

pub fn dtdl(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(node) = parse(text) else { return };
    let strict = checked(&node, text, Rules::Strict);
    let lenient = checked(&node, text, Rules::UnknownExtensions);
    checked(&node, text, Rules::Central);
    assert!(!strict || lenient, "who allows more takes what is strictly right");
}

/// Checks a model; what is found stands in it.
fn checked(node: &Node, text: &str, rules: Rules) -> bool {
    let report = dtdl::check(&[(node, "")], rules);
    assert!(report.errors.len() <= MAX_FINDINGS && report.warnings.len() <= MAX_FINDINGS);
    assert!(report.more_errors == 0 || report.errors.len() == MAX_FINDINGS);
    for finding in report.errors.iter().chain(&report.warnings) {
        found(finding, text);
        assert!(stands(node, &finding.pointer), "{finding:?}");
    }
    assert!(report.errors.iter().all(|finding| !finding.code.is_warning()));
    assert!(report.warnings.iter().all(|finding| finding.code.is_warning()));
    report.is_valid()
}

/// Is there something at the pointer? Of a repeated key, any counts.
fn stands(node: &Node, pointer: &str) -> bool {
    let Some(rest) = pointer.strip_prefix('/') else { return pointer.is_empty() };
    let (token, rest) = rest.split_once('/').map_or((rest, String::new()), |(token, rest)| (token, format!("/{rest}")));
    let token = token.replace("~1", "/").replace("~0", "~");
    match &node.kind {
        Kind::Array(items) => {
            token.parse::<usize>().ok().and_then(|at| items.get(at)).is_some_and(|item| stands(item, &rest))
        }
        Kind::Object(members) => {
            members.iter().filter(|member| member.key == token).any(|member| stands(&member.value, &rest))
        }
        _ => false,
    }
}

pub fn template_import(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match Template::import_text(text, None) {
        Ok(template) => {
            let keys: HashSet<_> = template.capabilities.iter().map(|capability| &capability.key).collect();
            assert_eq!(keys.len(), template.capabilities.len(), "each key once");
            let _ = Layout::of(&template);
            assert_eq!(sure(Template::load(template.document.clone(), 1)), template, "what is stored is what was read");
            assert_eq!(sure(Template::import(&template.document, None)), template, "what is exported comes back");
        }
        Err(problems) => {
            assert!(!problems.is_empty() && problems.len() <= MAX_FINDINGS);
            assert!(
                problems.iter().all(|problem| !problem.code.is_empty() && problem.message.len() <= MAX_MESSAGE_BYTES)
            );
        }
    }
    // What an older release stored is loaded, whatever it is.
    if let Ok(document) = serde_json::from_str(text) {
        let _ = Template::load(document, 1).map(|template| Layout::of(&template));
    }
}

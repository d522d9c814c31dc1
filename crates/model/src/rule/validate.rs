//! Does a rule make sense for its template?

use super::{Action, Condition, Operator, Rule};
use crate::template::{Schema, Storage, Template};
use serde::{Deserialize, Serialize};

/// A rule has at most this many conditions.
pub const MAX_CONDITIONS: usize = 10;
/// A rule has at most this many actions.
pub const MAX_ACTIONS: usize = 5;
/// An e-mail goes to at most this many addresses.
pub const MAX_RECIPIENTS: usize = 20;

const MAX_NAME: usize = 200;
const MAX_TEXT: usize = 1000;
const MAX_ADDRESS: usize = 254;
const MAX_URL: usize = 2048;

/// What is wrong with a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RuleProblem {
    /// A stable code, for example `unknownTelemetry`.
    pub code: String,
    /// The JSON pointer of the place in the rule.
    pub pointer: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Checks a rule against its template.
///
/// # Errors
/// Every [`RuleProblem`] found.
pub fn validate(rule: &Rule, template: &Template) -> Result<(), Vec<RuleProblem>> {
    let mut problems = Problems(Vec::new());
    let name = rule.display_name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME {
        problems.add("invalidName", "/displayName", format!("give the rule a name of 1 to {MAX_NAME} characters"));
    }
    if rule.template != template.id {
        problems.add("wrongTemplate", "/template", format!("the rule is for template '{}'", rule.template));
    }
    if !(1..=MAX_CONDITIONS).contains(&rule.conditions.len()) {
        problems.add("conditionCount", "/conditions", format!("a rule has 1 to {MAX_CONDITIONS} conditions"));
    }
    if rule.actions.len() > MAX_ACTIONS {
        problems.add("actionCount", "/actions", format!("a rule has at most {MAX_ACTIONS} actions"));
    }
    for (index, condition) in rule.conditions.iter().take(MAX_CONDITIONS).enumerate() {
        problems.condition(&format!("/conditions/{index}"), condition, template);
    }
    for (index, action) in rule.actions.iter().take(MAX_ACTIONS).enumerate() {
        problems.action(&format!("/actions/{index}"), action);
    }
    if problems.0.is_empty() { Ok(()) } else { Err(problems.0) }
}

struct Problems(Vec<RuleProblem>);

impl Problems {
    fn add(&mut self, code: &str, pointer: impl Into<String>, message: String) {
        self.0.push(RuleProblem { code: code.to_owned(), pointer: pointer.into(), message });
    }

    fn condition(&mut self, pointer: &str, condition: &Condition, template: &Template) {
        let key = &condition.telemetry;
        let Some((capability, storage)) = template.telemetry(key) else {
            return self.add(
                "unknownTelemetry",
                format!("{pointer}/telemetry"),
                format!("the template has no telemetry '{key}'"),
            );
        };
        let (operator, value) = (condition.operator, &condition.value);
        let equality = matches!(operator, Operator::Equals | Operator::NotEquals);
        let (fits, kind, allowed) = match storage {
            Storage::Number | Storage::Integer => (value.is_number(), "a number", operator != Operator::Contains),
            Storage::Boolean => (value.is_boolean(), "true or false", equality),
            Storage::Text => (value.is_string(), "a text", equality || operator == Operator::Contains),
            Storage::Whole => (false, "comparable", false),
        };
        if !allowed {
            self.add("wrongOperator", format!("{pointer}/operator"), format!("'{key}' can't be compared in this way"));
        } else if !fits {
            self.add(
                "wrongValue",
                format!("{pointer}/value"),
                format!("the value compared with '{key}' must be {kind}"),
            );
        } else if let (Schema::Enum { values, .. }, true) = (&capability.schema, equality)
            && !values.iter().any(|known| known.value == *value)
        {
            self.add("wrongValue", format!("{pointer}/value"), format!("'{key}' never has this value"));
        } else if value.as_str().is_some_and(|text| text.len() > MAX_TEXT) {
            self.add("wrongValue", format!("{pointer}/value"), format!("the text is longer than {MAX_TEXT} bytes"));
        }
    }

    fn action(&mut self, pointer: &str, action: &Action) {
        match action {
            Action::Email { to, note } => {
                if !(1..=MAX_RECIPIENTS).contains(&to.len()) {
                    self.add(
                        "recipientCount",
                        format!("{pointer}/to"),
                        format!("an e-mail goes to 1 to {MAX_RECIPIENTS} addresses"),
                    );
                }
                for (index, address) in
                    to.iter().take(MAX_RECIPIENTS).enumerate().filter(|(_, address)| !is_address(address))
                {
                    self.add(
                        "invalidAddress",
                        format!("{pointer}/to/{index}"),
                        format!("'{address}' is not an e-mail address"),
                    );
                }
                if note.len() > MAX_TEXT {
                    self.add(
                        "noteTooLong",
                        format!("{pointer}/note"),
                        format!("the note is longer than {MAX_TEXT} bytes"),
                    );
                }
            }
            Action::Webhook { display_name, url } => {
                if display_name.chars().count() > MAX_NAME {
                    self.add(
                        "invalidName",
                        format!("{pointer}/displayName"),
                        format!("the name is longer than {MAX_NAME} characters"),
                    );
                }
                if !is_url(url) {
                    let message = format!(
                        "give an address that starts with https:// or http://, of at most {MAX_URL} characters"
                    );
                    self.add("invalidUrl", format!("{pointer}/url"), message);
                }
            }
        }
    }
}

/// One `@` with something plain on both sides: the mail server has the last word.
pub fn is_address(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "@<>,;:\"()[]\\".contains(c))
    };
    let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    text.len() <= MAX_ADDRESS
        && text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host) && dots(host))
}

/// A web address with a host. Whether it may be called is decided where it is called.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    text.len() <= MAX_URL
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && host.is_some_and(|host| !host.is_empty() && !host.contains('@') && !host.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TemplateId;
    use crate::rule::tests::{rule, template};
    use crate::rule::{Match, Rule};
    use serde_json::json;

    fn codes(rule: &Rule) -> Vec<(String, String)> {
        let problems = validate(rule, &template()).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.code, problem.pointer)).collect()
    }

    #[test]
    fn conditions_must_fit_the_template() {
        use Operator as O;
        for (key, operator, value, expected) in [
            ("temperature", O::GreaterThan, json!(30), None),
            ("position.lat", O::LessThan, json!(1), None),
            ("state", O::Equals, json!(1), None),
            ("note", O::Contains, json!("x"), None),
            ("running", O::Equals, json!(true), None),
            ("gone", O::Equals, json!(1), Some(("unknownTelemetry", "telemetry"))),
            ("position", O::Equals, json!(1), Some(("unknownTelemetry", "telemetry"))),
            ("serial", O::Equals, json!("x"), Some(("unknownTelemetry", "telemetry"))),
            ("temperature", O::Contains, json!("3"), Some(("wrongOperator", "operator"))),
            ("temperature", O::GreaterThan, json!("30"), Some(("wrongValue", "value"))),
            ("running", O::GreaterThan, json!(true), Some(("wrongOperator", "operator"))),
            ("state", O::Equals, json!(9), Some(("wrongValue", "value"))),
            ("note", O::Equals, json!("x".repeat(1001)), Some(("wrongValue", "value"))),
        ] {
            let found = codes(&rule(&[(key, operator, value.clone())], Match::All));
            let expected: Vec<_> =
                expected.iter().map(|(code, place)| ((*code).to_owned(), format!("/conditions/0/{place}"))).collect();
            assert_eq!(found, expected, "{key} {operator:?} {value}");
        }
    }

    #[test]
    fn every_problem_is_told() {
        let mut bad = rule(&[], Match::All);
        bad.display_name = " ".into();
        bad.template = TemplateId::parse("dtmi:other;1").expect("an id");
        bad.actions = vec![
            Action::Email { to: vec!["a@b".into(), "not an address".into()], note: "x".repeat(1001) },
            Action::Email { to: vec![], note: String::new() },
            Action::Webhook { display_name: String::new(), url: "ftp://x".into() },
        ];
        let found: Vec<_> = codes(&bad).into_iter().map(|(_, pointer)| pointer).collect();
        assert_eq!(
            found,
            [
                "/displayName",
                "/template",
                "/conditions",
                "/actions/0/to/1",
                "/actions/0/note",
                "/actions/1/to",
                "/actions/2/url"
            ]
        );
        bad.actions = vec![Action::Webhook { display_name: String::new(), url: "https://x".into() }; MAX_ACTIONS + 1];
        assert!(codes(&bad).contains(&("actionCount".into(), "/actions".into())));
    }

    #[test]
    fn addresses_are_told_from_other_text() {
        for good in ["a@b", "first.last+tag@example.com", "ö@example.org"] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b..c",
            "<a@b>",
            "a@b\r\nBcc: c@d",
            &format!("a@{}", "b".repeat(254)),
        ] {
            assert!(!is_address(bad), "{bad}");
        }
        for (url, good) in [
            ("https://a.b/c?d=e", true),
            ("http://[::1]:8080/", true),
            ("https://", false),
            ("https://a@b/", false),
            ("https://a b", false),
            ("javascript:x", false),
        ] {
            assert_eq!(is_url(url), good, "{url}");
        }
    }
}

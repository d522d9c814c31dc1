//! A rule while it is being written: the form's texts, what is wrong with them, and the rule that they make. Pure.

use muster_contract::rule::{Action, Condition, Match, Operator, RuleInput, Severity};
use muster_contract::template::{Capability, CapabilityKind, DeviceTemplate};
use muster_model::TemplateId;
use serde_json::Value;

/// A condition as the form holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftCondition {
    /// Tells it from the others while they come and go.
    pub number: u64,
    /// The telemetry key.
    pub telemetry: String,
    /// The comparison.
    pub operator: Operator,
    /// The value as text; a boolean is `true` or `false`, an enum's value is JSON.
    pub value: String,
}

/// An action as the form holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftAction {
    /// Tells it from the others while they come and go.
    pub number: u64,
    /// What it does.
    pub kind: DraftActionKind,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq)]
pub enum DraftActionKind {
    /// Addresses between commas, and a note.
    Email {
        /// Addresses between commas or spaces.
        to: String,
        /// A note put into the mail.
        note: String,
    },
    /// A name and an address.
    Webhook {
        /// The name shown to people.
        display_name: String,
        /// Where to.
        url: String,
    },
}

/// A rule as the form holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its name.
    pub display_name: String,
    /// Is it evaluated?
    pub enabled: bool,
    /// The template's id; empty until one is chosen.
    pub template: String,
    /// How conditions are joined.
    pub matching: Match,
    /// The conditions.
    pub conditions: Vec<DraftCondition>,
    /// How bad it is.
    pub severity: Severity,
    /// The actions.
    pub actions: Vec<DraftAction>,
}

/// Something that can be compared, as the form offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The telemetry key.
    pub key: String,
    /// The name shown to people.
    pub name: String,
    /// The unit's symbol.
    pub unit: String,
    /// What its values are.
    pub kind: ChoiceKind,
}

/// What the values of a telemetry are.
#[derive(Clone, Debug, PartialEq)]
pub enum ChoiceKind {
    /// Numbers.
    Number,
    /// Yes or no.
    Boolean,
    /// Texts.
    Text,
    /// One of these: JSON and the name shown.
    States(Vec<(String, String)>),
}

impl Draft {
    /// An empty rule with one condition to fill in.
    pub fn new() -> Self {
        Self {
            display_name: String::new(),
            enabled: true,
            template: String::new(),
            matching: Match::All,
            conditions: vec![DraftCondition::new(0)],
            severity: Severity::Warning,
            actions: Vec::new(),
        }
    }

    /// The form for a rule that exists.
    pub fn of(rule: &RuleInput) -> Self {
        let conditions = rule.conditions.iter().zip(0..).map(|(condition, number)| DraftCondition {
            number,
            telemetry: condition.telemetry.clone(),
            operator: condition.operator,
            value: match &condition.value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        });
        let actions =
            rule.actions.iter().zip(0..).map(|(action, number)| DraftAction { number, kind: draft_action(action) });
        Self {
            display_name: rule.display_name.clone(),
            enabled: rule.enabled,
            template: rule.template.to_string(),
            matching: rule.matching,
            conditions: conditions.collect(),
            severity: rule.severity,
            actions: actions.collect(),
        }
    }

    /// The rule, or the first thing that is missing or wrong, for people.
    pub fn finish(&self, choices: &[Choice]) -> Result<RuleInput, String> {
        if self.display_name.trim().is_empty() {
            return Err("Give the rule a name.".to_owned());
        }
        let template = TemplateId::parse(self.template.clone()).map_err(|_| "Choose a device template.".to_owned())?;
        if self.conditions.is_empty() {
            return Err("Add a condition.".to_owned());
        }
        let conditions: Result<Vec<Condition>, String> =
            self.conditions.iter().map(|condition| condition.finish(choices)).collect();
        let actions: Result<Vec<Action>, String> = self.actions.iter().map(DraftAction::finish).collect();
        Ok(RuleInput {
            display_name: self.display_name.trim().to_owned(),
            enabled: self.enabled,
            template,
            matching: self.matching,
            conditions: conditions?,
            severity: self.severity,
            actions: actions?,
            etag: None,
        })
    }
}

impl DraftCondition {
    /// An empty condition.
    pub fn new(number: u64) -> Self {
        Self { number, telemetry: String::new(), operator: Operator::GreaterThan, value: String::new() }
    }

    fn words(&self, choices: &[Choice]) -> String {
        let Some(choice) = choices.iter().find(|choice| choice.key == self.telemetry) else { return "…".to_owned() };
        let value = match &choice.kind {
            _ if self.value.trim().is_empty() => "…".to_owned(),
            ChoiceKind::Number if choice.unit.is_empty() => self.value.trim().to_owned(),
            ChoiceKind::Number => format!("{} {}", self.value.trim(), choice.unit),
            ChoiceKind::Boolean => if self.value == "true" { "yes" } else { "no" }.to_owned(),
            ChoiceKind::Text => format!("“{}”", self.value),
            ChoiceKind::States(states) => {
                let name = states.iter().find(|(json, _)| *json == self.value).map(|(_, name)| name.clone());
                name.unwrap_or_else(|| self.value.clone())
            }
        };
        format!("{} {} {value}", choice.name, operator_words(self.operator))
    }

    /// The condition, or what is missing or wrong, for people.
    pub fn finish(&self, choices: &[Choice]) -> Result<Condition, String> {
        let choice = choices.iter().find(|choice| choice.key == self.telemetry);
        let choice = choice.ok_or_else(|| "Choose what each condition compares.".to_owned())?;
        let value = match &choice.kind {
            ChoiceKind::Number => number(&self.value).ok_or_else(|| format!("“{}” needs a number.", choice.name))?,
            ChoiceKind::Boolean => Value::Bool(self.value == "true"),
            ChoiceKind::Text if self.value.is_empty() => return Err(format!("“{}” needs a text.", choice.name)),
            ChoiceKind::Text => Value::String(self.value.clone()),
            ChoiceKind::States(states) => {
                state(states, &self.value).ok_or_else(|| format!("Choose a state of “{}”.", choice.name))?
            }
        };
        let operator = if operators(&choice.kind).contains(&self.operator) { self.operator } else { Operator::Equals };
        Ok(Condition { telemetry: self.telemetry.clone(), operator, value })
    }
}

impl DraftAction {
    fn finish(&self) -> Result<Action, String> {
        match &self.kind {
            DraftActionKind::Email { to, note } => {
                let to: Vec<String> = addresses(to);
                if to.is_empty() {
                    return Err("Give the e-mail an address.".to_owned());
                }
                Ok(Action::Email { to, note: note.trim().to_owned() })
            }
            DraftActionKind::Webhook { url, .. } if url.trim().is_empty() => {
                Err("Give the webhook an address.".to_owned())
            }
            DraftActionKind::Webhook { display_name, url } => {
                let name = display_name.trim();
                let display_name = if name.is_empty() { "Webhook" } else { name }.to_owned();
                Ok(Action::Webhook { display_name, url: url.trim().to_owned() })
            }
        }
    }

    /// In the middle of a sentence: `e-mail to a@b.example`.
    pub fn words(&self) -> String {
        match &self.kind {
            DraftActionKind::Email { to, .. } => format!("e-mail {}", addresses(to).join(", ")),
            DraftActionKind::Webhook { display_name, .. } => format!("call the webhook {display_name}"),
        }
    }
}

/// The rule as a sentence while it is being written; what is missing stands as `…`.
pub fn sentence(draft: &Draft, choices: &[Choice], template: &str) -> String {
    let joint = match draft.matching {
        Match::All => " and ",
        Match::Any => " or ",
    };
    let parts: Vec<String> = draft.conditions.iter().map(|condition| condition.words(choices)).collect();
    let severity = match draft.severity {
        Severity::Information => "an information",
        Severity::Warning => "a warning",
        Severity::Critical => "a critical",
    };
    let actions = draft.actions.iter().map(|action| format!(", {}", action.words()));
    let actions: String = actions.collect();
    let off = if draft.enabled { "" } else { " The rule is switched off." };
    format!("When {} on any {template}, open {severity} alert{actions}.{off}", parts.join(joint))
}

/// Everything of a template that a condition can compare.
pub fn choices(template: &DeviceTemplate) -> Vec<Choice> {
    let telemetry = template.capabilities.iter().filter(|capability| capability.kind == CapabilityKind::Telemetry);
    telemetry.flat_map(choices_of).collect()
}

/// What of one capability can be compared.
pub fn choices_of(capability: &Capability) -> Vec<Choice> {
    let one = |kind| Choice {
        key: capability.key.clone(),
        name: capability.display_name.clone(),
        unit: capability.unit.clone().unwrap_or_default(),
        kind,
    };
    let states = || capability.enum_values.iter().map(|state| (state.value.to_string(), state.display_name.clone()));
    match capability.schema.as_str() {
        "boolean" => vec![one(ChoiceKind::Boolean)],
        "enum" => vec![one(ChoiceKind::States(states().collect()))],
        "string" => vec![one(ChoiceKind::Text)],
        "geopoint" => ["lat", "lon", "alt"]
            .into_iter()
            .map(|part| Choice {
                key: format!("{}.{part}", capability.key),
                name: format!("{} {part}", capability.display_name),
                unit: String::new(),
                kind: ChoiceKind::Number,
            })
            .collect(),
        _ if capability.numeric => vec![one(ChoiceKind::Number)],
        _ => Vec::new(),
    }
}

/// The comparisons that make sense for values of a kind.
pub fn operators(kind: &ChoiceKind) -> &'static [Operator] {
    match kind {
        ChoiceKind::Number => &[
            Operator::GreaterThan,
            Operator::GreaterThanOrEqual,
            Operator::LessThan,
            Operator::LessThanOrEqual,
            Operator::Equals,
            Operator::NotEquals,
        ],
        ChoiceKind::Boolean => &[Operator::Equals],
        ChoiceKind::Text => &[Operator::Equals, Operator::NotEquals, Operator::Contains],
        ChoiceKind::States(_) => &[Operator::Equals, Operator::NotEquals],
    }
}

/// A comparison in words.
pub fn operator_words(operator: Operator) -> &'static str {
    match operator {
        Operator::GreaterThan => "is above",
        Operator::GreaterThanOrEqual => "is at least",
        Operator::LessThan => "is below",
        Operator::LessThanOrEqual => "is at most",
        Operator::Equals => "is",
        Operator::NotEquals => "is not",
        Operator::Contains => "contains",
    }
}

/// A comparison as a form value.
pub fn operator_word(operator: Operator) -> String {
    serde_json::to_value(operator).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A comparison from a form value.
pub fn operator_from(word: &str) -> Operator {
    serde_json::from_value(Value::from(word)).unwrap_or(Operator::Equals)
}

fn draft_action(action: &Action) -> DraftActionKind {
    match action {
        Action::Email { to, note } => DraftActionKind::Email { to: to.join(", "), note: note.clone() },
        Action::Webhook { display_name, url } => {
            DraftActionKind::Webhook { display_name: display_name.clone(), url: url.clone() }
        }
    }
}

fn addresses(text: &str) -> Vec<String> {
    let parts = text.split([',', ';', ' ', '\n']).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A number as people type it: with a point or a comma.
fn number(text: &str) -> Option<Value> {
    let text = text.trim().replace(',', ".");
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number: f64 = text.parse().ok()?;
    serde_json::Number::from_f64(number).map(Value::Number)
}

/// The chosen state; a text state may stand without its quotes.
fn state(states: &[(String, String)], text: &str) -> Option<Value> {
    let quoted = Value::from(text).to_string();
    let (json, _) = states.iter().find(|(json, _)| json == text || *json == quoted)?;
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> DeviceTemplate {
        serde_json::from_value(json!({
            "@id": "dtmi:a:b;1", "@type": [], "etag": "1", "displayName": "Press", "capabilityModel": {},
            "capabilities": [
                {"key": "temperature", "name": "temperature", "kind": "telemetry", "displayName": "Temperature",
                 "schema": "double", "unit": "°C", "numeric": true},
                {"key": "state", "name": "state", "kind": "telemetry", "displayName": "State", "schema": "enum",
                 "numeric": false, "enumValues": [{"value": "on", "displayName": "Running"}, {"value": 2, "displayName": "Stopped"}]},
                {"key": "place", "name": "place", "kind": "telemetry", "displayName": "Place", "schema": "geopoint", "numeric": false},
                {"key": "target", "name": "target", "kind": "property", "displayName": "Target", "schema": "double", "numeric": true},
                {"key": "blob", "name": "blob", "kind": "telemetry", "displayName": "Blob", "schema": "object", "numeric": false}
            ]
        }))
        .unwrap()
    }

    fn draft(telemetry: &str, operator: Operator, value: &str) -> Draft {
        Draft {
            display_name: " Too hot ".to_owned(),
            template: "dtmi:a:b;1".to_owned(),
            conditions: vec![DraftCondition {
                number: 0,
                telemetry: telemetry.to_owned(),
                operator,
                value: value.to_owned(),
            }],
            ..Draft::new()
        }
    }

    #[test]
    fn only_comparable_telemetry_is_offered() {
        let keys: Vec<String> = choices(&template()).into_iter().map(|choice| choice.key).collect();
        assert_eq!(keys, ["temperature", "state", "place.lat", "place.lon", "place.alt"]);
    }

    #[test]
    fn texts_become_typed_values() {
        let choices = choices(&template());
        for (telemetry, text, expected) in [
            ("temperature", "30", json!(30)),
            ("temperature", " 30,5 ", json!(30.5)),
            ("state", "\"on\"", json!("on")),
            ("state", "on", json!("on")),
            ("state", "2", json!(2)),
        ] {
            let rule = draft(telemetry, Operator::Equals, text).finish(&choices).unwrap();
            assert_eq!(rule.conditions[0].value, expected, "{text}");
            assert_eq!(rule.display_name, "Too hot");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let choices = choices(&template());
        for (draft, expected) in [
            (Draft::new(), "Give the rule a name."),
            (draft("temperature", Operator::GreaterThan, "warm"), "“Temperature” needs a number."),
            (draft("", Operator::GreaterThan, "1"), "Choose what each condition compares."),
            (draft("state", Operator::Equals, "x"), "Choose a state of “State”."),
        ] {
            assert_eq!(draft.finish(&choices), Err(expected.to_owned()));
        }
    }

    #[test]
    fn an_operator_that_does_not_fit_becomes_equals() {
        let rule = draft("state", Operator::GreaterThan, "2").finish(&choices(&template())).unwrap();
        assert_eq!(rule.conditions[0].operator, Operator::Equals);
    }

    #[test]
    fn a_rule_survives_the_form() {
        let mut draft = draft("temperature", Operator::LessThanOrEqual, "4.5");
        draft.display_name = "Cold".to_owned();
        let email = DraftActionKind::Email { to: "a@b.example; c@d.example".to_owned(), note: String::new() };
        draft.actions = vec![DraftAction { number: 0, kind: email }];
        let rule = draft.finish(&choices(&template())).unwrap();
        assert_eq!(Draft::of(&rule).finish(&choices(&template())), Ok(rule));
        assert_eq!(draft.actions[0].words(), "e-mail a@b.example, c@d.example");
    }

    #[test]
    fn the_sentence_grows_with_the_form() {
        let choices = choices(&template());
        assert_eq!(sentence(&Draft::new(), &choices, "Press"), "When … on any Press, open a warning alert.");
        let mut draft = draft("temperature", Operator::GreaterThan, "30");
        draft.severity = Severity::Critical;
        draft.conditions.push(DraftCondition {
            number: 1,
            telemetry: "state".to_owned(),
            operator: Operator::NotEquals,
            value: "2".to_owned(),
        });
        let webhook =
            DraftActionKind::Webhook { display_name: "Shift".to_owned(), url: "https://x.example".to_owned() };
        draft.actions = vec![DraftAction { number: 0, kind: webhook }];
        assert_eq!(
            sentence(&draft, &choices, "Press"),
            "When Temperature is above 30 °C and State is not Stopped on any Press, open a critical alert, call the webhook Shift."
        );
    }

    #[test]
    fn operators_read_back() {
        for operator in operators(&ChoiceKind::Number) {
            assert_eq!(operator_from(&operator_word(*operator)), *operator);
        }
    }
}

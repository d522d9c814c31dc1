//! A template guessed from what a device has sent: types from values, units from names and ranges.

use super::{Kind, Template, guess};
use crate::{TemplateId, telemetry::Restored};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A template has at most this many contents of its own (DTDL v2: 300).
const MAX_CONTENTS: usize = 250;
/// An object has at most this many fields (DTDL v2).
const MAX_FIELDS: usize = 30;
/// Objects are nested at most so deep (DTDL v2).
const MAX_DEPTH: usize = 5;
/// More different texts are no enum.
const MAX_ENUM_VALUES: usize = 8;
/// A text of an enum is at most so long.
const MAX_ENUM_BYTES: usize = 48;
/// Values shown for each capability.
const MAX_EXAMPLES: usize = 3;

/// A proposed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The template in IoT Central's JSON; with a template to begin with, that one and what it lacks.
    pub document: Value,
    /// What was guessed, and from what.
    pub guesses: Vec<Guess>,
    /// What was sent and can be no capability.
    pub left_out: Vec<LeftOut>,
    /// How many messages were looked at.
    pub messages: usize,
}

/// One guessed capability.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Its key: `temperature`, or `thermostat1.temperature` inside a component.
    pub key: String,
    /// `Telemetry` or `Property`.
    pub kind: &'static str,
    /// Its schema in one word: `double`, `enum`, `object`, …
    pub schema: String,
    /// Its semantic type.
    pub semantic_type: Option<&'static str>,
    /// Its unit, by its name in DTDL.
    pub unit: Option<&'static str>,
    /// How many values it was guessed from.
    pub count: usize,
    /// A few of them.
    pub examples: Vec<Value>,
    /// Were there values of other types, too?
    pub mixed: bool,
}

/// Something that can be no capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// What a device has said.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its messages.
    pub messages: &'a [Restored],
    /// The properties that it reported.
    pub reported: &'a Map<String, Value>,
    /// The properties that were wished for.
    pub desired: &'a Map<String, Value>,
}

/// Guesses a template of this id and name; with `base`, the additions to it.
pub fn infer(id: &TemplateId, name: &str, base: Option<&Template>, heard: &Heard<'_>) -> Proposal {
    let mut guessing = Guessing { base, guesses: Vec::new(), left_out: Vec::new() };
    let mut root = Interface::default();
    for message in heard.messages {
        root.hear(message, base.is_some());
    }
    for (property, value) in heard.reported {
        root.report(property, value, heard.desired.get(property));
    }
    let contents = root.contents(&mut guessing, None);
    let document = match base {
        Some(base) => extended(base, contents),
        None => {
            let model = format!("{}:model;1", id.as_str().split(';').next().unwrap_or_default());
            json!({
                "@id": id.as_str(),
                "@type": ["ModelDefinition", "DeviceModel"],
                "@context": CONTEXT,
                "displayName": name,
                "capabilityModel": {
                    "@id": model, "@type": "Interface", "displayName": name, "contents": contents,
                },
            })
        }
    };
    let Guessing { guesses, left_out, .. } = guessing;
    Proposal { document, guesses, left_out, messages: heard.messages.len() }
}

const CONTEXT: [&str; 2] = ["dtmi:iotcentral:context;2", "dtmi:dtdl:context;2"];

/// The template's document with more contents at the end of its own.
fn extended(base: &Template, mut contents: Vec<Value>) -> Value {
    let mut document = base.document.clone();
    let at = if document.get("capabilityModel").is_some() { "/capabilityModel" } else { "" };
    if let Some(model) = document.pointer_mut(at).and_then(Value::as_object_mut) {
        match model.entry("contents").or_insert_with(|| json!([])) {
            Value::Array(own) => own.append(&mut contents),
            one => {
                contents.insert(0, one.take());
                *one = Value::Array(contents);
            }
        }
    }
    document
}

struct Guessing<'a> {
    base: Option<&'a Template>,
    guesses: Vec<Guess>,
    left_out: Vec<LeftOut>,
}

impl Guessing<'_> {
    fn leave_out(&mut self, key: String, reason: impl Into<String>) {
        self.left_out.push(LeftOut { key, reason: reason.into() });
    }
}

/// What is heard from the device itself or from one of its components.
#[derive(Default)]
struct Interface {
    telemetry: BTreeMap<String, Node>,
    /// With whether it can be set.
    properties: BTreeMap<String, (Node, bool)>,
    components: BTreeMap<String, Interface>,
}

impl Interface {
    fn hear(&mut self, message: &Restored, only_unknown: bool) {
        let known = (!only_unknown).then_some(&message.telemetry).into_iter().flatten();
        for (path, value) in known.chain(&message.unmodelled) {
            let within = message.component.as_deref().and_then(|component| {
                let rest = path.strip_prefix(component)?.strip_prefix('.')?;
                Some((component, rest))
            });
            let (interface, path) = match within {
                Some((component, rest)) => (self.components.entry(component.to_owned()).or_default(), rest),
                None => (&mut *self, path.as_str()),
            };
            let steps: Vec<&str> = path.split('.').collect();
            if let [first, rest @ ..] = &steps[..] {
                interface.telemetry.entry((*first).to_owned()).or_default().hear(rest, value);
            }
        }
    }

    fn report(&mut self, name: &str, value: &Value, desired: Option<&Value>) {
        match value {
            Value::Object(object) if object.get("__t").is_some_and(|mark| mark == "c") => {
                let component = self.components.entry(name.to_owned()).or_default();
                for (name, value) in object.iter().filter(|(name, _)| *name != "__t") {
                    component.report(name, value, desired.and_then(|desired| desired.get(name)));
                }
            }
            _ => {
                // {"value": 20, "ac": 200, "av": 7}: the answer to a wish.
                let answer = value.as_object().filter(|object| object.contains_key("ac"));
                let said = answer.and_then(|answer| answer.get("value")).unwrap_or(value);
                let writable = answer.is_some() || desired.is_some();
                let (node, may_be_set) = self.properties.entry(name.to_owned()).or_default();
                node.hear(&[], said);
                *may_be_set |= writable;
            }
        }
    }

    fn contents(self, guessing: &mut Guessing<'_>, component: Option<&str>) -> Vec<Value> {
        let mut contents = Vec::new();
        for (name, node) in self.telemetry {
            content(guessing, component, &name, (&node, "Telemetry", false), &mut contents);
        }
        for (name, (node, writable)) in self.properties {
            content(guessing, component, &name, (&node, "Property", writable), &mut contents);
        }
        for (name, interface) in self.components {
            if !is_name(&name) {
                guessing.leave_out(name, "is no name in DTDL");
                continue;
            }
            let known = guessing.base.is_some_and(|base| base.components.iter().any(|known| known.name == name));
            let inner = interface.contents(guessing, Some(&name));
            if known {
                inner.iter().for_each(|content| {
                    let key = format!("{name}.{}", content["name"].as_str().unwrap_or_default());
                    guessing.guesses.retain(|guess| guess.key != key);
                    guessing
                        .leave_out(key, format!("belongs to the component '{name}', whose interface has its own file"));
                });
            } else if !inner.is_empty() {
                contents.push(json!({
                    "@type": "Component", "name": name, "displayName": spaced(&name),
                    "schema": {"@type": "Interface", "@id": component_id(guessing.base, &name), "contents": inner},
                }));
            }
        }
        contents
    }
}

fn component_id(base: Option<&Template>, name: &str) -> String {
    let of = base.and_then(Template::model_id).and_then(|id| id.split(';').next()).filter(|id| id.starts_with("dtmi:"));
    format!("{}:{name};1", of.unwrap_or("dtmi:inferred:component"))
}

fn content(
    guessing: &mut Guessing<'_>,
    component: Option<&str>,
    name: &str,
    (node, kind, writable): (&Node, &'static str, bool),
    contents: &mut Vec<Value>,
) {
    let key = component.map_or_else(|| name.to_owned(), |component| format!("{component}.{name}"));
    if guessing.base.is_some_and(|base| base.capability(&key).is_some()) {
        let in_telemetry = |base: &Template| base.capability(&key).is_some_and(|known| known.kind == Kind::Telemetry);
        if kind == "Telemetry" && guessing.base.is_some_and(in_telemetry) {
            guessing.leave_out(key, "is in the template with another type");
        }
        return;
    }
    if !is_name(name) {
        return guessing.leave_out(key, "is no name in DTDL: a letter first, then letters, digits and _");
    }
    if contents.len() >= MAX_CONTENTS {
        return guessing.leave_out(key, format!("is beyond {MAX_CONTENTS} capabilities"));
    }
    if contents.iter().any(|content| content["name"] == name) {
        return guessing.leave_out(key, "is telemetry and a property at once");
    }
    let found = match node.schema(0) {
        Ok(found) => found,
        Err(reason) => return guessing.leave_out(key, reason),
    };
    if kind == "Property" && found.schema["@type"] == "Array" {
        return guessing.leave_out(key, "is an array, which properties can't be");
    }
    let meaning = found.number.and_then(|range| guess::meaning(name, range));
    let mut types = vec![kind];
    types.extend(found.semantic_type.or(meaning.map(|(semantic_type, _)| semantic_type)));
    let schema = match (&found.schema, meaning) {
        // A temperature that happened to be whole is still no integer.
        (Value::String(word), Some(_)) if word == "integer" || word == "long" => json!("double"),
        (schema, _) => schema.clone(),
    };
    let mut made = json!({"@type": types, "name": name, "displayName": spaced(name), "schema": schema});
    if let [one] = types[..] {
        made["@type"] = json!(one);
    }
    if let Some((_, unit)) = meaning {
        made["unit"] = json!(unit);
    }
    if writable {
        made["writable"] = json!(true);
    }
    contents.push(made);
    guessing.guesses.push(Guess {
        key,
        kind,
        schema: word(&schema),
        semantic_type: types.get(1).copied(),
        unit: meaning.map(|(_, unit)| unit),
        count: node.count(),
        examples: node.examples(),
        mixed: node.leaf.is_mixed(),
    });
}

fn word(schema: &Value) -> String {
    let word = schema.as_str().or(schema["@type"].as_str()).unwrap_or_default();
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// All values heard at a path, and what is below it.
#[derive(Default)]
struct Node {
    leaf: Leaf,
    children: BTreeMap<String, Node>,
}

struct Found {
    schema: Value,
    semantic_type: Option<&'static str>,
    /// The least and the largest value, of a number.
    number: Option<(f64, f64)>,
}

impl Found {
    fn plain(word: &str) -> Self {
        Self { schema: json!(word), semantic_type: None, number: None }
    }
}

impl Node {
    fn hear(&mut self, path: &[&str], value: &Value) {
        match (path, value) {
            ([step, rest @ ..], value) => self.children.entry((*step).to_owned()).or_default().hear(rest, value),
            ([], Value::Object(object)) if !object.is_empty() => {
                for (name, value) in object {
                    self.children.entry(name.clone()).or_default().hear(&[], value);
                }
            }
            ([], value) => self.leaf.hear(value),
        }
    }

    fn count(&self) -> usize {
        let below = self.children.values().map(Node::count).max();
        self.leaf.count.max(below.unwrap_or_default())
    }

    fn examples(&self) -> Vec<Value> {
        if self.children.is_empty() {
            return self.leaf.examples.clone();
        }
        let one = |node: &Node| node.examples().into_iter().next();
        let object = self.children.iter().filter_map(|(name, node)| Some((name.clone(), one(node)?))).collect();
        vec![Value::Object(object)]
    }

    fn schema(&self, depth: usize) -> Result<Found, String> {
        if self.children.is_empty() {
            return self.leaf.schema(depth);
        }
        if self.leaf.count > self.leaf.nothing {
            return Err("is sometimes an object and sometimes a value".to_owned());
        }
        if depth >= MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} objects"));
        }
        let numbers = |names: &[&str]| {
            names.iter().all(|name| self.children.get(*name).is_some_and(|node| node.leaf.is_number()))
        };
        let has = |count: usize| self.children.len() == count;
        if depth == 0 && numbers(&["lat", "lon"]) && (has(2) || has(3) && numbers(&["alt"])) {
            return Ok(Found { semantic_type: Some("Location"), ..Found::plain("geopoint") });
        }
        if depth == 0 && has(3) && numbers(&["x", "y", "z"]) {
            return Ok(Found::plain("vector"));
        }
        if self.children.len() > MAX_FIELDS {
            return Err(format!("has more than {MAX_FIELDS} fields"));
        }
        let mut fields = Vec::new();
        for (name, node) in &self.children {
            if !is_name(name) {
                return Err(format!("has the field '{name}', which is no name in DTDL"));
            }
            let found = node.schema(depth + 1).map_err(|reason| format!("has the field '{name}', which {reason}"))?;
            fields.push(json!({"name": name, "displayName": spaced(name), "schema": found.schema}));
        }
        Ok(Found { schema: json!({"@type": "Object", "fields": fields}), semantic_type: None, number: None })
    }
}

/// The values heard at one path that are no objects.
#[derive(Default)]
struct Leaf {
    count: usize,
    booleans: usize,
    whole: usize,
    fractions: usize,
    texts: usize,
    arrays: usize,
    /// `null`, `{}`.
    nothing: usize,
    range: Option<(f64, f64)>,
    /// Different texts and how often; `None` once there are too many.
    words: Option<BTreeMap<String, usize>>,
    /// Is every text so far of this form?
    forms: Option<Forms>,
    elements: Option<Box<Node>>,
    examples: Vec<Value>,
}

impl Leaf {
    fn hear(&mut self, value: &Value) {
        if self.examples.len() < MAX_EXAMPLES && !value.is_null() && !self.examples.contains(value) {
            self.examples.push(value.clone());
        }
        self.count += 1;
        match value {
            Value::Bool(_) => self.booleans += 1,
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if number.fract() == 0.0 {
                    self.whole += 1
                } else {
                    self.fractions += 1
                }
                let (least, largest) = self.range.unwrap_or((number, number));
                self.range = Some((least.min(number), largest.max(number)));
            }
            Value::String(text) => {
                if self.texts == 0 {
                    (self.words, self.forms) = (Some(BTreeMap::new()), Some(Forms::ALL));
                }
                self.texts += 1;
                self.forms = self.forms.map(|forms| forms.that_fit(text));
                if let Some(words) = &mut self.words {
                    *words.entry(text.clone()).or_default() += 1;
                    if words.len() > MAX_ENUM_VALUES || text.len() > MAX_ENUM_BYTES {
                        self.words = None;
                    }
                }
            }
            Value::Array(items) => {
                self.arrays += 1;
                let elements = self.elements.get_or_insert_default();
                items.iter().for_each(|item| elements.hear(&[], item));
            }
            Value::Null | Value::Object(_) => self.nothing += 1,
        }
    }

    fn numbers(&self) -> usize {
        self.whole + self.fractions
    }

    fn is_number(&self) -> bool {
        self.numbers() > 0 && !self.is_mixed()
    }

    fn is_mixed(&self) -> bool {
        [self.booleans, self.numbers(), self.texts, self.arrays].iter().filter(|count| **count > 0).count() > 1
    }

    /// By what was heard most; values of other types stay unmodelled.
    fn schema(&self, depth: usize) -> Result<Found, String> {
        let kinds = [self.booleans, self.numbers(), self.texts, self.arrays];
        let most = kinds.into_iter().max().unwrap_or_default();
        if most == 0 {
            return Err("never had a value".to_owned());
        }
        if most == self.numbers() {
            const LARGEST: f64 = i32::MAX as f64;
            let small = self.range.is_some_and(|(least, largest)| least >= -LARGEST && largest <= LARGEST);
            let word = match (self.fractions > 0, small) {
                (true, _) => "double",
                (false, true) => "integer",
                (false, false) => "long",
            };
            return Ok(Found { number: self.range, ..Found::plain(word) });
        }
        if most == self.booleans {
            return Ok(Found::plain("boolean"));
        }
        if most == self.texts {
            return Ok(self.text());
        }
        let elements = self.elements.as_ref().ok_or_else(|| "has empty arrays only".to_owned())?;
        if depth >= MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        if elements.count() == 0 {
            return Err("has empty arrays only".to_owned());
        }
        let of = elements.schema(depth + 1).map_err(|reason| format!("has elements of which one {reason}"))?;
        Ok(Found { schema: json!({"@type": "Array", "elementSchema": of.schema}), semantic_type: None, number: None })
    }

    fn text(&self) -> Found {
        if let Some(word) = self.forms.and_then(Forms::word) {
            return Found::plain(word);
        }
        match self.words.as_ref().and_then(|words| enumeration(words, self.texts)) {
            Some(schema) => Found { schema, semantic_type: Some("State"), number: None },
            None => Found::plain("string"),
        }
    }
}

/// Few different texts, each heard several times, are the values of an enum.
fn enumeration(words: &BTreeMap<String, usize>, heard: usize) -> Option<Value> {
    if words.len() < 2 || heard < 3 * words.len() {
        return None;
    }
    let mut values: Vec<Value> = Vec::new();
    for text in words.keys() {
        let name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let name = name.trim_matches('_');
        if !is_name(name) || values.iter().any(|value| value["name"] == name) {
            return None;
        }
        values.push(json!({"name": name, "displayName": spaced(text), "enumValue": text}));
    }
    Some(json!({"@type": "Enum", "valueSchema": "string", "enumValues": values}))
}

/// The forms that every text so far has.
#[derive(Clone, Copy)]
struct Forms {
    date_time: bool,
    date: bool,
    time: bool,
    duration: bool,
}

impl Forms {
    const ALL: Self = Self { date_time: true, date: true, time: true, duration: true };

    fn that_fit(self, text: &str) -> Self {
        Self {
            date_time: self.date_time && chrono::DateTime::parse_from_rfc3339(text).is_ok(),
            date: self.date && text.len() == 10 && text.parse::<chrono::NaiveDate>().is_ok(),
            time: self.time && text.contains(':') && text.parse::<chrono::NaiveTime>().is_ok(),
            duration: self.duration && guess::is_duration(text),
        }
    }

    fn word(self) -> Option<&'static str> {
        let words =
            [(self.date_time, "dateTime"), (self.date, "date"), (self.time, "time"), (self.duration, "duration")];
        words.into_iter().find(|(fits, _)| *fits).map(|(_, word)| word)
    }
}

/// A name in DTDL v2: a letter first, then letters, digits and `_`, no `_` at the end, at most 64.
fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = |place: Option<&u8>, fits: fn(&u8) -> bool| place.is_some_and(fits);
    (1..=64).contains(&bytes.len())
        && ends(bytes.first(), u8::is_ascii_alphabetic)
        && ends(bytes.last(), u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// A name as people read it: `Motor speed` of `motorSpeed` or `motor_speed`.
fn spaced(name: &str) -> String {
    let mut text = guess::words(name).join(" ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if text.is_empty() { name.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        telemetry::{Layout, Limits, decode, restore},
        wire::bag::Bag,
    };
    use proptest::prelude::*;

    fn restored(layout: &Layout, payload: &Value, bag: &str) -> Restored {
        let bag = Bag::parse(bag).expect(bag);
        let decoded = decode(payload.to_string().as_bytes(), &bag, layout, &Limits::default()).expect("a message");
        restore(layout, decoded.keys(layout), &decoded.vals, decoded.extra.as_ref())
    }

    fn proposal(messages: &[Value], reported: &Value, desired: &Value) -> Proposal {
        let messages: Vec<_> = messages.iter().map(|message| restored(&Layout::untyped(), message, "")).collect();
        let (reported, desired) = (reported.as_object().unwrap(), desired.as_object().unwrap());
        let id = TemplateId::parse("dtmi:inferred:pump_7;1").unwrap();
        infer(&id, "Pump 7", None, &Heard { messages: &messages, reported, desired })
    }

    fn contents(proposal: &Proposal) -> BTreeMap<String, Value> {
        let contents = proposal.document["capabilityModel"]["contents"].as_array().unwrap().iter();
        contents.map(|content| (content["name"].as_str().unwrap().to_owned(), content.clone())).collect()
    }

    fn import(proposal: &Proposal) -> Template {
        Template::import(&proposal.document, None).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn three_kinds_of_messages_make_a_template() {
        let states = ["idle", "running", "in error"];
        let mut messages = Vec::new();
        for n in 0..12 {
            messages.push(json!({"temperature": 20 + n, "humidity": 40.5, "on": n % 2 == 0, "state": states[n % 3]}));
            messages.push(json!({"place": {"lat": 48.1, "lon": 11.5}, "shake": {"x": 0.1, "y": 0.2, "z": 9.8}}));
            messages.push(json!({
                "motor": {"speed": 900 + n, "label": format!("m{n}"), "hot": false},
                "history": [1.5, 2], "at": "2026-11-23T08:00:00Z", "day": "2026-11-23", "for": "PT5M", "serial": format!("a{n}"),
                "total": 9_000_000_000_i64,
            }));
        }
        let proposal =
            proposal(&messages, &json!({"firmware": "1.2", "target": {"value": 20, "ac": 200, "av": 1}}), &json!({}));
        let contents = contents(&proposal);
        let schema = |name: &str| word(&contents[name]["schema"]);
        let expected = [
            ("temperature", "double"),
            ("humidity", "double"),
            ("on", "boolean"),
            ("state", "enum"),
            ("place", "geopoint"),
            ("shake", "vector"),
            ("motor", "object"),
            ("history", "array"),
            ("at", "dateTime"),
            ("day", "date"),
            ("for", "duration"),
            ("serial", "string"),
            ("total", "long"),
            ("firmware", "string"),
            ("target", "integer"),
        ];
        for (name, expected) in expected {
            assert_eq!(schema(name), expected, "{name}");
        }
        assert_eq!(contents.len(), expected.len(), "{:?}", proposal.left_out);
        assert_eq!(contents["temperature"]["@type"], json!(["Telemetry", "Temperature"]));
        assert_eq!(contents["temperature"]["unit"], "degreeCelsius");
        assert_eq!(contents["target"]["writable"], true);
        let field = &contents["motor"]["schema"]["fields"];
        assert_eq!((&field[0]["name"], &field[0]["schema"]), (&json!("hot"), &json!("boolean")));
        assert_eq!(
            contents["state"]["schema"]["enumValues"][0],
            json!({"name": "idle", "displayName": "Idle", "enumValue": "idle"})
        );
        assert_eq!(proposal.messages, 36);
        // What was sent before is known to the template now, key by key.
        let template = import(&proposal);
        let layout = Layout::of(&template);
        for message in &messages {
            let again = restored(&layout, message, "");
            assert_eq!(again.unmodelled, Map::new(), "{message}");
        }
    }

    #[test]
    fn components_are_told_apart() {
        let message = restored(&Layout::untyped(), &json!({"temp": 21.5}), "$.sub=sensor1");
        let reported = json!({"sensor1": {"__t": "c", "serial": "x"}});
        let id = TemplateId::parse("dtmi:inferred:d;1").unwrap();
        let heard = Heard { messages: &[message], reported: reported.as_object().unwrap(), desired: &Map::new() };
        let proposal = infer(&id, "D", None, &heard);
        let template = import(&proposal);
        let keys: Vec<_> = template.capabilities.iter().map(|capability| capability.key.as_str()).collect();
        assert_eq!(keys, ["sensor1.temp", "sensor1.serial"]);
    }

    #[test]
    fn a_template_is_given_what_it_lacks() {
        let document = json!({"@id": "dtmi:a:pump;1", "@type": ["ModelDefinition", "DeviceModel"], "@context": CONTEXT,
            "displayName": "Pump", "capabilityModel": {"@id": "dtmi:a:pumpModel;1", "@type": "Interface", "displayName": "Pump",
            "contents": [{"@type": "Telemetry", "name": "temperature", "schema": "double"},
                {"@type": "Telemetry", "name": "note", "schema": "string"}]}});
        let base = Template::import(&document, None).unwrap();
        let layout = Layout::of(&base);
        let messages = [json!({"temperature": 20, "flow": 3.5, "note": 7}), json!({"temperature": 21, "flow": 4})];
        let messages: Vec<_> = messages.iter().map(|message| restored(&layout, message, "")).collect();
        let heard = Heard { messages: &messages, reported: &Map::new(), desired: &Map::new() };
        let proposal = infer(&base.id, "Pump", Some(&base), &heard);
        assert_eq!(contents(&proposal).keys().collect::<Vec<_>>(), ["flow", "note", "temperature"]);
        assert_eq!(proposal.guesses.len(), 1);
        assert_eq!(
            proposal.left_out,
            [LeftOut { key: "note".to_owned(), reason: "is in the template with another type".to_owned() }]
        );
        import(&proposal);
    }

    #[test]
    fn what_can_be_no_capability_is_said() {
        let messages = [
            json!({"1st": 1, "ok": 1, "a": {"b-c": 1}, "empty": {}, "none": null, "list": []}),
            json!({"ok": 2, "odd": 1}),
            json!({"odd": {"x": 1}}),
        ];
        let proposal = proposal(&messages, &json!({"ok": 3, "list2": [1]}), &json!({}));
        assert_eq!(contents(&proposal).into_keys().collect::<Vec<_>>(), ["ok"]);
        let mut keys: Vec<_> = proposal.left_out.iter().map(|left| left.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["1st", "a", "empty", "list", "list2", "none", "odd", "ok"]);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e6..1e6_f64).prop_map(Value::from),
            "[a-z]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-zA-Z_0-9]{1,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_was_sent_the_proposal_is_a_template(
            messages in proptest::collection::vec(proptest::collection::btree_map("[a-zA-Z_]{1,3}", any_value(), 0..5), 0..6)
        ) {
            let messages: Vec<_> = messages.into_iter().map(|message| Value::Object(message.into_iter().collect())).collect();
            import(&proposal(&messages, &json!({}), &json!({})));
        }
    }
}

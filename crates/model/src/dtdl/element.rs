//! From a node to an element of the model, checked against the tables.

use super::context::Context;
use super::identifier::{MAX_ID, MAX_INTERFACE_ID, is_user_dtmi};
use super::json::{Kind, Member, Node, Position};
use super::metamodel::{self, Class, Elements};
use super::report::{quote, suggest};
use super::types::CoTypes;
use super::{Code, Finding, Report, Rules, Version, is_dtmi, units};
use std::collections::HashSet;

/// A model of more elements is refused.
const MAX_ELEMENTS: usize = 200_000;

/// An element of a model.
#[derive(Debug)]
pub(super) struct Element<'t> {
    pub class: Class,
    pub context: Context,
    pub id: Option<&'t str>,
    pub name: Option<&'t str>,
    /// The interface around it; itself for an interface.
    pub interface: usize,
    pub place: Place,
    pub links: Vec<Link<'t>>,
    pub co_types: CoTypes,
    /// The value of an enumeration's entry.
    pub literal: Option<&'t Node>,
    /// Are the values of an enumeration integers?
    pub integers: Option<bool>,
    /// The name of what it annotates.
    pub annotates: Option<&'t str>,
    /// The property of it that is overridden.
    pub overrides: Option<&'t str>,
    /// Its index among its siblings.
    pub index: Option<i64>,
    /// The text of the interfaces inside an interface.
    inner_bytes: usize,
}

/// From an element to another one, or to a simple schema.
#[derive(Debug)]
pub(super) struct Link<'t> {
    pub property: &'static str,
    pub classes: &'static [Class],
    pub to: To<'t>,
    pub place: Place,
}

/// Where a link goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To<'t> {
    Element(usize),
    Id(&'t str),
    Simple(&'static str),
    /// To what is not there, which has been told.
    Nothing,
}

/// A place in the model.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub document: usize,
    pub pointer: String,
    pub position: Position,
}

/// A step on the way from the document to a value.
#[derive(Debug, Clone, Copy)]
enum Step<'t> {
    Key(&'t str),
    Item(usize),
}

/// The element whose properties are being read.
#[derive(Clone, Copy)]
pub(super) struct Here {
    pub index: usize,
    pub class: Class,
    pub context: Context,
}

/// Reads the elements of a model and collects what is found.
pub(super) struct Reader<'t> {
    pub rules: Rules,
    pub elements: Vec<Element<'t>>,
    pub report: Report,
    /// Ids in parts that could not be read; who refers to them is not told that they are missing.
    pub unread: HashSet<&'t str>,
    document: usize,
    path: Vec<Step<'t>>,
    ids: Vec<&'t str>,
    full: bool,
}

impl<'t> Reader<'t> {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            elements: Vec::new(),
            report: Report::default(),
            unread: HashSet::new(),
            document: 0,
            path: Vec::new(),
            ids: Vec::new(),
            full: false,
        }
    }

    /// Reads a document: an interface or a list of interfaces.
    pub(super) fn root(&mut self, document: usize, node: &'t Node, pointer: &'t str) {
        self.document = document;
        self.path = pointer.split('/').skip(1).map(Step::Key).collect();
        let top = Elements { classes: &[Class::Interface], implied: None, min: 0, max: usize::MAX };
        self.items(node, |reader, item| {
            if matches!(item.kind, Kind::Object(_)) {
                reader.element(item, &top, None, None);
            } else {
                reader.find(item, Code::NotAnInterface, "a model is an interface, or a list of interfaces");
            }
        });
    }

    /// Notes what is found at the node, with the path that is being read.
    pub(super) fn find(&mut self, node: &Node, code: Code, message: impl Into<String>) {
        self.find_here(node.position, code, message.into());
    }

    /// Notes what is found at a member's key.
    fn find_key(&mut self, member: &'t Member, code: Code, message: String) {
        self.within(&member.key, |reader| reader.find_here(member.position, code, message));
    }

    fn find_here(&mut self, position: Position, code: Code, message: String) {
        let (document, path, id) = (self.document, &self.path, self.ids.last().map(|id| (*id).to_owned()));
        let finding = || Finding { code, message, id, document, pointer: pointer(path), position };
        self.report.add(code, finding);
    }

    /// Notes what is found at a place that was read before.
    pub(super) fn find_at(&mut self, place: Place, id: Option<String>, code: Code, message: String) {
        let Place { document, pointer, position } = place;
        self.report.add(code, || Finding { code, message, id, document, pointer, position });
    }

    /// Advises to write the short word, where the long name is written.
    pub(super) fn prefer(&mut self, node: &Node, short_of_long: Option<&str>) {
        if let Some(short) = short_of_long {
            self.find(node, Code::PreferTerm, format!("write the short '{short}'"));
        }
    }

    /// Reads what stands under a key.
    pub(super) fn within<T>(&mut self, key: &'t str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(Step::Key(key));
        let found = read(self);
        self.path.pop();
        found
    }

    /// Reads a value, or each item of a list.
    pub(super) fn items(&mut self, node: &'t Node, mut read: impl FnMut(&mut Self, &'t Node)) {
        let is_list = matches!(node.kind, Kind::Array(_));
        for (index, item) in node.each().iter().enumerate() {
            if is_list {
                self.path.push(Step::Item(index));
            }
            read(self, item);
            if is_list {
                self.path.pop();
            }
        }
    }

    pub(super) fn place(&self, position: Position) -> Place {
        Place { document: self.document, pointer: pointer(&self.path), position }
    }

    /// Reads one element; `None` where it is too broken to go on with.
    pub(super) fn element(
        &mut self,
        node: &'t Node,
        allowed: &Elements,
        outer: Option<Context>,
        around: Option<usize>,
    ) -> Option<usize> {
        let id = node.get("@id").and_then(Node::as_text).filter(|id| id.len() <= MAX_ID);
        self.ids.extend(id);
        let found = self.read(node, allowed, outer, around);
        if id.is_some() {
            self.ids.pop();
        }
        found
    }

    fn read(
        &mut self,
        node: &'t Node,
        allowed: &Elements,
        outer: Option<Context>,
        around: Option<usize>,
    ) -> Option<usize> {
        let Kind::Object(members) = &node.kind else { return None };
        if self.is_full(node) {
            return None;
        }
        self.repeated_keys(members);
        let context = self.context(node, outer);
        let Some((class, co_types)) = self.types(node, allowed, context) else {
            collect_ids(node, &mut self.unread);
            return None;
        };
        let index = self.elements.len();
        self.elements.push(Element {
            class,
            context,
            id: None,
            name: None,
            interface: around.filter(|_| class != Class::Interface).unwrap_or(index),
            place: self.place(node.position),
            links: Vec::new(),
            co_types: CoTypes::default(),
            literal: None,
            integers: None,
            annotates: None,
            overrides: None,
            index: None,
            inner_bytes: 0,
        });
        self.id(node, index);
        let here = Here { index, class, context };
        let seen = self.members(members, here, &co_types);
        self.missing(node, here, &co_types, &seen);
        if let Some(element) = self.elements.get_mut(index) {
            element.co_types = co_types;
        }
        if class == Class::Interface {
            self.interface_text(node, index, around);
        }
        allowed.classes.contains(&class).then_some(index)
    }

    /// Has the model too many elements? It is told once.
    fn is_full(&mut self, node: &Node) -> bool {
        if self.elements.len() >= MAX_ELEMENTS && !std::mem::replace(&mut self.full, true) {
            self.find(node, Code::TooLarge, format!("the model has more than {MAX_ELEMENTS} elements"));
        }
        self.full
    }

    fn repeated_keys(&mut self, members: &'t [Member]) {
        // An ordinary object is too small to be worth a set.
        let mut keys = HashSet::with_capacity(if members.len() > 16 { members.len() } else { 0 });
        for (index, member) in members.iter().enumerate() {
            let repeated = match members.len() {
                ..=16 => members.iter().take(index).any(|before| before.key == member.key),
                _ => !keys.insert(member.key.as_str()),
            };
            if repeated {
                let message = format!("key {} is there twice in one object: remove one", quote(&member.key));
                self.find_key(member, Code::RepeatedKey, message);
            }
        }
    }

    /// Reads the properties; returns the names of those that are known.
    fn members(&mut self, members: &'t [Member], here: Here, co_types: &CoTypes) -> Vec<&'static str> {
        let mut seen: Vec<&str> = Vec::new();
        for member in members {
            let key = member.key.as_str();
            if key.starts_with('@') {
                self.keyword(member, here.context.version);
                continue;
            }
            let long = metamodel::long_name(key, "dtmi:dtdl:property:", here.context.version);
            let name = long.unwrap_or(key);
            let own = here.class.properties(here.context.version).find(|property| property.name == name);
            let Some(property) = own.or_else(|| co_types.property(key, here.context)) else {
                self.unknown_property(member, here, co_types);
                continue;
            };
            if seen.contains(&property.name) {
                let message = format!("'{}' is given twice: remove one", property.name);
                self.find_key(member, Code::RepeatedProperty, message);
                continue;
            }
            seen.push(property.name);
            self.within(key, |reader| {
                reader.prefer(&member.value, (property.name != key).then_some(property.name));
                if property.name == "commandType" {
                    reader.find(&member.value, Code::Deprecated, "commandType means nothing any more: remove it");
                }
                reader.value(&member.value, property, here, co_types);
            });
        }
        seen
    }

    fn missing(&mut self, node: &'t Node, here: Here, co_types: &CoTypes, seen: &[&str]) {
        let version = here.context.version;
        let added = co_types.adjuncts.iter().flat_map(|adjunct| adjunct.properties);
        let wanted = here.class.properties(version).chain(added).filter(|property| property.required);
        for property in wanted.filter(|property| !seen.contains(&property.name)) {
            let message = format!("{} has no {}: add {}", self.label(here), property.name, property.example);
            self.find(node, Code::MissingProperty, message);
        }
        if let Some(unit_type) = co_types.unit_type.filter(|_| co_types.wants_unit && self.rules != Rules::Central)
            && !seen.contains(&"unit")
        {
            let example = units::units(unit_type, version).next().unwrap_or_default();
            let message = format!(
                "{} has a semantic type and no unit: add one, for example \"unit\": \"{example}\"",
                self.label(here)
            );
            self.find(node, Code::WrongUnit, message);
        }
    }

    /// What an element is called in a message.
    fn label(&self, here: Here) -> String {
        let name = self.elements.get(here.index).and_then(|element| element.name);
        name.map_or_else(|| here.class.name().to_owned(), |name| format!("{} {}", here.class.name(), quote(name)))
    }

    fn id(&mut self, node: &'t Node, index: usize) {
        let Some((class, version)) = self.elements.get(index).map(|element| (element.class, element.context.version))
        else {
            return;
        };
        let Some(id) = node.get("@id") else {
            if class == Class::Interface {
                let message = "the interface has no @id: add for example \"@id\": \"dtmi:com:example:Thermostat;1\"";
                self.find(node, Code::MissingId, message);
            }
            return;
        };
        let text = self.within("@id", |reader| {
            let central = reader.rules == Rules::Central;
            let fits = |text: &&str| is_user_dtmi(text, version) || central && (text.starts_with("urn:") || is_dtmi(text));
            let Some(text) = id.as_text().filter(fits) else {
                let form = if version == Version::V2 { "then a version" } else { "then perhaps a version" };
                let message = format!(
                    "the id is not of the form dtmi:com:example:Thermostat;1 (letters, digits and '_' between colons, {form})"
                );
                reader.find(id, Code::InvalidId, message);
                return None;
            };
            let most = if class == Class::Interface && !central { MAX_INTERFACE_ID } else { MAX_ID };
            if text.len() > most {
                reader.find(id, Code::TooLong, format!("the id is longer than {most} characters"));
            }
            Some(text)
        });
        if let Some(element) = self.elements.get_mut(index) {
            element.id = text;
        }
    }

    fn keyword(&mut self, member: &'t Member, version: Version) {
        if matches!(member.key.as_str(), "@context" | "@id" | "@type") {
            return;
        }
        let refused = version >= Version::V3 || member.key == "@graph";
        let message = format!("keyword {} means nothing here: remove it", quote(&member.key));
        self.find_key(member, if refused { Code::InvalidKeyword } else { Code::IgnoredKeyword }, message);
    }

    fn unknown_property(&mut self, member: &'t Member, here: Here, co_types: &CoTypes) {
        let Here { class, context, .. } = here;
        let key = member.key.as_str();
        let malformed = if key.starts_with("dtmi:") { !is_dtmi(key) } else { key.contains(':') };
        if self.rules == Rules::Central || co_types.unknown && !(context.version >= Version::V3 && malformed) {
            return;
        }
        let near = suggest(key, class.properties(context.version).map(|property| property.name));
        let message = match (key, near.as_str()) {
            ("unit", _) => {
                "a unit needs a semantic type: write for example \"@type\": [\"Telemetry\", \"Temperature\"]".to_owned()
            }
            (_, "") => format!("{} has no property {}: remove it", class.article(), quote(key)),
            (_, near) => format!("{} has no property {}{near}", class.article(), quote(key)),
        };
        self.find_key(member, Code::UnknownProperty, message);
    }

    /// The text of an interface is limited, that of the interfaces inside it counted apart.
    fn interface_text(&mut self, node: &'t Node, index: usize, around: Option<usize>) {
        let bytes = node.bytes as usize;
        if let Some(around) = around.and_then(|around| self.elements.get_mut(around)) {
            around.inner_bytes += bytes;
        }
        let Some(element) = self.elements.get(index) else { return };
        let most = element.context.version.limits().interface_bytes;
        if bytes.saturating_sub(element.inner_bytes) > most {
            self.find(node, Code::TooLarge, format!("the text of the interface is larger than {most} bytes"));
        }
    }
}

fn pointer(path: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in path {
        pointer.push('/');
        match step {
            Step::Key(key) if key.contains(['~', '/']) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Key(key) => pointer.push_str(key),
            Step::Item(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

/// The ids of the elements in a part that is not read.
fn collect_ids<'t>(node: &'t Node, ids: &mut HashSet<&'t str>) {
    match &node.kind {
        Kind::Object(members) => {
            ids.extend(node.get("@id").and_then(Node::as_text));
            members.iter().for_each(|member| collect_ids(&member.value, ids));
        }
        Kind::Array(items) => items.iter().for_each(|item| collect_ids(item, ids)),
        _ => {}
    }
}

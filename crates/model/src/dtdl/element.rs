//! From a node to an element of the model, checked against the tables.

use super::context::Context;
use super::error::MAX_ERRORS;
use super::identifier::{MAX_ID, MAX_INTERFACE_ID, is_user_dtmi};
use super::json::{Kind, Member, Node, Position};
use super::schema::{self, Class, Elements, Value};
use super::types::CoTypes;
use super::{Code, DtdlError, Rules, Version, is_dtmi, units};
use std::borrow::Cow;

/// An element of a model.
#[derive(Debug)]
pub(super) struct Element<'t> {
    pub class: Class,
    pub version: Version,
    pub id: Option<&'t str>,
    pub name: Option<&'t str>,
    /// The interface around it; itself for an interface.
    pub interface: usize,
    pub place: Place,
    pub links: Vec<Link<'t>>,
    /// The value of an enumeration's entry.
    pub literal: Option<&'t Node>,
    /// Are the values of an enumeration integers?
    pub integers: Option<bool>,
    /// The type that a semantic or IoT Central type demands of the schema.
    pub demand: Option<Demand>,
}

/// What a second type of an element demands of its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Number,
    Enumeration,
    Event,
    Location,
    Vector,
}

/// From an element to another one, or to a simple schema.
#[derive(Debug)]
pub(super) struct Link<'t> {
    pub property: &'static str,
    pub classes: &'static [Class],
    pub to: To<'t>,
    pub place: Place,
}

impl<'t> Link<'t> {
    fn new(property: &'static str, classes: &'static [Class], to: To<'t>) -> Self {
        Self { property, classes, to, place: Place::default() }
    }
}

/// Where a link goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum To<'t> {
    Element(usize),
    Id(&'t str),
    Simple(&'static str),
}

/// A place in the document.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub pointer: String,
    pub position: Position,
}

/// The element whose properties are being read.
#[derive(Clone, Copy)]
struct Here {
    index: usize,
    class: Class,
    context: Context,
}

/// Reads the elements of a model and collects what is wrong.
pub(super) struct Reader<'t> {
    pub rules: Rules,
    pub elements: Vec<Element<'t>>,
    errors: Vec<DtdlError>,
    path: Vec<Cow<'t, str>>,
    ids: Vec<&'t str>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, elements: Vec::new(), errors: Vec::new(), path: Vec::new(), ids: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<DtdlError> {
        self.errors
    }

    /// Reads an interface or a list of interfaces.
    pub(super) fn root(&mut self, node: &'t Node, pointer: &'t str) {
        self.path = pointer.split('/').skip(1).map(Cow::Borrowed).collect();
        let outer = (self.rules == Rules::Central).then_some(Context::CENTRAL);
        let top = Elements { classes: &[Class::Interface], implied: None, min: 0, max: usize::MAX };
        let is_list = matches!(node.kind, Kind::Array(_));
        for (index, item) in node.each().iter().enumerate() {
            if is_list {
                self.path.push(Cow::Owned(index.to_string()));
            }
            if matches!(item.kind, Kind::Object(_)) {
                self.element(item, &top, outer, None);
            } else {
                self.error(item, Code::NotAnInterface, "a model is an interface, or a list of interfaces");
            }
            if is_list {
                self.path.pop();
            }
        }
    }

    /// Notes an error at the node, with the path that is being read.
    pub(super) fn error(&mut self, node: &Node, code: Code, message: impl Into<String>) {
        let place = self.place(node.position);
        let id = self.ids.last().map(|id| (*id).to_owned());
        self.error_at(place, id, code, message.into());
    }

    pub(super) fn error_at(&mut self, place: Place, id: Option<String>, code: Code, message: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(DtdlError { code, message, id, pointer: place.pointer, position: place.position });
        }
    }

    fn place(&self, position: Position) -> Place {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        Place { pointer, position }
    }

    /// Reads one element; `None` where it is too broken to go on with.
    fn element(
        &mut self,
        node: &'t Node,
        allowed: &Elements,
        outer: Option<Context>,
        interface: Option<usize>,
    ) -> Option<usize> {
        let id = node.get("@id").and_then(Node::as_text);
        self.ids.extend(id);
        let found = self.read(node, allowed, outer, interface);
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
        interface: Option<usize>,
    ) -> Option<usize> {
        let Kind::Object(members) = &node.kind else { return None };
        let context = self.context(node, outer)?;
        let (class, co_types) = self.types(node, allowed, context)?;
        let index = self.elements.len();
        let place = self.place(node.position);
        self.elements.push(Element {
            class,
            version: context.version,
            id: None,
            name: None,
            interface: interface.filter(|_| class != Class::Interface).unwrap_or(index),
            place,
            links: Vec::new(),
            literal: None,
            integers: None,
            demand: co_types.demand,
        });
        self.id(node, index);
        let here = Here { index, class, context };
        let mut seen: Vec<&str> = Vec::new();
        for member in members {
            if member.key.starts_with('@') {
                self.keyword(member, context.version);
                continue;
            }
            let name = schema::property_name(&member.key, context.version);
            if seen.contains(&name) {
                self.error(&member.value, Code::RepeatedProperty, format!("'{name}' is given twice: remove one"));
                continue;
            }
            seen.push(name);
            self.path.push(Cow::Borrowed(&member.key));
            self.property(member, name, here, &co_types);
            self.path.pop();
        }
        self.required(node, index, &seen, &co_types);
        Some(index)
    }

    fn required(&mut self, node: &Node, index: usize, seen: &[&str], co_types: &CoTypes) {
        let Some((class, version, name)) =
            self.elements.get(index).map(|element| (element.class, element.version, element.name))
        else {
            return;
        };
        let label = name.map_or_else(|| class.name().to_owned(), |name| format!("{} '{name}'", class.name()));
        for property in class.required(version).iter().filter(|property| !seen.contains(property)) {
            let example = match *property {
                "name" => "\"name\": \"temperature\"",
                "schema" if class == Class::Component => "\"schema\": \"dtmi:com:example:Part;1\"",
                "schema" if class == Class::MapKey => "\"schema\": \"string\"",
                "schema" | "elementSchema" => "\"schema\": \"double\"",
                "enumValue" => "\"enumValue\": 1",
                "valueSchema" => "\"valueSchema\": \"integer\"",
                other => other,
            };
            self.error(
                node,
                Code::MissingProperty,
                format!("{label} has no {property}: add {}", example.replace("\"schema\"", &format!("\"{property}\""))),
            );
        }
        if let Some(unit_type) = co_types.quantity
            && !co_types.unit_optional
            && self.rules != Rules::Central
            && !seen.contains(&"unit")
        {
            let example = units::units(unit_type, version).next().unwrap_or_default();
            self.error(
                node,
                Code::WrongUnit,
                format!("{label} has a semantic type and no unit: add one, for example \"unit\": \"{example}\""),
            );
        }
    }

    fn id(&mut self, node: &'t Node, index: usize) {
        let Some(element) = self.elements.get(index) else { return };
        let (class, version) = (element.class, element.version);
        let Some(id) = node.get("@id") else {
            if class == Class::Interface {
                self.error(
                    node,
                    Code::MissingId,
                    "the interface has no @id: add for example \"@id\": \"dtmi:com:example:Thermostat;1\"",
                );
            }
            return;
        };
        let central = self.rules == Rules::Central;
        let Some(text) = id
            .as_text()
            .filter(|text| is_user_dtmi(text, version) || central && (text.starts_with("urn:") || is_dtmi(text)))
        else {
            let message = "the id is not of the form dtmi:com:example:Thermostat;1 (letters, digits and '_' between colons, then a version)";
            return self.error(id, Code::InvalidId, message);
        };
        let most = if class == Class::Interface && !central { MAX_INTERFACE_ID } else { MAX_ID };
        if text.len() > most {
            self.error(id, Code::TooLong, format!("the id is longer than {most} characters"));
        }
        if let Some(element) = self.elements.get_mut(index) {
            element.id = Some(text);
        }
    }

    fn keyword(&mut self, member: &Member, version: Version) {
        let known = matches!(member.key.as_str(), "@context" | "@id" | "@type");
        if !known && (version == Version::V3 || member.key == "@graph") {
            self.error(
                &member.value,
                Code::InvalidKeyword,
                format!("keyword '{}' can't be used here: remove it", member.key),
            );
        }
    }

    fn property(&mut self, member: &'t Member, name: &'t str, here: Here, co_types: &CoTypes) {
        match here.class.property(name, here.context.version) {
            Some(value) => self.value(member, name, value, here),
            None if name == "unit" && co_types.quantity.is_some() => self.unit(&member.value, here.context, co_types),
            None => self.unknown_property(member, here, co_types),
        }
    }

    fn unknown_property(&mut self, member: &Member, here: Here, co_types: &CoTypes) {
        let Here { class, context, .. } = here;
        let key = member.key.as_str();
        let malformed = if key.starts_with("dtmi:") { !is_dtmi(key) } else { key.contains(':') };
        if self.rules == Rules::Central || co_types.unknown && !(context.version == Version::V3 && malformed) {
            return;
        }
        let message = match (key, class) {
            ("unit", _) => {
                "a unit needs a semantic type: write for example \"@type\": [\"Telemetry\", \"Temperature\"]".to_owned()
            }
            ("schema", _) => format!("a {} has no schema: remove it", class.name()),
            _ => format!("a {} has no property '{key}': remove it, or correct its name", class.name()),
        };
        self.error(&member.value, Code::UnknownProperty, message);
    }

    fn unit(&mut self, node: &'t Node, context: Context, co_types: &CoTypes) {
        let Some(unit_type) = co_types.quantity else { return };
        let text = match node.each() {
            [item] => item.as_text(),
            _ => None,
        };
        let short = text.map(|text| {
            schema::dtmi_name(text, "dtmi:standard:unit:", Version::V2)
                .or_else(|| text.strip_prefix("dtmi:dtdl:extension:quantitativeTypes:v1:unit:"))
                .unwrap_or(text)
        });
        if self.rules != Rules::Central
            && !short.is_some_and(|short| units::units(unit_type, context.version).any(|unit| unit == short))
        {
            let known: Vec<_> = units::units(unit_type, context.version).collect();
            self.error(node, Code::WrongUnit, format!("the unit must be one of: {}", known.join(", ")));
        }
    }

    fn value(&mut self, member: &'t Member, name: &str, value: Value, here: Here) {
        let Here { index, context, .. } = here;
        let node = &member.value;
        match value {
            Value::Text(most) => {
                self.text(node, most, context.version);
            }
            Value::Name(most) => {
                let name = self.name(node, most, context.version);
                if let Some(element) = self.elements.get_mut(index) {
                    element.name = name;
                }
            }
            Value::Localized(most) => self.localized(node, most, context.version),
            Value::Boolean => self.boolean(node, context.version),
            Value::Integer(least, most) => self.integer(node, least, most, context.version),
            Value::Target => self.target(node, context.version),
            Value::Literal => {
                let literal = self.literal(node, context.version);
                if let Some(element) = self.elements.get_mut(index) {
                    element.literal = literal;
                }
            }
            Value::Word(kind, words) => {
                let found = self.word(node, kind, words, context.version);
                if let Some(element) = self.elements.get_mut(index).filter(|element| element.class == Class::Enum) {
                    element.integers = found.map(|word| word == "integer");
                }
            }
            Value::Schema => self.schema(node, name, here),
            Value::Elements(elements) => self.elements(node, name, &elements, here),
        }
    }

    fn schema(&mut self, node: &'t Node, name: &str, here: Here) {
        let Here { index, context, .. } = here;
        let property = if name == "elementSchema" { "elementSchema" } else { "schema" };
        let elements = Elements { classes: schema::COMPLEX, implied: None, min: 1, max: 1 };
        let item = match node.each() {
            [item] => item,
            _ => return self.error(node, Code::WrongSchema, format!("{property} is one schema")),
        };
        let central = context.central || self.rules == Rules::Central;
        match item.as_text().map(|text| (text, schema::simple_schema(text, context.version, central))) {
            Some((_, Some(simple))) => {
                self.link(index, item, Link::new(property, elements.classes, To::Simple(simple)))
            }
            Some((text, None)) if is_dtmi(text) || self.rules == Rules::Central && text.starts_with("urn:") => {
                self.link(index, item, Link::new(property, elements.classes, To::Id(text)));
            }
            Some((text, None)) => {
                let message = format!(
                    "schema '{text}' is not known: use boolean, date, dateTime, double, duration, float, integer, long, string, time, or the id of one that is defined under \"schemas\""
                );
                self.error(item, Code::WrongSchema, message);
            }
            None => self.elements(node, property, &elements, here),
        }
    }

    /// Reads the elements in a property: written in place, or named by their ids.
    fn elements(&mut self, node: &'t Node, name: &str, elements: &Elements, here: Here) {
        let Here { index, context, .. } = here;
        let property = link_property(name);
        let items = node.each();
        if items.len() < elements.min || items.len() > elements.max {
            let message = match (elements.min, elements.max) {
                (0 | 1, 1) => format!("{property} is one element"),
                (_, usize::MAX) => format!("{property} has at least {} elements", elements.min),
                (least, most) => format!("{property} has {least} to {most} elements, not {}", items.len()),
            };
            return self.error(node, Code::WrongCount, message);
        }
        let interface = self.elements.get(index).map(|element| element.interface);
        for (at, item) in items.iter().enumerate() {
            if matches!(node.kind, Kind::Array(_)) {
                self.path.push(Cow::Owned(at.to_string()));
            }
            match &item.kind {
                Kind::Object(_) => {
                    if let Some(child) = self.element(item, elements, Some(context), interface) {
                        self.link(index, item, Link::new(property, elements.classes, To::Element(child)));
                        self.check_child(item, child, property, context.version);
                    }
                }
                Kind::Text(text) if is_dtmi(text) || self.rules == Rules::Central && text.starts_with("urn:") => {
                    self.link(index, item, Link::new(property, elements.classes, To::Id(text)));
                }
                _ => {
                    let names: Vec<_> = elements.classes.iter().map(|class| class.name()).collect();
                    self.error(
                        item,
                        Code::WrongValue,
                        format!("{property} holds {} or the id of one", names.join(", ")),
                    );
                }
            }
            if matches!(node.kind, Kind::Array(_)) {
                self.path.pop();
            }
        }
    }

    /// Schemas to be used by others need an id, and some elements the version of the one around them.
    fn check_child(&mut self, node: &Node, child: usize, property: &str, version: Version) {
        if property == "schemas" && node.get("@id").is_none() {
            self.error(node, Code::MissingId, "a schema under \"schemas\" needs an @id by which it is used");
        }
        let same = matches!(property, "enumValues" | "fields" | "mapKey" | "mapValue" | "schemas");
        if same && self.elements.get(child).is_some_and(|child| child.version != version) {
            self.error(
                node,
                Code::InvalidContext,
                format!("what stands in {property} has the version of what is around it: remove its @context"),
            );
        }
    }

    fn link(&mut self, index: usize, node: &Node, link: Link<'t>) {
        let place = self.place(node.position);
        if let Some(element) = self.elements.get_mut(index) {
            element.links.push(Link { place, ..link });
        }
    }
}

/// The property's name as a constant, for the links.
fn link_property(name: &str) -> &'static str {
    match name {
        "contents" => "contents",
        "extends" => "extends",
        "schemas" => "schemas",
        "elementSchema" => "elementSchema",
        "request" => "request",
        "response" => "response",
        "properties" => "properties",
        "enumValues" => "enumValues",
        "mapKey" => "mapKey",
        "mapValue" => "mapValue",
        "fields" => "fields",
        _ => "schema",
    }
}

//! The value of a property: read as the table says, elements inside included.

use super::element::{Element, Here, Link, Reader, To};
use super::json::{Kind, Node};
use super::metamodel::{self, Elements, Property, Value};
use super::report::{quote, suggest};
use super::types::CoTypes;
use super::{Code, Rules, Version, is_dtmi, units};

impl<'t> Reader<'t> {
    pub(super) fn value(&mut self, node: &'t Node, property: &'static Property, here: Here, co_types: &CoTypes) {
        let version = here.context.version;
        match property.value {
            Value::Text(most) => {
                self.text(node, most, version);
            }
            Value::Name(most) => {
                let name = self.name(node, most, version);
                self.set(here, |element| element.name = name);
            }
            Value::Localized(most) => {
                let most = here.context.description_limit(property.name).unwrap_or(most);
                self.localized(node, most, version);
            }
            Value::Boolean => self.boolean(node, version),
            Value::Integer(least, most) => {
                self.integer(node, least, most, version);
            }
            Value::Index => {
                let index = self.integer(node, 1, i64::from(i32::MAX), version);
                self.set(here, |element| element.index = index);
            }
            Value::Target => self.target(node, version),
            Value::Literal => {
                let literal = self.literal(node, version);
                self.set(here, |element| element.literal = literal);
            }
            Value::Word(kind, words) => {
                let found = self.word(node, kind, words, version);
                self.set(here, |element| element.integers = found.map(|word| word == "integer"));
            }
            Value::Schema => self.schema(node, property.name, here, co_types),
            Value::Elements(elements) => self.elements(node, property.name, &elements, here),
            Value::Unit => self.unit(node, here.context, co_types),
            Value::Sibling => {
                let name = self.text(node, usize::MAX, version);
                self.set(here, |element| element.annotates = name);
            }
            Value::Overridden => {
                let name = self.text(node, usize::MAX, version);
                self.set(here, |element| element.overrides = name);
            }
            Value::Form(fits, form) => {
                if self.text(node, usize::MAX, version).is_some_and(|text| !fits(text)) {
                    self.find(node, Code::WrongValue, format!("wanted is {form}"));
                }
            }
            Value::Number => self.number(node),
            Value::Any => {}
        }
    }

    fn set(&mut self, here: Here, change: impl FnOnce(&mut Element<'t>)) {
        if let Some(element) = self.elements.get_mut(here.index) {
            change(element);
        }
    }

    fn schema(&mut self, node: &'t Node, property: &'static str, here: Here, co_types: &CoTypes) {
        let context = here.context;
        let elements = Elements { classes: metamodel::COMPLEX, implied: None, min: 1, max: 1 };
        let [item] = node.each() else {
            return self.find(node, Code::WrongSchema, format!("{property} is one schema"));
        };
        let lenient = self.rules == Rules::Central;
        let central = context.has_central_schemas();
        let Some(text) = item.as_text() else { return self.elements(node, property, &elements, here) };
        let unit_type = || units::unit_types().find(|known| co_types.has("Override") && *known == text);
        if let Some(simple) = metamodel::simple_schema(text, context.version, central).or_else(unit_type) {
            self.prefer(item, (simple != text).then_some(simple));
            let place = self.place(item.position);
            self.link(here, Link { property, classes: elements.classes, to: To::Simple(simple), place });
        } else if is_dtmi(text) || lenient && text.starts_with("urn:") {
            let place = self.place(item.position);
            self.link(here, Link { property, classes: elements.classes, to: To::Id(text), place });
        } else {
            let known: Vec<_> = metamodel::simple_schemas(context.version, central).collect();
            let near = suggest(text, known.iter().copied());
            let message = match near.as_str() {
                "" => format!(
                    "schema {} is not known: use {}, or the id of one that is defined under \"schemas\"",
                    quote(text),
                    known.join(", ")
                ),
                near => format!("schema {} is not known{near}", quote(text)),
            };
            self.find(item, Code::WrongSchema, message);
        }
    }

    /// Reads the elements in a property: written in place, or named by their ids.
    fn elements(&mut self, node: &'t Node, property: &'static str, elements: &Elements, here: Here) {
        let Here { index, context, .. } = here;
        let count = node.each().len();
        if count < elements.min || count > elements.max {
            let message = match (elements.min, elements.max) {
                (0 | 1, 1) => format!("{property} is one element"),
                (_, usize::MAX) => format!("{property} has at least {} elements", elements.min),
                (least, most) => format!("{property} has {least} to {most} elements, not {count}"),
            };
            self.find(node, Code::WrongCount, message);
        }
        let interface = self.elements.get(index).map(|element| element.interface);
        self.items(node, |reader, item| match &item.kind {
            Kind::Object(_) => {
                if let Some(child) = reader.element(item, elements, Some(context), interface) {
                    let place = reader.place(item.position);
                    reader.link(here, Link { property, classes: elements.classes, to: To::Element(child), place });
                    reader.check_child(item, child, property, context.version);
                }
            }
            Kind::Text(text) if is_dtmi(text) || reader.rules == Rules::Central && text.starts_with("urn:") => {
                let place = reader.place(item.position);
                reader.link(here, Link { property, classes: elements.classes, to: To::Id(text), place });
            }
            _ => {
                let names = elements.names();
                reader.find(item, Code::WrongValue, format!("{property} holds {} or the id of one", names.join(", ")));
            }
        });
    }

    /// Schemas to be used by others need an id, and some elements the version of the one around them.
    fn check_child(&mut self, node: &'t Node, child: usize, property: &str, version: Version) {
        if property == "schemas" && node.get("@id").is_none() {
            let message = "a schema under \"schemas\" needs an @id by which it is used";
            self.find(node, Code::MissingId, message);
        }
        let same = matches!(property, "enumValues" | "fields" | "mapKey" | "mapValue" | "schemas");
        if same && self.elements.get(child).is_some_and(|child| child.context.version != version) {
            let message =
                format!("what stands in {property} has the version of what is around it: remove its @context");
            self.find(node, Code::InvalidContext, message);
        }
    }

    fn link(&mut self, here: Here, link: Link<'t>) {
        self.set(here, |element| element.links.push(link));
    }
}

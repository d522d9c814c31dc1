//! What elements beside each other owe each other: names, values and indexes of their own, and what extensions demand.

use super::element::To;
use super::extension::{Demand, Needs};
use super::json::{Kind, Node};
use super::metamodel::{Class, is_geospatial, is_numeric};
use super::report::{quote, suggest};
use super::resolve::Model;
use super::{Code, Rules};
use std::collections::{HashMap, HashSet};

impl<'t> Model<'_, 't> {
    pub(super) fn siblings(&mut self) {
        let mut told = HashSet::new();
        for index in self.order.clone() {
            let Some(class) = self.get(index).map(|element| element.class) else { continue };
            match class {
                Class::Interface => self.interface(index, &mut told),
                Class::Enum => {
                    self.unique(index, "enumValues", &mut told);
                    self.literals(index);
                }
                Class::Object => {
                    self.unique(index, "fields", &mut told);
                    self.fields(index);
                }
                Class::Relationship => self.unique(index, "properties", &mut told),
                _ => {}
            }
            self.demand(index);
        }
    }

    fn interface(&mut self, index: usize, told: &mut HashSet<(usize, usize)>) {
        let Some(limits) = self.get(index).map(|element| element.context.version.limits()) else { return };
        let contents = self.contents(index, limits.contents);
        if contents.len() > limits.contents {
            let message = format!("the interface has more than {} contents, inherited ones included", limits.contents);
            return self.find(index, Code::WrongCount, message);
        }
        let names = self.names(index, &contents, told);
        self.indexes(index, "contents");
        let own: Vec<_> = self.to(index, "contents").collect();
        for content in own {
            self.annotation(content, &names);
        }
    }

    fn unique(&mut self, index: usize, property: &str, told: &mut HashSet<(usize, usize)>) {
        let elements: Vec<_> = self.to(index, property).collect();
        self.names(index, &elements, told);
        self.indexes(index, property);
    }

    /// Names are used once; the same element may come by two ways. Each pair is told once.
    fn names(
        &mut self,
        index: usize,
        elements: &[usize],
        told: &mut HashSet<(usize, usize)>,
    ) -> HashMap<&'t str, usize> {
        let mut names: HashMap<&str, usize> = HashMap::with_capacity(elements.len());
        let mut repeated = Vec::new();
        for element in elements {
            if let Some(name) = self.get(*element).and_then(|element| element.name)
                && let Some(other) = names.insert(name, *element)
                && other != *element
                && told.insert((other, *element))
            {
                repeated.push((*element, name));
            }
        }
        let interface = |at: usize| self.get(at).map(|element| element.interface);
        let places: Vec<_> = repeated
            .into_iter()
            .map(|(element, name)| match interface(element) == interface(index) {
                true => (element, format!("name {} is used twice: give each its own", quote(name))),
                false => (index, format!("name {} is inherited twice: extend one of the two only", quote(name))),
            })
            .collect();
        for (at, message) in places {
            self.find(at, Code::RepeatedName, message);
        }
        names
    }

    /// The indexes of siblings are used once.
    fn indexes(&mut self, index: usize, property: &str) {
        let mut seen = HashSet::new();
        let repeated: Vec<_> = self
            .to(index, property)
            .filter(|at| self.get(*at).and_then(|element| element.index).is_some_and(|index| !seen.insert(index)))
            .collect();
        for at in repeated {
            self.find(at, Code::RepeatedName, "this index is used twice: give each its own".to_owned());
        }
    }

    /// The values of an enumeration are of one kind, each once.
    fn literals(&mut self, index: usize) {
        let integers = self.get(index).and_then(|element| element.integers);
        let (mut seen, mut problems) = (HashSet::new(), Vec::new());
        for value in self.to(index, "enumValues") {
            let Some(literal) = self.get(value).and_then(|element| element.literal).and_then(literal) else { continue };
            let is_integer = matches!(literal, Literal::Integer(_));
            if integers.is_some_and(|integers| integers != is_integer) {
                let wanted = if is_integer { "a text" } else { "a whole number" };
                problems.push((value, Code::WrongValue, format!("enumValue must be {wanted}, as valueSchema says")));
            } else if !seen.insert(literal) {
                let message = "this enumValue is used twice: give each its own".to_owned();
                problems.push((value, Code::RepeatedName, message));
            }
        }
        for (value, code, message) in problems {
            self.find(value, code, message);
        }
    }

    /// What the types of an object and of its fields owe each other.
    fn fields(&mut self, index: usize) {
        let Some(object) = self.get(index).map(|object| &object.co_types) else { return };
        let is_result = object.has("Result");
        let (mut seen, mut problems) = (HashSet::new(), Vec::new());
        for field in self.to(index, "fields") {
            let Some(types) = self.get(field).map(|field| &field.co_types) else { continue };
            for adjunct in &types.adjuncts {
                let Some(Needs::Around(around)) = adjunct.needs else { continue };
                if !object.has(around) {
                    let message = format!("a field of type '{}' needs an object of type '{around}'", adjunct.name);
                    problems.push((field, Code::WrongType, message));
                } else if !seen.insert(adjunct.name) {
                    let message = format!("one field only can be of type '{}'", adjunct.name);
                    problems.push((field, Code::WrongType, message));
                }
            }
            if is_result && !types.has("NormalResult") && !types.has("ErrorResult") {
                let message = "a field of a Result is of type 'NormalResult' or 'ErrorResult': add it to its @type";
                problems.push((field, Code::MissingType, message.to_owned()));
            }
        }
        for (field, code, message) in problems {
            self.find(field, code, message);
        }
    }

    /// What is annotated is there, and what is overridden it has.
    fn annotation(&mut self, index: usize, names: &HashMap<&'t str, usize>) {
        let Some(element) = self.get(index) else { return };
        let Some(name) = element.annotates else { return };
        let data =
            |at: &usize| self.get(*at).is_some_and(|found| matches!(found.class, Class::Property | Class::Telemetry));
        let target = names.get(name).copied().filter(|at| *at != index).filter(data);
        let Some(unit_type) = target.and_then(|at| self.get(at)).map(|target| target.co_types.unit_type) else {
            let near = suggest(name, names.keys().copied());
            let message = format!("annotates names no other property or telemetry beside it: {}{near}", quote(name));
            return self.find(index, Code::UnknownReference, message);
        };
        let Some(overridden) = element.overrides else { return };
        let schema = element.links.iter().find(|link| link.property == "schema").map(|link| link.to);
        if overridden.rsplit(':').next() != Some("unit") || unit_type.is_none() {
            let message = format!("{} has no property {} of an extension", quote(name), quote(overridden));
            self.find(index, Code::UnknownReference, message);
        } else if let Some(wanted) = unit_type
            && schema != Some(To::Simple(wanted))
        {
            let message = format!("the schema must be {wanted}, as the unit of {} is", quote(name));
            self.find(index, Code::WrongSchema, message);
        }
    }

    /// What a second type demands of the schema.
    fn demand(&mut self, index: usize) {
        let Some(element) = self.get(index) else { return };
        let Some(demand) = element.co_types.demand.filter(|_| self.reader.rules != Rules::Central) else { return };
        let Some(link) = element.links.iter().find(|link| link.property == "schema") else { return };
        let (simple, complex) = match link.to {
            To::Simple(name) => (name, None),
            To::Element(to) => ("", self.get(to).map(|to| to.class)),
            _ => return,
        };
        let (fits, wanted) = match demand {
            Demand::Number => (is_numeric(simple), "a number such as double, float, integer or long"),
            Demand::Enumeration => (complex == Some(Class::Enum), "an Enum"),
            Demand::Event => (is_numeric(simple) || simple == "string", "double, float, integer, long or string"),
            Demand::Location => (is_geospatial(simple) || simple == "geopoint", "geopoint or a geospatial type"),
            Demand::Vector => (simple == "vector", "vector"),
            Demand::Object => (complex == Some(Class::Object), "an Object"),
            Demand::Text => (simple == "string", "string"),
        };
        if !fits {
            let place = link.place.clone();
            self.find_at(index, place, Code::WrongSchema, format!("its type wants the schema {wanted}"));
        }
    }
}

/// The value of an enumeration's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Literal<'t> {
    Integer(i64),
    Text(&'t str),
}

fn literal(node: &Node) -> Option<Literal<'_>> {
    match &node.kind {
        Kind::Number(number) => number.as_i64().map(Literal::Integer),
        Kind::Text(text) => Some(Literal::Text(text)),
        _ => None,
    }
}

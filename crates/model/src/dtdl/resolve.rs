//! What holds over the whole model: references, cycles, depths, counts.

use super::element::{Element, Link, Place, Reader, To};
use super::metamodel::{Class, is_geospatial};
use super::report::quote;
use super::{Code, Rules, Version};
use std::collections::{HashMap, HashSet};

/// So many steps over inherited elements are taken before the model is refused as too entangled.
const MAX_STEPS: usize = 2_000_000;

pub(super) fn resolve(reader: &mut Reader<'_>) {
    let mut model = Model { reader, order: Vec::new(), cut: HashSet::new(), measures: Vec::new(), steps: 0 };
    model.follow();
    model.sort();
    model.measure();
    model.sizes();
    model.siblings();
}

/// The elements with every reference replaced by what it refers to.
pub(super) struct Model<'m, 't> {
    pub reader: &'m mut Reader<'t>,
    /// Each element after those that it links to.
    pub order: Vec<usize>,
    /// The links, by element and number, that close a cycle.
    cut: HashSet<(usize, usize)>,
    measures: Vec<Measure>,
    steps: usize,
}

/// What is below an element.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    /// Schemas inside each other.
    schemas: usize,
    /// Interfaces that extend each other.
    bases: usize,
    /// Is one of the depths too deep here or below?
    too_deep: bool,
    /// Is there an array in the schema?
    array: bool,
    /// Is a component among the contents, inherited ones included?
    component: bool,
}

impl<'t> Model<'_, 't> {
    pub(super) fn get(&self, index: usize) -> Option<&Element<'t>> {
        self.reader.elements.get(index)
    }

    fn links(&self, index: usize) -> &[Link<'t>] {
        self.get(index).map_or(&[], |element| element.links.as_slice())
    }

    /// The elements in a property of an element.
    pub(super) fn to(&self, index: usize, property: &str) -> impl Iterator<Item = usize> {
        self.links(index).iter().filter(move |link| link.property == property).filter_map(|link| match link.to {
            To::Element(to) => Some(to),
            _ => None,
        })
    }

    pub(super) fn find(&mut self, index: usize, code: Code, message: String) {
        let Some(place) = self.get(index).map(|element| element.place.clone()) else { return };
        self.find_at(index, place, code, message);
    }

    pub(super) fn find_at(&mut self, index: usize, place: Place, code: Code, message: String) {
        let id = self.get(index).and_then(|element| {
            element.id.or_else(|| self.get(element.interface).and_then(|interface| interface.id)).map(str::to_owned)
        });
        self.reader.find_at(place, id, code, message);
    }

    /// Replaces every id by the element that has it.
    fn follow(&mut self) {
        let by_id = self.ids();
        let mut problems = Vec::new();
        let mut found = Vec::new();
        for (index, element) in self.reader.elements.iter().enumerate() {
            for (number, link) in element.links.iter().enumerate() {
                let To::Id(id) = link.to else { continue };
                let to = self.referred(element, link, by_id.get(id).copied(), id).unwrap_or_else(|(code, message)| {
                    problems.push((index, link.place.clone(), code, message));
                    To::Nothing
                });
                found.push((index, number, to));
            }
        }
        for (index, number, to) in found {
            if let Some(link) = self.reader.elements.get_mut(index).and_then(|element| element.links.get_mut(number)) {
                link.to = to;
            }
        }
        for (index, place, code, message) in problems {
            self.find_at(index, place, code, message);
        }
    }

    fn ids(&mut self) -> HashMap<&'t str, usize> {
        let mut by_id = HashMap::new();
        let mut repeated = Vec::new();
        for (index, element) in self.reader.elements.iter().enumerate() {
            if let Some(id) = element.id
                && by_id.insert(id, index).is_some()
            {
                repeated.push((index, id));
            }
        }
        // IoT Central writes an interface out wherever it is used.
        if self.reader.rules != Rules::Central {
            for (index, id) in repeated {
                let message = format!("{} is defined twice: give each element its own id", quote(id));
                self.find(index, Code::RepeatedId, message);
            }
        }
        by_id
    }

    fn referred(
        &self,
        from: &Element<'t>,
        link: &Link<'t>,
        to: Option<usize>,
        id: &str,
    ) -> Result<To<'t>, (Code, String)> {
        let Some((index, to)) = to.and_then(|index| Some((index, self.get(index)?))) else {
            if self.reader.unread.contains(id) {
                return Ok(To::Nothing);
            }
            let message = format!("{} is not defined here: add its definition to the same model", quote(id));
            return Err((Code::UnknownReference, message));
        };
        let message = if !link.classes.contains(&to.class) {
            format!("{} is {} and can't stand in {}", quote(id), to.class.article(), link.property)
        } else if to.class != Class::Interface && to.interface != from.interface {
            format!("{} belongs to another interface: define it in this one", quote(id))
        } else if from.context.version < to.context.version {
            format!("{} is of a newer version of the language and can't be used here", quote(id))
        } else {
            return Ok(To::Element(index));
        };
        Err((Code::WrongReference, message))
    }

    /// Puts each element after those that it links to, and cuts the links that close a cycle.
    fn sort(&mut self) {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let mut states = vec![State::New; self.reader.elements.len()];
        let mut cycles = Vec::new();
        for start in 0..states.len() {
            let mut open = vec![(start, 0)];
            while let Some((index, number)) = open.pop() {
                let Some(state) = states.get_mut(index) else { continue };
                if number == 0 && std::mem::replace(state, State::Open) == State::Done {
                    *state = State::Done;
                    continue;
                }
                let Some(link) = self.links(index).get(number) else {
                    if let Some(state) = states.get_mut(index) {
                        *state = State::Done;
                    }
                    self.order.push(index);
                    continue;
                };
                open.push((index, number + 1));
                if let To::Element(to) = link.to {
                    match states.get(to) {
                        Some(State::New) => open.push((to, 0)),
                        Some(State::Open) => cycles.push((index, number, to)),
                        _ => {}
                    }
                }
            }
        }
        for (index, number, to) in cycles {
            self.cut.insert((index, number));
            self.cycle(index, number, to);
        }
    }

    /// From version 4 on a schema may contain itself.
    fn cycle(&mut self, index: usize, number: usize, to: usize) {
        let Some((from, link)) = self.get(index).and_then(|from| Some((from, from.links.get(number)?))) else { return };
        let message = match (link.property, self.get(to).map(|to| to.class)) {
            ("extends", _) => "the interface extends itself: remove it here",
            (_, Some(Class::Interface)) => "the interface contains itself as a component: remove it here",
            _ if from.context.version >= Version::V4 => return,
            _ => "the schema contains itself: remove it here",
        };
        let place = link.place.clone();
        self.find_at(index, place, Code::Cycle, message.to_owned());
    }

    /// Measures each element once, from below.
    fn measure(&mut self) {
        self.measures = vec![Measure::default(); self.reader.elements.len()];
        for index in self.order.clone() {
            let measure = self.measured(index);
            if let Some(known) = self.measures.get_mut(index) {
                *known = measure;
            }
        }
    }

    fn measured(&mut self, index: usize) -> Measure {
        let Some(element) = self.get(index) else { return Measure::default() };
        let (class, context, rules) = (element.class, element.context, self.reader.rules);
        let mut measure = Measure { array: class == Class::Array, ..Measure::default() };
        let (mut below_too_deep, mut nested) = (false, None);
        for (number, link) in element.links.iter().enumerate() {
            let (to, below) = match link.to {
                To::Element(to) if !self.cut.contains(&(index, number)) => {
                    (self.get(to).map(|to| to.class), self.measures.get(to).copied().unwrap_or_default())
                }
                To::Simple(name) => (None, Measure { array: is_geospatial(name), ..Measure::default() }),
                _ => continue,
            };
            match link.property {
                "extends" => {
                    measure.bases = measure.bases.max(below.bases + 1);
                    measure.component |= below.component;
                }
                "contents" => measure.component |= to == Some(Class::Component),
                "schema" if to == Some(Class::Interface) => {
                    nested = nested.or(below.component.then(|| link.place.clone()))
                }
                "schema" | "elementSchema" => measure.schemas = measure.schemas.max(below.schemas + 1),
                "fields" | "mapValue" => measure.schemas = measure.schemas.max(below.schemas),
                _ => continue,
            }
            measure.array |= below.array;
            below_too_deep |= below.too_deep;
        }
        let (schemas, bases) = (context.schema_depth(), context.version.limits().extends_depth);
        let is_schema = matches!(class, Class::Array | Class::Map | Class::Object);
        measure.too_deep = below_too_deep || measure.bases > bases || is_schema && measure.schemas > schemas;
        let is_property = class == Class::Property && context.version == Version::V2;
        if measure.too_deep && !below_too_deep {
            let message = match class {
                Class::Interface => format!("interfaces extend each other over more than {bases} levels"),
                _ => format!("the schema is nested deeper than {schemas} levels"),
            };
            self.find(index, Code::TooDeep, message);
        }
        if let Some(place) = nested {
            let message = "a component can't hold a component: its interface must have none";
            self.find_at(index, place, Code::NestedComponent, message.to_owned());
        }
        if is_property && measure.array && rules != Rules::Central {
            let message = "the schema of a property can't hold an array or a geospatial type in version 2";
            self.find(index, Code::WrongSchema, message.to_owned());
        }
        measure
    }

    /// Counts what each interface extends and holds; where the whole model is within a limit, so is each interface.
    fn sizes(&mut self) {
        let limits = Version::V3.limits();
        let all = |count: fn(&str) -> bool| {
            let links = self.reader.elements.iter().flat_map(|element| &element.links);
            links.filter(|link| count(link.property)).count()
        };
        let extends: fn(&str) -> bool = |property| property == "extends";
        // A key's schema and the shared schemas do not count, the others do; so does what is inherited.
        let values: fn(&str) -> bool = |property| !matches!(property, "extends" | "schemas" | "mapKey");
        let many: Vec<_> = [
            (extends, extends, limits.extends, "extends more than", "interfaces, over all levels"),
            (
                values,
                |property| !matches!(property, "schemas" | "mapKey"),
                limits.values,
                "holds more than",
                "values, inherited ones included",
            ),
        ]
        .into_iter()
        .filter(|(count, _, limit, ..)| all(*count) > *limit)
        .collect();
        for index in self.order.clone() {
            let counts =
                |element: &Element<'_>| element.class == Class::Interface && element.context.version >= Version::V3;
            if !self.get(index).is_some_and(counts) {
                continue;
            }
            for (count, walk, limit, does, what) in &many {
                if self.reachable(index, *count, *walk) > *limit {
                    self.find(index, Code::WrongCount, format!("the interface {does} {limit} {what}"));
                }
            }
        }
    }

    /// How many links of some properties are found below an element, each once.
    fn reachable(&mut self, index: usize, count: fn(&str) -> bool, walk: fn(&str) -> bool) -> usize {
        let (mut seen, mut open, mut total) = (HashSet::from([index]), vec![index], 0);
        while let Some(at) = open.pop() {
            let links = self.links(at);
            total += links.iter().filter(|link| count(link.property)).count();
            let next = links.iter().filter(|link| walk(link.property)).filter_map(|link| match link.to {
                To::Element(to) => Some(to),
                _ => None,
            });
            open.extend(next.filter(|to| seen.insert(*to)));
            if !self.step(index, self.links(at).len() + 1) {
                break;
            }
        }
        total
    }

    /// Takes steps; false, told once, where too many were taken.
    fn step(&mut self, index: usize, steps: usize) -> bool {
        let before = self.steps <= MAX_STEPS;
        self.steps = self.steps.saturating_add(steps);
        if before && self.steps > MAX_STEPS {
            let message = "the interfaces of the model use each other so often that it can't be checked: split it";
            self.find(index, Code::TooLarge, message.to_owned());
        }
        self.steps <= MAX_STEPS
    }

    /// The contents of an interface: inherited ones first, its own last; cut short where they are too many.
    pub(super) fn contents(&mut self, index: usize, most: usize) -> Vec<usize> {
        let (mut seen, mut open, mut bases) = (HashSet::from([index]), vec![index], Vec::new());
        while let Some(at) = open.pop() {
            let next: Vec<_> = self.to(at, "extends").filter(|to| seen.insert(*to)).collect();
            bases.extend(&next);
            open.extend(next);
            if !self.step(index, self.links(at).len() + 1) {
                return Vec::new();
            }
        }
        let mut contents = Vec::new();
        for at in bases {
            let inherited: Vec<_> = self.to(at, "contents").collect();
            if !self.step(index, inherited.len() + 1) || contents.len() > most {
                return contents;
            }
            contents.extend(inherited);
        }
        contents.extend(self.to(index, "contents"));
        contents
    }
}

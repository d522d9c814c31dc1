//! What holds over the whole model: references, inheritance, cycles, limits.

use super::element::{Demand, Element, Link, Place, Reader, To};
use super::json::{Kind, Node};
use super::schema::{Class, is_geospatial, is_numeric};
use super::{Code, Rules, Version};
use std::collections::{HashMap, HashSet};

const MAX_SCHEMA_DEPTH: usize = 5;
const MAX_EXTENDS_DEPTH: usize = 10;
const MAX_CONTENTS: usize = 300;
const MAX_ANCESTORS: usize = 1024;
const MAX_INTERFACES: usize = 2000;
/// Deeper than any limit: the search stops there.
const BOTTOM: usize = 64;

pub(super) fn resolve(reader: &mut Reader<'_>) {
    let mut model = Model::new(reader);
    model.links();
    if model.too_many_interfaces() {
        return;
    }
    for index in 0..model.reader.elements.len() {
        model.element(index);
    }
}

/// The elements with every reference replaced by what it refers to.
struct Model<'m, 't> {
    reader: &'m mut Reader<'t>,
    by_id: HashMap<&'t str, usize>,
    /// For each element its links that lead to elements.
    links: Vec<Vec<(&'static str, usize)>>,
    schemas: HashMap<usize, Option<Measured>>,
    bases: HashMap<usize, Option<Measured>>,
}

/// How far down an element reaches, and whether an array is on the way.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    levels: usize,
    array: bool,
}

type Measured = Result<Measure, Trouble>;

/// Which way down is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Schemas,
    Bases,
}

impl<'m, 't> Model<'m, 't> {
    fn new(reader: &'m mut Reader<'t>) -> Self {
        let mut by_id = HashMap::new();
        let mut repeated = Vec::new();
        for (index, element) in reader.elements.iter().enumerate() {
            if let Some(id) = element.id
                && by_id.insert(id, index).is_some()
            {
                repeated.push((element.place.clone(), id));
            }
        }
        // IoT Central writes an interface out wherever it is used.
        if reader.rules != Rules::Central {
            for (place, id) in repeated {
                let message = format!("'{id}' is defined twice: give each element its own id");
                reader.error_at(place, Some(id.to_owned()), Code::RepeatedId, message);
            }
        }
        Self { reader, by_id, links: Vec::new(), schemas: HashMap::new(), bases: HashMap::new() }
    }

    fn get(&self, index: usize) -> Option<&Element<'t>> {
        self.reader.elements.get(index)
    }

    fn error(&mut self, index: usize, code: Code, message: String) {
        let Some(place) = self.get(index).map(|element| element.place.clone()) else { return };
        self.error_at(index, place, code, message);
    }

    fn error_at(&mut self, index: usize, place: Place, code: Code, message: String) {
        let id = self.get(index).and_then(|element| {
            element.id.or_else(|| self.get(element.interface).and_then(|interface| interface.id)).map(str::to_owned)
        });
        self.reader.error_at(place, id, code, message);
    }

    /// Follows every reference.
    fn links(&mut self) {
        let mut all = Vec::new();
        let mut problems = Vec::new();
        for (index, element) in self.reader.elements.iter().enumerate() {
            let mut links = Vec::new();
            for link in &element.links {
                match self.follow(element, link) {
                    Ok(Some(to)) => links.push((link.property, to)),
                    Ok(None) => {}
                    Err((code, message)) => problems.push((index, link.place.clone(), code, message)),
                }
            }
            all.push(links);
        }
        self.links = all;
        for (index, place, code, message) in problems {
            self.error_at(index, place, code, message);
        }
    }

    fn follow(&self, from: &Element<'t>, link: &Link<'t>) -> Result<Option<usize>, (Code, String)> {
        let id = match link.to {
            To::Element(index) => return Ok(Some(index)),
            To::Simple(_) => return Ok(None),
            To::Id(id) => id,
        };
        let Some((index, to)) = self.by_id.get(id).and_then(|index| Some((*index, self.get(*index)?))) else {
            return Err((
                Code::UnknownReference,
                format!("'{id}' is not defined here: add its definition to the same file"),
            ));
        };
        if !link.classes.contains(&to.class) {
            return Err((
                Code::WrongReference,
                format!("'{id}' is a {} and can't stand in {}", to.class.name(), link.property),
            ));
        }
        if to.class != Class::Interface && to.interface != from.interface {
            return Err((Code::WrongReference, format!("'{id}' belongs to another interface: define it in this one")));
        }
        if from.version < to.version {
            return Err((
                Code::WrongReference,
                format!("'{id}' is of version 3 of the language and can't be used by version 2"),
            ));
        }
        Ok(Some(index))
    }

    fn to(&self, index: usize, property: &str) -> Vec<usize> {
        let links = self.links.get(index).map_or(&[][..], Vec::as_slice);
        links.iter().filter(|(name, _)| *name == property).map(|(_, to)| *to).collect()
    }

    fn element(&mut self, index: usize) {
        let Some(class) = self.get(index).map(|element| element.class) else { return };
        match class {
            Class::Interface => self.interface(index),
            Class::Enum => {
                self.names(index, "enumValues");
                self.literals(index);
            }
            Class::Object => self.names(index, "fields"),
            Class::Relationship => self.names(index, "properties"),
            Class::Component => self.component(index),
            Class::Telemetry
            | Class::Property
            | Class::CommandPayload
            | Class::CommandRequest
            | Class::CommandResponse => self.value(index),
            _ => {}
        }
        self.demand(index);
    }

    fn interface(&mut self, index: usize) {
        match self.ancestors(index) {
            Err(Trouble::Cycle) => return self.error(index, Code::Cycle, "the interface extends itself".to_owned()),
            Err(Trouble::Deep) => {
                return self.error(
                    index,
                    Code::TooDeep,
                    format!("interfaces extend each other over more than {MAX_EXTENDS_DEPTH} levels"),
                );
            }
            Ok(ancestors) => {
                if ancestors.len() > MAX_ANCESTORS {
                    self.error(
                        index,
                        Code::WrongCount,
                        format!("the interface extends more than {MAX_ANCESTORS} others"),
                    );
                }
                let version = self.get(index).map_or(Version::V2, |element| element.version);
                let mut contents = self.to(index, "contents");
                for ancestor in ancestors {
                    contents.extend(self.to(ancestor, "contents"));
                }
                if version == Version::V2 && contents.len() > MAX_CONTENTS {
                    self.error(
                        index,
                        Code::WrongCount,
                        format!("the interface has more than {MAX_CONTENTS} contents, inherited ones included"),
                    );
                }
                self.unique(&contents);
            }
        }
        for schema in self.to(index, "schemas") {
            self.schema(schema, index);
        }
        if self.contains_itself(index) {
            self.error(index, Code::Cycle, "the interface contains itself as a component".to_owned());
        }
    }

    fn too_many_interfaces(&mut self) -> bool {
        let mut interfaces =
            self.reader.elements.iter().enumerate().filter(|(_, element)| element.class == Class::Interface);
        let Some((index, _)) = interfaces.nth(MAX_INTERFACES) else { return false };
        self.error(index, Code::WrongCount, format!("the model has more than {MAX_INTERFACES} interfaces"));
        true
    }

    /// Every interface that this one extends, once each.
    fn ancestors(&mut self, index: usize) -> Result<Vec<usize>, Trouble> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut level = vec![index];
        for depth in 0.. {
            let next: Vec<usize> =
                level.iter().flat_map(|at| self.to(*at, "extends")).filter(|at| seen.insert(*at)).collect();
            if next.contains(&index) {
                return Err(Trouble::Cycle);
            }
            if next.is_empty() {
                break;
            }
            if depth >= BOTTOM {
                return Err(Trouble::Deep);
            }
            found.extend(&next);
            level = next;
        }
        if self.measure(index, 0, Way::Bases)?.levels > MAX_EXTENDS_DEPTH {
            return Err(Trouble::Deep);
        }
        Ok(found)
    }

    /// The longest way down; each element is measured once.
    fn measure(&mut self, index: usize, depth: usize, way: Way) -> Measured {
        let known = match way {
            Way::Schemas => &mut self.schemas,
            Way::Bases => &mut self.bases,
        };
        match known.get(&index) {
            Some(Some(measured)) => return *measured,
            Some(None) => return Err(Trouble::Cycle),
            None if depth > BOTTOM => return Err(Trouble::Deep),
            None => {}
        }
        known.insert(index, None);
        let measured = self.measure_anew(index, depth, way);
        let known = match way {
            Way::Schemas => &mut self.schemas,
            Way::Bases => &mut self.bases,
        };
        known.insert(index, Some(measured));
        measured
    }

    fn measure_anew(&mut self, index: usize, depth: usize, way: Way) -> Measured {
        let properties: &[&str] = match way {
            Way::Schemas => &["schema", "elementSchema", "mapValue", "fields"],
            Way::Bases => &["extends"],
        };
        let mut measure = Measure { levels: 0, array: self.get(index).is_some_and(is_array) };
        for to in properties.iter().flat_map(|property| self.to(index, property)).collect::<Vec<_>>() {
            let below = self.measure(to, depth + 1, way)?;
            let step = usize::from(self.get(to).is_some_and(|to| to.class.nests()));
            measure.levels = measure.levels.max(step + below.levels);
            measure.array |= below.array;
        }
        Ok(measure)
    }

    /// Names are used once among inherited contents; the same element may come by two ways.
    fn unique(&mut self, contents: &[usize]) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut repeated = Vec::new();
        for index in contents {
            if let Some(name) = self.get(*index).and_then(|element| element.name)
                && seen.insert(name, *index).is_some_and(|other| other != *index)
            {
                repeated.push((*index, name));
            }
        }
        for (index, name) in repeated {
            self.error(index, Code::RepeatedName, format!("name '{name}' is used twice: give each its own"));
        }
    }

    fn names(&mut self, index: usize, property: &str) {
        let elements = self.to(index, property);
        self.unique(&elements);
    }

    /// The values of an enumeration are of one kind, each once.
    fn literals(&mut self, index: usize) {
        let integers = self.get(index).and_then(|element| element.integers);
        let mut seen: Vec<&Kind> = Vec::new();
        let mut problems = Vec::new();
        for value in self.to(index, "enumValues") {
            let Some(kind) = self.get(value).and_then(|element| element.literal).map(|node: &Node| &node.kind) else {
                continue;
            };
            let wrong = match kind {
                Kind::Number(_) => integers == Some(false),
                _ => integers == Some(true),
            };
            if wrong {
                let wanted = if integers == Some(true) { "a whole number" } else { "a text" };
                problems.push((value, Code::WrongValue, format!("enumValue must be {wanted}, as valueSchema says")));
            } else if seen.contains(&kind) {
                problems.push((
                    value,
                    Code::RepeatedName,
                    "this enumValue is used twice: give each its own".to_owned(),
                ));
            }
            seen.push(kind);
        }
        for (value, code, message) in problems {
            self.error(value, code, message);
        }
    }

    fn component(&mut self, index: usize) {
        for interface in self.to(index, "schema") {
            let mut interfaces = self.ancestors(interface).unwrap_or_default();
            interfaces.push(interface);
            let nested = interfaces
                .into_iter()
                .flat_map(|interface| self.to(interface, "contents"))
                .any(|content| self.get(content).is_some_and(|content| content.class == Class::Component));
            if nested {
                self.error(
                    index,
                    Code::NestedComponent,
                    "a component can't hold a component: its interface must have none".to_owned(),
                );
            }
        }
    }

    /// Can the interface be reached from itself through components and inheritance?
    fn contains_itself(&self, index: usize) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![index];
        while let Some(at) = open.pop() {
            let components = self
                .to(at, "contents")
                .into_iter()
                .filter(|content| self.get(*content).is_some_and(|content| content.class == Class::Component));
            let next = components.flat_map(|component| self.to(component, "schema")).chain(self.to(at, "extends"));
            for to in next.collect::<Vec<_>>() {
                if to == index {
                    return true;
                }
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        false
    }

    /// What holds a value: its schema is neither too deep nor inside itself, and a version 2 property holds no array.
    fn value(&mut self, index: usize) {
        for schema in self.to(index, "schema") {
            self.schema(schema, index);
        }
        let is_property =
            self.get(index).is_some_and(|element| element.class == Class::Property && element.version == Version::V2);
        let holds_array = self.measure(index, 0, Way::Schemas).is_ok_and(|measure| measure.array);
        if is_property && holds_array && self.reader.rules != Rules::Central {
            let message = "the schema of a property can't hold an array or a geospatial type in version 2";
            self.error(index, Code::WrongSchema, message.to_owned());
        }
    }

    fn schema(&mut self, schema: usize, used_by: usize) {
        let step = usize::from(self.get(schema).is_some_and(|element| element.class.nests()));
        match self.measure(schema, 0, Way::Schemas) {
            Err(Trouble::Cycle) => self.error(used_by, Code::Cycle, "the schema contains itself".to_owned()),
            Ok(measure) if measure.levels + step <= MAX_SCHEMA_DEPTH => {}
            _ => self.error(
                used_by,
                Code::TooDeep,
                format!("the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels"),
            ),
        }
    }

    /// What a semantic type demands of the schema.
    fn demand(&mut self, index: usize) {
        let Some((demand, link)) = self
            .get(index)
            .and_then(|element| Some((element.demand?, element.links.iter().find(|link| link.property == "schema")?)))
        else {
            return;
        };
        let simple = match link.to {
            To::Simple(name) => Some(name),
            _ => None,
        };
        let complex = self.to(index, "schema").first().and_then(|to| self.get(*to)).map(|to| to.class);
        let (fine, wanted) = match demand {
            Demand::Number => (simple.is_some_and(is_numeric), "double, float, integer or long"),
            Demand::Enumeration => (complex == Some(Class::Enum), "an Enum"),
            Demand::Event => (
                simple.is_some_and(|name| is_numeric(name) || name == "string"),
                "double, float, integer, long or string",
            ),
            Demand::Location => {
                (simple.is_some_and(|name| is_geospatial(name) || name == "geopoint"), "geopoint or a geospatial type")
            }
            Demand::Vector => (simple == Some("vector"), "vector"),
        };
        if !fine && self.reader.rules != Rules::Central {
            let place = link.place.clone();
            self.error_at(index, place, Code::WrongSchema, format!("its semantic type wants the schema {wanted}"));
        }
    }
}

/// Is it an array, or a simple schema that holds one?
fn is_array(element: &Element<'_>) -> bool {
    element.class == Class::Array
        || element.links.iter().any(|link| matches!(link.to, To::Simple(name) if is_geospatial(name)))
}

/// Why a way down has no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Cycle,
    Deep,
}

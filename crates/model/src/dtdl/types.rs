//! `@type`: the class of an element, and what its other types say.

use super::context::{Context, Extension};
use super::element::Reader;
use super::extension::{Adjunct, Demand, Needs};
use super::json::Node;
use super::metamodel::{self, Class, Elements, Property, Value};
use super::report::{quote, suggest};
use super::{Code, Rules, Version, is_dtmi, units};
use std::collections::HashSet;

/// What the types of an element beside its class say.
#[derive(Debug, Default)]
pub(super) struct CoTypes {
    /// The unit type of its semantic type, or of its vector.
    pub unit_type: Option<&'static str>,
    /// Does a semantic type want a unit?
    pub wants_unit: bool,
    /// What is demanded of the schema.
    pub demand: Option<Demand>,
    /// A type that is not known may define any property.
    pub unknown: bool,
    /// The types of extensions.
    pub adjuncts: Vec<&'static Adjunct>,
}

/// What a semantic type adds.
static UNIT: Property = Property::may("unit", Value::Unit);

impl CoTypes {
    /// The property that a text names, by word or by DTMI, where one of the types adds it.
    pub(super) fn property(&self, text: &str, context: Context) -> Option<&'static Property> {
        let found = self.adjuncts.iter().find_map(|adjunct| adjunct.property(text, context));
        found.or_else(|| {
            let long = match context.version {
                Version::V2 => metamodel::long_name(text, "dtmi:dtdl:property:", Version::V2),
                _ => Extension::Quantities
                    .long_name(text, context.extension(Extension::Quantities))
                    .and_then(|name| name.strip_prefix("property:")),
            };
            (self.unit_type.is_some() && long.unwrap_or(text) == "unit").then_some(&UNIT)
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.adjuncts.iter().any(|adjunct| adjunct.name == name)
    }
}

/// An element's class and its other types, while they are being read.
struct Types {
    class: Class,
    context: Context,
    found: CoTypes,
}

impl<'t> Reader<'t> {
    /// The class and what the other types say; `None` where the class can't be told.
    ///
    /// A class that can't stand here is told and returned all the same, so that the element is checked as what it is.
    pub(super) fn types(&mut self, node: &'t Node, allowed: &Elements, context: Context) -> Option<(Class, CoTypes)> {
        let only = allowed.implied.or(match allowed.classes {
            [only] => Some(*only),
            _ => None,
        });
        let Some(types) = node.get("@type") else {
            if allowed.implied.is_none() {
                let example = allowed.classes.first().map_or("", |class| class.name());
                self.find(node, Code::MissingType, format!("@type is missing: add \"@type\": \"{example}\""));
            }
            return only.map(|class| (class, CoTypes::default()));
        };
        let (class, others) = self.within("@type", |reader| reader.class(types, allowed, context));
        let class = match class {
            Some(class) if allowed.classes.contains(&class) => class,
            found => {
                let (names, what) = (allowed.names(), found.map_or("something else", Class::name));
                let near =
                    others.iter().map(|(_, name)| suggest(name, names.iter().copied())).find(|near| !near.is_empty());
                let message =
                    format!("{} is wanted here, this is {what}{}", names.join(" or "), near.unwrap_or_default());
                self.within("@type", |reader| reader.find(types, Code::WrongType, message));
                return found.or(only).map(|class| (class, CoTypes { unknown: true, ..CoTypes::default() }));
            }
        };
        let mut types = Types { class, context, found: CoTypes::default() };
        self.within("@type", |reader| reader.others(&others, &mut types));
        self.needs(node, &types);
        Some((class, types.found))
    }

    /// Reads the types beside the class.
    fn others(&mut self, others: &[(&'t Node, &'t str)], types: &mut Types) {
        let mut seen = HashSet::new();
        for (item, name) in others {
            if !seen.insert(name) {
                self.find(item, Code::RepeatedType, format!("type {} is named twice: remove one", quote(name)));
            } else if !self.quantity(item, name, types) && !self.adjunct(item, name, types) {
                self.stranger(item, name, types);
            }
        }
    }

    /// The class that a `@type` names, and all else in it.
    fn class(
        &mut self,
        types: &'t Node,
        allowed: &Elements,
        context: Context,
    ) -> (Option<Class>, Vec<(&'t Node, &'t str)>) {
        let mut class: Option<Class> = None;
        let mut others = Vec::new();
        for item in types.each() {
            let Some(name) = item.as_text() else {
                let message = format!("@type is a text or a list of texts, here {}", allowed.names().join(" or "));
                self.find(item, Code::MissingType, message);
                continue;
            };
            let long = metamodel::long_name(name, "dtmi:dtdl:class:", context.version);
            match Class::find(long.unwrap_or(name), context.version) {
                Some(found) if class.is_some_and(|class| class != found) => {
                    let message = "an element is of one type of the language only: remove the others";
                    self.find(item, Code::WrongType, message);
                }
                Some(found) => {
                    self.prefer(item, long);
                    if class.replace(found).is_some() {
                        self.find(
                            item,
                            Code::RepeatedType,
                            format!("type '{}' is named twice: remove one", found.name()),
                        );
                    }
                }
                None => others.push((item, name)),
            }
        }
        (class, others)
    }

    /// A semantic type such as `Temperature`.
    fn quantity(&mut self, item: &'t Node, name: &'t str, types: &mut Types) -> bool {
        let Types { class, context, found } = types;
        let long = match context.version {
            Version::V2 => metamodel::long_name(name, "dtmi:standard:class:", Version::V2),
            _ => Extension::Quantities
                .long_name(name, context.extension(Extension::Quantities))
                .and_then(|name| name.strip_prefix("class:")),
        };
        let short = long.unwrap_or(name);
        let Some(unit_type) = units::unit_type(short, context.version).filter(|_| context.has_quantities()) else {
            return false;
        };
        self.prefer(item, long);
        if !class.takes_quantity(context.version) {
            let message = format!("{} can't have the semantic type '{short}': remove it", class.article());
            self.find(item, Code::WrongType, message);
        } else if found.demand.is_some() {
            // The word and the DTMI of one type are one type.
            if found.wants_unit && found.unit_type == Some(unit_type) {
                self.find(item, Code::RepeatedType, format!("type '{short}' is named twice: remove one"));
            } else {
                self.one_only(item);
            }
            return true;
        }
        *found = CoTypes {
            unit_type: Some(unit_type),
            wants_unit: true,
            demand: Some(Demand::Number),
            ..std::mem::take(found)
        };
        true
    }

    /// A type of an extension.
    fn adjunct(&mut self, item: &'t Node, name: &'t str, types: &mut Types) -> bool {
        let Types { class, context, found } = types;
        let Some(adjunct) = Adjunct::find(name, *context) else { return false };
        if !adjunct.classes.contains(class) {
            // Version 2 lets types stand anywhere that it does not know there.
            if context.version == Version::V2 {
                return false;
            }
            let message = format!("{} can't have the type '{}': remove it", class.article(), adjunct.name);
            self.find(item, Code::WrongType, message);
        } else if found.demand.is_some() && adjunct.demand.is_some() {
            self.one_only(item);
            return true;
        }
        self.prefer(item, (adjunct.name != name).then_some(adjunct.name));
        found.demand = adjunct.demand.or(found.demand);
        found.unit_type = adjunct.unit_type().or(found.unit_type);
        found.adjuncts.push(adjunct);
        true
    }

    fn needs(&mut self, node: &'t Node, types: &Types) {
        for adjunct in &types.found.adjuncts {
            if let Some(Needs::Beside(other)) = adjunct.needs
                && !types.found.has(other)
            {
                let message = format!("type '{}' needs the type '{other}' beside it: add it", adjunct.name);
                self.find(node, Code::MissingType, message);
            }
        }
    }

    fn one_only(&mut self, item: &'t Node) {
        self.find(item, Code::WrongType, "an element has one semantic type only: remove the others");
    }

    /// A type that is not known: tolerated, in want of a context that defines it, or no type at all.
    fn stranger(&mut self, item: &'t Node, name: &str, types: &mut Types) {
        types.found.unknown = true;
        let version = types.context.version;
        let lenient = types.context.unknown || self.rules == Rules::Central;
        let is_word = || metamodel::is_word(name) || units::symbol(name).is_some() || units::is_unit_type(name);
        let is_long = name.starts_with("dtmi:");
        if is_long && !is_dtmi(name) || version >= Version::V3 && !is_long && name.contains(':') {
            return self.find(item, Code::UnknownType, format!("{} is no type: remove it", quote(name)));
        }
        let near = suggest(name, units::semantic_types(version));
        if lenient || version == Version::V2 && !is_long && !is_word() {
            if self.rules != Rules::Central {
                let message = format!("type {} is not known: what it means is not checked{near}", quote(name));
                self.find(item, Code::UncheckedType, message);
            }
            return;
        }
        let message = match near.as_str() {
            "" => format!("type {} is not known here: remove it, or add the @context that defines it", quote(name)),
            near => format!("type {} is not known here{near}", quote(name)),
        };
        let needs_context = version >= Version::V3 && units::unit_type(name, version).is_some();
        let quantities = if version == Version::V3 { 1 } else { 2 };
        let message = match needs_context {
            true => format!(
                "semantic type '{name}' needs the context \"dtmi:dtdl:extension:quantitativeTypes;{quantities}\": add it to @context"
            ),
            false => message,
        };
        self.find(item, Code::UnknownType, message);
    }
}

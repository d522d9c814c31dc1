//! `@type`: the class of an element, and what its other types say.

use super::context::Context;
use super::element::{Demand, Reader};
use super::json::Node;
use super::schema::{self, Class, Elements};
use super::{Code, Rules, Version, is_dtmi, units};

/// What the types of an element beside its class say.
#[derive(Default)]
pub(super) struct CoTypes {
    /// The unit type of its semantic type.
    pub quantity: Option<&'static str>,
    /// May the unit be left out?
    pub unit_optional: bool,
    /// What is demanded of the schema.
    pub demand: Option<Demand>,
    /// A type that is not known may define any property.
    pub unknown: bool,
}

/// How a type that is not known is taken.
#[derive(PartialEq, Eq)]
enum Stranger {
    /// It may define properties of its own.
    Tolerated,
    /// It needs a context that defines it.
    Undefined,
    /// It can't be a type at all.
    Malformed,
}

impl Reader<'_> {
    /// The class and what the other types say; `None` where the element can't stand here.
    pub(super) fn types(&mut self, node: &Node, allowed: &Elements, context: Context) -> Option<(Class, CoTypes)> {
        let names: Vec<_> = allowed.classes.iter().map(|class| class.name()).collect();
        let wanted = names.join(" or ");
        let mut co_types = CoTypes::default();
        let Some(types) = node.get("@type") else {
            if allowed.implied.is_none() {
                let example = names.first().copied().unwrap_or_default();
                self.error(node, Code::MissingType, format!("@type is missing: add \"@type\": \"{example}\""));
            }
            return allowed.implied.map(|class| (class, co_types));
        };
        let mut class: Option<Class> = None;
        let mut others = Vec::new();
        for item in types.each() {
            let Some(name) = item.as_text() else {
                self.error(item, Code::MissingType, format!("@type is a text or a list of texts, here {wanted}"));
                return None;
            };
            match Class::find(name, context.version) {
                Some(found) if class.is_some_and(|class| class != found) => {
                    self.error(
                        item,
                        Code::WrongType,
                        "an element is of one type of the language only: remove the others",
                    );
                    return None;
                }
                Some(found) => class = Some(found),
                None => others.push((item, name)),
            }
        }
        let Some(class) = class.filter(|class| allowed.classes.contains(class)) else {
            let found = class.map_or("something else", Class::name);
            self.error(types, Code::WrongType, format!("{wanted} is wanted here, this is {found}"));
            return None;
        };
        for (item, name) in others {
            let found = self.quantity(item, name, (class, context), &mut co_types)
                || self.central(item, name, (class, context), &mut co_types);
            if !found {
                self.stranger(item, name, context, &mut co_types);
            }
        }
        Some((class, co_types))
    }

    /// A semantic type such as `Temperature`.
    fn quantity(
        &mut self,
        item: &Node,
        name: &str,
        (class, context): (Class, Context),
        co_types: &mut CoTypes,
    ) -> bool {
        let short = schema::dtmi_name(name, "dtmi:standard:class:", Version::V2)
            .or_else(|| name.strip_prefix("dtmi:dtdl:extension:quantitativeTypes:v1:class:"))
            .unwrap_or(name);
        let Some(unit_type) = units::unit_type(short, context.version).filter(|_| context.has_quantities()) else {
            return false;
        };
        if !class.takes_quantity(context.version) {
            self.error(
                item,
                Code::WrongType,
                format!("a {} can't have the semantic type '{short}': remove it", class.name()),
            );
        } else if co_types.demand.is_some() && (co_types.quantity != Some(unit_type) || co_types.unit_optional) {
            self.one_only(item);
        }
        co_types.quantity = Some(unit_type);
        co_types.demand = Some(Demand::Number);
        true
    }

    /// A type of IoT Central's extension.
    fn central(&mut self, item: &Node, name: &str, (class, context): (Class, Context), co_types: &mut CoTypes) -> bool {
        let short = schema::dtmi_name(name, "dtmi:iotcentral:class:", Version::V2).unwrap_or(name);
        let demand = match short {
            "State" => Demand::Enumeration,
            "Event" => Demand::Event,
            "Location" => Demand::Location,
            "VelocityVector" | "AccelerationVector" => Demand::Vector,
            _ => return false,
        };
        if !context.central || !matches!(class, Class::Telemetry | Class::Property) {
            return false;
        }
        if co_types.demand.is_some() {
            self.one_only(item);
        }
        co_types.demand = Some(demand);
        if let Some(base) = short.strip_suffix("Vector") {
            co_types.quantity = units::unit_type(base, Version::V2);
            co_types.unit_optional = true;
        }
        true
    }

    fn one_only(&mut self, item: &Node) {
        self.error(item, Code::WrongType, "an element has one semantic type only: remove the others");
    }

    fn stranger(&mut self, item: &Node, name: &str, context: Context, co_types: &mut CoTypes) {
        let tolerant = context.unknown || self.rules == Rules::Central;
        let is_word = schema::is_other_term(name) || units::symbol(name).is_some() || units::is_unit_type(name);
        let stranger = match context.version {
            _ if name.starts_with("dtmi:") && !is_dtmi(name) => Stranger::Malformed,
            Version::V3 if !name.starts_with("dtmi:") && name.contains(':') => Stranger::Malformed,
            _ if tolerant => Stranger::Tolerated,
            Version::V2 if !name.starts_with("dtmi:") && !is_word => Stranger::Tolerated,
            _ => Stranger::Undefined,
        };
        match stranger {
            Stranger::Tolerated => co_types.unknown = true,
            Stranger::Malformed => self.error(item, Code::UnknownType, format!("'{name}' is no type: remove it")),
            Stranger::Undefined => {
                let message =
                    format!("type '{name}' is not known here: remove it, or add the @context that defines it");
                self.error(item, Code::UnknownType, message);
            }
        }
    }
}

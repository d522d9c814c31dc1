//! `@context`: the version of the language and its extensions.

use super::element::Reader;
use super::json::Node;
use super::{Code, Rules, Version, is_dtmi};

/// What is in force at an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    /// The version of the language.
    pub version: Version,
    /// IoT Central's types and schemas.
    pub central: bool,
    /// The semantic types and units of version 3; version 2 has them built in.
    pub quantities: bool,
    /// A context that is not known, and tolerated.
    pub unknown: bool,
}

const LANGUAGE: &str = "dtmi:dtdl:context";
const CENTRAL: &str = "dtmi:iotcentral:context";
const QUANTITIES: &str = "dtmi:dtdl:extension:quantitativeTypes";
/// Extensions that change nothing that is read here.
const OTHERS: [&str; 5] = [
    "dtmi:dtdl:extension:annotation",
    "dtmi:dtdl:extension:historization",
    "dtmi:dtdl:extension:streaming",
    "dtmi:dtdl:extension:overriding",
    "dtmi:dtdl:extension:layering",
];

impl Context {
    pub(super) const fn new(version: Version) -> Self {
        Self { version, central: false, quantities: false, unknown: false }
    }

    pub(super) const CENTRAL: Self = Self { central: true, ..Self::new(Version::V2) };

    /// Are the semantic types and units known?
    pub(super) fn has_quantities(self) -> bool {
        self.version == Version::V2 || self.quantities
    }
}

impl Reader<'_> {
    /// The context of an element: its own `@context` on top of the one around it.
    pub(super) fn context(&mut self, element: &Node, outer: Option<Context>) -> Option<Context> {
        let Some(node) = element.get("@context") else {
            if outer.is_none() {
                let message =
                    "add \"@context\": \"dtmi:dtdl:context;2\" (or ;3) so that the version of the language is known";
                self.error(element, Code::MissingContext, message);
            }
            return outer;
        };
        let mut context = outer;
        for (index, item) in node.each().iter().enumerate() {
            let Some(name) = item.as_text().filter(|name| valid(name)) else {
                self.error(item, Code::InvalidContext, "each @context is a text such as \"dtmi:dtdl:context;2\"");
                return None;
            };
            let (base, version) = name.rsplit_once(';').unwrap_or((name, ""));
            match (base, version) {
                (LANGUAGE, "2") => context = Some(self.language_version(item, context, outer, Version::V2)?),
                (LANGUAGE, "3") => context = Some(self.language_version(item, context, outer, Version::V3)?),
                (LANGUAGE, _) => {
                    self.error(
                        item,
                        Code::UnknownContext,
                        format!("'{name}' is not known: use dtmi:dtdl:context;2 or ;3"),
                    );
                    return None;
                }
                // Only IoT Central's context may come before the language's.
                (CENTRAL, _) if context.is_none() && index == 0 && node.each().len() > 1 => {
                    context = Some(Context::CENTRAL)
                }
                (CENTRAL | QUANTITIES, _) => {
                    let context = self.started(item, &mut context)?;
                    context.central |= base == CENTRAL;
                    context.quantities |= base == QUANTITIES;
                }
                _ if OTHERS.contains(&base) => {
                    self.started(item, &mut context)?;
                }
                _ if self.rules == Rules::Strict => {
                    self.error(
                        item,
                        Code::UnknownContext,
                        format!("context '{name}' is not known: remove it, with what uses it"),
                    );
                    return None;
                }
                _ => self.started(item, &mut context)?.unknown = true,
            }
        }
        let language = |item: &Node| item.as_text().and_then(|name| name.split(';').next()) == Some(LANGUAGE);
        if context.is_none() || outer.is_none() && !node.each().iter().any(language) {
            context = None;
            self.error(node, Code::MissingContext, "the first @context is \"dtmi:dtdl:context;2\" or ;3");
        }
        context
    }

    /// A new version may be older inside a newer one, never newer inside an older one.
    fn language_version(
        &mut self,
        item: &Node,
        so_far: Option<Context>,
        outer: Option<Context>,
        version: Version,
    ) -> Option<Context> {
        if outer.is_some_and(|outer| outer.version < version) {
            self.error(
                item,
                Code::InvalidContext,
                "an element inside a version 2 interface can't be of version 3: move it to its own interface",
            );
            return None;
        }
        Some(Context { version, ..so_far.unwrap_or(Context::new(version)) })
    }

    fn started<'c>(&mut self, item: &Node, context: &'c mut Option<Context>) -> Option<&'c mut Context> {
        if context.is_none() {
            self.error(
                item,
                Code::MissingContext,
                "the language comes first: put \"dtmi:dtdl:context;2\" (or ;3) before this context",
            );
        }
        context.as_mut()
    }
}

/// Contexts are DTMIs with a version.
fn valid(name: &str) -> bool {
    is_dtmi(name) && name.contains(';')
}

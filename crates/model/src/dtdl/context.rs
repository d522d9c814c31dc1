//! `@context`: the version of the language and its extensions.

use super::element::Reader;
use super::json::{Kind, Node};
use super::report::quote;
use super::{Code, Rules, Version, is_dtmi};
use Version::{V2, V3, V4};
use std::collections::HashSet;

/// What is in force at an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    /// The version of the language.
    pub version: Version,
    /// A context that is not known, and tolerated.
    pub unknown: bool,
    /// The version of each extension; 0 where it is not in force.
    extensions: [u8; EXTENSIONS],
}

/// An extension of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// IoT Central's types and schemas.
    Central,
    /// What IoT Central writes into its templates, which no context declares.
    Template,
    /// Semantic types and units, which version 2 has built in.
    Quantities,
    Historization,
    Annotation,
    Overriding,
    Mqtt,
    Requirement,
    /// Higher limits.
    Onvif,
}

const EXTENSIONS: usize = 9;

use Extension::{Annotation, Central, Historization, Mqtt, Onvif, Overriding, Quantities, Requirement, Template};

/// The contexts that are known: extension, base of the id, its version, the versions of the language it is for.
const KNOWN: &[(Extension, &str, u8, Version, Version)] = &[
    (Central, CENTRAL, 2, V2, V4),
    (Quantities, "dtmi:dtdl:extension:quantitativeTypes", 1, V3, V3),
    (Quantities, "dtmi:dtdl:extension:quantitativeTypes", 2, V4, V4),
    (Historization, "dtmi:dtdl:extension:historization", 1, V3, V3),
    (Historization, "dtmi:dtdl:extension:historization", 2, V3, V4),
    (Annotation, "dtmi:dtdl:extension:annotation", 1, V3, V3),
    (Annotation, "dtmi:dtdl:extension:annotation", 2, V3, V4),
    (Overriding, "dtmi:dtdl:extension:overriding", 1, V3, V3),
    (Overriding, "dtmi:dtdl:extension:overriding", 2, V3, V4),
    (Mqtt, "dtmi:dtdl:extension:mqtt", 1, V3, V3),
    (Mqtt, "dtmi:dtdl:extension:mqtt", 2, V3, V4),
    (Mqtt, "dtmi:dtdl:extension:mqtt", 3, V3, V4),
    (Requirement, "dtmi:dtdl:extension:requirement", 1, V3, V4),
    (Onvif, "dtmi:dtdl:limits:onvif", 1, V4, V4),
];

impl Extension {
    /// `name` of `{base}:v{version}:{name}`.
    pub(super) fn long_name(self, text: &str, version: u8) -> Option<&str> {
        let base = KNOWN.iter().find(|known| known.0 == self)?.1;
        text.strip_prefix(base)?.strip_prefix(":v")?.strip_prefix(version.to_string().as_str())?.strip_prefix(':')
    }
}

const LANGUAGE: &str = "dtmi:dtdl:context";
const CENTRAL: &str = "dtmi:iotcentral:context";
/// The language without its limits, for an extension that raises them.
const LIMITLESS: &str = "dtmi:dtdl:context;4#limitless";

impl Context {
    const fn new(version: Version) -> Self {
        Self { version, unknown: false, extensions: [0; EXTENSIONS] }
    }

    /// What holds in IoT Central's templates, which mostly name no context.
    pub(super) const fn template() -> Self {
        Self::new(V2).with(Central, 2).with(Template, 1)
    }

    /// What a model without a usable context is read as, so that the rest of it is checked too.
    const fn assumed() -> Self {
        Self { unknown: true, ..Self::new(V3).with(Quantities, 1) }
    }

    const fn with(mut self, extension: Extension, version: u8) -> Self {
        self.extensions[extension as usize] = version;
        self
    }

    /// The version of an extension; 0 where it is not in force.
    pub(super) fn extension(self, extension: Extension) -> u8 {
        self.extensions.get(extension as usize).copied().unwrap_or_default()
    }

    /// Are IoT Central's schemas known?
    pub(super) fn has_central_schemas(self) -> bool {
        self.extension(Central) > 0
    }

    /// How long descriptions may be, where an extension says so.
    pub(super) fn description_limit(self, property: &str) -> Option<usize> {
        (property == "description" && self.extension(Onvif) > 0).then_some(4096)
    }

    /// How deep schemas may be nested.
    pub(super) fn schema_depth(self) -> usize {
        if self.extension(Onvif) > 0 { 24 } else { self.version.limits().schema_depth }
    }

    /// Are the semantic types and units known?
    pub(super) fn has_quantities(self) -> bool {
        self.version == V2 || self.extension(Quantities) > 0
    }
}

impl<'t> Reader<'t> {
    /// The context of an element: its own `@context` on top of the one around it.
    pub(super) fn context(&mut self, element: &'t Node, outer: Option<Context>) -> Context {
        let lenient = self.rules == Rules::Central;
        let Some(node) = element.get("@context") else {
            if outer.is_none() && !lenient {
                let message =
                    "add \"@context\": \"dtmi:dtdl:context;2\" (or ;3) so that the version of the language is known";
                self.find(element, Code::MissingContext, message);
            }
            return outer.unwrap_or(if lenient { Context::template() } else { Context::assumed() });
        };
        self.within("@context", |reader| {
            let found = reader.contexts(node, outer, outer.or(lenient.then(Context::template)));
            if found.is_none() {
                reader.find(node, Code::MissingContext, "the first @context is \"dtmi:dtdl:context;2\" or ;3");
            }
            let context = found.or(outer).unwrap_or(Context::assumed());
            if lenient { context.with(Central, 2).with(Template, 1) } else { context }
        })
    }

    /// Reads the contexts in their order; `None` where the language is not among them and not known from around.
    fn contexts(&mut self, node: &'t Node, outer: Option<Context>, start: Option<Context>) -> Option<Context> {
        let (mut context, mut early_central) = (start, None);
        let (mut named, mut bases) = (start.is_some(), HashSet::new());
        for (index, item) in node.each().iter().enumerate() {
            let Some(name) = item.as_text().filter(|name| *name == LIMITLESS || is_dtmi(name) && name.contains(';'))
            else {
                self.find(item, Code::InvalidContext, "each @context is a text such as \"dtmi:dtdl:context;2\"");
                context.get_or_insert(Context::assumed()).unknown = true;
                named = true;
                continue;
            };
            let (base, version) = name.rsplit_once(';').unwrap_or((name, ""));
            if !bases.insert(base) {
                self.find(item, Code::RepeatedContext, format!("{base} is named twice: only the last one counts"));
            }
            match base {
                LANGUAGE => {
                    named = true;
                    context = Some(self.language_version(item, context.or(early_central), outer, version));
                    if early_central.take().is_some() {
                        self.early_central(item, context);
                    }
                }
                CENTRAL if context.is_none() && index == 0 && matches!(&node.kind, Kind::Array(_)) => {
                    early_central = Some(Context::new(V2).with(Central, 2));
                }
                _ => self.extend(item, name, context.get_or_insert(Context::assumed()), named),
            }
        }
        context.filter(|_| named)
    }

    fn language_version(
        &mut self,
        item: &'t Node,
        so_far: Option<Context>,
        outer: Option<Context>,
        version: &str,
    ) -> Context {
        let version = match version {
            "2" => V2,
            "3" => V3,
            "4" | "4#limitless" => V4,
            _ => {
                let message = format!("{LANGUAGE};{version} is not known: use {LANGUAGE};2, ;3 or ;4");
                self.find(item, Code::UnknownContext, message);
                return so_far.unwrap_or(Context::assumed());
            }
        };
        // An element may be of an older version than the one around it, never of a newer one.
        if outer.is_some_and(|outer| outer.version < version) {
            let message = "an element can't be of a newer version than what is around it: move it to an interface of its own and use it by its id";
            self.find(item, Code::InvalidContext, message);
        }
        Context { version, ..so_far.unwrap_or(Context::new(version)) }
    }

    /// Version 2 lets IoT Central's context come first.
    fn early_central(&mut self, item: &'t Node, context: Option<Context>) {
        if context.is_some_and(|context| context.version == V2) {
            let message = "put \"dtmi:dtdl:context;2\" before IoT Central's context";
            self.find(item, Code::ContextOrder, message);
        } else {
            self.find(item, Code::InvalidContext, "the language comes first: put it before the other contexts");
        }
    }

    fn extend(&mut self, item: &'t Node, name: &str, context: &mut Context, named: bool) {
        if !named {
            let message = "the language comes first: put \"dtmi:dtdl:context;2\" (or ;3) before this context";
            self.find(item, Code::InvalidContext, message);
        }
        let (base, version) = name.rsplit_once(';').unwrap_or((name, ""));
        let known = KNOWN.iter().filter(|known| known.1 == base);
        let fits = |known: &&(_, _, u8, Version, Version)| {
            known.2.to_string() == version && (known.3..=known.4).contains(&context.version)
        };
        if let Some((extension, _, version, ..)) = known.clone().find(fits) {
            *context = context.with(*extension, *version);
            return;
        }
        context.unknown = true;
        let instead: Vec<_> = known
            .filter(|known| (known.3..=known.4).contains(&context.version))
            .map(|known| format!("\"{base};{}\"", known.2))
            .collect();
        let name = quote(name);
        let message = match (self.rules, instead.as_slice()) {
            (Rules::Strict, []) => format!("context {name} is not known here: remove it, with what uses it"),
            (Rules::Strict, instead) => {
                format!("context {name} is not known in this version of the language: use {}", instead.join(" or "))
            }
            _ => format!("context {name} is not known: what it defines is not checked"),
        };
        let code = if self.rules == Rules::Strict { Code::UnknownContext } else { Code::UncheckedContext };
        self.find(item, code, message);
    }
}

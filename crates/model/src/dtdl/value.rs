//! The values of properties that are no elements: texts, names, numbers, localized texts, ids.

use super::context::{Context, Extension};
use super::element::Reader;
use super::identifier::{MAX_ID, is_user_dtmi};
use super::json::{Kind, Member, Node};
use super::metamodel;
use super::report::{quote, suggest};
use super::types::CoTypes;
use super::{Code, Rules, Version, units};
use std::collections::HashSet;

/// A kind of plain value and its type in JSON-LD.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    Text,
    Boolean,
    Integer,
    /// An integer or a text.
    Literal,
}

impl<'t> Reader<'t> {
    pub(super) fn text(&mut self, node: &'t Node, most: usize, version: Version) -> Option<&'t str> {
        let text = self.plain(node, Plain::Text, version)?.as_text()?;
        if text.chars().count() > most {
            self.find(node, Code::TooLong, format!("the text is longer than {most} characters"));
        }
        Some(text)
    }

    pub(super) fn name(&mut self, node: &'t Node, most: usize, version: Version) -> Option<&'t str> {
        let Some(name) = self.text(node, most, version) else {
            if matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
                self.find(node, Code::MissingProperty, "the name is missing");
            }
            return None;
        };
        let valid = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.ends_with('_');
        if !valid {
            let message = format!(
                "name {} must be letters, digits and '_', start with a letter and not end with '_'",
                quote(name)
            );
            self.find(node, Code::InvalidName, message);
        }
        Some(name)
    }

    pub(super) fn boolean(&mut self, node: &'t Node, version: Version) {
        self.plain(node, Plain::Boolean, version);
    }

    pub(super) fn integer(&mut self, node: &'t Node, least: i64, most: i64, version: Version) -> Option<i64> {
        let Some(Kind::Number(number)) = self.plain(node, Plain::Integer, version).map(|node| &node.kind) else {
            return None;
        };
        let found = number.as_i64().filter(|integer| (least..=most).contains(integer));
        if found.is_none() {
            let range = match (least, most) {
                (least, most) if least == most => least.to_string(),
                (least, most) if most == i64::from(i32::MAX) => format!("{least} or more, in 4 bytes"),
                (least, most) => format!("{least} to {most}"),
            };
            self.find(node, Code::WrongValue, format!("the number must be {range}"));
        }
        found
    }

    /// A number, or the text of one, as IoT Central's annotations have it.
    pub(super) fn number(&mut self, node: &'t Node) {
        let fits = match &node.kind {
            Kind::Null | Kind::Number(_) => true,
            Kind::Text(text) => text.trim().is_empty() || text.trim().parse::<f64>().is_ok_and(f64::is_finite),
            _ => false,
        };
        if !fits {
            self.find(node, Code::WrongValue, "a number is wanted");
        }
    }

    /// A unit of the semantic type, by word or by DTMI.
    pub(super) fn unit(&mut self, node: &'t Node, context: Context, co_types: &CoTypes) {
        let Some(unit_type) = co_types.unit_type.filter(|_| self.rules != Rules::Central) else { return };
        let text = match node.each() {
            [item] => item.as_text(),
            _ => None,
        };
        let quantities = context.extension(Extension::Quantities);
        let long = text.and_then(|text| match context.version {
            Version::V2 => metamodel::long_name(text, "dtmi:standard:unit:", Version::V2),
            _ => Extension::Quantities.long_name(text, quantities).and_then(|name| name.strip_prefix("unit:")),
        });
        let short = long.or(text);
        let known: Vec<_> = units::units(unit_type, context.version).collect();
        if short.is_some_and(|short| known.contains(&short)) {
            return self.prefer(node, long);
        }
        let near = short.map(|short| suggest(short, known.iter().copied())).unwrap_or_default();
        self.find(node, Code::WrongUnit, format!("the unit must be one of: {}{near}", known.join(", ")));
    }

    pub(super) fn literal(&mut self, node: &'t Node, version: Version) -> Option<&'t Node> {
        let found = self.plain(node, Plain::Literal, version);
        if found.is_none() && matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
            self.find(node, Code::MissingProperty, "the value is missing");
        }
        found
    }

    pub(super) fn target(&mut self, node: &Node, version: Version) {
        let item = match node.each() {
            [item] => item,
            [] => return,
            _ => return self.find(node, Code::WrongCount, "target is one id"),
        };
        let central = self.rules == Rules::Central;
        match item.as_text() {
            Some(text) if text.len() > MAX_ID => {
                self.find(item, Code::TooLong, format!("the id is longer than {MAX_ID} characters"))
            }
            Some(text) if is_user_dtmi(text, version) || central && text.starts_with("urn:") => {}
            _ => self.find(
                item,
                Code::InvalidId,
                "target is the id of an interface, for example \"dtmi:com:example:Room;1\"",
            ),
        }
    }

    /// One of a few words, by name or DTMI.
    pub(super) fn word(&mut self, node: &'t Node, kind: &str, words: &[&str], version: Version) -> Option<&'t str> {
        let item = match node.each() {
            [item] => item,
            [] if kind == "CommandType" => return None,
            _ => {
                self.find(node, Code::WrongValue, format!("one of these is wanted: {}", words.join(", ")));
                return None;
            }
        };
        let prefix = format!("dtmi:dtdl:instance:{kind}:");
        let long = item.as_text().and_then(|text| metamodel::long_name(text, &prefix, version));
        let found = long.or(item.as_text()).filter(|word| words.contains(word));
        match found {
            Some(_) => self.prefer(item, long),
            None => self.find(item, Code::WrongValue, format!("one of these is wanted: {}", words.join(", "))),
        }
        found
    }

    /// A text in one or more languages: plain, a list, or an object by language.
    pub(super) fn localized(&mut self, node: &'t Node, most: usize, version: Version) {
        match &node.kind {
            Kind::Text(text) => self.check_length(node, text, most),
            Kind::Object(members) => {
                let mut languages = HashSet::new();
                for member in members {
                    self.within(&member.key, |reader| reader.translation(member, most, &mut languages));
                }
            }
            Kind::Array(_) => {
                let mut languages = HashSet::new();
                self.items(node, |reader, item| {
                    let Some((text, language)) = reader.localized_item(item, version) else { return };
                    reader.check_length(item, text, most);
                    if !languages.insert(language) {
                        let message = format!("language '{language}' is given twice: remove one");
                        reader.find(item, Code::InvalidLanguage, message);
                    }
                });
            }
            _ => self.find(node, Code::WrongValue, "a text is wanted, or an object with a text for each language"),
        }
    }

    /// One member of an object by language.
    fn translation(&mut self, member: &'t Member, most: usize, languages: &mut HashSet<&'t str>) {
        let (key, value) = (member.key.as_str(), &member.value);
        self.language(value, key);
        if !languages.insert(key) {
            self.find(value, Code::InvalidLanguage, format!("language {} is given twice: remove one", quote(key)));
        }
        match value.as_text() {
            Some(text) => self.check_length(value, text, most),
            None => self.find(value, Code::WrongValue, "a text is wanted for each language"),
        }
    }

    /// A text (English) or `{"@value": …, "@language": …}`.
    fn localized_item(&mut self, item: &'t Node, version: Version) -> Option<(&'t str, &'t str)> {
        let Kind::Object(members) = &item.kind else {
            if item.as_text().is_none() {
                self.find(item, Code::WrongValue, "a text or an object with @value and @language is wanted");
            }
            return item.as_text().map(|text| (text, "en"));
        };
        self.value_keywords(members, "@language", version);
        let language = match item.get("@language") {
            Some(language) => {
                let Some(text) = language.as_text() else {
                    self.find(language, Code::InvalidLanguage, "@language is a text such as \"en\"");
                    return None;
                };
                self.language(language, text);
                text
            }
            None => {
                let message = "the text has no language: add for example \"@language\": \"en\"";
                self.find(item, Code::UntaggedValue, message);
                "en"
            }
        };
        let Some(text) = item.get("@value").and_then(Node::as_text) else {
            self.find(item, Code::WrongValue, "@value is a text");
            return None;
        };
        Some((text, language))
    }

    /// An object with `@value` has one other keyword; more are passed over in version 2 and refused from 3 on.
    /// Returns whether all is fine.
    fn value_keywords(&mut self, members: &'t [Member], other: &str, version: Version) -> bool {
        let mut fine = true;
        for member in members.iter().filter(|member| member.key != "@value" && member.key != other) {
            let key = member.key.as_str();
            let ignored =
                version == Version::V2 && key.starts_with('@') && !matches!(key, "@id" | "@context" | "@graph");
            fine &= ignored;
            let code = if ignored { Code::IgnoredKeyword } else { Code::InvalidKeyword };
            self.find(&member.value, code, format!("{} means nothing here: remove it", quote(key)));
        }
        fine
    }

    fn check_length(&mut self, node: &Node, text: &str, most: usize) {
        if text.chars().count() > most {
            self.find(node, Code::TooLong, format!("the text is longer than {most} characters"));
        }
    }

    fn language(&mut self, node: &Node, tag: &str) {
        if !is_language(tag) {
            self.find(
                node,
                Code::InvalidLanguage,
                format!("{} is not a language: write for example \"en\" or \"pt-BR\"", quote(tag)),
            );
        }
    }

    /// A value given plainly, as the only item of a list, or as `{"@value": …, "@type": …}`. An empty list is none.
    fn plain(&mut self, node: &'t Node, kind: Plain, version: Version) -> Option<&'t Node> {
        let item = match node.each() {
            [item] => item,
            [] => return None,
            _ => {
                self.find(node, Code::WrongCount, "one value is wanted");
                return None;
            }
        };
        let value = match &item.kind {
            Kind::Object(_) => self.typed(item, kind, version)?,
            _ => item,
        };
        let fits = match &value.kind {
            Kind::Text(_) => matches!(kind, Plain::Text | Plain::Literal),
            Kind::Boolean(_) => kind == Plain::Boolean,
            Kind::Number(number) => matches!(kind, Plain::Integer | Plain::Literal) && is_integer(number),
            _ => false,
        };
        if !fits {
            let wanted = match kind {
                Plain::Text => "a text",
                Plain::Boolean => "true or false",
                Plain::Integer => "a whole number in 4 bytes",
                Plain::Literal => "a whole number in 4 bytes, or a text",
            };
            self.find(value, Code::WrongValue, format!("{wanted} is wanted"));
            return None;
        }
        Some(value)
    }

    /// `{"@value": …, "@type": …}`
    fn typed(&mut self, item: &'t Node, kind: Plain, version: Version) -> Option<&'t Node> {
        let Kind::Object(members) = &item.kind else { return None };
        if !self.value_keywords(members, "@type", version) {
            return None;
        }
        let names: &[&str] = match kind {
            Plain::Text => &["string"],
            Plain::Boolean => &["boolean"],
            Plain::Integer => &["integer"],
            Plain::Literal => &["integer", "string"],
        };
        let is_type = |text: &str| {
            let short = text.strip_prefix("xsd:").or_else(|| text.strip_prefix("http://www.w3.org/2001/XMLSchema#"));
            short.is_some_and(|short| names.contains(&short))
        };
        if let Some(types) = item.get("@type") {
            let fine = matches!(types.each(), [only] if only.as_text().is_some_and(is_type));
            if !fine {
                self.find(types, Code::WrongType, format!("@type is xsd:{} here", names.join(" or xsd:")));
                return None;
            }
        } else {
            let name = names.first().copied().unwrap_or_default();
            self.find(item, Code::UntypedValue, format!("the value has no type: add \"@type\": \"xsd:{name}\""));
        }
        let value = item.get("@value");
        if value.is_none() {
            self.find(item, Code::WrongValue, "@value is missing");
        }
        value
    }
}

/// The language's integers have 4 bytes.
fn is_integer(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

/// A language tag: `de`, `zh-Hant`, `pt-BR`, `es-419`, `sr-Latn-RS`.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let script = |part: &str| {
        part.len() == 4
            && part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().skip(1).all(|b| b.is_ascii_lowercase())
    };
    let region = |part: &str| {
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_uppercase())
            || part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit())
    };
    (2..=4).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_lowercase())
        && match (parts.next(), parts.next(), parts.next()) {
            (None, _, _) => true,
            (Some(part), None, _) => script(part) || region(part),
            (Some(first), Some(second), None) => script(first) && region(second),
            _ => false,
        }
}

//! The values of properties that are no elements: texts, names, numbers, localized texts, ids.

use super::element::Reader;
use super::identifier::{MAX_ID, is_user_dtmi};
use super::json::{Kind, Node};
use super::schema;
use super::{Code, Rules, Version};

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
            self.error(node, Code::TooLong, format!("the text is longer than {most} characters"));
        }
        Some(text)
    }

    pub(super) fn name(&mut self, node: &'t Node, most: usize, version: Version) -> Option<&'t str> {
        let Some(name) = self.text(node, most, version) else {
            if matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
                self.error(node, Code::MissingProperty, "the name is missing");
            }
            return None;
        };
        let valid = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.ends_with('_');
        if !valid {
            let message =
                format!("name '{name}' must be letters, digits and '_', start with a letter and not end with '_'");
            self.error(node, Code::InvalidName, message);
        }
        Some(name)
    }

    pub(super) fn boolean(&mut self, node: &'t Node, version: Version) {
        self.plain(node, Plain::Boolean, version);
    }

    pub(super) fn integer(&mut self, node: &'t Node, least: i64, most: i64, version: Version) {
        if let Some(Kind::Number(number)) = self.plain(node, Plain::Integer, version).map(|node| &node.kind)
            && !number.as_i64().is_some_and(|integer| (least..=most).contains(&integer))
        {
            let range = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.error(node, Code::WrongValue, format!("the number must be {range}"));
        }
    }

    pub(super) fn literal(&mut self, node: &'t Node, version: Version) -> Option<&'t Node> {
        let found = self.plain(node, Plain::Literal, version);
        if found.is_none() && matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
            self.error(node, Code::MissingProperty, "the value is missing");
        }
        found
    }

    pub(super) fn target(&mut self, node: &Node, version: Version) {
        let item = match node.each() {
            [item] => item,
            [] => return,
            _ => return self.error(node, Code::WrongCount, "target is one id"),
        };
        let central = self.rules == Rules::Central;
        match item.as_text() {
            Some(text) if text.len() > MAX_ID => {
                self.error(item, Code::TooLong, format!("the id is longer than {MAX_ID} characters"))
            }
            Some(text) if is_user_dtmi(text, version) || central && text.starts_with("urn:") => {}
            _ => self.error(
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
                self.error(node, Code::WrongValue, format!("one of these is wanted: {}", words.join(", ")));
                return None;
            }
        };
        let found = item.as_text().map(|text| schema::word(text, kind, version)).filter(|word| words.contains(word));
        if found.is_none() {
            self.error(item, Code::WrongValue, format!("one of these is wanted: {}", words.join(", ")));
        }
        found
    }

    /// A text in one or more languages: plain, a list, or an object by language.
    pub(super) fn localized(&mut self, node: &Node, most: usize, version: Version) {
        match &node.kind {
            Kind::Text(text) => self.check_length(node, text, most),
            Kind::Object(members) => {
                for member in members {
                    self.language(&member.value, &member.key);
                    match member.value.as_text() {
                        Some(text) => self.check_length(&member.value, text, most),
                        None => self.error(&member.value, Code::WrongValue, "a text is wanted for each language"),
                    }
                }
            }
            Kind::Array(items) => {
                let mut languages: Vec<&str> = Vec::new();
                for item in items {
                    let Some((text, language)) = self.localized_item(item, version) else { continue };
                    self.check_length(item, text, most);
                    if languages.contains(&language) {
                        self.error(
                            item,
                            Code::InvalidLanguage,
                            format!("language '{language}' is given twice: remove one"),
                        );
                    }
                    languages.push(language);
                }
            }
            _ => self.error(node, Code::WrongValue, "a text is wanted, or an object with a text for each language"),
        }
    }

    /// A text (English) or `{"@value": …, "@language": …}`.
    fn localized_item<'n>(&mut self, item: &'n Node, version: Version) -> Option<(&'n str, &'n str)> {
        let Kind::Object(members) = &item.kind else {
            if item.as_text().is_none() {
                self.error(item, Code::WrongValue, "a text or an object with @value and @language is wanted");
            }
            return item.as_text().map(|text| (text, "en"));
        };
        for member in members {
            let fine = match member.key.as_str() {
                "@value" | "@language" => true,
                "@id" | "@context" | "@graph" => false,
                key => version == Version::V2 && key.starts_with('@'),
            };
            if !fine {
                self.error(
                    &member.value,
                    Code::InvalidKeyword,
                    format!("'{}' can't be used here: remove it", member.key),
                );
            }
        }
        let language = match item.get("@language") {
            Some(language) => match language.as_text() {
                Some(text) => {
                    self.language(language, text);
                    text
                }
                None => {
                    self.error(language, Code::InvalidLanguage, "@language is a text such as \"en\"");
                    return None;
                }
            },
            None => "en",
        };
        let Some(text) = item.get("@value").and_then(Node::as_text) else {
            self.error(item, Code::WrongValue, "@value is a text");
            return None;
        };
        Some((text, language))
    }

    fn check_length(&mut self, node: &Node, text: &str, most: usize) {
        if text.chars().count() > most {
            self.error(node, Code::TooLong, format!("the text is longer than {most} characters"));
        }
    }

    fn language(&mut self, node: &Node, tag: &str) {
        if !is_language(tag) {
            self.error(
                node,
                Code::InvalidLanguage,
                format!("'{tag}' is not a language: write for example \"en\" or \"pt-BR\""),
            );
        }
    }

    /// A value given plainly, as the only item of a list, or as `{"@value": …, "@type": …}`. An empty list is none.
    fn plain(&mut self, node: &'t Node, kind: Plain, version: Version) -> Option<&'t Node> {
        let item = match node.each() {
            [item] => item,
            [] => return None,
            _ => {
                self.error(node, Code::WrongCount, "one value is wanted");
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
            Kind::Number(number) => matches!(kind, Plain::Integer | Plain::Literal) && number.is_i64(),
            _ => false,
        };
        if !fits {
            let wanted = match kind {
                Plain::Text => "a text",
                Plain::Boolean => "true or false",
                Plain::Integer => "a whole number",
                Plain::Literal => "a whole number or a text",
            };
            self.error(value, Code::WrongValue, format!("{wanted} is wanted"));
            return None;
        }
        Some(value)
    }

    /// `{"@value": …, "@type": …}`
    fn typed(&mut self, item: &'t Node, kind: Plain, version: Version) -> Option<&'t Node> {
        let Kind::Object(members) = &item.kind else { return None };
        for member in members {
            let fine = match member.key.as_str() {
                "@value" | "@type" => true,
                "@id" | "@context" | "@graph" => false,
                key => version == Version::V2 && key.starts_with('@'),
            };
            if !fine {
                self.error(
                    &member.value,
                    Code::InvalidKeyword,
                    format!("'{}' can't be used here: remove it", member.key),
                );
                return None;
            }
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
                self.error(types, Code::WrongType, format!("@type is xsd:{} here", names.join(" or xsd:")));
                return None;
            }
        }
        let value = item.get("@value");
        if value.is_none() {
            self.error(item, Code::WrongValue, "@value is missing");
        }
        value
    }
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

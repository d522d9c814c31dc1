//! What is found about a model: errors, and warnings.

use super::json::Position;
use std::fmt;

/// At most this many errors, and as many warnings, are told of one model.
pub const MAX_FINDINGS: usize = 1000;
/// Longer texts of a model are cut where a message quotes them.
const MAX_QUOTE: usize = 60;

/// All that is found about a model.
#[derive(Debug, Default)]
pub struct Report {
    /// What breaks a rule; a model with none is valid.
    pub errors: Vec<Finding>,
    /// What the language allows and advises against.
    pub warnings: Vec<Finding>,
    /// Errors beyond the first [`MAX_FINDINGS`], which are counted only.
    pub more_errors: usize,
}

impl Report {
    /// Does the model follow every rule?
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Adds a finding, or counts it where there are enough; only then is it made.
    pub(super) fn add(&mut self, code: Code, finding: impl FnOnce() -> Finding) {
        let is_warning = code.is_warning();
        let list = if is_warning { &mut self.warnings } else { &mut self.errors };
        match list.len() {
            ..MAX_FINDINGS => list.push(finding()),
            _ => self.more_errors += usize::from(!is_warning),
        }
    }
}

/// One thing found about a model, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Finding {
    /// The rule that is broken, or the advice that is not taken.
    pub code: Code,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The id of the element, or of the nearest one around it.
    pub id: Option<String>,
    /// Which of the documents of the model, from 0.
    pub document: usize,
    /// The JSON pointer of the place in it.
    pub pointer: String,
    /// Line and column of the place; zeros where the text is not known.
    pub position: Position,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The rule that a model breaks, or the advice that it does not take.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The rule's stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The text is no JSON.
    NotJson = "notJson",
    /// The text, an interface or the whole model is too large, or nested too deeply.
    TooLarge = "tooLarge",
    /// A key is there twice in one object.
    RepeatedKey = "repeatedKey",
    /// A model is an interface or a list of interfaces.
    NotAnInterface = "notAnInterface",
    /// `@context` is missing or does not name the language.
    MissingContext = "missingContext",
    /// `@context` is no text or list of texts, in the wrong order, or of a version that can't stand here.
    InvalidContext = "invalidContext",
    /// `@context` names what is not known.
    UnknownContext = "unknownContext",
    /// `@id` is missing.
    MissingId = "missingId",
    /// An id is not a valid DTMI.
    InvalidId = "invalidId",
    /// Two elements have the same id.
    RepeatedId = "repeatedId",
    /// `@type` is missing or no text or list of texts.
    MissingType = "missingType",
    /// The element is of a type that can't stand here.
    WrongType = "wrongType",
    /// A type is not known.
    UnknownType = "unknownType",
    /// A keyword can't be used.
    InvalidKeyword = "invalidKeyword",
    /// A property is not known.
    UnknownProperty = "unknownProperty",
    /// A property is missing.
    MissingProperty = "missingProperty",
    /// A property is given twice, by its name and by its id.
    RepeatedProperty = "repeatedProperty",
    /// A value is of the wrong kind, or out of its range.
    WrongValue = "wrongValue",
    /// A text is too long.
    TooLong = "tooLong",
    /// A name breaks the rules of names.
    InvalidName = "invalidName",
    /// A name, the value of an enumeration or an index is used twice.
    RepeatedName = "repeatedName",
    /// A language is not a language tag, or given twice.
    InvalidLanguage = "invalidLanguage",
    /// A schema is not known, or not allowed here.
    WrongSchema = "wrongSchema",
    /// A unit is missing, not known or of the wrong kind.
    WrongUnit = "wrongUnit",
    /// There are too few or too many of something.
    WrongCount = "wrongCount",
    /// What is referred to is not defined.
    UnknownReference = "unknownReference",
    /// What is referred to can't be used here.
    WrongReference = "wrongReference",
    /// An element contains itself.
    Cycle = "cycle",
    /// Schemas or interfaces are nested too deeply.
    TooDeep = "tooDeep",
    /// A component holds a component.
    NestedComponent = "nestedComponent",
    /// A DTMI of the language stands where its short word is preferred.
    PreferTerm = "preferTerm",
    /// A type is named twice.
    RepeatedType = "repeatedType",
    /// A type that nothing known defines: it is not checked.
    UncheckedType = "uncheckedType",
    /// A context, or the language, is named twice.
    RepeatedContext = "repeatedContext",
    /// The language's context is not the first.
    ContextOrder = "contextOrder",
    /// A context that is not known is tolerated: what uses it is not checked.
    UncheckedContext = "uncheckedContext",
    /// An object with `@value` has no `@type`.
    UntypedValue = "untypedValue",
    /// An object with `@value` has no `@language`.
    UntaggedValue = "untaggedValue",
    /// A keyword is there that means nothing.
    IgnoredKeyword = "ignoredKeyword",
    /// A property is deprecated.
    Deprecated = "deprecated",
}

impl Code {
    /// Is it advice, which leaves the model valid?
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::PreferTerm
                | Self::RepeatedType
                | Self::UncheckedType
                | Self::RepeatedContext
                | Self::ContextOrder
                | Self::UncheckedContext
                | Self::UntypedValue
                | Self::UntaggedValue
                | Self::IgnoredKeyword
                | Self::Deprecated
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text of the model in single quotes, cut where it is long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        None => format!("'{text}'"),
        Some((end, _)) => format!("'{}…'", text.get(..end).unwrap_or_default()),
    }
}

/// The known word that `word` was probably meant to be, as the end of a message.
pub(super) fn suggest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    let most = if word.len() < 4 { 1 } else { 2 };
    let near = known.into_iter().filter_map(|known| Some((distance(word, known, most)?, known))).min();
    near.map(|(_, known)| format!("; did you mean '{known}'?")).unwrap_or_default()
}

/// How many letters differ, where it is no more than `most`.
fn distance(left: &str, right: &str, most: usize) -> Option<usize> {
    if left.len() > 64 || left.len().abs_diff(right.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut()?, above + 1);
        for (at, b) in right.bytes().enumerate() {
            let different = usize::from(!a.eq_ignore_ascii_case(&b));
            let next = (diagonal + different).min(row.get(at)? + 1).min(row.get(at + 1)? + 1);
            diagonal = std::mem::replace(row.get_mut(at + 1)?, next);
        }
    }
    row.last().copied().filter(|found| *found <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_told_apart() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }

    #[test]
    fn a_word_nearby_is_suggested() {
        let known = ["Telemetry", "Property", "double"];
        for (word, said) in [
            ("Telemetri", "; did you mean 'Telemetry'?"),
            ("telemetry", "; did you mean 'Telemetry'?"),
            ("dubble", "; did you mean 'double'?"),
            ("Command", ""),
            ("", ""),
        ] {
            assert_eq!(suggest(word, known), said, "{word}");
        }
        assert_eq!(quote(&"ü".repeat(100)).chars().count(), 63);
    }
}

//! What can be wrong with a model.

use super::json::Position;
use std::fmt;

/// At most this many errors are told of one model.
pub const MAX_ERRORS: usize = 100;

/// Something wrong with a model, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DtdlError {
    /// The rule that is broken.
    pub code: Code,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The id of the element, or of the nearest one around it.
    pub id: Option<String>,
    /// The JSON pointer of the place.
    pub pointer: String,
    /// Line and column of the place; zeros where the text is not known.
    pub position: Position,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The rule that a model breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
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
    /// The text is too large or nested too deeply.
    TooLarge = "tooLarge",
    /// A key is there twice in one object.
    RepeatedKey = "repeatedKey",
    /// A model is an interface or a list of interfaces.
    NotAnInterface = "notAnInterface",
    /// `@context` is missing or does not name the language.
    MissingContext = "missingContext",
    /// `@context` is no text or list of texts, or in the wrong order.
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
    /// A value is of the wrong kind.
    WrongValue = "wrongValue",
    /// A text is too long.
    TooLong = "tooLong",
    /// A name breaks the rules of names.
    InvalidName = "invalidName",
    /// A name, or the value of an enumeration, is used twice.
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
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

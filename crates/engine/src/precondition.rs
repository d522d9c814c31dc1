//! `If-Match`: change only what is still as the caller saw it.

use crate::EngineError;
use std::fmt;

/// The caller's condition on the current version of a thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IfMatch {
    /// No condition (no header, `*` or `"*"`: clients send either).
    #[default]
    Any,
    /// One of these etags, compared strongly; a weak etag therefore never matches but by its text.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Reads the header's value: `*`, `"*"`, `etag`, `"etag"`, `W/"etag"`, or a list of them.
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::Any };
        let etags: Vec<String> = header.split(',').map(bare).filter(|etag| !etag.is_empty()).collect();
        if etags.is_empty() || etags.iter().any(|etag| etag == "*") { Self::Any } else { Self::OneOf(etags) }
    }

    /// The condition that a body's `etag` field makes.
    pub fn from_body(etag: Option<&str>) -> Self {
        Self::parse(etag)
    }

    /// Refuses unless `current` fulfils the condition.
    ///
    /// # Errors
    /// [`EngineError::PreconditionFailed`] about `kind` `id`.
    pub fn check(&self, kind: &'static str, id: impl fmt::Display, current: &str) -> Result<(), EngineError> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(etags) if etags.iter().any(|etag| etag == current) => Ok(()),
            Self::OneOf(_) => Err(EngineError::PreconditionFailed { kind, id: id.to_string() }),
        }
    }
}

fn bare(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix("W/").unwrap_or(text).trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_etag_is_read() {
        for any in [None, Some("*"), Some("\"*\""), Some("")] {
            assert_eq!(IfMatch::parse(any), IfMatch::Any, "{any:?}");
        }
        for one in ["1f", "\"1f\"", "W/\"1f\"", "\"0\", \"1f\""] {
            let condition = IfMatch::parse(Some(one));
            assert!(condition.check("device", "a", "1f").is_ok(), "{one}");
            assert!(condition.check("device", "a", "20").is_err(), "{one}");
        }
    }
}

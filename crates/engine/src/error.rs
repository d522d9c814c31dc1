//! The one error of the use cases: each variant says what the caller can do about it.

use crate::secrets::SecretsError;
use muster_model::{Denied, InvalidId, Permission, rule, template, wire::twin::TwinError};
use muster_store::StoreError;
use std::{error::Error, fmt, time::Duration};

/// Why a use case did not happen. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such thing in the caller's tenant.
    #[error("{kind} '{id}' was not found")]
    NotFound {
        /// What was looked for, for example `device`.
        kind: &'static str,
        /// Its id as asked for.
        id: String,
    },
    /// The state of things does not allow it; a different request may succeed.
    #[error("{kind} '{id}' {reason}")]
    Conflict {
        /// What is in the way, for example `device template`.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Why, as the rest of a sentence: `is used by 3 devices`.
        reason: String,
    },
    /// The state of things does not allow it, for these reasons.
    #[error("{kind} '{id}' {reason}")]
    Blocked {
        /// What is in the way, for example `device template`.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Why, as the rest of a sentence.
        reason: String,
        /// Each single reason: a capability that breaks, a rule that uses it.
        problems: Vec<Problem>,
    },
    /// The request is not valid; every problem that was found.
    #[error("{}", Problems(problems))]
    Invalid {
        /// At least one problem.
        problems: Vec<Problem>,
    },
    /// The caller lacks a permission.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody else changed it since the caller read it.
    #[error("{kind} '{id}' was changed in the meantime")]
    PreconditionFailed {
        /// What was to be changed.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Who asks is not known: a bad password, session or token. Says no more on purpose.
    #[error("the credentials are not valid")]
    Unauthenticated,
    /// Too many attempts; try again after the time.
    #[error("too many attempts, try again in {} seconds", retry_after.as_secs().max(1))]
    TooMany {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Something that Muster depends on does not answer; the same request may succeed later.
    #[error("{what} is not available")]
    Unavailable {
        /// What is missing, for example `the database`.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A secret could not be sealed or opened: the master key is not the one it was sealed with, or the row was altered.
    #[error("a stored secret cannot be used")]
    Secret(#[from] SecretsError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The database refused: a defect, or a schema that is not ours; an operator must look.
    #[error("the database refused")]
    Store(#[source] StoreError),
    /// What stands in the database is not what this release wrote; an operator must look.
    #[error("stored {kind} '{id}' cannot be read")]
    Corrupt {
        /// What it is.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl EngineError {
    /// There is no `kind` with this id in the caller's tenant.
    pub fn not_found(kind: &'static str, id: impl fmt::Display) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// `kind` `id` stands in the way; `reason` ends the sentence.
    pub fn conflict(kind: &'static str, id: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::Conflict { kind, id: id.to_string(), reason: reason.into() }
    }

    /// One problem with the request.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { problems: vec![Problem::new(code, message)] }
    }

    /// `permission` is missing.
    pub fn denied(permission: Permission) -> Self {
        Self::Denied(Denied { permission })
    }

    /// `what` does not answer.
    pub fn unavailable(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { what, source: source.into() }
    }

    /// The error with its cause in one line, for the log.
    pub fn with_cause(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// What is stored under `id` cannot be read.
    pub fn corrupt(kind: &'static str, id: impl fmt::Display, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt { kind, id: id.to_string(), source: source.into() }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { kind, id } => Self::NotFound { kind, id },
            StoreError::Conflict { kind, id } => Self::Conflict { kind, id, reason: "exists already".into() },
            StoreError::Stale { kind, id } => Self::PreconditionFailed { kind, id },
            error if error.is_transient() => Self::unavailable("the database", error),
            error => Self::Store(error),
        }
    }
}

impl From<Problem> for EngineError {
    fn from(problem: Problem) -> Self {
        Self::Invalid { problems: vec![problem] }
    }
}

impl From<template::Problem> for Problem {
    fn from(problem: template::Problem) -> Self {
        Self {
            code: problem.code,
            message: problem.message,
            pointer: Some(problem.pointer),
            // 0 where the text is not known.
            line: Some(problem.line).filter(|line| *line > 0),
            column: Some(problem.column).filter(|column| *column > 0),
        }
    }
}

impl From<rule::RuleProblem> for Problem {
    fn from(problem: rule::RuleProblem) -> Self {
        Self::at(problem.code, problem.pointer, problem.message)
    }
}

impl From<TwinError> for EngineError {
    fn from(error: TwinError) -> Self {
        Self::invalid("twin", error.to_string())
    }
}

impl From<InvalidId> for EngineError {
    fn from(error: InvalidId) -> Self {
        Self::invalid("id", error.to_string())
    }
}

/// What is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable, for programs, for example `displayNameTooLong`.
    pub code: String,
    /// For people.
    pub message: String,
    /// JSON pointer into the request body, if it is about one place.
    pub pointer: Option<String>,
    /// Line in the text that was sent, from 1, where the text is known.
    pub line: Option<u32>,
    /// Column in that line, from 1.
    pub column: Option<u32>,
}

impl Problem {
    /// A problem with the request as a whole.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), pointer: None, line: None, column: None }
    }

    /// A problem with the place at `pointer`.
    pub fn at(code: impl Into<String>, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), ..Self::new(code, message) }
    }
}

struct Problems<'a>(&'a [Problem]);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if let Some(pointer) = &problem.pointer {
                write!(f, "{pointer}: ")?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_as_a_list() {
        let error =
            EngineError::Invalid { problems: vec![Problem::new("a", "first"), Problem::at("b", "/tiles/0", "second")] };
        assert_eq!(error.to_string(), "first; /tiles/0: second");
    }
}

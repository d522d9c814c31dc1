//! What can go wrong, named by what the caller can do about it.

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlErr, sqlx};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing in the scope.
    #[error("{kind} '{id}' was not found")]
    NotFound {
        /// What was looked for, for example `device`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Something with this id exists already.
    #[error("{kind} '{id}' exists already")]
    Conflict {
        /// What was to be made.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// It was changed since it was read; read again and decide again.
    #[error("{kind} '{id}' was changed in the meantime")]
    Stale {
        /// What was to be changed.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Another worker has taken the partition over; whoever sees this stops consuming it.
    #[error("partition {partition} has another owner now")]
    Fenced {
        /// The partition.
        partition: u16,
    },
    /// The database cannot be reached, is too busy or gave up on the statement; trying again later may work.
    #[error("the database is not available")]
    Unavailable(#[source] DbErr),
    /// The schema is older than this release.
    #[error("the database schema is behind this release: run `muster migrate`")]
    SchemaBehind,
    /// The address of the database cannot be used.
    #[error("database address: {0}")]
    Address(String),
    /// A text holds U+0000, which PostgreSQL cannot store.
    #[error("text with a NUL character cannot be stored")]
    Nul(#[source] DbErr),
    /// A stored value cannot be read back.
    #[error("stored {kind} cannot be read: {reason}")]
    Corrupt {
        /// What was read.
        kind: &'static str,
        /// Why it cannot be.
        reason: String,
    },
    /// The database refused a statement: a defect of ours, or a schema that is not ours.
    #[error("the database refused a statement")]
    Refused(#[source] DbErr),
}

impl StoreError {
    /// The error for something absent.
    pub(crate) fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// The error for something changed meanwhile.
    pub(crate) fn stale(kind: &'static str, id: impl ToString) -> Self {
        Self::Stale { kind, id: id.to_string() }
    }

    /// The error for a stored value that cannot be read.
    pub(crate) fn corrupt(kind: &'static str, reason: impl ToString) -> Self {
        Self::Corrupt { kind, reason: reason.to_string() }
    }

    /// Turns a violated unique index into [`StoreError::Conflict`] about this thing.
    pub(crate) fn on_conflict(kind: &'static str, id: impl ToString) -> impl FnOnce(DbErr) -> Self {
        move |error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Conflict { kind, id: id.to_string() },
            _ => Self::from(error),
        }
    }

    /// Whether trying again later may work.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::SchemaBehind)
    }
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match database_code(&error) {
            // A NUL in JSON, a NUL in a text.
            Some(code) if code == "22P05" || code == "22021" => Self::Nul(error),
            _ if is_outage(&error) => Self::Unavailable(error),
            _ => Self::Refused(error),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let error = match error {
            sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            other => DbErr::Query(RuntimeErr::SqlxError(other.into())),
        };
        Self::from(error)
    }
}

fn database_code(error: &DbErr) -> Option<String> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
        }
        _ => None,
    }
}

fn is_outage(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => match &**error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_outage_code(&code)),
            _ => false,
        },
        _ => false,
    }
}

/// PostgreSQL: connection lost (08), too many connections or memory (53), serialization and deadlock (40), lock not
/// had in time (55P03), statement cancelled by timeout or shutdown (57), disk trouble (58). SQLite: busy, locked, I/O, full,
/// cannot open (primary codes 5, 6, 10, 13, 14; the upper bits say more).
fn is_outage_code(code: &str) -> bool {
    if code.len() == 5 {
        return code == "55P03" || ["08", "53", "40", "57", "58"].iter().any(|class| code.starts_with(class));
    }
    code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13 | 14))
}

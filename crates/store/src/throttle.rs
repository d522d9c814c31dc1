//! Failed sign-ins, counted by account and by address, so that guessing becomes slow.

use crate::{MAX_PAGE, StoreError, Tx, convert};
use chrono::{DateTime, Duration, Utc};
use muster_model::SystemScope;

/// Whose failures are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account, by its e-mail address (known or not).
    Account(String),
    /// The address a request came from.
    Address(String),
}

/// Adds a failure and returns how many there are in the window; a window begins with its first failure.
pub async fn add_failure(
    tx: &Tx,
    _: &SystemScope,
    subject: &Subject,
    now: DateTime<Utc>,
    window: Duration,
) -> Result<i64, StoreError> {
    // One statement, so that guesses made at the same time are all counted.
    let sql = "insert into sign_in_failure (subject, failures, until_ms) values ($1, 1, $2)
               on conflict (subject) do update set
                   failures = case when sign_in_failure.until_ms <= $3 then 1 else sign_in_failure.failures + 1 end,
                   until_ms = case when sign_in_failure.until_ms <= $3 then excluded.until_ms else sign_in_failure.until_ms end
               returning failures";
    let until = now + window;
    let values = [subject.key().into(), until.timestamp_millis().into(), now.timestamp_millis().into()];
    let row = tx.row(sql, values).await?.ok_or_else(|| StoreError::corrupt("sign-in failure", "no row came back"))?;
    Ok(row.try_get("", "failures")?)
}

/// How many failures the subject has in its running window, and when that ends.
pub async fn failures(
    tx: &Tx,
    _: &SystemScope,
    subject: &Subject,
    now: DateTime<Utc>,
) -> Result<Option<Failures>, StoreError> {
    let sql = "select failures, until_ms from sign_in_failure where subject = $1 and until_ms > $2";
    let row = tx.row(sql, [subject.key().into(), now.timestamp_millis().into()]).await?;
    row.map(|row| {
        Ok(Failures { count: row.try_get("", "failures")?, until: convert::time(row.try_get("", "until_ms")?) })
    })
    .transpose()
}

/// Forgets the failures of a subject.
pub async fn forget(tx: &Tx, _: &SystemScope, subject: &Subject) -> Result<(), StoreError> {
    tx.execute("delete from sign_in_failure where subject = $1", [subject.key().into()]).await?;
    Ok(())
}

/// Removes windows that are over, at most [`crate::MAX_PAGE`]; how many.
pub async fn purge(tx: &Tx, _: &SystemScope, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let sql = "delete from sign_in_failure where subject in (select subject from sign_in_failure where until_ms <= $1 limit $2)";
    tx.execute(sql, [now.timestamp_millis().into(), i64::from(MAX_PAGE).into()]).await
}

/// Failures in a running window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: i64,
    /// When they are forgotten.
    pub until: DateTime<Utc>,
}

impl Subject {
    fn key(&self) -> String {
        match self {
            Self::Account(email) => format!("account:{}", email.to_lowercase()),
            Self::Address(address) => format!("address:{address}"),
        }
    }
}

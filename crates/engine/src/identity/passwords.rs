//! Passwords: argon2id, two at a time, so that a rush of sign-ins cannot take the machine's memory and cores.

use crate::EngineError;
use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::Semaphore;

/// Hashes computed at the same time; each takes 19 MiB and some 20 ms of a core.
const AT_ONCE: usize = 2;
/// How long a sign-in waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// Longer passwords are refused: they only cost time.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;
/// Shorter ones are guessed.
pub(crate) const MIN_PASSWORD_CHARS: usize = 10;

/// Makes and checks password hashes.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// The hash that a password is compared with where the account does not exist, so that both take the same time.
    decoy: OnceLock<String>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), decoy: OnceLock::new() }
    }

    /// The hash of `password`, as a PHC string.
    pub(crate) async fn hash(&self, password: &SecretString) -> Result<String, EngineError> {
        let password = password.clone();
        self.in_turn(move || hash(password.expose_secret())).await?
    }

    /// Whether `password` is the one of `stored`; takes as long where there is none.
    pub(crate) async fn verify(&self, password: &SecretString, stored: Option<String>) -> Result<bool, EngineError> {
        let known = stored.is_some();
        let stored = match (stored, self.decoy.get()) {
            (Some(stored), _) => stored,
            (None, Some(decoy)) => decoy.clone(),
            (None, None) => {
                let made = self.hash(&SecretString::from("no account has this password")).await?;
                self.decoy.get_or_init(|| made).clone()
            }
        };
        let password = password.clone();
        let matches = self
            .in_turn(move || {
                let hash = PasswordHash::new(&stored).ok()?;
                Some(Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(known && matches.unwrap_or(false))
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(EngineError::TooMany { retry_after: TURN }) };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| EngineError::unavailable("password hashing", error))
    }
}

/// Refuses passwords that are too short or too long.
pub(crate) fn check_new(password: &SecretString) -> Result<(), EngineError> {
    let text = password.expose_secret();
    if text.chars().count() < MIN_PASSWORD_CHARS || text.len() > MAX_PASSWORD_BYTES {
        let message = format!("a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_BYTES} characters");
        return Err(EngineError::invalid("passwordLength", message));
    }
    Ok(())
}

fn hash(password: &str) -> Result<String, EngineError> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| EngineError::unavailable("password hashing", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::new();
        let stored = passwords.hash(&"correct horse".into()).await.expect("a hash");
        assert!(stored.starts_with("$argon2id$"));
        assert!(passwords.verify(&"correct horse".into(), Some(stored.clone())).await.expect("verified"));
        assert!(!passwords.verify(&"wrong horse".into(), Some(stored)).await.expect("verified"));
        assert!(!passwords.verify(&"correct horse".into(), None).await.expect("verified"));
        assert!(!passwords.verify(&"no account has this password".into(), None).await.expect("verified"));
        assert!(!passwords.verify(&"correct horse".into(), Some("garbage".into())).await.expect("verified"));
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(check_new(&"a".repeat(9).into()).is_err());
        assert!(check_new(&"a".repeat(10).into()).is_ok());
        assert!(check_new(&"a".repeat(1025).into()).is_err());
    }
}

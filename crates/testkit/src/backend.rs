//! What a test's product runs on.

use std::{io::Write, process::Command};

/// The two set-ups that every whole-app test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// SQLite and the embedded bus.
    Embedded,
    /// PostgreSQL and RabbitMQ, private instances that `cargo xtask test` starts.
    Servers,
}

impl Backend {
    /// Whether this machine has what the set-up needs; if not, the test is counted as skipped under `name`.
    pub fn available(self, name: &str) -> bool {
        self == Self::Embedded
            || ["MUSTER_TEST_POSTGRES", "MUSTER_TEST_RABBITMQ"].iter().all(|variable| {
                let there = std::env::var_os(variable).is_some();
                if !there {
                    skip(name, &format!("no {variable}"));
                }
                there
            })
    }
}

/// Counts a test as skipped, by name.
///
/// # Panics
/// Under `CI`, where nothing may be skipped.
pub fn skip(name: &str, reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{name} must not be skipped in CI: {reason}");
    println!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os("MUSTER_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{name}: {reason}")).expect("the list of skipped tests can be written");
    }
}

/// A database of a test's own; it goes with the test.
#[derive(Debug)]
pub(crate) struct Database {
    admin_url: String,
    name: String,
}

impl Database {
    /// Makes a database on the server at `admin_url`.
    pub(crate) async fn create(admin_url: &str, name: &str) -> Self {
        let database = Self { admin_url: admin_url.to_owned(), name: name.to_owned() };
        let mut statement = database.statement(&format!("create database {name}"));
        let made = tokio::task::spawn_blocking(move || statement.status()).await.expect("a thread");
        assert!(made.expect("psql is installed").success(), "the database {name} could not be made");
        database
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self.admin_url.rsplit_once('/').expect("an address with a database");
        format!("{server}/{}", self.name)
    }

    fn statement(&self, statement: &str) -> Command {
        let mut command = Command::new("psql");
        command.args([&self.admin_url, "--quiet", "--command", statement]);
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The product of a test that failed may still hold connections.
        let _ = self.statement(&format!("drop database if exists {} with (force)", self.name)).status();
    }
}

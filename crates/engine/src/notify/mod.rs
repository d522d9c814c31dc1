//! Outgoing work: what a rule's actions ask for leaves here, after the transaction that wrote it.
//!
//! Each piece of work is a row. A runner takes due rows under a lease, tries, and marks them done, due again later
//! (with backoff and jitter), or dead. A crash between the call and the mark repeats the call: at least once.

mod mail;
mod runner;
mod webhook;

pub use mail::{AlertMail, MailError, Mailer, compose};
pub use runner::{run, run_due};
pub use webhook::{WebhookContext, webhook_body};

use muster_model::{AlertId, rule::Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A piece of outgoing work, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Work {
    /// An e-mail about an alert.
    Email {
        /// The receivers.
        to: Vec<String>,
        /// What is told.
        alert: AlertFacts,
        /// The rule's note.
        note: String,
    },
    /// A webhook call.
    Webhook {
        /// Where to.
        url: String,
        /// IoT Central's body, as the facts were when the rule fired.
        body: Value,
    },
    /// A batch of messages that could not be read: kept for a person, nothing can be done with it.
    UnreadableBatch {
        /// The batch, base64.
        body: String,
    },
}

impl Work {
    /// The name of its kind in the database.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
            Self::UnreadableBatch { .. } => "unreadableBatch",
        }
    }
}

/// What an e-mail says about an alert, frozen when the rule fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertFacts {
    /// The alert.
    pub alert: AlertId,
    /// The rule's name.
    pub rule_name: String,
    /// The device's id.
    pub device_id: String,
    /// The device's name.
    pub device_name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The condition as a sentence.
    pub reason: String,
    /// When it fired, in milliseconds since 1970.
    pub opened_ms: i64,
    /// The telemetry that the rule compares, with the number it is compared with where there is one.
    pub telemetry: Vec<Watched>,
    /// The link to the device, empty where no public address is configured.
    pub link: String,
}

/// A telemetry value that a rule compares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// The key.
    pub key: String,
    /// The name shown to people.
    pub display_name: String,
    /// The unit's symbol, or empty.
    pub unit: String,
    /// The value when the rule fired.
    pub value: Value,
    /// The number it is compared with.
    pub threshold: Option<f64>,
}

//! Commands: what was asked of a device, and what came of it (`iot-central.md` §5.1, §16).

use crate::{CommandRunId, c2d::Outcome};
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Runs of a command that are kept for a device.
pub const KEPT_RUNS: u32 = 100;
/// Runs of all commands that are kept for a device.
pub const KEPT_OF_DEVICE: u32 = 1_000;
/// How long a command that may wait for its device does.
pub const OFFLINE_TTL: Duration = Duration::hours(24);
/// What a device answers to a command that goes on: its result is reported as a property of the command's name.
pub const ACCEPTED: i64 = 202;
/// The property of a message that is a command, with the command's name.
pub const METHOD_NAME: &str = "method-name";
/// The body of a message whose command has no parameter.
pub const NO_PARAMETER: &[u8] = b"@";

/// One run of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRun {
    /// Its id; later ones are greater.
    pub id: CommandRunId,
    /// The command as devices know it: `reboot`, `thermostat1*reboot`.
    pub command: String,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// By whom.
    pub asked_by: String,
    /// The parameter.
    pub request: Option<Value>,
    /// Where it stands.
    pub state: RunState,
    /// Why it failed, for people.
    pub reason: Option<String>,
    /// The device's status.
    pub status: Option<i64>,
    /// The device's answer; of a command that went on, what it reported in the end.
    pub response: Option<Value>,
    /// Does the answer fit what the template says?
    pub fits: bool,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum RunState {
    /// The device was asked and has not answered.
    Sent,
    /// It waits for the device.
    Queued,
    /// The device has taken it and works on it.
    Running,
    /// The device has answered.
    Completed,
    /// The device has the message; it gives no answer.
    Delivered,
    /// It came to nothing.
    Failed,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Sent, Self::Queued, Self::Running, Self::Completed, Self::Delivered, Self::Failed];

    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// What becomes of a command that waited for its device, and why it failed.
    pub fn of_message(outcome: Outcome) -> (Self, Option<&'static str>) {
        match outcome {
            Outcome::Success => (Self::Delivered, None),
            Outcome::Expired => (Self::Failed, Some("the device did not connect in time")),
            Outcome::DeliveryCountExceeded => (Self::Failed, Some("the device gave it back too often")),
            Outcome::Rejected => (Self::Failed, Some("the device refused it")),
            Outcome::Purged => (Self::Failed, Some("it was taken back")),
        }
    }
}

/// The command as devices know it.
pub fn method_name(component: Option<&str>, name: &str) -> String {
    component.map_or_else(|| name.to_owned(), |component| format!("{component}*{name}"))
}

/// What a reported patch says of a command that goes on: `{"reboot": {"value": …}}`, or inside its component.
pub fn reported_result<'a>(command: &str, patch: &'a serde_json::Map<String, Value>) -> Option<&'a Value> {
    let reported = match command.split_once('*') {
        Some((component, name)) => patch.get(component)?.get(name)?,
        None => patch.get(command)?,
    };
    if reported.is_null() { None } else { Some(reported.get("value").unwrap_or(reported)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_is_found_by_the_commands_name() {
        let patch = json!({
            "reboot": {"value": {"seconds": 3}}, "plain": 7, "gone": null,
            "thermostat1": {"__t": "c", "report": {"value": [1]}},
        });
        let patch = patch.as_object().expect("an object");
        for (command, result) in [
            ("reboot", Some(json!({"seconds": 3}))),
            ("plain", Some(json!(7))),
            ("gone", None),
            ("other", None),
            ("thermostat1*report", Some(json!([1]))),
            ("thermostat1*other", None),
            ("plain*other", None),
        ] {
            assert_eq!(reported_result(command, patch), result.as_ref(), "{command}");
        }
    }
}

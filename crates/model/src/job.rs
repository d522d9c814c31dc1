//! Jobs: work on many devices, done one by one, each with its own outcome.

use crate::{JobId, TemplateId, wire::twin::ServiceChange};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id in its realm.
    pub id: JobId,
    /// What is asked for.
    pub order: Order,
    /// Where it stands.
    pub status: JobStatus,
    /// Why it failed.
    pub failure: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it is to start.
    pub starts_at: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Whose jobs' ids they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Realm {
    /// The hub's service API.
    Hub,
    /// Moves of devices between templates.
    Templates,
}

impl Realm {
    /// Every realm.
    pub const ALL: [Self; 2] = [Self::Hub, Self::Templates];

    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Templates => "templates",
        }
    }

    /// The realm of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|realm| realm.name() == name)
    }
}

/// What is asked for: which devices, what to do with each, and how long all of it may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The condition that a device's twin must meet, as query text.
    pub condition: String,
    /// How long the job may run, in seconds.
    pub max_seconds: u64,
    /// What is done with each device.
    pub work: Work,
}

/// What is done with each device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Work {
    /// Its twin is changed.
    UpdateTwin {
        /// Tags to be merged.
        tags: Option<Map<String, Value>>,
        /// Desired properties to be merged.
        desired: Option<Map<String, Value>>,
        /// Only where the twin still has this etag.
        etag: Option<String>,
    },
    /// A direct method is invoked.
    Method {
        /// The method.
        name: String,
        /// What it is given.
        payload: Value,
        /// How long its answer is waited for.
        response_seconds: u64,
        /// How long it is waited for the device to connect.
        connect_seconds: u64,
    },
    /// It gets another template.
    MigrateTemplate {
        /// The one that it has.
        from: TemplateId,
        /// The one that it gets.
        to: TemplateId,
        /// The job that this one takes back.
        undoes: Option<JobId>,
    },
}

impl Work {
    /// Its name in the service API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UpdateTwin { .. } => "scheduleUpdateTwin",
            Self::Method { .. } => "scheduleDeviceMethod",
            Self::MigrateTemplate { .. } => "deviceTemplateMigration",
        }
    }

    /// The change of a twin, where it is one.
    pub fn twin_change(&self) -> Option<ServiceChange> {
        match self {
            Self::UpdateTwin { tags, desired, .. } => {
                Some(ServiceChange { tags: tags.clone(), desired: desired.clone(), replace: false })
            }
            Self::Method { .. } | Self::MigrateTemplate { .. } => None,
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits for its time.
    Scheduled,
    /// It is being done.
    Running,
    /// Every device had its turn.
    Completed,
    /// It could not be done, or not in its time.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Scheduled, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name; names have no case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(name))
    }

    /// Whether nothing is done any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What became of one device in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceOutcome {
    /// Its turn has not come.
    Pending,
    /// It is its turn.
    Running,
    /// It is done.
    Completed,
    /// It could not be done.
    Failed,
    /// The job ended before its turn.
    Canceled,
}

impl DeviceOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Canceled];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The outcome of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_are_stored_as_they_are() {
        let order = json!({
            "condition": "tags.a = 1", "maxSeconds": 60,
            "work": {"type": "method", "name": "reboot", "payload": null, "responseSeconds": 30, "connectSeconds": 0},
        });
        let read: Order = serde_json::from_value(order.clone()).expect("an order");
        assert_eq!((serde_json::to_value(&read).ok(), read.work.kind()), (Some(order), "scheduleDeviceMethod"));
        for status in JobStatus::ALL {
            assert_eq!(JobStatus::from_name(&status.name().to_uppercase()), Some(status));
        }
        for outcome in DeviceOutcome::ALL {
            assert_eq!(DeviceOutcome::from_name(outcome.name()), Some(outcome));
        }
    }
}

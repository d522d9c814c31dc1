//! Change notices: after a commit every process hears what changed and drops it from its caches.
//!
//! A notice may be lost (the bus was away): caches therefore also expire by themselves after
//! [`MAX_STALENESS`], so a lost notice heals.

use bytes::Bytes;
use muster_bus::{Bus, BusError, Topic};
use muster_model::TenantKey;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// How old a cached value may become when its notice was lost.
pub const MAX_STALENESS: Duration = Duration::from_secs(30);

/// Notices that a slow listener may fall behind before it is told to drop everything.
const BUFFER: usize = 1024;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The tenant; `None` where it concerns all.
    pub tenant: Option<TenantKey>,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// Its id, as the outside knows it.
    pub id: String,
}

/// The kinds of things that processes cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// A device: name, template, keys, enabled.
    Device,
    /// A device template.
    Template,
    /// A rule.
    Rule,
    /// An enrollment group.
    EnrollmentGroup,
    /// A user, session or API token.
    Access,
    /// The tenant itself.
    Tenant,
    /// Notices were lost: drop everything.
    All,
}

/// The process's ear and voice for notices.
#[derive(Debug, Clone)]
pub struct Notices {
    bus: Bus,
    local: broadcast::Sender<Notice>,
}

impl Notices {
    /// Listens on `bus`.
    pub fn new(bus: Bus) -> Self {
        Self { bus, local: broadcast::channel(BUFFER).0 }
    }

    /// Tells every process, this one included.
    pub async fn publish(&self, notice: Notice) {
        let _ = self.local.send(notice.clone());
        match serde_json::to_vec(&notice) {
            Ok(body) => self.bus.publish(Topic::Notice, Bytes::from(body)).await,
            Err(error) => tracing::error!(%error, "a change notice could not be written"),
        }
    }

    /// Every notice from now on; lagging behind counts as [`NoticeKind::All`].
    pub fn listen(&self) -> Listener {
        Listener(self.local.subscribe())
    }

    /// Carries notices from the bus to this process's listeners until `stop`.
    ///
    /// # Errors
    /// Where the bus cannot be subscribed to.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), BusError> {
        let mut incoming = self.bus.subscribe(Topic::Notice).await?;
        loop {
            let body = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                body = incoming.recv() => body,
            };
            let Some(body) = body else { return Ok(()) };
            match serde_json::from_slice(&body) {
                Ok(notice) => _ = self.local.send(notice),
                Err(error) => tracing::warn!(%error, "a change notice could not be read; dropping all caches"),
            }
        }
    }
}

/// One listener's stream of notices.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Notice>);

impl Listener {
    /// The next notice; `None` when the process ends.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                Some(Notice { tenant: None, kind: NoticeKind::All, id: String::new() })
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

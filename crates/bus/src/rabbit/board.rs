//! What keeps the bus from working now, by part, for health reports and the log.

use crate::BusHealth;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// The troubles of all parts; none means connected.
#[derive(Default)]
pub(crate) struct Board {
    troubles: Mutex<BTreeMap<String, Trouble>>,
}

struct Trouble {
    since: Instant,
    reason: String,
}

impl Board {
    /// Notes why a part waits; logs when the reason is new.
    pub(crate) fn waits(&self, part: &str, reason: String) {
        let mut troubles = self.lock();
        let since = match troubles.get(part) {
            Some(trouble) if trouble.reason == reason => return,
            Some(trouble) => trouble.since,
            None => Instant::now(),
        };
        tracing::warn!(bus.part = part, reason, "bus waits for the broker");
        troubles.insert(part.to_owned(), Trouble { since, reason });
    }

    /// Notes that a part works.
    pub(crate) fn works(&self, part: &str) {
        if let Some(trouble) = self.lock().remove(part) {
            let waited_ms = u64::try_from(trouble.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(bus.part = part, waited_ms, "bus works again");
        }
    }

    /// The oldest trouble, or none.
    pub(crate) fn health(&self) -> BusHealth {
        let troubles = self.lock();
        match troubles.iter().min_by_key(|(_, trouble)| trouble.since) {
            None => BusHealth::Connected,
            Some((part, trouble)) => {
                BusHealth::Waiting { since: trouble.since, reason: format!("{part}: {}", trouble.reason) }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Trouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

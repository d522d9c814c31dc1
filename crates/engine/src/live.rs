//! Live values: from the worker that stored them to the browsers that look at them.
//!
//! A fan-out over the bus, for tenants that have a listener only: every process with listeners says so each
//! [`INTEREST_EVERY`]; a worker believes it for [`INTEREST_FOR`]. A listener that lags is told to reload.

use bytes::Bytes;
use muster_bus::{Bus, BusError, Topic};
use muster_model::{AlertId, DeviceId, TenantKey, alert::AlertState, rule::Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How often a process repeats which tenants it listens to.
pub const INTEREST_EVERY: Duration = Duration::from_secs(5);
/// How long a worker believes it.
pub const INTEREST_FOR: Duration = Duration::from_secs(15);
/// Events that a listener may fall behind.
const LISTENER_BUFFER: usize = 512;
/// Listeners that a process serves; one browser tab is one.
const MAX_LISTENERS: usize = 10_000;

/// Something that just happened in a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LiveEvent {
    /// Values of a device were stored.
    Telemetry {
        /// The device.
        device: DeviceId,
        /// When they were measured, in milliseconds since 1970.
        timestamp_ms: i64,
        /// The values by telemetry key.
        values: Map<String, Value>,
    },
    /// A device connected, disconnected, or was changed.
    Device {
        /// The device.
        device: DeviceId,
        /// Is it connected now?
        connected: bool,
    },
    /// A device's properties changed.
    Properties {
        /// The device.
        device: DeviceId,
    },
    /// An alert opened, was acknowledged or cleared.
    Alert {
        /// The alert.
        id: AlertId,
        /// The device.
        device: DeviceId,
        /// The rule's name.
        rule_name: String,
        /// How bad it is.
        severity: Severity,
        /// Where it stands.
        state: AlertState,
    },
    /// Events were lost: read again what is shown.
    Reload,
}

impl LiveEvent {
    fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Telemetry { device, .. } | Self::Properties { device } => Some(device),
            Self::Device { .. } | Self::Alert { .. } | Self::Reload => None,
        }
    }
}

/// Which devices' values a listener wants; device states and alerts come always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveFilter {
    /// Every device of the tenant.
    All,
    /// These devices.
    Devices(HashSet<DeviceId>),
}

impl LiveFilter {
    fn wants(&self, event: &LiveEvent) -> bool {
        match (self, event.device()) {
            (Self::Devices(devices), Some(device)) => devices.contains(device),
            _ => true,
        }
    }
}

/// Too many listeners in this process.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_LISTENERS} live streams are open in this process")]
pub struct TooManyListeners;

#[derive(Debug, Serialize, Deserialize)]
struct Packet {
    tenant: TenantKey,
    events: Vec<LiveEvent>,
}

#[derive(Debug)]
struct Subscriber {
    id: u64,
    filter: LiveFilter,
    sender: mpsc::Sender<LiveEvent>,
    lagged: bool,
}

/// The process's live values: its listeners, and what others listen to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bus: Bus,
    subscribers: Mutex<HashMap<TenantKey, Vec<Subscriber>>>,
    interest: Mutex<HashMap<TenantKey, Instant>>,
    next_id: AtomicU64,
}

/// A stream of live events; dropping it ends it.
#[derive(Debug)]
pub struct Stream {
    live: Live,
    tenant: TenantKey,
    id: u64,
    receiver: mpsc::Receiver<LiveEvent>,
}

impl Stream {
    /// The next event; `None` when the process stops.
    pub async fn next(&mut self) -> Option<LiveEvent> {
        self.receiver.recv().await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut subscribers = lock(&self.live.0.subscribers);
        if let Some(of_tenant) = subscribers.get_mut(&self.tenant) {
            of_tenant.retain(|subscriber| subscriber.id != self.id);
            if of_tenant.is_empty() {
                subscribers.remove(&self.tenant);
            }
        }
    }
}

impl Live {
    /// Live values over `bus`.
    pub fn new(bus: Bus) -> Self {
        Self(Arc::new(Inner {
            bus,
            subscribers: Mutex::default(),
            interest: Mutex::default(),
            next_id: AtomicU64::new(1),
        }))
    }

    /// Opens a stream of what happens in `tenant` from now on.
    ///
    /// # Errors
    /// [`TooManyListeners`] where the process serves its limit.
    pub async fn subscribe(&self, tenant: TenantKey, filter: LiveFilter) -> Result<Stream, TooManyListeners> {
        let (sender, receiver) = mpsc::channel(LISTENER_BUFFER);
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        {
            let mut subscribers = lock(&self.0.subscribers);
            if subscribers.values().map(Vec::len).sum::<usize>() >= MAX_LISTENERS {
                return Err(TooManyListeners);
            }
            subscribers.entry(tenant).or_default().push(Subscriber { id, filter, sender, lagged: false });
        }
        self.say_interest(vec![tenant]).await;
        Ok(Stream { live: self.clone(), tenant, id, receiver })
    }

    /// Whether anybody looks at `tenant`; if not, its events need not be made.
    pub fn wanted(&self, tenant: TenantKey) -> bool {
        lock(&self.0.interest).get(&tenant).is_some_and(|heard| heard.elapsed() < INTEREST_FOR)
    }

    /// Sends events to whoever looks at `tenant`.
    pub async fn publish(&self, tenant: TenantKey, events: Vec<LiveEvent>) {
        if events.is_empty() || !self.wanted(tenant) {
            return;
        }
        match serde_json::to_vec(&Packet { tenant, events }) {
            Ok(body) => self.0.bus.publish(Topic::Live, Bytes::from(body)).await,
            Err(error) => tracing::error!(%error, "live values could not be written"),
        }
    }

    /// Carries events and interest over the bus until `stop`.
    ///
    /// # Errors
    /// Where the bus cannot be subscribed to.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), BusError> {
        let mut events = self.0.bus.subscribe(Topic::Live).await?;
        let mut interest = self.0.bus.subscribe(Topic::Interest).await?;
        let mut repeat = tokio::time::interval(INTEREST_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    lock(&self.0.subscribers).clear();
                    return Ok(());
                }
                Some(body) = events.recv() => self.deliver(&body),
                Some(body) = interest.recv() => self.hear_interest(&body),
                _ = repeat.tick() => {
                    let tenants = lock(&self.0.subscribers).keys().copied().collect();
                    self.say_interest(tenants).await;
                }
            }
        }
    }

    async fn say_interest(&self, tenants: Vec<TenantKey>) {
        if tenants.is_empty() {
            return;
        }
        // This process may be the worker too, and should not wait for the bus to hear itself.
        self.note_interest(&tenants);
        if let Ok(body) = serde_json::to_vec(&tenants) {
            self.0.bus.publish(Topic::Interest, Bytes::from(body)).await;
        }
    }

    fn hear_interest(&self, body: &[u8]) {
        match serde_json::from_slice::<Vec<TenantKey>>(body) {
            Ok(tenants) => self.note_interest(&tenants),
            Err(error) => tracing::warn!(%error, "a note of interest in live values could not be read"),
        }
    }

    fn note_interest(&self, tenants: &[TenantKey]) {
        let now = Instant::now();
        let mut interest = lock(&self.0.interest);
        interest.retain(|_, heard| heard.elapsed() < INTEREST_FOR);
        interest.extend(tenants.iter().map(|&tenant| (tenant, now)));
    }

    fn deliver(&self, body: &[u8]) {
        let packet: Packet = match serde_json::from_slice(body) {
            Ok(packet) => packet,
            Err(error) => return tracing::warn!(%error, "live values could not be read"),
        };
        let mut subscribers = lock(&self.0.subscribers);
        for subscriber in subscribers.get_mut(&packet.tenant).into_iter().flatten() {
            for event in &packet.events {
                subscriber.offer(event);
            }
        }
    }
}

impl Subscriber {
    /// Gives the event, or, after the buffer was full, first a [`LiveEvent::Reload`] in place of what was lost.
    fn offer(&mut self, event: &LiveEvent) {
        if !self.filter.wants(event) {
            return;
        }
        if self.lagged && self.sender.try_send(LiveEvent::Reload).is_ok() {
            self.lagged = false;
        }
        if self.lagged || self.sender.try_send(event.clone()).is_err() {
            self.lagged = true;
        }
    }
}

/// The maps stay whole whatever panics, so a poisoned lock is still good.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(device: &str, value: i64) -> LiveEvent {
        let values = Map::from_iter([("v".to_owned(), Value::from(value))]);
        LiveEvent::Telemetry { device: DeviceId::parse(device).expect("an id"), timestamp_ms: value, values }
    }

    #[test]
    fn a_lagging_listener_is_told_to_reload_and_then_goes_on() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut subscriber = Subscriber { id: 1, filter: LiveFilter::All, sender, lagged: false };
        (1..=4).for_each(|value| subscriber.offer(&telemetry("a", value)));
        assert_eq!(receiver.try_recv().ok(), Some(telemetry("a", 1)));
        assert_eq!(receiver.try_recv().ok(), Some(telemetry("a", 2)));
        subscriber.offer(&telemetry("a", 5));
        assert_eq!(receiver.try_recv().ok(), Some(LiveEvent::Reload));
        assert_eq!(receiver.try_recv().ok(), Some(telemetry("a", 5)));
    }

    #[test]
    fn a_filter_keeps_other_devices_out_but_not_alerts() {
        let filter = LiveFilter::Devices([DeviceId::parse("a").expect("an id")].into());
        assert!(filter.wants(&telemetry("a", 1)));
        assert!(!filter.wants(&telemetry("b", 1)));
        assert!(filter.wants(&LiveEvent::Reload));
    }
}

//! How much a device and a tenant may do in a second at one process (`iot-hub-wire.md` §9): first they are slowed, and
//! only whoever would wait too long is refused.
//!
//! A bucket is one number, the time at which it is empty of debts; taking from it is a compare-and-swap. Buckets of devices
//! are kept while the device is connected, and after that until they are full again.

use metrics::{Counter, counter};
use muster_model::{DeviceKey, TenantKey};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Nobody is made to wait for longer; more is refused.
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Buckets of devices that are kept.
const MAX_DEVICES: usize = 200_000;
/// How often those that are full again are looked for, when there are as many as that.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SECOND: u64 = 1_000_000_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Telemetry.
    Messages,
    /// Connections.
    Connects,
    /// Reported properties.
    TwinWrites,
    /// Requests of services.
    Calls,
}

const KINDS: usize = 4;

/// How many in a second; 0 = as many as come. What was not used in the last second may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Telemetry messages.
    pub messages: u32,
    /// Connections.
    pub connects: u32,
    /// Patches of reported properties.
    pub twin_writes: u32,
    /// Requests of services; devices make none.
    pub calls: u32,
}

impl Rates {
    fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Messages => self.messages,
            Kind::Connects => self.connects,
            Kind::TwinWrites => self.twin_writes,
            Kind::Calls => self.calls,
        }
    }
}

/// The sender would have to wait for too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many {what} in a second")]
pub(crate) struct Throttled {
    what: &'static str,
}

/// The limits of a process.
pub(crate) struct Limits {
    device: Rates,
    tenant: Rates,
    start: Instant,
    /// Tenants are few, and real: who has proven nothing has no bucket.
    tenants: Mutex<HashMap<TenantKey, Arc<Buckets>>>,
    devices: Mutex<Devices>,
    delayed: [Counter; KINDS],
    refused: [Counter; KINDS],
}

struct Devices {
    buckets: HashMap<DeviceKey, Arc<Buckets>>,
    swept: Instant,
}

/// When each bucket is empty of debts, in nanoseconds since the start.
#[derive(Default)]
struct Buckets([AtomicU64; KINDS]);

/// What one device, or a tenant's services, share with their tenant.
#[derive(Clone)]
pub(crate) struct Share {
    limits: Arc<Limits>,
    device: Option<Arc<Buckets>>,
    tenant: Arc<Buckets>,
}

impl Limits {
    pub(crate) fn new(device: Rates, tenant: Rates) -> Self {
        let start = Instant::now();
        let names = ["messages", "connects", "twinWrites", "calls"];
        Self {
            device,
            tenant,
            start,
            tenants: Mutex::default(),
            devices: Mutex::new(Devices { buckets: HashMap::new(), swept: start }),
            delayed: names.map(|what| counter!("muster_hub_throttled_total", "what" => what, "how" => "delayed")),
            refused: names.map(|what| counter!("muster_hub_throttled_total", "what" => what, "how" => "refused")),
        }
    }

    /// What the tenant as a whole may do.
    pub(crate) fn of_tenant(self: &Arc<Self>, tenant: TenantKey) -> Share {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = Arc::clone(tenants.entry(tenant).or_default());
        Share { limits: Arc::clone(self), device: None, tenant }
    }

    /// What the device may do, or one of its modules.
    pub(crate) fn of_device(self: &Arc<Self>, tenant: TenantKey, device: DeviceKey) -> Share {
        let own = self.devices.lock().unwrap_or_else(PoisonError::into_inner).get(device, self.start);
        Share { device: Some(own), ..self.of_tenant(tenant) }
    }
}

impl Devices {
    fn get(&mut self, device: DeviceKey, start: Instant) -> Arc<Buckets> {
        if let Some(known) = self.buckets.get(&device) {
            return Arc::clone(known);
        }
        let now = Instant::now();
        if self.buckets.len() >= MAX_DEVICES && now >= self.swept + SWEEP_EVERY {
            self.swept = now;
            let now = nanos(start, now);
            self.buckets.retain(|_, buckets| Arc::strong_count(buckets) > 1 || !buckets.are_full(now));
        }
        let new = Arc::<Buckets>::default();
        // Without room the device has its own bucket as long as it is connected, and a full one the next time.
        if self.buckets.len() < MAX_DEVICES {
            self.buckets.insert(device, Arc::clone(&new));
        }
        new
    }
}

impl Buckets {
    fn are_full(&self, now: u64) -> bool {
        self.0.iter().all(|bucket| bucket.load(Ordering::Relaxed) <= now)
    }

    /// Takes `count`, and says how long to wait before they are due; `None` where that is too long, and nothing is taken.
    fn take(&self, kind: Kind, (per_second, count): (u32, u32), now: u64) -> Option<Duration> {
        if per_second == 0 {
            return Some(Duration::ZERO);
        }
        let cost = u64::from(count) * (SECOND / u64::from(per_second)).max(1);
        let mut wait = 0;
        let taken = self.0[kind as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty| {
            let empty = empty.max(now) + cost;
            // A bucket holds what is due in a second, and at least as much as is asked for at once.
            wait = (empty - now).saturating_sub(cost.max(SECOND));
            (wait <= MAX_DELAY.as_nanos() as u64).then_some(empty)
        });
        taken.ok().map(|_| Duration::from_nanos(wait))
    }
}

impl Share {
    /// Counts so many, and says how long the sender is to wait.
    pub(crate) fn take(&self, kind: Kind, count: u32, now: Instant) -> Result<Duration, Throttled> {
        let Limits { device, tenant, start, delayed, refused, .. } = &*self.limits;
        let now = nanos(*start, now);
        let own =
            self.device.as_ref().map_or(Some(Duration::ZERO), |own| own.take(kind, (device.of(kind), count), now));
        let all = own.and_then(|own| Some(own.max(self.tenant.take(kind, (tenant.of(kind), count), now)?)));
        match all {
            Some(Duration::ZERO) => Ok(Duration::ZERO),
            Some(wait) => {
                delayed[kind as usize].increment(1);
                Ok(wait)
            }
            None => {
                refused[kind as usize].increment(1);
                Err(Throttled { what: kind.name() })
            }
        }
    }

    /// Counts so many, and waits until they are due.
    pub(crate) async fn pass(&self, kind: Kind, count: u32) -> Result<(), Throttled> {
        let wait = self.take(kind, count, Instant::now())?;
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(())
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Connects => "connects",
            Self::TwinWrites => "changes of the twin",
            Self::Calls => "requests",
        }
    }
}

fn nanos(start: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(start).as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(device: u32, tenant: u32) -> Arc<Limits> {
        let rates = |messages| Rates { messages, ..Rates::default() };
        Arc::new(Limits::new(rates(device), rates(tenant)))
    }

    #[test]
    fn a_second_passes_at_once_then_the_sender_waits_and_is_refused_last() {
        let limits = limits(10, 0);
        let share = limits.of_device(TenantKey(1), DeviceKey(1));
        let take = |at: Duration| share.take(Kind::Messages, 1, limits.start + at);
        for _ in 0..10 {
            assert_eq!(take(Duration::ZERO), Ok(Duration::ZERO));
        }
        for tenths in 1..=50 {
            assert_eq!(take(Duration::ZERO), Ok(Duration::from_millis(100 * tenths)));
        }
        assert!(take(Duration::ZERO).is_err(), "no one waits for longer than {MAX_DELAY:?}");
        assert!(take(Duration::ZERO).is_err(), "who is refused owes nothing");
        assert_eq!(take(Duration::from_millis(100)), Ok(Duration::from_secs(5)));
        assert_eq!(take(Duration::from_secs(60)), Ok(Duration::ZERO), "it fills with time");
        assert_eq!(share.take(Kind::Connects, 1_000_000, limits.start), Ok(Duration::ZERO), "0 is no limit");
    }

    #[test]
    fn devices_share_their_tenants_and_nobody_elses() {
        let limits = limits(0, 2);
        let now = limits.start;
        let [first, second] = [1, 2].map(|device| limits.of_device(TenantKey(1), DeviceKey(device)));
        assert_eq!(first.take(Kind::Messages, 2, now), Ok(Duration::ZERO));
        assert_eq!(second.take(Kind::Messages, 1, now), Ok(Duration::from_millis(500)));
        let stranger = limits.of_device(TenantKey(2), DeviceKey(3));
        assert_eq!(stranger.take(Kind::Messages, 1, now), Ok(Duration::ZERO));
        assert_eq!(
            stranger.take(Kind::Messages, 5, now),
            Ok(Duration::from_millis(500)),
            "many at once are taken as one"
        );
    }

    #[test]
    fn a_device_that_comes_again_finds_its_bucket() {
        let limits = limits(1, 0);
        let of = || limits.of_device(TenantKey(1), DeviceKey(1));
        assert_eq!(of().take(Kind::Messages, 1, limits.start), Ok(Duration::ZERO));
        assert_eq!(of().take(Kind::Messages, 1, limits.start), Ok(Duration::from_secs(1)));
    }
}

//! What was measured.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Histograms, so that devices on several threads seldom wait for each other.
const SHARDS: usize = 16;
/// Latencies beyond this count as this.
const LONGEST: Duration = Duration::from_secs(600);
/// Kinds of errors that are told apart.
const MAX_ERRORS: usize = 50;

/// The outcome of a load.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// Devices that were connected when the load began.
    pub connected: usize,
    /// How long it took until they all were.
    pub connect_seconds: f64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that the server acknowledged.
    pub acknowledged: u64,
    /// From the first message to the last acknowledgement.
    pub seconds: f64,
    /// `acknowledged` by `seconds`.
    pub acknowledged_per_second: f64,
    /// Half of the acknowledgements took no longer, in milliseconds; under a rate limit from when it was due.
    pub latency_p50_ms: f64,
    /// Nine of ten took no longer.
    pub latency_p90_ms: f64,
    /// 99 of 100 took no longer.
    pub latency_p99_ms: f64,
    /// The longest.
    pub latency_max_ms: f64,
    /// What failed, and how often.
    pub errors: BTreeMap<String, u64>,
}

/// Counts while devices run.
pub(crate) struct Totals {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    last_ack_micros: AtomicU64,
    latencies: [Mutex<Histogram<u64>>; SHARDS],
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Totals {
    pub(crate) fn new() -> Result<Self> {
        let mut latencies = Vec::with_capacity(SHARDS);
        for _ in 0..SHARDS {
            latencies.push(Mutex::new(histogram()?));
        }
        let latencies = latencies.try_into().map_err(|_| anyhow::anyhow!("histograms"))?;
        let (sent, acknowledged, last_ack_micros) = Default::default();
        Ok(Self { sent, acknowledged, last_ack_micros, latencies, errors: Mutex::default() })
    }

    pub(crate) fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts acknowledgements that came just now, of messages that were due at these times.
    pub(crate) fn acknowledged(&self, device: usize, start: Instant, due: impl ExactSizeIterator<Item = Instant>) {
        let now = Instant::now();
        self.acknowledged.fetch_add(due.len() as u64, Ordering::Relaxed);
        self.last_ack_micros.fetch_max(micros(now.saturating_duration_since(start)), Ordering::Relaxed);
        let Some(shard) = self.latencies.get(device % SHARDS) else { return };
        let mut latencies = lock(shard);
        for due in due {
            latencies.saturating_record(micros(now.saturating_duration_since(due)));
        }
    }

    pub(crate) fn failed(&self, error: &anyhow::Error) {
        let mut errors = lock(&self.errors);
        let kind = format!("{error:#}");
        let kind = if errors.len() < MAX_ERRORS || errors.contains_key(&kind) { kind } else { "other".to_owned() };
        *errors.entry(kind).or_default() += 1;
    }

    /// Sent and acknowledged so far.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.acknowledged.load(Ordering::Relaxed))
    }

    pub(crate) fn report(&self, connected: usize, connecting: Duration) -> Result<LoadReport> {
        let mut latencies = histogram()?;
        for shard in &self.latencies {
            latencies.add(&*lock(shard)).context("histogram")?;
        }
        let (sent, acknowledged) = self.so_far();
        let seconds = self.last_ack_micros.load(Ordering::Relaxed) as f64 / 1e6;
        let latency_ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Ok(LoadReport {
            connected,
            connect_seconds: connecting.as_secs_f64(),
            sent,
            acknowledged,
            seconds,
            acknowledged_per_second: if seconds > 0.0 { acknowledged as f64 / seconds } else { 0.0 },
            latency_p50_ms: latency_ms(0.5),
            latency_p90_ms: latency_ms(0.9),
            latency_p99_ms: latency_ms(0.99),
            latency_max_ms: latency_ms(1.0),
            errors: lock(&self.errors).clone(),
        })
    }
}

/// Microseconds up to [`LONGEST`], to three digits.
fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, micros(LONGEST), 3).context("histogram")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

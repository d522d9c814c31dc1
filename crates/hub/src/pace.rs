//! How many new connections a second are taken.

use std::time::Duration;
use tokio::time::Instant;

/// A bucket that fills with time; each connection takes one token.
pub(crate) struct Pace {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Pace {
    /// A full bucket that holds one second's worth.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, tokens: per_second, filled: now }
    }

    /// How long until there is a token.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.filled = now;
        Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.per_second)
    }

    /// Takes a token.
    pub(crate) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_is_paced() {
        let start = Instant::now();
        let mut pace = Pace::new(10, start);
        let mut now = start;
        for _ in 0..15 {
            now += pace.wait(now);
            pace.take();
        }
        let waited = now.duration_since(start).as_millis();
        assert!((499..=501).contains(&waited), "{waited}");
        assert_eq!(pace.wait(now + Duration::from_secs(60)), Duration::ZERO);
    }
}

//! Signals that are functions of time: a smooth noise, the day's rhythm, and now and then a fault.
//!
//! They keep no state, so a back-filled history and live values join without a seam, on whatever instance they run.

use std::f64::consts::TAU;

const DAY_MS: f64 = 86_400_000.0;
/// A fault happens in one of three such spans …
const FAULT_SPAN_MS: i64 = 3 * 3_600_000;
/// … and lasts this long.
const FAULT_MS: i64 = 15 * 60_000;

/// One simulated device's source of chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub u64);

impl Seed {
    /// The seed of the device with this id: the same on every instance.
    pub(crate) fn of(text: &str) -> Self {
        // FNV-1a; the standard hasher is not the same in every process.
        Self(
            text.bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    /// An independent source for one of the device's values.
    pub(crate) fn channel(self, name: &str) -> Self {
        Self(mix(self.0 ^ Self::of(name).0))
    }

    /// A number from 0 to 1 that stays the same for `slot`.
    pub(crate) fn chance(self, slot: i64) -> f64 {
        (mix(self.0 ^ mix(slot as u64)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Smooth noise from -1 to 1 that turns about once in `period_ms`.
    pub(crate) fn noise(self, at_ms: i64, period_ms: i64) -> f64 {
        let slot = at_ms.div_euclid(period_ms);
        let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
        let smooth = part * part * (3.0 - 2.0 * part);
        let (before, after) = (self.chance(slot), self.chance(slot + 1));
        2.0 * (before + (after - before) * smooth) - 1.0
    }

    /// How bad the device's fault is at this time: 0 for none, up to 1.
    pub(crate) fn fault(self, at_ms: i64) -> f64 {
        let source = self.channel("fault");
        let span = at_ms.div_euclid(FAULT_SPAN_MS);
        if source.chance(span * 2) > 1.0 / 3.0 {
            return 0.0;
        }
        let start = (source.chance(span * 2 + 1) * (FAULT_SPAN_MS - FAULT_MS) as f64) as i64;
        let since = at_ms.rem_euclid(FAULT_SPAN_MS) - start;
        if (0..FAULT_MS).contains(&since) { (since as f64 / FAULT_MS as f64 * TAU / 2.0).sin() } else { 0.0 }
    }
}

/// The day as a wave: 1 in the early afternoon, -1 at night.
pub(crate) fn daylight(at_ms: i64) -> f64 {
    ((hour(at_ms) - 8.0) / 24.0 * TAU).sin()
}

/// The hour of the day (UTC), with its fraction.
pub(crate) fn hour(at_ms: i64) -> f64 {
    at_ms.rem_euclid(DAY_MS as i64) as f64 / DAY_MS * 24.0
}

/// `value` with this many decimals, as a sensor gives it.
pub(crate) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}

/// SplitMix64's finalizer.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_smooth_bounded_and_the_same_again() {
        let seed = Seed::of("pump-1");
        for step in 0..2_000 {
            let at = 1_700_000_000_000 + step * 1_000;
            let (now, next) = (seed.noise(at, 60_000), seed.noise(at + 1_000, 60_000));
            assert!((-1.0..=1.0).contains(&now));
            assert!((now - next).abs() < 0.1, "{now} {next}");
            assert!((now - Seed::of("pump-1").noise(at, 60_000)).abs() < f64::EPSILON);
        }
        assert_ne!(Seed::of("pump-1"), Seed::of("pump-2"));
    }

    #[test]
    fn faults_come_and_go() {
        let minutes = 60 * 24 * 7;
        let bad = |seed: Seed| (0..minutes).filter(|minute| seed.fault(minute * 60_000) > 0.5).count();
        for name in ["a", "b", "c"] {
            let share = bad(Seed::of(name)) as f64 / minutes as f64;
            assert!((0.002..0.1).contains(&share), "{name}: {share}");
        }
    }
}

//! Where an axis gets its marks, and what they say.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// The marks of a value axis, and the span that they cover.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueTicks {
    /// Marks from the lowest to the highest; the first and last are the ends of the axis.
    pub values: Vec<f64>,
    /// Distance between two marks.
    pub step: f64,
}

/// One mark of a time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeTick {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// What stands under the mark, in the zone asked for.
    pub label: String,
}

/// Values are kept within this, so that no difference of two overflows.
const LARGEST: f64 = 1e300;

/// About `wanted` marks on round numbers (1, 2 or 5 times a power of ten) that enclose `low` to `high`.
pub fn value_ticks(low: f64, high: f64, wanted: usize) -> ValueTicks {
    let (low, high) = widened(low, high);
    let step = round_step((high - low) / wanted.max(1) as f64);
    let first = (low / step).floor();
    let last = (high / step).ceil();
    let count = (last - first).clamp(1.0, 100.0) as usize;
    let values = (0..=count).map(|index| (first + index as f64) * step);
    ValueTicks { values: values.collect(), step }
}

/// A mark's text with as many decimals as its axis needs, thousands apart.
pub fn format_tick(value: f64, step: f64) -> String {
    if value != 0.0 && (value.abs() >= 1e9 || step.abs() < 1e-6) {
        return format!("{value:.2e}");
    }
    let decimals = (-step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    let negative_zero = text.starts_with('-') && text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    let text = if negative_zero { &text[1..] } else { &text };
    group_thousands(text)
}

/// Marks on whole local times (minutes, hours, days, months), about `wanted` of them, inside `from_ms` to `to_ms`.
///
/// `utc_offset_s` is one offset for the whole axis: a change to summer time inside the span is not followed.
pub fn time_ticks(from_ms: i64, to_ms: i64, wanted: usize, utc_offset_s: i32) -> Vec<TimeTick> {
    let offset_ms = i64::from(utc_offset_s) * 1_000;
    let span_ms = to_ms.saturating_sub(from_ms);
    if span_ms <= 0 || wanted == 0 {
        return Vec::new();
    }
    let step = time_step(span_ms / wanted as i64);
    let Some(mut local) = local_time(from_ms, offset_ms).and_then(|time| step.floor(time)) else {
        return Vec::new();
    };
    let mut ticks = Vec::new();
    while ticks.len() < 200 {
        let at_ms = local.and_utc().timestamp_millis() - offset_ms;
        if at_ms > to_ms {
            break;
        }
        if at_ms >= from_ms {
            let label = step.label(local);
            ticks.push(TimeTick { at_ms, label });
        }
        match step.after(local) {
            Some(next) => local = next,
            None => break,
        }
    }
    ticks
}

#[derive(Clone, Copy)]
enum TimeStep {
    Seconds(i64),
    Days(u64),
    Months(u32),
}

const DAY_S: i64 = 86_400;

/// The smallest step of our list that is at least this long.
fn time_step(at_least_ms: i64) -> TimeStep {
    const SECONDS: [i64; 17] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200];
    let at_least_s = at_least_ms as f64 / 1_000.0;
    if let Some(step) = SECONDS.into_iter().find(|step| *step as f64 >= at_least_s) {
        return TimeStep::Seconds(step);
    }
    let days = at_least_s / DAY_S as f64;
    if let Some(step) = [1, 2, 7, 14].into_iter().find(|step| *step as f64 >= days) {
        return TimeStep::Days(step);
    }
    let months = days / 30.0;
    let step = [1, 2, 3, 6, 12, 24, 60, 120, 600].into_iter().find(|step| f64::from(*step) >= months);
    TimeStep::Months(step.unwrap_or(1_200))
}

impl TimeStep {
    /// The last mark at or before this time.
    fn floor(self, time: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            TimeStep::Seconds(step) => {
                let second = i64::from(time.num_seconds_from_midnight()) / step * step;
                let second = u32::try_from(second).ok()?;
                Some(time.date().and_time(NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?))
            }
            TimeStep::Days(step) => {
                // Counted from a Monday, so that weekly marks stand on Mondays.
                let monday = NaiveDate::from_ymd_opt(1970, 1, 5)?;
                let days = (time.date() - monday).num_days().rem_euclid(i64::try_from(step).ok()?);
                let date = time.date().checked_sub_days(Days::new(u64::try_from(days).ok()?))?;
                Some(date.and_time(NaiveTime::MIN))
            }
            TimeStep::Months(step) => {
                let month = time.year() * 12 + i32::try_from(time.month0()).ok()?;
                let month = month - month.rem_euclid(i32::try_from(step).ok()?);
                let month0 = u32::try_from(month.rem_euclid(12)).ok()?;
                let date = NaiveDate::from_ymd_opt(month.div_euclid(12), month0 + 1, 1)?;
                Some(date.and_time(NaiveTime::MIN))
            }
        }
    }

    fn after(self, time: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            TimeStep::Seconds(step) => time.checked_add_signed(chrono::TimeDelta::seconds(step)),
            TimeStep::Days(step) => time.checked_add_days(Days::new(step)),
            TimeStep::Months(step) => time.checked_add_months(Months::new(step)),
        }
    }

    fn label(self, time: NaiveDateTime) -> String {
        let midnight = time.num_seconds_from_midnight() == 0;
        let pattern = match self {
            TimeStep::Seconds(_) if midnight => "%-d %b",
            TimeStep::Seconds(step) if step < 60 => "%H:%M:%S",
            TimeStep::Seconds(_) => "%H:%M",
            TimeStep::Days(_) => "%-d %b",
            TimeStep::Months(step) if step >= 12 || time.month() == 1 => "%Y",
            TimeStep::Months(_) => "%b",
        };
        time.format(pattern).to_string()
    }
}

fn local_time(at_ms: i64, offset_ms: i64) -> Option<NaiveDateTime> {
    let local = DateTime::from_timestamp_millis(at_ms.checked_add(offset_ms)?)?;
    Some(local.naive_utc())
}

/// An ordered, finite span that is not empty.
fn widened(low: f64, high: f64) -> (f64, f64) {
    if low.is_nan() || high.is_nan() {
        return (0.0, 1.0);
    }
    let low = low.clamp(-LARGEST, LARGEST);
    let high = high.clamp(-LARGEST, LARGEST);
    let (low, high) = if low <= high { (low, high) } else { (high, low) };
    let smallest = (low.abs().max(high.abs()) * 1e-9).max(1e-9);
    if high - low >= smallest {
        return (low, high);
    }
    let room = if low == 0.0 { 1.0 } else { low.abs() * 0.05 };
    (low - room, high + room)
}

fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let share = raw / power;
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| share <= *factor + 1e-9);
    factor.unwrap_or(10.0) * power
}

fn group_thousands(text: &str) -> String {
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped.push_str(fraction);
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_marks_are_round_and_enclose_the_data() {
        let cases: [(f64, f64, &[f64]); 5] = [
            (3.2, 24.9, &[0.0, 5.0, 10.0, 15.0, 20.0, 25.0]),
            (-4.0, 4.0, &[-4.0, -2.0, 0.0, 2.0, 4.0]),
            (0.0, 1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            (990.0, 1010.0, &[990.0, 995.0, 1000.0, 1005.0, 1010.0]),
            (0.0, 0.0, &[-1.0, -0.5, 0.0, 0.5, 1.0]),
        ];
        for (low, high, expected) in cases {
            let values = value_ticks(low, high, 5).values;
            let close = values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(close && values.len() == expected.len(), "{low}..{high}: {values:?}");
        }
    }

    #[test]
    fn value_marks_survive_odd_input() {
        for (low, high) in [
            (f64::NAN, 1.0),
            (f64::NEG_INFINITY, f64::INFINITY),
            (5.0, 5.0),
            (9.0, 1.0),
            (1e300, 1e300),
            (f64::MIN_POSITIVE, f64::MIN_POSITIVE),
        ] {
            let ticks = value_ticks(low, high, 5);
            assert!(ticks.values.len() >= 2, "{low}..{high}");
            assert!(ticks.values.iter().all(|value| value.is_finite()), "{low}..{high}: {ticks:?}");
        }
    }

    #[test]
    fn value_labels() {
        let cases = [
            (0.0, 5.0, "0"),
            (-0.0, 5.0, "0"),
            (0.30000000000000004, 0.1, "0.3"),
            (1_200_000.0, 100_000.0, "1,200,000"),
            (-12_500.0, 500.0, "-12,500"),
            (0.025, 0.005, "0.025"),
            (3e12, 1e12, "3.00e12"),
        ];
        for (value, step, expected) in cases {
            assert_eq!(format_tick(value, step), expected);
        }
    }

    fn labels(from: &str, to: &str, wanted: usize, offset_s: i32) -> Vec<String> {
        let parse = |text: &str| text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_millis();
        let ticks = time_ticks(parse(from), parse(to), wanted, offset_s);
        ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn time_marks_stand_on_whole_local_times() {
        let cases: [(&str, &str, usize, i32, &[&str]); 7] = [
            (
                "2026-11-22T10:00:03Z",
                "2026-11-22T10:01:00Z",
                6,
                0,
                &["10:00:10", "10:00:20", "10:00:30", "10:00:40", "10:00:50", "10:01:00"],
            ),
            ("2026-11-22T09:07:00Z", "2026-11-22T10:07:00Z", 4, 0, &["09:15", "09:30", "09:45", "10:00"]),
            (
                "2026-11-21T19:40:00Z",
                "2026-11-22T19:40:00Z",
                8,
                0,
                &["21:00", "22 Nov", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00"],
            ),
            ("2026-11-21T19:40:00Z", "2026-11-22T07:40:00Z", 4, 3_600, &["21:00", "22 Nov", "03:00", "06:00"]),
            (
                "2026-11-15T12:00:00Z",
                "2026-11-22T12:00:00Z",
                7,
                0,
                &["16 Nov", "17 Nov", "18 Nov", "19 Nov", "20 Nov", "21 Nov", "22 Nov"],
            ),
            ("2026-10-23T12:00:00Z", "2026-11-22T12:00:00Z", 5, 0, &["26 Oct", "2 Nov", "9 Nov", "16 Nov"]),
            ("2025-10-01T00:00:00Z", "2026-06-02T00:00:00Z", 5, 0, &["Nov", "2026", "Mar", "May"]),
        ];
        for (from, to, wanted, offset_s, expected) in cases {
            assert_eq!(labels(from, to, wanted, offset_s), expected, "{from} to {to}");
        }
    }

    #[test]
    fn time_marks_survive_odd_input() {
        assert!(time_ticks(5, 5, 6, 0).is_empty());
        assert!(time_ticks(9, 5, 6, 0).is_empty());
        assert!(time_ticks(i64::MIN, i64::MAX, 6, 0).is_empty());
        assert!(time_ticks(0, 1_000, 0, 0).is_empty());
    }
}

//! Times, numbers and names as people read them. Pure: the time now and the zone are arguments.

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

/// How long ago something was, in the words of the whole app: `just now`, `18 s ago`, `11 min ago`, `3 h ago`, `2 d ago`.
pub fn ago(then_ms: i64, now_ms: i64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1_000;
    match seconds {
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A span in words: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub fn span(span_ms: i64) -> String {
    let seconds = span_ms.max(0) / 1_000;
    let pair = |large: i64, large_unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A moment in the reader's zone: `22 Nov, 19:42:51`; with the year when it is not this one.
pub fn moment(at_ms: i64, now_ms: i64, utc_offset_s: i32) -> String {
    let local = |ms: i64| {
        let offset = FixedOffset::east_opt(utc_offset_s)?;
        Some(DateTime::from_timestamp_millis(ms)?.with_timezone(&offset))
    };
    let (Some(at), Some(now)) = (local(at_ms), local(now_ms)) else { return "—".to_owned() };
    let pattern = if at.format("%Y").to_string() == now.format("%Y").to_string() {
        "%-d %b, %H:%M:%S"
    } else {
        "%-d %b %Y, %H:%M"
    };
    at.format(pattern).to_string()
}

/// A number with as many decimals as its size deserves, thousands apart: `0.0123`, `5.28`, `101.3`, `128,466`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "—".to_owned();
    }
    let size = value.abs();
    if size >= 1e12 || (size > 0.0 && size < 1e-4) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        1_000.0.. => 0,
        100.0.. => 1,
        1.0.. => 2,
        _ => 4,
    };
    let fixed = format!("{value:.decimals$}");
    // Whole numbers need no decimals; others keep theirs, so that a changing value does not dance.
    let whole = fixed.split_once('.').filter(|(_, decimals)| size >= 1.0 && decimals.chars().all(|digit| digit == '0'));
    let short = match whole {
        Some((whole, _)) => whole,
        None if size < 1.0 && fixed.contains('.') => fixed.trim_end_matches('0').trim_end_matches('.'),
        None => &fixed,
    };
    let short = if short == "-0" { "0" } else { short };
    group_thousands(short)
}

/// A number with its unit: `5.28 °C`, with as many decimals as the template says or as its size deserves.
pub fn measured(value: f64, unit: &str, decimals: Option<u8>) -> String {
    let number = match decimals {
        Some(decimals) if value.is_finite() => group_thousands(&format!("{value:.*}", usize::from(decimals.min(6)))),
        _ => number(value),
    };
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// A count with its word: `1 device`, `12 devices`.
pub fn counted(count: usize, singular: &str, plural: &str) -> String {
    format!("{} {}", group_thousands(&count.to_string()), if count == 1 { singular } else { plural })
}

/// How long a file is: `512 B`, `1.5 KB`, `20.1 MB`; a thousand bytes are a kilobyte.
pub fn bytes(count: u64) -> String {
    let mut units = ["KB", "MB", "GB", "TB"].into_iter();
    if count < 1_000 {
        return format!("{count} B");
    }
    let (mut size, mut unit) = (count as f64 / 1_000.0, units.next().unwrap_or_default());
    // 999.95 would be written as 1000.0.
    while size >= 999.95
        && let Some(next) = units.next()
    {
        (size, unit) = (size / 1_000.0, next);
    }
    format!("{size:.1} {unit}")
}

/// A telemetry or property value on one line.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "—".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(digits) => digits.as_f64().map_or_else(|| digits.to_string(), number),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// An id cut in the middle, as it is told apart by both ends: `01a204…3ee09e`.
pub fn short_id(id: &str) -> String {
    let letters: Vec<char> = id.chars().collect();
    if letters.len() <= 20 {
        return id.to_owned();
    }
    let head: String = letters[..8].iter().collect();
    let tail: String = letters[letters.len() - 6..].iter().collect();
    format!("{head}…{tail}")
}

/// Up to two letters that stand for a person.
pub fn initials(name: &str) -> String {
    let words = name.split(['@', '.', ' ', '-', '_']).filter(|word| !word.is_empty());
    let letters: String = words.take(2).filter_map(|word| word.chars().next()).collect();
    letters.to_uppercase()
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
    grouped + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND_MS: i64 = 1_000;
    const DAY_MS: i64 = 86_400 * SECOND_MS;

    #[test]
    fn lengths_of_files() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_500, "1.5 KB"),
            (999_949, "999.9 KB"),
            (999_950, "1.0 MB"),
            (20_100_000, "20.1 MB"),
            (5_000_000_000_000_000, "5000.0 TB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn ages() {
        let cases = [
            (-5_000, "just now"),
            (4_999, "just now"),
            (18_000, "18 s ago"),
            (11 * 60_000 + 59_000, "11 min ago"),
            (3_600_000, "1 h ago"),
            (2 * DAY_MS, "2 d ago"),
        ];
        for (age_ms, expected) in cases {
            assert_eq!(ago(0, age_ms), expected);
        }
    }

    #[test]
    fn spans() {
        for (span_ms, expected) in
            [(45_000, "45 s"), (3_600_000, "1 h"), (11_100_000, "3 h 5 min"), (2 * DAY_MS + 3_600_000, "2 d 1 h")]
        {
            assert_eq!(span(span_ms), expected);
        }
    }

    #[test]
    fn moments_are_local_and_name_another_year() {
        let now_ms = 1_795_376_571_000;
        assert_eq!(moment(now_ms, now_ms, 3_600), "22 Nov, 20:42:51");
        assert_eq!(moment(now_ms - 400 * DAY_MS, now_ms, 0), "18 Oct 2025, 19:42");
        assert_eq!(moment(i64::MAX, now_ms, 0), "—");
    }

    #[test]
    fn numbers() {
        let cases = [
            (0.0, "0"),
            (-0.00001, "-1.00e-5"),
            (0.01234, "0.0123"),
            (5.0, "5"),
            (5.279, "5.28"),
            (2.3, "2.30"),
            (0.5, "0.5"),
            (101.34, "101.3"),
            (128_466.4, "128,466"),
            (-1_234_567.0, "-1,234,567"),
            (3.2e15, "3.20e15"),
            (f64::NAN, "—"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(measured(5.28, "°C", None), "5.28 °C");
        assert_eq!(measured(3.0, "", None), "3");
        assert_eq!(measured(1234.56, "rpm", Some(1)), "1,234.6 rpm");
    }

    #[test]
    fn counts_ids_and_names() {
        assert_eq!(counted(1, "device", "devices"), "1 device");
        assert_eq!(counted(12_000, "device", "devices"), "12,000 devices");
        assert_eq!(short_id("press-7"), "press-7");
        assert_eq!(short_id("01a204c8-6a84-731f-b2ab-40fe571a1b61"), "01a204c8…1a1b61");
        assert_eq!(initials("admin@demo.local"), "AD");
        assert_eq!(initials("Ada"), "A");
    }

    #[test]
    fn values() {
        for (given, expected) in [
            (json!(null), "—"),
            (json!(true), "yes"),
            (json!("open"), "open"),
            (json!(20.5), "20.50"),
            (json!({"lat": 1}), "{\"lat\":1}"),
        ] {
            assert_eq!(value(&given), expected);
        }
    }
}

//! What a tile computes from telemetry. Pure.

use muster_contract::dashboard::{Aggregate, TileRange};
use muster_contract::telemetry::{LatestValues, Point, Series};
use serde_json::Value;

use crate::geo::Place;
use crate::series::Range;

/// How far back a tile looks, as the charts say it.
pub fn range_of(range: TileRange) -> Range {
    match range {
        TileRange::HalfHour => Range::HalfHour,
        TileRange::Hour => Range::Hour,
        TileRange::HalfDay => Range::HalfDay,
        TileRange::Day => Range::Day,
        TileRange::Week => Range::Week,
        TileRange::Month => Range::Month,
    }
}

/// All buckets folded into one number; `None` where there are no values.
pub fn fold<'a>(points: impl Iterator<Item = &'a Point> + Clone, aggregate: Aggregate) -> Option<f64> {
    let count: u64 = points.clone().map(|point| u64::from(point.count)).sum();
    let sum = || points.clone().map(|point| point.avg * f64::from(point.count)).sum::<f64>();
    match aggregate {
        Aggregate::Count => Some(count as f64),
        _ if count == 0 => None,
        Aggregate::Sum => Some(sum()),
        Aggregate::Avg => Some(sum() / count as f64),
        Aggregate::Min => points.map(|point| point.min).reduce(f64::min),
        Aggregate::Max => points.map(|point| point.max).reduce(f64::max),
    }
}

/// The name of an aggregate in a title.
pub fn aggregate_name(aggregate: Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Avg => "Average",
        Aggregate::Min => "Smallest",
        Aggregate::Max => "Largest",
        Aggregate::Sum => "Sum",
        Aggregate::Count => "Number of values",
    }
}

/// The name of a line: what tells it from the others of its chart.
pub fn line_name(series: &Series, all: &[Series]) -> String {
    let several_devices = all.iter().any(|other| other.device != series.device);
    let several_keys = all.iter().any(|other| other.key != series.key);
    match (several_devices, several_keys) {
        (true, true) => format!("{} · {}", series.device_name, series.display_name),
        (true, false) => series.device_name.clone(),
        (false, _) => series.display_name.clone(),
    }
}

/// Where a device was last: from flattened parts, or from an object. With it, when it said so.
pub fn position(values: &LatestValues, capability: &str) -> Option<(Place, i64)> {
    let at = |key: &str| values.values.get(key);
    let whole = at(capability);
    let number = |short: &str, long: &str| {
        let part = at(&format!("{capability}.{short}")).and_then(|value| value.value.as_ref()?.as_f64());
        let object = || whole?.value.as_ref();
        part.or_else(|| object()?.get(short).or_else(|| object()?.get(long)).and_then(Value::as_f64))
    };
    let place = Place::new(number("lat", "latitude")?, number("lon", "longitude")?)?;
    let time = whole.or_else(|| at(&format!("{capability}.lat")))?.timestamp?;
    Some((place, time.timestamp_millis()))
}

/// The keys that a position may be stored under.
pub fn position_keys(capability: &str) -> Vec<String> {
    vec![capability.to_owned(), format!("{capability}.lat"), format!("{capability}.lon")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn point(avg: f64, min: f64, max: f64, count: u32) -> Point {
        Point { t: 0, avg, min, max, count }
    }

    #[test]
    fn buckets_fold_by_their_weight() {
        let points = [point(10.0, 5.0, 15.0, 1), point(20.0, 18.0, 30.0, 3)];
        for (aggregate, expected) in [
            (Aggregate::Avg, 17.5),
            (Aggregate::Sum, 70.0),
            (Aggregate::Min, 5.0),
            (Aggregate::Max, 30.0),
            (Aggregate::Count, 4.0),
        ] {
            assert_eq!(fold(points.iter(), aggregate), Some(expected), "{aggregate:?}");
        }
        assert_eq!(fold([].iter(), Aggregate::Avg), None);
        assert_eq!(fold([].iter(), Aggregate::Count), Some(0.0));
    }

    fn series(device: &str, key: &str) -> Series {
        serde_json::from_value(json!({
            "device": device, "deviceName": format!("Device {device}"), "key": key, "displayName": key.to_uppercase(), "widthMs": 0, "points": []
        }))
        .unwrap()
    }

    #[test]
    fn lines_are_named_by_what_tells_them_apart() {
        let one = [series("a", "t")];
        assert_eq!(line_name(&one[0], &one), "T");
        let devices = [series("a", "t"), series("b", "t")];
        assert_eq!(line_name(&devices[1], &devices), "Device b");
        let both = [series("a", "t"), series("b", "h")];
        assert_eq!(line_name(&both[1], &both), "Device b · H");
    }

    #[test]
    fn positions_are_read_in_both_forms() {
        let time = "2026-11-22T10:00:00Z";
        let flat = json!({"device": "a", "displayName": "A", "values": {
            "place.lat": {"value": 52.5, "timestamp": time}, "place.lon": {"value": 13.4, "timestamp": time}}});
        let whole = json!({"device": "a", "displayName": "A", "values": {
            "place": {"value": {"lat": 52.5, "lon": 13.4}, "timestamp": time}}});
        for document in [flat, whole] {
            let values: LatestValues = serde_json::from_value(document).unwrap();
            let (place, at_ms) = position(&values, "place").unwrap();
            assert_eq!((place.latitude, place.longitude, at_ms), (52.5, 13.4, 1_795_341_600_000));
            assert_eq!(position(&values, "home"), None);
        }
    }
}

//! Telemetry over time as charts want it. Pure.

use muster_contract::telemetry::{Point, Series};

/// One line of a chart, before it has a colour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// The unit's symbol; empty for none.
    pub unit: String,
    /// How many decimals are shown, where the template says so.
    pub decimals: Option<u8>,
    /// Milliseconds since 1970 and the value, in order of time.
    pub points: Vec<(i64, Option<f64>)>,
}

/// How far back a chart looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// 30 minutes.
    HalfHour,
    /// An hour.
    Hour,
    /// 12 hours.
    HalfDay,
    /// A day.
    Day,
    /// A week.
    Week,
    /// 30 days.
    Month,
}

impl Range {
    /// How long it is.
    pub fn span_ms(self) -> i64 {
        const MINUTE_MS: i64 = 60_000;
        match self {
            Range::HalfHour => 30 * MINUTE_MS,
            Range::Hour => 60 * MINUTE_MS,
            Range::HalfDay => 12 * 60 * MINUTE_MS,
            Range::Day => 24 * 60 * MINUTE_MS,
            Range::Week => 7 * 24 * 60 * MINUTE_MS,
            Range::Month => 30 * 24 * 60 * MINUTE_MS,
        }
    }

    /// How often a chart of this length moves on: about once a pixel, at least every five minutes.
    pub fn step_ms(self) -> i64 {
        (self.span_ms() / 900).clamp(2_000, 300_000)
    }

    /// In words, for a title: `last 24 hours`.
    pub fn words(self) -> &'static str {
        match self {
            Range::HalfHour => "last 30 minutes",
            Range::Hour => "last hour",
            Range::HalfDay => "last 12 hours",
            Range::Day => "last 24 hours",
            Range::Week => "last 7 days",
            Range::Month => "last 30 days",
        }
    }
}

/// How many buckets a chart asks for: two pixels each are as fine as the eye sees.
pub const BUCKETS: u32 = 480;

/// A point as it is drawn: the mean of its bucket.
pub fn drawn(point: &Point) -> (i64, Option<f64>) {
    (point.t, Some(point.avg))
}

/// The points of a series.
pub fn points(series: &Series) -> Vec<(i64, Option<f64>)> {
    series.points.iter().map(drawn).collect()
}

/// The points with a gap wherever the series was silent for several times as long as is usual around there. What is
/// usual is judged nearby: a device may send rarely by night and often by day, and both have a line.
pub fn with_gaps(points: &[(i64, Option<f64>)]) -> Vec<(i64, Option<f64>)> {
    const AROUND: usize = 5;
    const SHORTEST_MS: i64 = 15_000;
    let distances: Vec<i64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let mut gapped = Vec::with_capacity(points.len());
    for (index, point) in points.iter().enumerate() {
        gapped.push(*point);
        let Some(distance) = distances.get(index).filter(|distance| **distance > SHORTEST_MS) else { continue };
        let before = &distances[index.saturating_sub(AROUND)..index];
        let after = &distances[index + 1..distances.len().min(index + 1 + AROUND)];
        let mut around: Vec<i64> = before.iter().chain(after).copied().collect();
        around.sort_unstable();
        let usual = around.get(around.len() / 2).copied().unwrap_or(*distance);
        if *distance > usual.saturating_mul(5) {
            // Both ends are marked, so that no reading in between snaps to a value on either side.
            gapped.extend([(point.0 + 1, None), (point.0 + distance - 1, None)]);
        }
    }
    gapped
}

/// Adds a value that has just arrived; one that is older than the newest is left out, as is what fell out of range.
pub fn append(line: &mut Line, at_ms: i64, value: f64, oldest_ms: i64) {
    if line.points.last().is_some_and(|(last_ms, _)| *last_ms >= at_ms) {
        return;
    }
    line.points.push((at_ms, Some(value)));
    let out = line.points.iter().take_while(|(at_ms, _)| *at_ms < oldest_ms).count();
    // One point before the range stays, so that the line begins at the edge.
    line.points.drain(..out.saturating_sub(1));
}

/// The value that stands nearest to a time, unless it is further away than `reach_ms`.
pub fn nearest(points: &[(i64, Option<f64>)], at_ms: i64, reach_ms: i64) -> Option<(i64, f64)> {
    let after = points.partition_point(|(point_ms, _)| *point_ms < at_ms);
    let around = points[after.saturating_sub(1)..points.len().min(after + 1)].iter();
    let values = around.filter_map(|(point_ms, value)| Some((*point_ms, (*value)?)));
    values
        .min_by_key(|(point_ms, _)| (point_ms - at_ms).abs())
        .filter(|(point_ms, _)| (point_ms - at_ms).abs() <= reach_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(times: &[i64]) -> Line {
        Line { points: times.iter().map(|at_ms| (*at_ms, Some(*at_ms as f64))).collect(), ..Line::default() }
    }

    fn gaps(times: &[i64]) -> Vec<i64> {
        let points: Vec<(i64, Option<f64>)> = times.iter().map(|at_s| (at_s * 1_000, Some(1.0))).collect();
        with_gaps(&points).iter().filter(|(_, value)| value.is_none()).map(|(at_ms, _)| *at_ms).collect()
    }

    #[test]
    fn silences_are_gaps_where_they_are_unusual() {
        assert_eq!(gaps(&[0, 60, 120, 900, 960, 1_020]), [120_001, 899_999]);
        assert!(gaps(&[0, 60, 120, 180, 240, 300]).is_empty(), "a device may send rarely");
        assert!(gaps(&[0, 1, 2, 12, 13, 14]).is_empty(), "some seconds are no gap");
        assert!(gaps(&[0, 600]).is_empty() && gaps(&[]).is_empty());
        let mut changing: Vec<i64> = (0..20).map(|minute| minute * 60).collect();
        changing.extend((1..40).map(|step| 19 * 60 + step * 5));
        assert!(gaps(&changing).is_empty(), "a device may begin to send more often");
    }

    #[test]
    fn live_values_are_appended_in_order_and_old_ones_fall_out() {
        let mut line = line(&[10, 20, 30]);
        append(&mut line, 25, 1.0, 0);
        assert_eq!(line.points.len(), 3);
        append(&mut line, 40, 4.0, 25);
        assert_eq!(line.points.iter().map(|point| point.0).collect::<Vec<_>>(), [20, 30, 40]);
    }

    #[test]
    fn the_nearest_value_is_found_within_reach() {
        let points = [(10, Some(1.0)), (20, None), (30, Some(3.0))];
        for (at_ms, reach_ms, expected) in [
            (11, 5, Some((10, 1.0))),
            (26, 5, Some((30, 3.0))),
            (26, 3, None),
            (99, 100, Some((30, 3.0))),
            (-5, 100, Some((10, 1.0))),
        ] {
            assert_eq!(nearest(&points, at_ms, reach_ms), expected, "{at_ms}");
        }
        assert_eq!(nearest(&[], 5, 100), None);
    }

    #[test]
    fn long_ranges_move_slowly() {
        assert_eq!(Range::HalfHour.step_ms(), 2_000);
        assert_eq!(Range::Month.step_ms(), 300_000);
    }
}

//! The sparkline: the shape of a series without axes.

use crate::svg::{Stroke, draw};
use crate::{Bounds, Color, Plot};

/// A small chart that shows only the course of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sparkline {
    /// Width of the picture in pixels.
    pub width_px: u32,
    /// Height of the picture in pixels.
    pub height_px: u32,
    /// Colour of the line; the area below is a tint of it.
    pub color: Color,
    /// Milliseconds since 1970 and the value, in order of time; `None` or a value that is no number is a gap.
    pub points: Vec<(i64, Option<f64>)>,
}

/// Draws the sparkline as an SVG text.
pub fn sparkline(spec: &Sparkline) -> String {
    draw(spec.width_px, spec.height_px, |canvas| {
        let Some(plot) = plot(spec) else { return };
        let stroke = Stroke { color: spec.color, width_px: 1.7 };
        for run in spec.points.split(|(_, value)| !value.is_some_and(f64::is_finite)) {
            let places = run.iter().filter_map(|(at_ms, value)| Some((plot.x_to_px(*at_ms), plot.y_to_px((*value)?))));
            let line: Vec<(f64, f64)> = places.collect();
            let [first, .., last] = line.as_slice() else { continue };
            let bottom = f64::from(spec.height_px);
            let mut outline = line.clone();
            outline.extend([(last.0, bottom), (first.0, bottom)]);
            canvas.area(&outline, spec.color, 0.14);
            canvas.line(&line, stroke);
        }
    })
}

fn plot(spec: &Sparkline) -> Option<Plot> {
    let finite = || spec.points.iter().filter_map(|(_, value)| value.filter(|value| value.is_finite()));
    let low = finite().reduce(f64::min)?;
    let high = finite().reduce(f64::max)?;
    let from_ms = spec.points.iter().map(|(at_ms, _)| *at_ms).min()?;
    let to_ms = spec.points.iter().map(|(at_ms, _)| *at_ms).max()?;
    // A flat line runs through the middle.
    let room = if high > low { 0.0 } else { 1.0 };
    Some(Plot {
        bounds: Bounds {
            left: 0.0,
            top: 2.0,
            right: f64::from(spec.width_px),
            bottom: f64::from(spec.height_px) - 3.0,
        },
        from_ms,
        to_ms: to_ms.max(from_ms.saturating_add(1)),
        low: low - room,
        high: high + room,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: Vec<(i64, Option<f64>)>) -> String {
        sparkline(&Sparkline { width_px: 120, height_px: 30, color: Color::hex(0x3B6CF6), points })
    }

    #[test]
    fn a_line_and_its_tint_are_drawn() {
        let svg = drawn(vec![(0, Some(1.0)), (1, Some(2.0))]);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<polygon").count()), (1, 1));
    }

    #[test]
    fn gaps_break_it_and_odd_values_do_no_harm() {
        let svg = drawn(vec![(0, Some(1.0)), (1, Some(1.0)), (2, Some(f64::NAN)), (3, Some(1.0)), (4, Some(1.0))]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        for points in [vec![], vec![(0, None)], vec![(0, Some(1.0))]] {
            assert!(drawn(points).ends_with("</svg>\n"));
        }
    }
}

//! The line chart: values over time.

use crate::svg::{Anchor, Canvas, Lettering, Stroke, draw, text_width_px};
use crate::{Bounds, Color, Plot, Theme, ValueTicks, format_tick, time_ticks, value_ticks};

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: Color,
    /// Milliseconds since 1970 and the value, in order of time; `None` or a value that is no number is a gap.
    pub points: Vec<(i64, Option<f64>)>,
}

/// A line across the chart at the limit that a rule watches.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The limit.
    pub value: f64,
    /// What stands beside the line.
    pub label: String,
}

/// Whether the names of the series stand above the chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legend {
    /// Names are drawn.
    #[default]
    Shown,
    /// Names are left out: the page shows its own.
    Hidden,
}

/// What lies between the line and the bottom of the chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Nothing.
    #[default]
    None,
    /// A light tint of the line's colour.
    Tint,
}

/// A chart of values over time.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// Width of the picture in pixels.
    pub width_px: u32,
    /// Height of the picture in pixels.
    pub height_px: u32,
    /// Light or dark.
    pub theme: Theme,
    /// The unit of the values, shown above the axis; empty for none.
    pub unit: String,
    /// Seconds east of UTC, for the time marks.
    pub utc_offset_s: i32,
    /// First and last millisecond shown; `None` takes the extent of the data.
    pub range_ms: Option<(i64, i64)>,
    /// Points further apart than this are not connected; `None` connects any.
    pub gap_ms: Option<i64>,
    /// The lines.
    pub series: Vec<Series>,
    /// The limit to draw, if any.
    pub threshold: Option<Threshold>,
    /// Whether names are drawn.
    pub legend: Legend,
    /// Whether the lines are tinted below.
    pub fill: Fill,
}

const LABEL_PX: f64 = 11.0;
const LEGEND_PX: f64 = 12.0;
const LEGEND_ROW_PX: f64 = 20.0;
const LINE_PX: f64 = 1.7;

/// Draws the chart as an SVG text.
pub fn line_chart(spec: &LineChart) -> String {
    draw(spec.width_px, spec.height_px, |canvas| {
        let layout = spec.layout();
        draw_value_axis(canvas, spec, &layout);
        draw_time_axis(canvas, spec, &layout.plot);
        draw_legend(canvas, spec, &layout.legend);
        for series in &spec.series {
            draw_series(canvas, spec, &layout.plot, series);
        }
        draw_threshold(canvas, spec, &layout.plot);
        if layout.empty {
            draw_empty(canvas, spec, &layout.plot);
        }
    })
}

impl LineChart {
    /// The mapping between data and pixels that [`line_chart`] draws with.
    pub fn plot(&self) -> Plot {
        self.layout().plot
    }

    fn layout(&self) -> Layout {
        let (from_ms, to_ms) = self.time_extent();
        let extent = self.value_extent(from_ms, to_ms);
        let (low, high) = extent.unwrap_or((0.0, 1.0));
        let legend = legend_places(self);
        let rows = legend.last().map_or(0.0, |place| place.row as f64 + 1.0);
        let top = 12.0 + rows * LEGEND_ROW_PX + if self.unit.is_empty() { 0.0 } else { 14.0 };
        let bottom = f64::from(self.height_px) - 26.0;
        let wanted = ((bottom - top) / 48.0).round().clamp(2.0, 8.0) as usize;
        let ticks = value_ticks(low, high, wanted);
        let labels = ticks.values.iter().map(|value| format_tick(*value, ticks.step));
        let widest = labels.map(|label| text_width_px(&label, LABEL_PX)).fold(0.0, f64::max);
        let bounds = Bounds { left: widest + 12.0, top, right: f64::from(self.width_px) - 8.0, bottom };
        let (low, high) = match ticks.values.as_slice() {
            [first, .., last] if last > first => (*first, *last),
            _ => (0.0, 1.0),
        };
        let plot = Plot { bounds, from_ms, to_ms, low, high };
        Layout { plot, ticks, legend, empty: extent.is_none() }
    }

    fn time_extent(&self) -> (i64, i64) {
        let times = || self.series.iter().flat_map(|series| &series.points).map(|(at_ms, _)| *at_ms);
        let extent = times().min().zip(times().max());
        let (from_ms, to_ms) = self.range_ms.or(extent).unwrap_or((0, 1_000));
        if to_ms > from_ms { (from_ms, to_ms) } else { (from_ms.saturating_sub(500), from_ms.saturating_add(500)) }
    }

    fn value_extent(&self, from_ms: i64, to_ms: i64) -> Option<(f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let shown = points.filter(|(at_ms, _)| (from_ms..=to_ms).contains(at_ms));
        let values = shown.filter_map(|(_, value)| value.filter(|value| value.is_finite()));
        let extent = values.fold(None, widen)?;
        let limit = self.threshold.as_ref().map(|threshold| threshold.value);
        let limit = limit.filter(|value| value.is_finite());
        limit.map_or(Some(extent), |value| widen(Some(extent), value))
    }
}

struct Layout {
    plot: Plot,
    ticks: ValueTicks,
    legend: Vec<LegendPlace>,
    empty: bool,
}

struct LegendPlace {
    x: f64,
    row: usize,
}

fn widen(extent: Option<(f64, f64)>, value: f64) -> Option<(f64, f64)> {
    Some(extent.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
}

fn legend_places(spec: &LineChart) -> Vec<LegendPlace> {
    if spec.legend == Legend::Hidden {
        return Vec::new();
    }
    let (mut x, mut row) = (8.0, 0);
    let mut places = Vec::new();
    for series in &spec.series {
        let width = 16.0 + text_width_px(&series.name, LEGEND_PX);
        if x > 8.0 && x + width > f64::from(spec.width_px) {
            (x, row) = (8.0, row + 1);
        }
        places.push(LegendPlace { x, row });
        x += width + 18.0;
    }
    places
}

fn draw_value_axis(canvas: &mut Canvas<'_>, spec: &LineChart, layout: &Layout) {
    let Plot { bounds, .. } = layout.plot;
    let stroke = Stroke { color: spec.theme.grid(), width_px: 1.0 };
    for value in &layout.ticks.values {
        let y = layout.plot.y_to_px(*value);
        canvas.line(&[(bounds.left, y), (bounds.right, y)], stroke);
        if !layout.empty {
            let label = format_tick(*value, layout.ticks.step);
            let at = (bounds.left - 8.0, y);
            canvas.text(&label, at, lettering(LABEL_PX, spec.theme.text(), Anchor::End));
        }
    }
    if !spec.unit.is_empty() && !layout.empty {
        let at = (bounds.left, bounds.top - 14.0);
        canvas.text(&spec.unit, at, lettering(LABEL_PX, spec.theme.text(), Anchor::Start));
    }
}

fn draw_time_axis(canvas: &mut Canvas<'_>, spec: &LineChart, plot: &Plot) {
    let wanted = (plot.bounds.width() / 84.0).floor().clamp(2.0, 12.0) as usize;
    for tick in time_ticks(plot.from_ms, plot.to_ms, wanted, spec.utc_offset_s) {
        let half = text_width_px(&tick.label, LABEL_PX) / 2.0;
        let x = plot.x_to_px(tick.at_ms);
        if x - half < 0.0 || x + half > f64::from(spec.width_px) {
            continue;
        }
        let at = (x, plot.bounds.bottom + 16.0);
        canvas.text(&tick.label, at, lettering(LABEL_PX, spec.theme.text(), Anchor::Middle));
    }
}

fn draw_legend(canvas: &mut Canvas<'_>, spec: &LineChart, places: &[LegendPlace]) {
    for (series, place) in spec.series.iter().zip(places) {
        let y = 12.0 + place.row as f64 * LEGEND_ROW_PX;
        canvas.rectangle((place.x, y - 5.0), (place.x + 9.0, y + 4.0), series.color);
        let at = (place.x + 15.0, y);
        canvas.text(&series.name, at, lettering(LEGEND_PX, spec.theme.text(), Anchor::Start));
    }
}

fn draw_series(canvas: &mut Canvas<'_>, spec: &LineChart, plot: &Plot, series: &Series) {
    let stroke = Stroke { color: series.color, width_px: LINE_PX };
    for run in runs(series, plot, spec.gap_ms) {
        match run.as_slice() {
            [] => {}
            // A value between two gaps has no line, yet it must be seen.
            [point] => canvas.dot(*point, 2.2, series.color),
            [first, .., last] => {
                if spec.fill == Fill::Tint {
                    let bottom = plot.bounds.bottom;
                    let mut outline = run.clone();
                    outline.extend([(last.0, bottom), (first.0, bottom)]);
                    canvas.area(&outline, series.color, 0.1);
                }
                canvas.line(&run, stroke);
            }
        }
    }
}

fn lettering(size_px: f64, color: Color, anchor: Anchor) -> Lettering {
    Lettering { size_px, color, anchor }
}

/// The unbroken pieces of a series in pixels, cut at the sides of the plot.
fn runs(series: &Series, plot: &Plot, gap_ms: Option<i64>) -> Vec<Vec<(f64, f64)>> {
    let mut runs = Vec::new();
    let mut run: Vec<(f64, f64)> = Vec::new();
    let mut before: Option<(i64, f64)> = None;
    for (at_ms, value) in &series.points {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            runs.push(std::mem::take(&mut run));
            before = None;
            continue;
        };
        let point = (*at_ms, value);
        let joined = before.filter(|(earlier, _)| gap_ms.is_none_or(|gap| at_ms.saturating_sub(*earlier) <= gap));
        if joined.is_none() {
            runs.push(std::mem::take(&mut run));
        }
        match joined.and_then(|earlier| cut(earlier, point, plot)) {
            Some((from, to)) => {
                if run.is_empty() {
                    run.push(place(from, plot));
                }
                run.push(place(to, plot));
            }
            None if joined.is_none() && (plot.from_ms..=plot.to_ms).contains(at_ms) => {
                run.push(place((*at_ms as f64, value), plot))
            }
            None => {}
        }
        before = Some(point);
    }
    runs.push(run);
    runs.retain(|run| !run.is_empty());
    runs
}

type Point = (f64, f64);

/// The part of the line between two points that lies inside the plot's time range.
fn cut(earlier: (i64, f64), later: (i64, f64), plot: &Plot) -> Option<(Point, Point)> {
    let (from, to) = (plot.from_ms as f64, plot.to_ms as f64);
    let (x0, x1) = (earlier.0 as f64, later.0 as f64);
    if x1 < from || x0 > to {
        return None;
    }
    let at = |x: f64| {
        let share = if x1 > x0 { (x - x0) / (x1 - x0) } else { 1.0 };
        earlier.1 + (later.1 - earlier.1) * share
    };
    let start = if x0 < from { (from, at(from)) } else { (x0, earlier.1) };
    let end = if x1 > to { (to, at(to)) } else { (x1, later.1) };
    Some((start, end))
}

fn place((x, y): Point, plot: &Plot) -> (f64, f64) {
    (plot.x_to_px(x.round() as i64), plot.y_to_px(y))
}

fn draw_threshold(canvas: &mut Canvas<'_>, spec: &LineChart, plot: &Plot) {
    let Some(threshold) = spec.threshold.as_ref().filter(|threshold| threshold.value.is_finite()) else {
        return;
    };
    let y = plot.y_to_px(threshold.value);
    if y < plot.bounds.top - 0.5 || y > plot.bounds.bottom + 0.5 {
        return;
    }
    let stroke = Stroke { color: spec.theme.threshold(), width_px: 1.3 };
    canvas.dashed_line(plot.bounds.left, plot.bounds.right, y, stroke);
    let above = if y - plot.bounds.top < 14.0 { 9.0 } else { -9.0 };
    let at = (plot.bounds.right - 4.0, y + above);
    canvas.text(&threshold.label, at, lettering(LABEL_PX, stroke.color, Anchor::End));
}

fn draw_empty(canvas: &mut Canvas<'_>, spec: &LineChart, plot: &Plot) {
    let at = ((plot.bounds.left + plot.bounds.right) / 2.0, (plot.bounds.top + plot.bounds.bottom) / 2.0);
    let text = "No data in this time range";
    canvas.text(text, at, lettering(13.0, spec.theme.text(), Anchor::Middle));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn chart(points: Vec<(i64, Option<f64>)>) -> LineChart {
        let color = Color::hex(0x123456);
        let name = "Boiler".to_owned();
        LineChart {
            width_px: 600,
            height_px: 240,
            theme: Theme::Light,
            unit: "°C".to_owned(),
            utc_offset_s: 0,
            range_ms: None,
            gap_ms: None,
            series: vec![Series { name, color, points }],
            threshold: None,
            legend: Legend::Shown,
            fill: Fill::None,
        }
    }

    fn steady(count: i64) -> Vec<(i64, Option<f64>)> {
        (0..count).map(|minute| (minute * MINUTE_MS, Some(20.0 + minute as f64))).collect()
    }

    fn lines_of(svg: &str) -> usize {
        svg.matches("<polyline").count() - svg.matches("stroke=\"#E3E7EF\"").count()
    }

    #[test]
    fn the_drawing_names_unit_series_and_times() {
        let svg = line_chart(&chart(steady(60)));
        for text in ["°C", "Boiler", "00:30", ">20<", "viewBox=\"0 0 6000 2400\""] {
            let flat = svg.replace(">\n", ">").replace("\n<", "<");
            assert!(flat.contains(text), "{text} is missing in {flat}");
        }
        assert!(!svg.contains("style="));
    }

    #[test]
    fn missing_values_and_long_silences_break_the_line() {
        let whole = chart(steady(30));
        assert_eq!(lines_of(&line_chart(&whole)), 1);

        let mut broken = whole.clone();
        broken.series[0].points[10].1 = None;
        broken.series[0].points[20].1 = Some(f64::NAN);
        assert_eq!(lines_of(&line_chart(&broken)), 3);

        let mut silent = whole;
        silent.series[0].points.drain(10..20);
        assert_eq!(lines_of(&line_chart(&silent)), 1);
        silent.gap_ms = Some(2 * MINUTE_MS);
        assert_eq!(lines_of(&line_chart(&silent)), 2);
    }

    #[test]
    fn a_lone_value_is_a_dot() {
        let svg = line_chart(&chart(vec![(0, None), (MINUTE_MS, Some(3.0)), (2 * MINUTE_MS, None)]));
        assert!(svg.contains("<circle"));
    }

    #[test]
    fn no_data_says_so() {
        for points in [vec![], vec![(0, None), (1_000, Some(f64::INFINITY))]] {
            assert!(line_chart(&chart(points)).contains("No data in this time range"));
        }
    }

    #[test]
    fn any_input_is_drawn() {
        let odd = [f64::MAX, f64::MIN, f64::NAN, 0.0, 1e-300];
        let points = odd.iter().enumerate().map(|(index, value)| (index as i64, Some(*value)));
        let mut spec = chart(points.collect());
        spec.range_ms = Some((i64::MAX, i64::MIN));
        assert!(line_chart(&spec).ends_with("</svg>\n"));
        spec.range_ms = None;
        (spec.width_px, spec.height_px) = (0, 0);
        assert!(line_chart(&spec).ends_with("</svg>\n"));
    }

    #[test]
    fn lines_are_cut_at_the_range() {
        let mut spec = chart(steady(60));
        spec.range_ms = Some((10 * MINUTE_MS + 30_000, 20 * MINUTE_MS));
        let plot = spec.plot();
        let run = runs(&spec.series[0], &plot, None).concat();
        assert_eq!(run.first().map(|point| point.0), Some(plot.bounds.left));
        assert_eq!(run.last().map(|point| point.0), Some(plot.bounds.right));
    }

    #[test]
    fn the_threshold_widens_the_axis() {
        let mut spec = chart(steady(10));
        spec.threshold = Some(Threshold { value: 80.0, label: "above 80".to_owned() });
        assert!(spec.plot().high >= 80.0);
        assert!(line_chart(&spec).contains("above 80"));
    }

    #[test]
    fn names_are_escaped() {
        let mut spec = chart(steady(3));
        spec.series[0].name = "<script>".to_owned();
        assert!(!line_chart(&spec).contains("<script>"));
    }
}

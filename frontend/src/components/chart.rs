//! The line chart in the browser: the shared drawing, and over it crosshair, tooltip, legend and zoom.

use leptos::html;
use leptos::prelude::*;
use muster_charts::{Fill, Legend, LineChart, Plot, Series, Sparkline, Threshold, line_chart, series_color, sparkline};
use std::collections::BTreeSet;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use crate::format;
use crate::series::{Line, nearest, with_gaps};
use crate::theme::use_theme;
use crate::time::{moment, now_ms, utc_offset_s};

/// The width and height of an element in whole pixels, kept up to date.
pub fn element_size(element: NodeRef<html::Div>) -> ReadSignal<(u32, u32)> {
    let (size, set_size) = signal((0, 0));
    let observing = StoredValue::new_local(None::<(web_sys::ResizeObserver, Closure<dyn Fn()>)>);
    Effect::new(move |_| {
        let Some(div) = element.get() else { return };
        let target = div.clone();
        let changed = Closure::<dyn Fn()>::new(move || {
            let rectangle = target.get_bounding_client_rect();
            set_size.try_set((rectangle.width().max(0.0) as u32, rectangle.height().max(0.0) as u32));
        });
        if let Ok(observer) = web_sys::ResizeObserver::new(changed.as_ref().unchecked_ref()) {
            observer.observe(&div);
            observing.set_value(Some((observer, changed)));
        }
    });
    on_cleanup(move || {
        let observing = observing.try_update_value(Option::take).flatten();
        if let Some((observer, _)) = observing {
            observer.disconnect();
        }
    });
    size
}

/// A chart of values over time.
#[component]
pub fn LineView(
    /// What it shows, for screen readers.
    #[prop(into)]
    label: String,
    /// The lines.
    #[prop(into)]
    lines: Signal<Vec<Line>>,
    /// First and last millisecond.
    #[prop(into)]
    range: Signal<(i64, i64)>,
    /// The limit that a rule watches.
    #[prop(optional_no_strip)]
    threshold: Option<Threshold>,
) -> impl IntoView {
    let threshold = StoredValue::new(threshold);
    let element = NodeRef::<html::Div>::new();
    let size = element_size(element);
    let theme = use_theme().theme;
    let lines = Memo::new(move |_| lines.get().into_iter().map(gapped).collect::<Vec<Line>>());
    let hidden = RwSignal::new(BTreeSet::<usize>::new());
    let zoom = RwSignal::new(None::<(i64, i64)>);
    let spec = Memo::new(move |_| {
        let (width_px, height_px) = size.get();
        let theme = theme.get();
        let hidden = hidden.get();
        lines.with(|lines| {
            let named = lines.iter().enumerate().filter(|(index, _)| !hidden.contains(index));
            let series = named.map(|(index, line)| Series {
                name: line.name.clone(),
                color: series_color(theme, index),
                points: line.points.clone(),
            });
            LineChart {
                width_px,
                height_px,
                theme,
                unit: common_unit(lines),
                utc_offset_s: utc_offset_s(now_ms()),
                range_ms: Some(zoom.get().unwrap_or_else(|| range.get())),
                gap_ms: None,
                series: series.collect(),
                threshold: threshold.get_value(),
                legend: Legend::Hidden,
                fill: if lines.len() == 1 { Fill::Tint } else { Fill::None },
            }
        })
    });
    let drawing = move || spec.with(|spec| if spec.width_px < 40 { String::new() } else { line_chart(spec) });
    let label = StoredValue::new(label);
    view! {
        <Show when=move || lines.with(|lines| lines.len() > 1)>
            <ChartLegend lines hidden />
        </Show>
        <div class="chart" node_ref=element>
            <div class="chart-draw" aria-hidden="true" inner_html=drawing></div>
            {move || {
                (size.get().0 >= 40).then(|| view! { <Overlay label=label.get_value() lines hidden spec zoom /> })
            }}
            <Show when=move || zoom.get().is_some()>
                <button type="button" class="button small chart-reset" on:click=move |_| zoom.set(None)>
                    "Reset zoom"
                </button>
            </Show>
        </div>
    }
}

fn gapped(line: Line) -> Line {
    Line { points: with_gaps(&line.points), ..line }
}

/// The unit, where all lines share it; a mixed chart names none.
fn common_unit(lines: &[Line]) -> String {
    let unit = lines.first().map(|line| line.unit.clone()).unwrap_or_default();
    if lines.iter().all(|line| line.unit == unit) { unit } else { String::new() }
}

#[component]
fn ChartLegend(lines: Memo<Vec<Line>>, hidden: RwSignal<BTreeSet<usize>>) -> impl IntoView {
    let theme = use_theme().theme;
    let names = Memo::new(move |_| lines.with(|lines| lines.iter().map(|line| line.name.clone()).collect::<Vec<_>>()));
    let entry = move |index: usize, name: String| {
        let color = move || series_color(theme.get(), index).css();
        let toggle = move |_| {
            hidden.update(|hidden| {
                if !hidden.remove(&index) {
                    hidden.insert(index);
                }
            });
        };
        view! {
            <button
                type="button"
                aria-pressed=move || if hidden.with(|hidden| hidden.contains(&index)) { "false" } else { "true" }
                on:click=toggle
            >
                <span class="swatch" style:background-color=color></span>
                <span class="ellipsis">{name}</span>
            </button>
        }
    };
    view! {
        <div class="legend" role="group" aria-label="Shown lines">
            {move || names.get().into_iter().enumerate().map(|(index, name)| entry(index, name)).collect_view()}
        </div>
    }
}

/// What stands under the crosshair.
#[derive(Clone, Debug, PartialEq)]
struct Reading {
    at_ms: i64,
    x_px: f64,
    /// Index of the line, its value and its place.
    values: Vec<(usize, f64, f64)>,
}

#[component]
fn Overlay(
    label: String,
    lines: Memo<Vec<Line>>,
    hidden: RwSignal<BTreeSet<usize>>,
    spec: Memo<LineChart>,
    zoom: RwSignal<Option<(i64, i64)>>,
) -> impl IntoView {
    let plot = Memo::new(move |_| spec.with(LineChart::plot));
    let pointer = RwSignal::new(None::<f64>);
    let drag = RwSignal::new(None::<f64>);
    let reading = Memo::new(move |_| {
        let plot = plot.get();
        let x_px = pointer.get()?;
        lines.with(|lines| hidden.with(|hidden| read_at(&plot, lines, hidden, x_px)))
    });
    let x_of = |event: &web_sys::PointerEvent| f64::from(event.offset_x());
    let finish = move || {
        let plot = plot.get_untracked();
        let ends = drag.get_untracked().zip(pointer.get_untracked());
        drag.set(None);
        if let Some((from_px, to_px)) = ends.filter(|(from_px, to_px)| (from_px - to_px).abs() > 8.0) {
            let (from_ms, to_ms) = (plot.px_to_x(from_px.min(to_px)), plot.px_to_x(from_px.max(to_px)));
            if to_ms - from_ms >= 1_000 {
                zoom.set(Some((from_ms, to_ms)));
            }
        }
    };
    let key = move |event: web_sys::KeyboardEvent| {
        let plot = plot.get_untracked();
        let (left, right) = (plot.bounds.left, plot.bounds.right);
        let step = if event.shift_key() { 40.0 } else { 8.0 };
        let at = pointer.get_untracked().unwrap_or(right);
        let moved = match event.key().as_str() {
            "ArrowLeft" => Some(at - step),
            "ArrowRight" => Some(at + step),
            "Home" => Some(left),
            "End" => Some(right),
            "Escape" => {
                zoom.set(None);
                pointer.set(None);
                None
            }
            _ => None,
        };
        if let Some(at) = moved {
            event.prevent_default();
            pointer.set(Some(at.clamp(left, right)));
        }
    };
    let summary = move || summary(&label, &lines.get());
    view! {
        <svg
            class="chart-over"
            tabindex="0"
            role="img"
            aria-label=summary
            on:pointermove=move |event| pointer.set(Some(x_of(&event)))
            on:pointerleave=move |_| {
                drag.set(None);
                pointer.set(None);
            }
            on:pointerdown=move |event| {
                if event.pointer_type() == "mouse" && event.button() == 0 {
                    drag.set(Some(x_of(&event)));
                }
            }
            on:pointerup=move |_| finish()
            on:dblclick=move |_| zoom.set(None)
            on:keydown=key
            on:blur=move |_| pointer.set(None)
        >
            <rect class="hit" width="100%" height="100%"></rect>
            {move || {
                drag.get()
                    .zip(pointer.get())
                    .map(|(from, to)| {
                        let bounds = plot.get().bounds;
                        view! {
                            <rect
                                class="zoom"
                                x=from.min(to).max(bounds.left)
                                y=bounds.top
                                width=(from - to).abs()
                                height=bounds.height()
                            ></rect>
                        }
                    })
            }}
            {move || reading.get().map(|reading| crosshair(&reading, &plot.get(), &spec.get()))}
        </svg>
        {move || reading.get().map(|reading| tooltip(&reading, &plot.get(), &lines.get(), &spec.get()))}
    }
}

fn read_at(plot: &Plot, lines: &[Line], hidden: &BTreeSet<usize>, x_px: f64) -> Option<Reading> {
    let wanted_ms = plot.px_to_x(x_px);
    let reach_ms = plot.to_ms - plot.from_ms;
    let shown = || lines.iter().enumerate().filter(|(index, _)| !hidden.contains(index));
    let all = shown().filter_map(|(_, line)| nearest(&line.points, wanted_ms, reach_ms));
    let inside = all.filter(|(at_ms, _)| (plot.from_ms..=plot.to_ms).contains(at_ms));
    let (at_ms, _) = inside.min_by_key(|(at_ms, _)| (at_ms - wanted_ms).abs())?;
    let values = shown().filter_map(|(index, line)| {
        let (_, value) = nearest(&line.points, at_ms, reach_ms)?;
        Some((index, value, plot.y_to_px(value)))
    });
    Some(Reading { at_ms, x_px: plot.x_to_px(at_ms), values: values.collect() })
}

fn crosshair(reading: &Reading, plot: &Plot, spec: &LineChart) -> AnyView {
    let x = reading.x_px;
    let dots = reading.values.iter().map(|(index, _, y)| {
        let color = series_color(spec.theme, *index).css();
        view! { <circle cx=x cy=*y r="4.5" fill=color></circle> }
    });
    view! {
        <line x1=x x2=x y1=plot.bounds.top y2=plot.bounds.bottom></line>
        {dots.collect_view()}
    }
    .into_any()
}

fn tooltip(reading: &Reading, plot: &Plot, lines: &[Line], spec: &LineChart) -> AnyView {
    let middle = (plot.bounds.left + plot.bounds.right) / 2.0;
    let width = f64::from(spec.width_px);
    let (left, right) = if reading.x_px < middle {
        (format!("{}px", reading.x_px + 14.0), "auto".to_owned())
    } else {
        ("auto".to_owned(), format!("{}px", width - reading.x_px + 14.0))
    };
    let entries = reading.values.iter().filter_map(|(index, value, _)| {
        let line = lines.get(*index)?;
        let color = series_color(spec.theme, *index).css();
        Some(view! {
            <li>
                <span class="swatch" style:background-color=color></span>
                <span class="ellipsis">{line.name.clone()}</span>
                <b>{format::measured(*value, &line.unit, line.decimals)}</b>
            </li>
        })
    });
    view! {
        <div class="tooltip" style:left=left style:right=right aria-hidden="true">
            <time>{moment(reading.at_ms)}</time>
            <ul>{entries.collect_view()}</ul>
        </div>
    }
    .into_any()
}

/// The chart in words: what it shows and where each line stands.
fn summary(label: &str, lines: &[Line]) -> String {
    let last = |line: &Line| line.points.iter().rev().find_map(|(_, value)| *value);
    let states = lines.iter().filter_map(|line| {
        let value = format::measured(last(line)?, &line.unit, line.decimals);
        Some(format!("{} {value}", line.name))
    });
    let states: Vec<String> = states.collect();
    if states.is_empty() {
        format!("Line chart: {label}. No data.")
    } else {
        format!("Line chart: {label}. Last: {}. Arrow keys read values.", states.join(", "))
    }
}

/// The course of a value without axes.
#[component]
pub fn SparkView(
    /// Milliseconds since 1970 and the value.
    #[prop(into)]
    points: Signal<Vec<(i64, Option<f64>)>>,
) -> impl IntoView {
    let element = NodeRef::<html::Div>::new();
    let size = element_size(element);
    let theme = use_theme().theme;
    let drawing = move || {
        let (width_px, height_px) = size.get();
        let color = series_color(theme.get(), 0);
        if width_px < 8 {
            String::new()
        } else {
            sparkline(&Sparkline { width_px, height_px, color, points: points.get() })
        }
    };
    view! { <div class="spark" node_ref=element aria-hidden="true" inner_html=drawing></div> }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_charts::Bounds;

    fn line(name: &str, unit: &str, points: &[(i64, f64)]) -> Line {
        let points = points.iter().map(|(at_ms, value)| (*at_ms, Some(*value))).collect();
        Line { name: name.to_owned(), unit: unit.to_owned(), decimals: None, points }
    }

    fn plot() -> Plot {
        let bounds = Bounds { left: 0.0, top: 0.0, right: 100.0, bottom: 100.0 };
        Plot { bounds, from_ms: 0, to_ms: 100_000, low: 0.0, high: 10.0 }
    }

    #[test]
    fn the_crosshair_snaps_to_the_nearest_time_and_skips_hidden_lines() {
        let lines = [line("a", "", &[(10_000, 1.0), (60_000, 2.0)]), line("b", "", &[(11_000, 5.0)])];
        let reading = read_at(&plot(), &lines, &BTreeSet::new(), 10.2).unwrap();
        assert_eq!((reading.at_ms, reading.x_px), (10_000, 10.0));
        assert_eq!(reading.values, [(0, 1.0, 90.0), (1, 5.0, 50.0)]);
        let reading = read_at(&plot(), &lines, &BTreeSet::from([0]), 10.2).unwrap();
        assert_eq!(reading.values, [(1, 5.0, 50.0)]);
        assert_eq!(read_at(&plot(), &[], &BTreeSet::new(), 10.0), None);
    }

    #[test]
    fn a_mixed_chart_names_no_unit() {
        let celsius = line("a", "°C", &[]);
        assert_eq!(common_unit(&[celsius.clone(), celsius.clone()]), "°C");
        assert_eq!(common_unit(&[celsius, line("b", "%", &[])]), "");
        assert_eq!(common_unit(&[]), "");
    }

    #[test]
    fn the_chart_is_told_in_words() {
        let text = summary("Temperature", &[line("Boiler", "°C", &[(0, 20.5)])]);
        assert_eq!(text, "Line chart: Temperature. Last: Boiler 20.50 °C. Arrow keys read values.");
        assert_eq!(summary("Temperature", &[]), "Line chart: Temperature. No data.");
    }
}

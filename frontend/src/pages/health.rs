//! How the tenant fares: devices, messages and commands over time, and what went wrong lately.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::event::DeviceEvent;
use muster_contract::health::{HealthSeries, MetricSeries};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_model::Permission;

use super::device::moving_window;
use super::shell::set_title;
use crate::api::{local_address, use_api};
use crate::components::chart::LineView;
use crate::components::event_line::event_line;
use crate::components::icon::Icon;
use crate::components::segments::Segments;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::format;
use crate::live::use_live;
use crate::load::Loader;
use crate::series::{Line, Range};
use crate::session::use_rights;
use crate::time::{now_ms, use_now};

/// A chart of this page.
struct Chart {
    title: &'static str,
    help: &'static str,
    /// Its lines: the metric, and what it is called.
    metrics: &'static [(&'static str, &'static str)],
}

const CHARTS: [Chart; 4] = [
    Chart {
        title: "Devices",
        help: "Known to the provisioning service, and connected",
        metrics: &[("provisionedDeviceCount", "Provisioned"), ("connectedDeviceCount", "Connected")],
    },
    Chart {
        title: "Messages",
        help: "Sent by devices",
        metrics: &[("d2c.telemetry.ingress.allProtocol", "Received"), ("d2c.telemetry.ingress.success", "Stored")],
    },
    Chart {
        title: "Messages refused",
        help: "Not understood, or put aside because they could not be stored",
        metrics: &[
            ("d2c.telemetry.ingress.rejected", "Not understood"),
            ("d2c.telemetry.ingress.deadLettered", "Put aside"),
        ],
    },
    Chart {
        title: "Commands",
        help: "Answered by devices, and those that were not",
        metrics: &[("c2d.commands.success", "Answered"), ("c2d.commands.failure", "Failed")],
    },
];

/// How the tenant fares.
#[component]
pub fn HealthPage() -> impl IntoView {
    set_title("Health");
    let api = use_api();
    let range = RwSignal::new(Range::Hour);
    let now = use_now();
    let minute = Memo::new(move |_| now.get() / 60_000);
    let health = Loader::new(move || {
        let range = range.get();
        minute.track();
        let url = api.urls().health_series(now_ms() - range.span_ms(), interval(range));
        async move { api.get::<HealthSeries>(&url).await }
    });
    let window = moving_window(range);
    let ranges = vec![(Range::Hour, "1 h"), (Range::Day, "24 h"), (Range::Week, "7 d"), (Range::Month, "30 d")];
    let events = use_rights().may(Permission::DevicesView);
    view! {
        <div class="page-head">
            <h2>"Health"</h2>
            <span class="grow"></span>
            <Segments label="Time range" value=range options=ranges />
        </div>
        <div class="stack">
            {loaded(
                health,
                Skeleton::Cards,
                move |health| {
                    let cards = CHARTS.map(|chart| {
                        let lines = lines(&health.series, chart.metrics);
                        view! { <Card title=chart.title help=chart.help lines window /> }
                    });
                    view! { <div class="chart-grid">{cards.into_iter().collect_view()}</div> }
                },
            )}
            {events.then(|| view! { <WhatHappened /> })}
        </div>
    }
}

#[component]
fn Card(title: &'static str, help: &'static str, lines: Vec<Line>, window: Signal<(i64, i64)>) -> impl IntoView {
    let empty = lines.iter().all(|line| line.points.is_empty());
    let totals = lines.iter().filter_map(|line| {
        let (_, last) = line.points.last()?;
        Some(format!("{} {}", format::number((*last)?), line.name.to_lowercase()))
    });
    let totals = totals.collect::<Vec<_>>().join(" · ");
    view! {
        <section class="card chart-card">
            <div class="card-head">
                <div>
                    <h3>{title}</h3>
                    <p>{help}</p>
                </div>
                <span class="soft small number">{totals}</span>
            </div>
            {if empty {
                view! { <Blank mark=Icon::Pulse title="Nothing measured in this time" text="A sample is taken every minute." /> }
                    .into_any()
            } else {
                view! { <LineView label=title lines=Signal::stored(lines) range=window /> }.into_any()
            }}
        </section>
    }
}

/// Few enough points to draw, many enough to see.
fn interval(range: Range) -> &'static str {
    match range {
        Range::HalfHour | Range::Hour => "PT1M",
        Range::HalfDay => "PT5M",
        Range::Day => "PT15M",
        Range::Week => "PT1H",
        Range::Month => "PT6H",
    }
}

/// A metric that never counted anything is not among the series: its line is zero wherever there was a sample.
fn lines(series: &[MetricSeries], metrics: &[(&str, &str)]) -> Vec<Line> {
    let points_of = |metric: &str| series.iter().find(|one| one.metric == metric).map(|one| &one.points[..]);
    let line = |(metric, name): &(&str, &str)| {
        let points = match points_of(metric) {
            Some(points) => points.iter().map(|point| (point.timestamp, point.value as f64)).collect(),
            None => {
                let samples = points_of("connectedDeviceCount").unwrap_or_default().iter();
                samples.map(|point| (point.timestamp, 0.0)).collect::<Vec<_>>()
            }
        };
        let points = points.into_iter().map(|(at, value)| (at.timestamp_millis(), Some(value))).collect();
        Line { name: (*name).to_owned(), unit: String::new(), decimals: Some(0), points }
    };
    metrics.iter().map(line).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Failures,
    All,
}

/// The newest events of all devices.
#[component]
fn WhatHappened() -> impl IntoView {
    let api = use_api();
    let which = RwSignal::new(Which::Failures);
    let events = Loader::new(move || async move { api.get::<Page<DeviceEvent>>(&api.urls().events()).await });
    use_live().listen(move |event| match event {
        LiveEvent::Device { .. } | LiveEvent::Reload => events.reload(),
        _ => {}
    });
    view! {
        <div class="row spread">
            <h2>{move || if which.get() == Which::Failures { "What went wrong" } else { "What happened" }}</h2>
            <Segments label="Which events" value=which options=vec![(Which::Failures, "Failures"), (Which::All, "All")] />
        </div>
        {loaded(events, Skeleton::Rows, move |page| view! { <List page which events /> })}
    }
}

#[component]
fn List(page: Page<DeviceEvent>, which: RwSignal<Which>, events: Loader<Page<DeviceEvent>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let among = page.value.len();
    let all = StoredValue::new(page.value);
    let more = page.next_link.map(|next| {
        let load = move |_| {
            let next = local_address(&next);
            spawn_local(async move {
                match api.get::<Page<DeviceEvent>>(&next).await {
                    Ok(mut page) => events.change(|before| {
                        before.value.append(&mut page.value);
                        before.next_link = page.next_link;
                    }),
                    Err(error) => toasts.failed(&error),
                }
            });
        };
        view! { <button class="button small" on:click=load>"Load older ones"</button> }
    });
    let shown = move || {
        let mut shown = all.get_value();
        shown.retain(|event| which.get() == Which::All || matches!(event, DeviceEvent::Failure { .. }));
        shown
    };
    view! {
        <div class="card table-card">
            {move || {
                let shown = shown();
                if shown.is_empty() {
                    let text = "Refused connections, oversized messages and commands without an answer are kept here for a week.";
                    view! { <Blank mark=Icon::Check title="Nothing went wrong" text /> }.into_any()
                } else {
                    shown.into_iter().map(|event| event_line(event, Some(api))).collect_view().into_any()
                }
            }}
            <div class="table-foot">
                <span>{format!("Among the newest {}", format::counted(among, "event", "events"))}</span>
                {more}
            </div>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_contract::health::MetricPoint;

    #[test]
    fn a_metric_that_never_counted_is_zero() {
        let at = chrono::DateTime::from_timestamp_millis(60_000).unwrap_or_default();
        let point = MetricPoint { timestamp: at, value: 7 };
        let series = [MetricSeries { metric: "connectedDeviceCount".to_owned(), points: vec![point] }];
        let lines = lines(&series, CHARTS[0].metrics);
        assert_eq!(lines[0].points, [(60_000, Some(0.0))]);
        assert_eq!(lines[1].points, [(60_000, Some(7.0))]);
    }
}

//! The overview of a device: its last values, and a live chart for each number.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use muster_contract::device::Device;
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::rule::Rule;
use muster_contract::telemetry::{LatestValues, TelemetryHistory};
use muster_contract::template::{Capability, CapabilityKind};
use muster_contract::urls::HistoryQuery;
use muster_model::{DeviceId, TemplateId};
use serde_json::Value;
use std::collections::BTreeMap;

use super::Known;
use crate::api::{Api, ApiError, use_api};
use crate::components::chart::LineView;
use crate::components::icon::Icon;
use crate::components::map::{MapView, Marker};
use crate::components::segments::Segments;
use crate::components::states::{Blank, Skeleton, bones, failure};
use crate::components::time::Ago;
use crate::format;
use crate::freshness::is_stale;
use crate::geo::Place;
use crate::live::use_live;
use crate::load::{Load, Loader};
use crate::pages::segment;
use crate::reading;
use crate::series::{BUCKETS, Line, Range, append, points};
use crate::thresholds::threshold;
use crate::time::{now_ms, use_now};

/// What the device said last, by telemetry key.
pub(super) type Latest = BTreeMap<String, (Value, Option<DateTime<Utc>>)>;

/// The overview of a device.
#[component]
pub fn Overview(
    /// The device and its template.
    known: Known,
) -> impl IntoView {
    let api = use_api();
    let device = known.device.id.clone();
    let named = known.device.clone();
    let watched = StoredValue::new(known.template.as_ref().map(|template| template.id.clone()).zip(Some(known.rules)));
    let range = RwSignal::new(Range::Hour);
    let telemetry = known.template.map(|template| template.capabilities).unwrap_or_default();
    let telemetry = telemetry.into_iter().filter(|capability| capability.kind == CapabilityKind::Telemetry);
    let telemetry = StoredValue::new(telemetry.collect::<Vec<Capability>>());
    let wanted = device.clone();
    let first = Loader::new(move || load_latest(api, wanted.clone()));
    let latest = RwSignal::new(Latest::new());
    Effect::new(move |_| {
        if let Some(loaded) = first.value() {
            latest.set(loaded);
        }
    });
    let wanted = device.clone();
    let history = Loader::new(move || load_history(api, wanted.clone(), range.get(), telemetry));
    let lines = RwSignal::new(BTreeMap::<String, Line>::new());
    Effect::new(move |_| {
        if let Some(history) = history.value() {
            lines.set(history);
        }
    });
    use_live().listen(move |event| match event {
        LiveEvent::Telemetry { device: of, timestamp, values } if *of == device => {
            latest.update(|latest| take_in(latest, values, *timestamp));
            let oldest_ms = now_ms() - range.get_untracked().span_ms();
            lines.update(|lines| append_all(lines, values, timestamp.timestamp_millis(), oldest_ms, telemetry));
        }
        LiveEvent::Reload => {
            first.reload();
            history.reload();
        }
        _ => {}
    });
    let window = moving_window(range);
    let names = Memo::new(move |_| lines.with(|lines| lines.keys().cloned().collect::<Vec<_>>()));
    let ranges = vec![(Range::Hour, "1 h"), (Range::Day, "24 h"), (Range::Week, "7 d"), (Range::Month, "30 d")];
    view! {
        <div class="stack">
            {move || match first.state.get() {
                Load::Loading => bones(Skeleton::Cards),
                Load::Failed(error) => failure(&error, Callback::new(move |()| first.retry())),
                Load::Ready(_) => view! { <Values latest telemetry /> }.into_any(),
            }}
            <Positions device=named latest telemetry />
            <div class="row spread">
                <h2>"History"</h2>
                <Segments label="Time range" value=range options=ranges />
            </div>
            {move || match history.state.get() {
                Load::Loading => bones(Skeleton::Block),
                Load::Failed(error) => failure(&error, Callback::new(move |()| history.retry())),
                Load::Ready(_) if names.with(Vec::is_empty) => {
                    view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Dashboard
                                title="No numbers in this time"
                                text="As soon as the device sends a number, its chart appears here by itself."
                            />
                        </div>
                    }
                        .into_any()
                }
                Load::Ready(_) => view! { <Charts names lines window range watched /> }.into_any(),
            }}
        </div>
    }
}

/// The last value of each telemetry of a device.
pub(super) async fn load_latest(api: Api, device: DeviceId) -> Result<Latest, ApiError> {
    let url = api.urls().latest(None, std::slice::from_ref(&device), &[]);
    let page: Page<LatestValues> = api.get(&url).await?;
    let values = page.value.into_iter().find(|values| values.device == device).map(|values| values.values);
    let known = values.unwrap_or_default().into_iter();
    Ok(known.filter_map(|(key, value)| Some((key, (value.value?, value.timestamp)))).collect())
}

/// The telemetry of a device over a time, by key.
pub(super) async fn load_history(
    api: Api,
    device: DeviceId,
    range: Range,
    telemetry: StoredValue<Vec<Capability>>,
) -> Result<BTreeMap<String, Line>, ApiError> {
    let to_ms = now_ms();
    let from_ms = to_ms - range.span_ms();
    let query =
        HistoryQuery { template: None, devices: vec![device], keys: Vec::new(), from_ms, to_ms, buckets: BUCKETS };
    let history: TelemetryHistory = api.get(&api.urls().history(&query)).await?;
    let lines = history
        .series
        .iter()
        .filter(|series| {
            let position = telemetry.with_value(|telemetry| reading::is_position(telemetry, &series.key));
            !series.points.is_empty() && !position
        })
        .map(|series| {
            let line = Line {
                name: series.display_name.clone(),
                unit: series.unit.clone().unwrap_or_default(),
                decimals: telemetry.with_value(|telemetry| reading::decimals(telemetry, &series.key)),
                points: points(series),
            };
            (series.key.clone(), line)
        });
    Ok(lines.collect())
}

/// The shown span, which moves on with the clock in steps that fit its length.
pub fn moving_window(range: RwSignal<Range>) -> Signal<(i64, i64)> {
    let now = use_now();
    let window = Memo::new(move |_| {
        let range = range.get();
        let to_ms = now.get() / range.step_ms() * range.step_ms() + range.step_ms();
        (to_ms - range.span_ms(), to_ms)
    });
    window.into()
}

/// Takes newly received values in.
pub(super) fn take_in(latest: &mut Latest, values: &BTreeMap<String, Value>, at: DateTime<Utc>) {
    for (key, value) in values {
        let newer = latest.get(key).is_none_or(|(_, before)| before.is_none_or(|before| before <= at));
        if newer {
            latest.insert(key.clone(), (value.clone(), Some(at)));
        }
    }
}

/// Continues lines by newly received values.
pub(super) fn append_all(
    lines: &mut BTreeMap<String, Line>,
    values: &BTreeMap<String, Value>,
    at_ms: i64,
    oldest_ms: i64,
    telemetry: StoredValue<Vec<Capability>>,
) {
    for (key, value) in values {
        let Some(number) = reading::number_of(value) else { continue };
        if telemetry.with_value(|telemetry| reading::is_position(telemetry, key)) {
            continue;
        }
        let line = lines.entry(key.clone()).or_insert_with(|| {
            let (name, unit) = telemetry.with_value(|telemetry| reading::name_and_unit(telemetry, key));
            let decimals = telemetry.with_value(|telemetry| reading::decimals(telemetry, key));
            Line { name, unit, decimals, points: Vec::new() }
        });
        append(line, at_ms, number, oldest_ms);
    }
}

#[component]
fn Values(latest: RwSignal<Latest>, telemetry: StoredValue<Vec<Capability>>) -> impl IntoView {
    let keys = Memo::new(move |_| {
        latest.with(|latest| telemetry.with_value(|telemetry| reading::shown_keys(telemetry, latest.keys())))
    });
    view! {
        <div class="value-grid">
            <For each=move || keys.get() key=Clone::clone let:key>
                <ValueCard key latest telemetry />
            </For>
        </div>
        {move || {
            keys.with(Vec::is_empty)
                .then(|| {
                    view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Device
                                title="Nothing received yet"
                                text="Open “Connect” for the keys and a program to copy: the first value appears here within a second."
                            />
                        </div>
                    }
                })
        }}
    }
}

/// The last value of one telemetry.
#[component]
pub(super) fn ValueCard(
    /// Its key.
    key: String,
    /// What the device said last.
    latest: RwSignal<Latest>,
    /// The telemetry of its template.
    telemetry: StoredValue<Vec<Capability>>,
) -> impl IntoView {
    let now = use_now();
    let (name, unit) = telemetry.with_value(|telemetry| reading::name_and_unit(telemetry, &key));
    let wanted = key.clone();
    let value = Memo::new(move |_| latest.with(|latest| latest.get(&wanted).cloned()));
    let at = Signal::derive(move || value.get().and_then(|(_, at)| at));
    let stale = Memo::new(move |_| at.get().is_some_and(|at| is_stale(at.timestamp_millis(), now.get())));
    let text = move || match value.get() {
        Some((value, _)) => telemetry.with_value(|telemetry| reading::text_of(telemetry, &key, &value)),
        None => "—".to_owned(),
    };
    let number = move || value.get().is_some_and(|(value, _)| value.is_number());
    let unit = move || (number() && !unit.is_empty()).then(|| format!(" {unit}"));
    view! {
        <div class="card value-card" data-stale=move || stale.get().to_string()>
            <p class="ellipsis" title=name.clone()>{name.clone()}</p>
            <b>{text} <small>{unit}</small></b>
            <p>
                {move || match at.get() {
                    Some(_) => view! { <Ago at /> }.into_any(),
                    None => view! { <span>"not received yet"</span> }.into_any(),
                }}
                {move || stale.get().then_some(" · stale")}
            </p>
        </div>
    }
}

/// Where the device is, for each position that its template knows.
#[component]
fn Positions(device: Device, latest: RwSignal<Latest>, telemetry: StoredValue<Vec<Capability>>) -> impl IntoView {
    let api = use_api();
    let now = use_now();
    let href = api.page(&format!("devices/{}", segment(device.id.as_str())));
    let device = StoredValue::new(device);
    let maps = telemetry.with_value(|telemetry| reading::positions(telemetry)).into_iter().map(|(key, name)| {
        let href = href.clone();
        let markers = Memo::new(move |_| {
            let number = |part: &str| latest.with(|latest| latest.get(&format!("{key}.{part}")).cloned());
            let read = || {
                let ((latitude, at), (longitude, _)) = number("lat").zip(number("lon"))?;
                let place = Place::new(latitude.as_f64()?, longitude.as_f64()?)?;
                let name = device.with_value(|device| device.display_name.clone());
                let fresh = !is_stale(at?.timestamp_millis(), now.get());
                Some(Marker { name, href: href.clone(), place, fresh })
            };
            read().into_iter().collect::<Vec<_>>()
        });
        let title = name.clone();
        view! {
            <Show when=move || !markers.with(Vec::is_empty)>
                <section class="card map-card">
                    <div class="card-head">
                        <div>
                            <h3>{title.clone()}</h3>
                            <p>"Last reported position"</p>
                        </div>
                        <span class="soft number">
                            {move || markers.with(|markers| markers.first().map(|marker| marker.place.to_string()))}
                        </span>
                    </div>
                    <MapView label=name.clone() markers=Signal::derive(move || markers.get()) />
                </section>
            </Show>
        }
    });
    maps.collect_view()
}

#[component]
fn Charts(
    names: Memo<Vec<String>>,
    lines: RwSignal<BTreeMap<String, Line>>,
    window: Signal<(i64, i64)>,
    range: RwSignal<Range>,
    watched: StoredValue<Option<(TemplateId, Vec<Rule>)>>,
) -> impl IntoView {
    view! {
        <div class="chart-grid">
            <For each=move || names.get() key=Clone::clone let:key>
                {
                    let limit = watched
                        .with_value(|watched| {
                            let (template, rules) = watched.as_ref()?;
                            threshold(rules, template, &key)
                        });
                    let wanted = key.clone();
                    let line = Memo::new(move |_| lines.with(|lines| lines.get(&wanted).cloned()).unwrap_or_default());
                    let title = line.with_untracked(|line| line.name.clone());
                    let last = move || {
                        line.with(|line| {
                            let (_, value) = line.points.last()?;
                            Some(format::measured((*value)?, &line.unit, line.decimals))
                        })
                    };
                    view! {
                        <section class="card chart-card">
                            <div class="card-head">
                                <div>
                                    <h3>{title.clone()}</h3>
                                    <p>{move || range.get().words()}</p>
                                </div>
                                <strong class="number">{last}</strong>
                            </div>
                            <LineView label=title lines=Signal::derive(move || vec![line.get()]) range=window threshold=limit />
                        </section>
                    }
                }
            </For>
        </div>
    }
}

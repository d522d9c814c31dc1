//! Tiles that show numbers: over a range, or as they were last.

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use muster_contract::dashboard::{Aggregate, TileSource};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::telemetry::{LatestValues, TelemetryHistory, TelemetryValue};
use muster_contract::template::Capability;

use super::line::load;
use super::{Board, tile};
use crate::api::use_api;
use crate::components::chart::SparkView;
use crate::components::gauge::{Gauge, share};
use crate::components::states::{Skeleton, loaded};
use crate::components::time::Ago;
use crate::format;
use crate::freshness::is_stale;
use crate::live::use_live;
use crate::load::Loader;
use crate::pages::segment;
use crate::reading::{decimals, name_and_unit, number_of, text_of};
use crate::series::{Range, points};
use crate::tile_data::fold;
use crate::time::use_now;

/// How fine the trend under a figure is.
const TREND_BUCKETS: u32 = 48;

/// One number over a range, with its course.
#[component]
pub fn KpiTile(
    /// What is counted.
    source: TileSource,
    /// How.
    aggregate: Aggregate,
    /// How far back, unless the dashboard says otherwise.
    range: Range,
) -> impl IntoView {
    let api = use_api();
    let board = expect_context::<Board>();
    let now = use_now();
    // The figure moves on with the clock, once a minute.
    let minute = Memo::new(move |_| now.get() / 60_000);
    let places = match (source.capabilities.as_slice(), aggregate) {
        (_, Aggregate::Count) => Some(0),
        ([only], _) => decimals(&board.templates.telemetry(&source.template), only),
        _ => None,
    };
    let wanted = source.clone();
    let history = Loader::new(move || {
        minute.track();
        load(api, wanted.clone(), board.range.get().unwrap_or(range), TREND_BUCKETS)
    });
    loaded(history, Skeleton::Block, move |history: TelemetryHistory| {
        let figure = fold(history.series.iter().flat_map(|series| &series.points), aggregate);
        let unit = history.series.first().and_then(|series| series.unit.clone()).unwrap_or_default();
        let unit = if aggregate == Aggregate::Count { String::new() } else { unit };
        let trend = history.series.first().map(points).unwrap_or_default();
        // The course of one line says something about the figure only where there is one line.
        let trend = (history.series.len() == 1).then(|| view! { <SparkView points=Signal::stored(trend) /> });
        let devices =
            history.series.iter().map(|series| &series.device).collect::<std::collections::BTreeSet<_>>().len();
        view! {
            <div class="tile-figure">
                {figure.map_or_else(|| "—".to_owned(), |figure| format::measured(figure, "", places))}
                <small>{unit}</small>
            </div>
            <p class="tile-note">{if devices == 0 { "No values in this time".to_owned() } else { format!("of {}", format::counted(devices, "device", "devices")) }}</p>
            {tile::left_out(history.devices_left_out)}
            {trend}
        }
    })
}

/// One value of one device, as it was last.
#[derive(Clone, Debug, PartialEq)]
struct Last {
    device: String,
    device_name: String,
    name: String,
    unit: String,
    key: String,
    value: Option<serde_json::Value>,
    at: Option<DateTime<Utc>>,
}

/// The last known values of devices.
#[component]
pub fn LastTile(
    /// What is shown.
    source: TileSource,
    /// Is a small trend drawn under a single value?
    show_trend: bool,
) -> impl IntoView {
    let api = use_api();
    let board = expect_context::<Board>();
    let telemetry = StoredValue::new(board.templates.telemetry(&source.template));
    let wanted = source.clone();
    let latest = Loader::new(move || {
        let url = api.urls().latest(Some(&wanted.template), &wanted.devices, &tile::keys(&wanted));
        async move { api.get::<Page<LatestValues>>(&url).await }
    });
    let keys = source.capabilities.clone();
    use_live().listen(move |event| match event {
        LiveEvent::Telemetry { device, timestamp, values } => {
            let shown = |page: &Page<LatestValues>| page.value.iter().any(|known| known.device == *device);
            let mine = keys.iter().any(|key| values.contains_key(key))
                && latest.state.with_untracked(|state| matches!(state, crate::load::Load::Ready(page) if shown(page)));
            if mine {
                latest.change(|page| take_in(page, device, *timestamp, values));
            }
        }
        LiveEvent::Reload => latest.reload(),
        _ => {}
    });
    let capabilities = StoredValue::new(source.capabilities.clone());
    let source = StoredValue::new(source);
    loaded(latest, Skeleton::Block, move |page| {
        let all = telemetry.with_value(|telemetry| capabilities.with_value(|keys| last_values(&page, telemetry, keys)));
        match all.as_slice() {
            [only] => single(only.clone(), telemetry, show_trend.then(|| source.get_value())),
            _ => list(all, telemetry),
        }
    })
}

fn take_in(
    page: &mut Page<LatestValues>,
    device: &muster_model::DeviceId,
    at: DateTime<Utc>,
    values: &std::collections::BTreeMap<String, serde_json::Value>,
) {
    let Some(known) = page.value.iter_mut().find(|known| known.device == *device) else { return };
    for (key, value) in values {
        known.values.insert(key.clone(), TelemetryValue { value: Some(value.clone()), timestamp: Some(at) });
    }
}

fn last_values(page: &Page<LatestValues>, telemetry: &[Capability], keys: &[String]) -> Vec<Last> {
    let each = page.value.iter().flat_map(|known| {
        keys.iter().map(|key| {
            let (name, unit) = name_and_unit(telemetry, key);
            let value = known.values.get(key);
            Last {
                device: known.device.to_string(),
                device_name: known.display_name.clone(),
                name,
                unit,
                key: key.clone(),
                value: value.and_then(|value| value.value.clone()),
                at: value.and_then(|value| value.timestamp),
            }
        })
    });
    each.collect()
}

fn single(last: Last, telemetry: StoredValue<Vec<Capability>>, trend: Option<TileSource>) -> AnyView {
    let now = use_now();
    let at = last.at;
    let stale = move || at.is_some_and(|at| is_stale(at.timestamp_millis(), now.get()));
    let text = match &last.value {
        Some(value) => telemetry.with_value(|telemetry| text_of(telemetry, &last.key, value)),
        None => "—".to_owned(),
    };
    let number = last.value.as_ref().and_then(number_of);
    let bounds = telemetry.with_value(|telemetry| {
        let capability = telemetry.iter().find(|capability| capability.key == last.key)?;
        capability.minimum.zip(capability.maximum)
    });
    let figure = view! {
        <div class="tile-figure" data-stale=move || stale().to_string()>
            {text}
            <small>{last.unit.clone()}</small>
        </div>
    };
    let note = view! {
        <p class="tile-note">
            {last.device_name.clone()}
            " · "
            <Ago at=Signal::stored(at) />
            {move || stale().then_some(" · stale")}
        </p>
    };
    match number.zip(bounds) {
        Some((number, (low, high))) => view! {
            <Gauge share=share(number, low, high)>{figure}</Gauge>
            <div class="row spread gauge-ends">
                <span>{format::number(low)}</span>
                {note}
                <span>{format::number(high)}</span>
            </div>
        }
        .into_any(),
        None => {
            let course = trend.filter(|_| number.is_some()).map(|source| view! { <Trend source /> });
            view! {
                {figure}
                {note}
                {course}
            }
            .into_any()
        }
    }
}

#[component]
fn Trend(source: TileSource) -> impl IntoView {
    let api = use_api();
    let history = Loader::new(move || load(api, source.clone(), Range::Day, TREND_BUCKETS));
    let course = Signal::derive(move || {
        history.value().and_then(|history| history.series.first().map(points)).unwrap_or_default()
    });
    view! { <SparkView points=course /> }
}

fn list(all: Vec<Last>, telemetry: StoredValue<Vec<Capability>>) -> AnyView {
    let api = use_api();
    let now = use_now();
    let several_keys = all.iter().any(|one| all.first().is_some_and(|first| first.key != one.key));
    if all.is_empty() {
        return view! { <p class="tile-note">"No values yet"</p> }.into_any();
    }
    let rows = all.into_iter().map(|last| {
        let text = match &last.value {
            Some(value) => telemetry.with_value(|telemetry| text_of(telemetry, &last.key, value)),
            None => "—".to_owned(),
        };
        let unit = last.value.as_ref().filter(|value| value.is_number()).map(|_| last.unit.clone());
        let name = if several_keys { format!("{} · {}", last.device_name, last.name) } else { last.device_name };
        let at = last.at;
        let stale = move || at.is_none_or(|at| is_stale(at.timestamp_millis(), now.get()));
        view! {
            <li>
                <a class="ellipsis" href=api.page(&format!("devices/{}", segment(&last.device)))>{name}</a>
                <span class:soft=stale>
                    <b>{text}</b> " " {unit}
                    {move || stale().then_some(" (stale)")}
                </span>
            </li>
        }
    });
    view! { <ul class="tile-list">{rows.collect_view()}</ul> }.into_any()
}

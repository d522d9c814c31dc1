//! A view of the device's template: tiles with what it sends, has and can do, or a form for its properties.

use leptos::prelude::*;
use muster_contract::live::LiveEvent;
use muster_contract::template::{Capability, CapabilityKind};
use muster_contract::view::{FormSection, TemplateView, ViewContent, ViewTile, ViewTileKind};
use std::collections::BTreeMap;

use super::Known;
use super::commands::CommandsTab;
use super::overview::{Latest, ValueCard, append_all, load_history, load_latest, moving_window, take_in};
use super::properties::PropertiesTab;
use crate::api::use_api;
use crate::components::chart::LineView;
use crate::components::icon::Icon;
use crate::components::segments::Segments;
use crate::components::states::Blank;
use crate::live::use_live;
use crate::load::Loader;
use crate::series::{Line, Range};
use crate::time::now_ms;

/// A view of the device.
#[component]
pub fn ViewTab(
    /// The device and its template.
    known: Known,
    /// The view.
    shown: TemplateView,
) -> impl IntoView {
    match shown.content {
        ViewContent::View { tiles } if tiles.is_empty() => {
            let text = "It is filled on the Views tab of the device’s template.";
            view! { <div class="card"><Blank mark=Icon::Layers title="This view is empty" text /></div> }.into_any()
        }
        ViewContent::View { tiles } => view! { <Tiles known tiles /> }.into_any(),
        ViewContent::Form { sections } => view! { <Sections known sections /> }.into_any(),
    }
}

#[component]
fn Sections(known: Known, sections: Vec<FormSection>) -> impl IntoView {
    let sections = sections.into_iter().map(|FormSection { display_name, capabilities }| {
        let known = known.clone();
        view! { <h2>{display_name}</h2> <PropertiesTab known only=capabilities /> }
    });
    view! { <div class="stack">{sections.collect_view()}</div> }
}

/// What the tiles with telemetry share: one request for all of them, and one ear at the live stream.
#[derive(Clone, Copy)]
struct Heard {
    telemetry: StoredValue<Vec<Capability>>,
    latest: RwSignal<Latest>,
    lines: RwSignal<BTreeMap<String, Line>>,
    range: RwSignal<Range>,
}

fn hear(known: &Known) -> Heard {
    let api = use_api();
    let telemetry = known.template.as_ref().map(|template| template.capabilities.clone()).unwrap_or_default();
    let telemetry = telemetry.into_iter().filter(|capability| capability.kind == CapabilityKind::Telemetry);
    let telemetry = StoredValue::new(telemetry.collect::<Vec<_>>());
    let (latest, range) = (RwSignal::new(Latest::new()), RwSignal::new(Range::Hour));
    let lines = RwSignal::new(BTreeMap::<String, Line>::new());
    let device = known.device.id.clone();
    let first = Loader::new(move || load_latest(api, device.clone()));
    let device = known.device.id.clone();
    let history = Loader::new(move || load_history(api, device.clone(), range.get(), telemetry));
    Effect::new(move |_| {
        if let Some(loaded) = first.value() {
            latest.set(loaded);
        }
    });
    Effect::new(move |_| {
        if let Some(history) = history.value() {
            lines.set(history);
        }
    });
    let device = known.device.id.clone();
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
    Heard { telemetry, latest, lines, range }
}

#[component]
fn Tiles(known: Known, tiles: Vec<ViewTile>) -> impl IntoView {
    let heard = hear(&known);
    let charted = tiles.iter().any(|tile| tile.kind == ViewTileKind::LineChart);
    let ranges = vec![(Range::Hour, "1 h"), (Range::Day, "24 h"), (Range::Week, "7 d"), (Range::Month, "30 d")];
    let tiles = tiles.into_iter().map(|tile| {
        let ViewTile { display_name, kind, capabilities } = tile;
        let known = known.clone();
        match kind {
            ViewTileKind::LineChart => view! { <Chart title=display_name keys=capabilities heard /> }.into_any(),
            ViewTileKind::LastValue => {
                let Heard { latest, telemetry, .. } = heard;
                let cards = capabilities.into_iter().map(|key| view! { <ValueCard key latest telemetry /> });
                view! { <h2>{display_name}</h2> <div class="value-grid">{cards.collect_view()}</div> }.into_any()
            }
            ViewTileKind::Property => {
                view! { <h2>{display_name}</h2> <PropertiesTab known only=capabilities /> }.into_any()
            }
            ViewTileKind::Command => {
                view! { <h2>{display_name}</h2> <CommandsTab known only=capabilities /> }.into_any()
            }
        }
    });
    view! {
        <div class="stack">
            {charted.then(|| view! { <div class="row end"><Segments label="Time range" value=heard.range options=ranges /></div> })}
            {tiles.collect_view()}
        </div>
    }
}

#[component]
fn Chart(title: String, keys: Vec<String>, heard: Heard) -> impl IntoView {
    let Heard { lines, range, .. } = heard;
    let drawn = Signal::derive(move || {
        lines.with(|lines| keys.iter().filter_map(|key| lines.get(key).cloned()).collect::<Vec<_>>())
    });
    view! {
        <section class="card chart-card">
            <div class="card-head">
                <div>
                    <h3>{title.clone()}</h3>
                    <p>{move || range.get().words()}</p>
                </div>
            </div>
            {move || match drawn.with(Vec::is_empty) {
                true => view! { <Blank mark=Icon::Dashboard title="No numbers in this time" text="The chart begins with the next one." /> }.into_any(),
                false => view! { <LineView label=title.clone() lines=drawn range=moving_window(range) threshold=None /> }.into_any(),
            }}
        </section>
    }
}

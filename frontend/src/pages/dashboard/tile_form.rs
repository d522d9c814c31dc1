//! The dialog that adds or changes a tile.

use leptos::prelude::*;
use muster_contract::dashboard::{Aggregate, Tile, TileRange};
use muster_contract::device::Device;
use muster_contract::page::Page;
use muster_contract::template::Capability;
use muster_contract::urls::DeviceList;
use muster_model::{DeviceId, TemplateId};
use std::collections::BTreeSet;
use uuid::Uuid;

use super::Board;
use crate::api::use_api;
use crate::components::dialog::Dialog;
use crate::components::fields::{SelectField, Switch, TextField, fresh_id};
use crate::components::icon::{Icon, icon};
use crate::layout::place_new;
use crate::load::Loader;
use crate::tile_data::aggregate_name;
use crate::tile_draft::{TileDraft, TileKind};

/// The dialog that adds or changes a tile.
#[component]
pub fn TileDialog(
    /// The dashboard.
    board: Board,
) -> impl IntoView {
    let open = RwSignal::new(false);
    // Each follows the other, and only where they differ: setting a signal wakes its readers even with the same value.
    Effect::new(move |_| {
        let wanted = board.form.get().is_some();
        if open.get_untracked() != wanted {
            open.set(wanted);
        }
    });
    Effect::new(move |_| {
        if !open.get() && board.form.get_untracked().is_some() {
            board.form.set(None);
        }
    });
    view! {
        <Dialog title="Tile" open>
            <Form board open />
        </Dialog>
    }
}

const RANGES: [(TileRange, &str, &str); 6] = [
    (TileRange::HalfHour, "PT30M", "Last 30 minutes"),
    (TileRange::Hour, "PT1H", "Last hour"),
    (TileRange::HalfDay, "PT12H", "Last 12 hours"),
    (TileRange::Day, "P1D", "Last 24 hours"),
    (TileRange::Week, "P1W", "Last 7 days"),
    (TileRange::Month, "P30D", "Last 30 days"),
];

const AGGREGATES: [(Aggregate, &str); 5] = [
    (Aggregate::Avg, "avg"),
    (Aggregate::Min, "min"),
    (Aggregate::Max, "max"),
    (Aggregate::Sum, "sum"),
    (Aggregate::Count, "count"),
];

/// The form's choices, each its own signal.
#[derive(Clone, Copy)]
struct Choices {
    kind: RwSignal<String>,
    title: RwSignal<String>,
    template: RwSignal<String>,
    devices: RwSignal<BTreeSet<DeviceId>>,
    capabilities: RwSignal<BTreeSet<String>>,
    range: RwSignal<String>,
    aggregate: RwSignal<String>,
    show_trend: RwSignal<bool>,
    text: RwSignal<String>,
}

impl Choices {
    fn of(draft: TileDraft) -> Self {
        let range = RANGES.iter().find(|(range, ..)| *range == draft.range).map_or("P1D", |(_, word, _)| word);
        let aggregate = AGGREGATES.iter().find(|(one, _)| *one == draft.aggregate).map_or("avg", |(_, word)| word);
        Self {
            kind: RwSignal::new(draft.kind.word().to_owned()),
            title: RwSignal::new(draft.title),
            template: RwSignal::new(draft.template),
            devices: RwSignal::new(draft.devices),
            capabilities: RwSignal::new(draft.capabilities),
            range: RwSignal::new(range.to_owned()),
            aggregate: RwSignal::new(aggregate.to_owned()),
            show_trend: RwSignal::new(draft.show_trend),
            text: RwSignal::new(draft.text),
        }
    }

    fn draft(self) -> TileDraft {
        let (range, aggregate) = (self.range.get(), self.aggregate.get());
        TileDraft {
            kind: self.tile_kind(),
            title: self.title.get(),
            template: self.template.get(),
            devices: self.devices.get(),
            capabilities: self.capabilities.get(),
            range: RANGES.iter().find(|(_, word, _)| *word == range).map_or(TileRange::Day, |(range, ..)| *range),
            aggregate: AGGREGATES.iter().find(|(_, word)| *word == aggregate).map_or(Aggregate::Avg, |(one, _)| *one),
            show_trend: self.show_trend.get(),
            text: self.text.get(),
        }
    }

    fn tile_kind(self) -> TileKind {
        TileKind::from_word(&self.kind.get())
    }
}

#[component]
fn Form(board: Board, open: RwSignal<bool>) -> impl IntoView {
    let wanted = board.form.get_untracked().flatten();
    let existing =
        wanted.and_then(|id| board.tiles.with_untracked(|tiles| tiles.iter().find(|tile| tile.id == id).cloned()));
    let names = board.templates.names();
    let first = names.first().map(|(id, _)| id.clone()).unwrap_or_default();
    let choices = Choices::of(existing.as_ref().map_or_else(|| TileDraft::new(first), TileDraft::of));
    let telemetry = Memo::new(move |_| {
        TemplateId::parse(choices.template.get()).map(|id| board.templates.telemetry(&id)).unwrap_or_default()
    });
    let problem = RwSignal::new(None::<String>);
    let button = if existing.is_some() { "Change tile" } else { "Add tile" };
    let existing = StoredValue::new(existing);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        match choices.draft().finish(&telemetry.get_untracked()) {
            Err(text) => problem.set(Some(text)),
            Ok((display_name, configuration)) => {
                board.tiles.update(|tiles| match existing.get_value() {
                    Some(before) => {
                        if let Some(tile) = tiles.iter_mut().find(|tile| tile.id == before.id) {
                            (tile.display_name, tile.configuration) = (display_name, configuration);
                        }
                    }
                    None => {
                        let (width, height) = choices.tile_kind().size();
                        let id = Uuid::now_v7().to_string();
                        let mut tile = Tile { id, display_name, configuration, x: 0, y: 0, width, height };
                        place_new(tiles, &mut tile);
                        tiles.push(tile);
                    }
                });
                open.set(false);
            }
        }
    };
    let kinds: Vec<(String, String)> =
        TileKind::ALL.into_iter().map(|kind| (kind.word().to_owned(), kind.label().to_owned())).collect();
    view! {
        <form on:submit=submit>
            <SelectField label="What it shows" value=choices.kind options=Signal::stored(kinds) />
            <TextField label="Title" value=choices.title help="Left empty, it is called by what it shows." />
            {move || fields(choices.tile_kind(), choices, names.clone(), telemetry)}
            {move || {
                problem
                    .get()
                    .map(|text| view! { <div class="notice" data-tone="bad" role="alert">{icon(Icon::Alert)} <div>{text}</div></div> })
            }}
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button type="submit" class="button" data-kind="primary">
                    {button}
                </button>
            </div>
        </form>
    }
}

fn fields(kind: TileKind, choices: Choices, names: Vec<(String, String)>, telemetry: Memo<Vec<Capability>>) -> AnyView {
    let ranges: Vec<(String, String)> =
        RANGES.iter().map(|(_, word, name)| ((*word).to_owned(), (*name).to_owned())).collect();
    let range = kind
        .has_range()
        .then(|| view! { <SelectField label="How far back" value=choices.range options=Signal::stored(ranges) /> });
    let aggregates: Vec<(String, String)> =
        AGGREGATES.iter().map(|(one, word)| ((*word).to_owned(), aggregate_name(*one).to_owned())).collect();
    let aggregate = (kind == TileKind::Kpi).then(
        || view! { <SelectField label="Which number" value=choices.aggregate options=Signal::stored(aggregates) /> },
    );
    let trend = (kind == TileKind::Last).then(|| {
        let change = Callback::new(move |on| choices.show_trend.set(on));
        view! { <Switch label="Draw the trend of the last day" on=choices.show_trend change /> }
    });
    let mut templates = names;
    if kind == TileKind::Count {
        templates.insert(0, (String::new(), "All devices".to_owned()));
    }
    let template = (kind != TileKind::Text)
        .then(|| view! { <SelectField label="Devices of the template" value=choices.template options=Signal::stored(templates) /> });
    let source = kind.has_source().then(|| {
        view! {
            <Capabilities kind chosen=choices.capabilities telemetry />
            <Devices template=choices.template chosen=choices.devices />
        }
    });
    let text = (kind == TileKind::Text).then(|| {
        let id = fresh_id();
        view! {
            <div class="field">
                <label for=id.clone()>"Text"</label>
                <textarea
                    id=id
                    class="input"
                    prop:value=move || choices.text.get()
                    on:input:target=move |event| choices.text.set(event.target().value())
                ></textarea>
            </div>
        }
    });
    view! {
        {template}
        {source}
        <div class="two-columns">{aggregate} {range}</div>
        {trend}
        {text}
    }
    .into_any()
}

#[component]
fn Capabilities(kind: TileKind, chosen: RwSignal<BTreeSet<String>>, telemetry: Memo<Vec<Capability>>) -> impl IntoView {
    let offered = move || {
        let all = telemetry.get().into_iter().filter(|capability| kind.draws(capability));
        all.map(|capability| (capability.key, capability.display_name)).collect::<Vec<_>>()
    };
    view! {
        <fieldset class="field checks">
            <legend class="field-label">"What is shown"</legend>
            {move || {
                let offered = offered();
                if offered.is_empty() {
                    return view! { <p class="help">"This template has nothing that such a tile can draw."</p> }.into_any();
                }
                offered.into_iter().map(|(key, name)| check(key, name, chosen)).collect_view().into_any()
            }}
        </fieldset>
    }
}

#[component]
fn Devices(template: RwSignal<String>, chosen: RwSignal<BTreeSet<DeviceId>>) -> impl IntoView {
    let api = use_api();
    let devices = Loader::new(move || {
        let list = DeviceList { template: TemplateId::parse(template.get()).ok(), search: None, page_size: Some(100) };
        async move { api.get::<Page<Device>>(&api.urls().devices(&list)).await }
    });
    view! {
        <fieldset class="field checks">
            <legend class="field-label">"Which devices"</legend>
            {move || {
                let page = devices.value()?;
                let more = page.next_link.is_some().then(|| view! { <p class="help">"Only the first 100 are listed."</p> });
                let each = page.value.into_iter().map(|device| check(device.id, device.display_name, chosen));
                Some(view! { {each.collect_view()} {more} })
            }}
            <p class="help">"None chosen means all, of which at most 20 are drawn."</p>
        </fieldset>
    }
}

fn check<T>(value: T, name: String, chosen: RwSignal<BTreeSet<T>>) -> AnyView
where
    T: Clone + Ord + Send + Sync + 'static,
{
    let wanted = value.clone();
    let on = move || chosen.with(|chosen| chosen.contains(&wanted));
    let change = move |checked: bool| {
        chosen.update(|chosen| {
            if checked {
                chosen.insert(value.clone());
            } else {
                chosen.remove(&value);
            }
        });
    };
    view! {
        <label class="check">
            <input type="checkbox" prop:checked=on on:change:target=move |event| change(event.target().checked()) />
            {name}
        </label>
    }
    .into_any()
}

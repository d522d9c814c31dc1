//! The frame of a tile: title, place, and the tools to arrange it.

use leptos::prelude::*;
use muster_contract::dashboard::{Tile, TileConfiguration, TileSource};
use muster_contract::live::LiveEvent;
use muster_contract::statistics::Statistics;
use muster_model::TemplateId;

use super::{Board, figure, line, map};
use crate::api::use_api;
use crate::components::icon::{Icon, icon};
use crate::components::states::{Skeleton, loaded};
use crate::format;
use crate::layout::{Arrange, arrange, grid_area};
use crate::live::use_live;
use crate::load::Loader;
use crate::markdown::{Block, Span, parse};
use crate::tile_data::{aggregate_name, range_of};

/// A tile of the dashboard.
#[component]
pub fn TileFrame(
    /// Its id.
    id: String,
) -> impl IntoView {
    let board = expect_context::<Board>();
    let wanted = StoredValue::new(id);
    let tile =
        move || board.tiles.with(|tiles| wanted.with_value(|id| tiles.iter().find(|tile| tile.id == *id).cloned()));
    let Some(start) = untrack(tile) else { return ().into_any() };
    let area = move || tile().map(|tile| grid_area(&tile));
    let title = move || tile().map(|tile| tile.display_name);
    let kind = match start.configuration {
        TileConfiguration::LineChart { .. } => "chart",
        TileConfiguration::MapTelemetry { .. } => "map",
        _ => "plain",
    };
    let configuration = start.configuration.clone();
    view! {
        <section class="card tile" style:grid-area=area data-kind=kind data-editing=move || board.editing.get().to_string()>
            <div class="card-head">
                <div>
                    <h3 class="ellipsis">{title}</h3>
                    {subtitle(board, &configuration)}
                </div>
                <Show when=move || board.editing.get()>
                    <Tools board id=wanted.get_value() />
                </Show>
            </div>
            <div class="tile-body">{content(&start)}</div>
        </section>
    }
    .into_any()
}

fn subtitle(board: Board, configuration: &TileConfiguration) -> Option<AnyView> {
    let words = match configuration {
        TileConfiguration::LineChart { range, .. } => {
            let own = range_of(*range);
            view! { <p>{move || board.range.get().unwrap_or(own).words()}</p> }.into_any()
        }
        TileConfiguration::Kpi { range, aggregate, .. } => {
            let (own, name) = (range_of(*range), aggregate_name(*aggregate));
            view! { <p>{move || format!("{name}, {}", board.range.get().unwrap_or(own).words())}</p> }.into_any()
        }
        TileConfiguration::Lkv { .. } => view! { <p>"Last known value"</p> }.into_any(),
        TileConfiguration::MapTelemetry { .. } => view! { <p>"Last reported position"</p> }.into_any(),
        TileConfiguration::DeviceCount { .. } | TileConfiguration::Markdown { .. } => return None,
    };
    Some(words)
}

fn content(tile: &Tile) -> AnyView {
    match tile.configuration.clone() {
        TileConfiguration::LineChart { source, range } => {
            view! { <line::LineTile title=tile.display_name.clone() source range=range_of(range) /> }.into_any()
        }
        TileConfiguration::Kpi { source, aggregate, range } => {
            view! { <figure::KpiTile source aggregate range=range_of(range) /> }.into_any()
        }
        TileConfiguration::Lkv { source, show_trend } => view! { <figure::LastTile source show_trend /> }.into_any(),
        TileConfiguration::MapTelemetry { source } => {
            view! { <map::MapTile title=tile.display_name.clone() source /> }.into_any()
        }
        TileConfiguration::DeviceCount { template } => view! { <CountTile template /> }.into_any(),
        TileConfiguration::Markdown { text } => written(&text),
    }
}

/// A text as it was written.
fn written(text: &str) -> AnyView {
    let run = |spans: Vec<Span>| {
        let each = spans.into_iter().map(|span| match span {
            Span::Plain(text) => text.into_any(),
            Span::Strong(text) => view! { <strong>{text}</strong> }.into_any(),
            Span::Emphasis(text) => view! { <em>{text}</em> }.into_any(),
            Span::Code(text) => view! { <code>{text}</code> }.into_any(),
        });
        each.collect_view()
    };
    let blocks = parse(text).into_iter().map(|block| match block {
        Block::Heading(spans) => view! { <h4>{run(spans)}</h4> }.into_any(),
        Block::Paragraph(spans) => view! { <p>{run(spans)}</p> }.into_any(),
        Block::List(items) => {
            let items = items.into_iter().map(|spans| view! { <li>{run(spans)}</li> });
            view! { <ul>{items.collect_view()}</ul> }.into_any()
        }
    });
    view! { <div class="tile-text">{blocks.collect_view()}</div> }.into_any()
}

#[component]
fn CountTile(template: Option<TemplateId>) -> impl IntoView {
    let api = use_api();
    let statistics = Loader::new(move || {
        let url = api.urls().statistics(template.as_ref());
        async move { api.get::<Statistics>(&url).await }
    });
    use_live().listen(move |event| {
        if matches!(event, LiveEvent::Device { .. } | LiveEvent::Reload) {
            statistics.reload();
        }
    });
    loaded(statistics, Skeleton::Block, move |statistics| {
        view! {
            <div class="tile-figure">{format::number(statistics.devices as f64)}</div>
            <p class="tile-note">{format!("{} connected now", statistics.connected)}</p>
        }
    })
}

/// Devices that a tile would draw but that are too many: it says so.
pub fn left_out(count: u32) -> Option<AnyView> {
    let words = format::counted(usize::try_from(count).unwrap_or(usize::MAX), "more device is", "more devices are");
    (count > 0).then(|| view! { <p class="tile-note">{format!("{words} not drawn.")}</p> }.into_any())
}

/// The keys of a source.
pub fn keys(source: &TileSource) -> Vec<String> {
    source.capabilities.clone()
}

#[component]
fn Tools(board: Board, id: String) -> impl IntoView {
    let id = StoredValue::new(id);
    let index =
        move || board.tiles.with_untracked(|tiles| tiles.iter().position(|tile| id.with_value(|id| tile.id == *id)));
    let tool = move |how: Arrange, mark: Icon, name: &'static str| {
        let press = move |_| {
            if let Some(index) = index() {
                board.tiles.update(|tiles| arrange(tiles, index, how));
            }
        };
        view! {
            <button type="button" class="icon-button" aria-label=name title=name on:click=press>
                {icon(mark)}
            </button>
        }
    };
    let remove = move |_| board.tiles.update(|tiles| tiles.retain(|tile| id.with_value(|id| tile.id != *id)));
    view! {
        <div class="tile-tools">
            {tool(Arrange::Left, Icon::Left, "Move left")}
            {tool(Arrange::Right, Icon::Right, "Move right")}
            {tool(Arrange::Up, Icon::Up, "Move up")}
            {tool(Arrange::Down, Icon::Down, "Move down")}
            {tool(Arrange::Narrower, Icon::Shrink, "Make narrower")}
            {tool(Arrange::Wider, Icon::Grow, "Make wider")}
            {tool(Arrange::Shorter, Icon::ChevronUp, "Make shorter")}
            {tool(Arrange::Taller, Icon::ChevronDown, "Make taller")}
            <button
                type="button"
                class="icon-button"
                aria-label="Change this tile"
                title="Change"
                on:click=move |_| board.form.set(Some(Some(id.get_value())))
            >
                {icon(Icon::Edit)}
            </button>
            <button type="button" class="icon-button" aria-label="Remove this tile" title="Remove" on:click=remove>
                {icon(Icon::Trash)}
            </button>
        </div>
    }
}

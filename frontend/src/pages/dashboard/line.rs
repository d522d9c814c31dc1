//! The line chart tile.

use leptos::prelude::*;
use muster_contract::dashboard::TileSource;
use muster_contract::live::LiveEvent;
use muster_contract::telemetry::TelemetryHistory;
use muster_contract::template::Capability;
use muster_contract::urls::HistoryQuery;
use muster_model::DeviceId;

use super::{Board, tile};
use crate::api::{Api, ApiError, use_api};
use crate::components::chart::LineView;
use crate::components::states::{Skeleton, bones, failure};
use crate::live::use_live;
use crate::load::{Load, Loader};
use crate::pages::device::moving_window;
use crate::reading::{decimals, number_of};
use crate::series::{BUCKETS, Line, Range, append, points};
use crate::thresholds::threshold;
use crate::tile_data::line_name;
use crate::time::now_ms;

/// A line and the device and key that it follows.
#[derive(Clone, Debug, PartialEq)]
struct Followed {
    device: DeviceId,
    key: String,
    line: Line,
}

/// Lines over time, growing as values arrive.
#[component]
pub fn LineTile(
    /// Its title, for screen readers.
    title: String,
    /// What it draws.
    source: TileSource,
    /// How far back, unless the dashboard says otherwise.
    range: Range,
) -> impl IntoView {
    let api = use_api();
    let board = expect_context::<Board>();
    let telemetry = StoredValue::new(board.templates.telemetry(&source.template));
    let limit = match source.capabilities.as_slice() {
        [only] => board.rules.with_value(|rules| threshold(rules, &source.template, only)),
        _ => None,
    };
    let limit = StoredValue::new(limit);
    let chosen = RwSignal::new(range);
    Effect::new(move |_| chosen.set(board.range.get().unwrap_or(range)));
    let history = Loader::new(move || load(api, source.clone(), chosen.get(), BUCKETS));
    let followed = RwSignal::new(Vec::<Followed>::new());
    Effect::new(move |_| {
        if let Some(history) = history.value() {
            followed.set(telemetry.with_value(|telemetry| follow(&history, telemetry)));
        }
    });
    use_live().listen(move |event| match event {
        LiveEvent::Telemetry { device, timestamp, values } => {
            let mine = followed.with_untracked(|all| all.iter().any(|one| one.device == *device));
            if !mine {
                return;
            }
            let oldest_ms = now_ms() - chosen.get_untracked().span_ms();
            followed.update(|all| {
                for one in all.iter_mut().filter(|one| one.device == *device) {
                    if let Some(number) = values.get(&one.key).and_then(number_of) {
                        append(&mut one.line, timestamp.timestamp_millis(), number, oldest_ms);
                    }
                }
            });
        }
        LiveEvent::Reload => history.reload(),
        _ => {}
    });
    let window = moving_window(chosen);
    let title = StoredValue::new(title);
    let left_out = move || history.value().and_then(|history| tile::left_out(history.devices_left_out));
    let failed = Memo::new(move |_| match history.state.get() {
        Load::Loading => Some(None),
        Load::Failed(error) => Some(Some(error)),
        Load::Ready(_) => None,
    });
    move || match failed.get() {
        Some(None) => bones(Skeleton::Block),
        Some(Some(error)) => failure(&error, Callback::new(move |()| history.retry())),
        None => {
            let lines = Signal::derive(move || followed.with(|all| all.iter().map(|one| one.line.clone()).collect()));
            view! {
                <LineView label=title.get_value() lines range=window threshold=limit.get_value() />
                {left_out}
            }
            .into_any()
        }
    }
}

fn follow(history: &TelemetryHistory, telemetry: &[Capability]) -> Vec<Followed> {
    let each = history.series.iter().map(|series| Followed {
        device: series.device.clone(),
        key: series.key.clone(),
        line: Line {
            name: line_name(series, &history.series),
            unit: series.unit.clone().unwrap_or_default(),
            decimals: decimals(telemetry, &series.key),
            points: points(series),
        },
    });
    each.collect()
}

/// The history of a tile's source.
pub async fn load(api: Api, source: TileSource, range: Range, buckets: u32) -> Result<TelemetryHistory, ApiError> {
    let to_ms = now_ms();
    let query = HistoryQuery {
        template: Some(source.template),
        devices: source.devices,
        keys: source.capabilities,
        from_ms: to_ms - range.span_ms(),
        to_ms,
        buckets,
    };
    api.get(&api.urls().history(&query)).await
}

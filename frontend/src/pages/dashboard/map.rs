//! The map tile.

use leptos::prelude::*;
use muster_contract::dashboard::TileSource;
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::telemetry::{LatestValues, TelemetryValue};

use crate::api::use_api;
use crate::components::map::{MapView, Marker};
use crate::components::states::{Skeleton, bones, failure};
use crate::freshness::is_stale;
use crate::live::use_live;
use crate::load::{Load, Loader};
use crate::pages::segment;
use crate::tile_data::{position, position_keys};
use crate::time::use_now;

/// The last positions of devices, moving as they are reported.
#[component]
pub fn MapTile(
    /// Its title, for screen readers.
    title: String,
    /// The devices and the location capability.
    source: TileSource,
) -> impl IntoView {
    let api = use_api();
    let now = use_now();
    let capability = source.capabilities.first().cloned().unwrap_or_default();
    let keys = position_keys(&capability);
    let wanted = (source, keys.clone());
    let latest = Loader::new(move || {
        let (source, keys) = &wanted;
        let url = api.urls().latest(Some(&source.template), &source.devices, keys);
        async move { api.get::<Page<LatestValues>>(&url).await }
    });
    use_live().listen(move |event| match event {
        LiveEvent::Telemetry { device, timestamp, values } if keys.iter().any(|key| values.contains_key(key)) => {
            latest.change(|page| {
                let Some(known) = page.value.iter_mut().find(|known| known.device == *device) else { return };
                for (key, value) in values {
                    let value = TelemetryValue { value: Some(value.clone()), timestamp: Some(*timestamp) };
                    known.values.insert(key.clone(), value);
                }
            });
        }
        LiveEvent::Reload => latest.reload(),
        _ => {}
    });
    // Freshness is looked at once a minute: a marker need not change colour to the second.
    let minute = Memo::new(move |_| now.get() / 60_000 * 60_000);
    let markers = Signal::derive(move || {
        let now_ms = minute.get();
        let all = latest.value().map(|page| page.value).unwrap_or_default();
        let each = all.into_iter().filter_map(|known| {
            let (place, at_ms) = position(&known, &capability)?;
            let href = api.page(&format!("devices/{}", segment(known.device.as_str())));
            Some(Marker { name: known.display_name, href, place, fresh: !is_stale(at_ms, now_ms) })
        });
        each.collect::<Vec<Marker>>()
    });
    let failed = Memo::new(move |_| match latest.state.get() {
        Load::Loading => Some(None),
        Load::Failed(error) => Some(Some(error)),
        Load::Ready(_) => None,
    });
    let title = StoredValue::new(title);
    move || match failed.get() {
        Some(None) => bones(Skeleton::Block),
        Some(Some(error)) => failure(&error, Callback::new(move |()| latest.retry())),
        None => view! { <MapView label=title.get_value() markers /> }.into_any(),
    }
}

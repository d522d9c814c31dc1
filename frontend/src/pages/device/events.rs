//! What happened to a device and what went wrong with it.

use leptos::prelude::*;
use muster_contract::event::DeviceEvent;
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;

use super::Known;
use crate::api::use_api;
use crate::components::event_line::event_line;
use crate::components::icon::Icon;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::format;
use crate::live::use_live;
use crate::load::Loader;

/// The newest events of a device.
#[component]
pub fn EventsTab(
    /// The device and its template.
    known: Known,
) -> impl IntoView {
    let api = use_api();
    let (device, watched) = (known.device.id.clone(), known.device.id);
    let events = Loader::new(move || {
        let url = api.urls().device_events(&device);
        async move { api.get::<Page<DeviceEvent>>(&url).await }
    });
    use_live().listen(move |event| match event {
        LiveEvent::Device { device, .. } | LiveEvent::Properties { device } if *device == watched => events.reload(),
        LiveEvent::Reload => events.reload(),
        _ => {}
    });
    loaded(events, Skeleton::Rows, move |page| {
        if page.value.is_empty() {
            return view! {
                <div class="card">
                    <Blank mark=Icon::Device title="Nothing has happened yet"
                        text="Connections, changes of properties and what goes wrong with the device are kept here for a week." />
                </div>
            }
            .into_any();
        }
        let shown = format::counted(page.value.len(), "event", "events");
        view! {
            <div class="card table-card">
                {page.value.into_iter().map(|event| event_line(event, None)).collect_view()}
                <div class="table-foot"><span>{format!("The newest {shown}")}</span></div>
            </div>
        }
        .into_any()
    })
}

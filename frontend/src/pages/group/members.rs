//! The devices that a query finds, while it is being written.

use leptos::prelude::*;
use muster_contract::device::Device;
use muster_contract::group::DeviceGroupPreview;
use muster_contract::page::Page;

use crate::api::use_api;
use crate::components::icon::Icon;
use crate::components::pill::{connection_dot, pill, status_pill};
use crate::components::states::{Blank, Skeleton, loaded};
use crate::format;
use crate::load::Loader;
use crate::pages::search::debounced;
use crate::pages::segment;

/// Devices that are shown; the count says whether there are more.
const SHOWN: u32 = 50;

/// The devices in the group.
#[component]
pub fn Members(
    /// The query, or what it still lacks.
    filter: Memo<Result<String, String>>,
) -> impl IntoView {
    let api = use_api();
    let text = RwSignal::new(String::new());
    Effect::new(move |_| {
        if let Ok(filter) = filter.get() {
            text.set(filter);
        }
    });
    let asked = debounced(text);
    let found = Loader::new(move || {
        let preview = DeviceGroupPreview { filter: asked.get() };
        async move {
            match preview.filter.is_empty() {
                true => Ok(Page::whole(Vec::new())),
                false => api.post_json::<Page<Device>>(&api.urls().group_preview(SHOWN), &preview).await,
            }
        }
    });
    let count = move || {
        let page = found.value()?;
        let count = format::counted(page.value.len(), "device", "devices");
        Some(if page.next_link.is_some() { format!("the first {count}") } else { count })
    };
    view! {
        <section class="card table-card">
            <div class="card-head">
                <div>
                    <h3>"Devices in the group now"</h3>
                    <p aria-live="polite">{count}</p>
                </div>
            </div>
            {loaded(
                found,
                Skeleton::Rows,
                move |page| {
                    if page.value.is_empty() {
                        return view! {
                            <Blank mark=Icon::Device title="No device yet" text="Devices come and go by themselves as their properties change." />
                        }
                            .into_any();
                    }
                    let rows = page.value.into_iter().map(|device| view! { <Row device /> });
                    view! {
                        <table class="table">
                            <thead>
                                <tr>
                                    <th scope="col">"Device"</th>
                                    <th scope="col">"Status"</th>
                                </tr>
                            </thead>
                            <tbody>{rows.collect_view()}</tbody>
                        </table>
                    }
                        .into_any()
                },
            )}
        </section>
    }
}

#[component]
fn Row(device: Device) -> impl IntoView {
    let href = use_api().page(&format!("devices/{}", segment(device.id.as_str())));
    view! {
        <tr>
            <td>
                <div class="cell-main">
                    {connection_dot(device.connection_state)}
                    <div>
                        <a href=href>{device.display_name}</a>
                        <small>{device.id.to_string()}</small>
                    </div>
                </div>
            </td>
            <td data-label="Status">
                <span class="row">{status_pill(device.status)} {device.simulated.then(|| pill("quiet", "Simulated"))}</span>
            </td>
        </tr>
    }
}

//! One row of the device list.

use leptos::prelude::*;
use muster_contract::device::Device;
use muster_model::TemplateId;
use std::collections::BTreeMap;

use super::Seen;
use crate::api::use_api;
use crate::components::pill::{connection_dot, pill, status_pill};
use crate::components::time::Ago;
use crate::format;
use crate::pages::segment;

/// The name of a device's template as it is shown.
pub fn template_name(device: &Device, names: &BTreeMap<TemplateId, String>) -> String {
    match &device.template {
        Some(template) => names.get(template).cloned().unwrap_or_else(|| template.to_string()),
        None => "—".to_owned(),
    }
}

/// One row of the device list.
#[component]
pub fn DeviceRow(
    /// The device, as it was loaded.
    device: Device,
    /// The names of templates.
    names: Memo<BTreeMap<TemplateId, String>>,
    /// What the live stream said since.
    seen: Seen,
) -> impl IntoView {
    let api = use_api();
    let id = device.id.clone();
    let loaded = (device.connection_state, device.last_seen);
    let fresh = Memo::new(move |_| {
        let (state, last_seen) = seen.with(|seen| seen.get(&id).copied()).unwrap_or(loaded);
        (state, last_seen.or(loaded.1))
    });
    let id = device.id.to_string();
    let href = api.page(&format!("devices/{}", segment(&id)));
    let name = device.display_name.clone();
    let simulated = device.simulated;
    let status = device.status;
    view! {
        <tr>
            <td>
                <div class="cell-main">
                    {move || connection_dot(fresh.get().0)}
                    <div>
                        <a href=href>{name}</a>
                        <small title=id.clone()>{format::short_id(&id)}</small>
                    </div>
                </div>
            </td>
            <td data-label="Template">{move || names.with(|names| template_name(&device, names))}</td>
            <td data-label="Status">
                <span class="row">
                    {status_pill(status)}
                    {simulated.then(|| pill("quiet", "Simulated"))}
                </span>
            </td>
            <td data-label="Last seen" class="soft number">
                <Ago at=Signal::derive(move || fresh.get().1) />
            </td>
        </tr>
    }
}

//! The list of device templates.

mod catalogue;
mod import;

use leptos::prelude::*;
use muster_contract::statistics::Statistics;
use muster_contract::template::{CapabilityKind, DeviceTemplate};
use muster_model::Permission;

use super::segment;
use super::shell::set_title;
use crate::api::use_api;
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

/// The list of device templates.
#[component]
pub fn TemplatesPage() -> impl IntoView {
    set_title("Device templates");
    let api = use_api();
    let (importing, choosing) = (RwSignal::new(false), RwSignal::new(false));
    let may_import = use_rights().may(Permission::TemplatesManage);
    let templates =
        Loader::new(move || async move { api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await });
    let import = move || {
        may_import.then(|| {
            view! {
                <button class="button" on:click=move |_| choosing.set(true)>
                    {icon(Icon::Layers)}
                    "From the catalogue"
                </button>
                <button class="button" data-kind="primary" on:click=move |_| importing.set(true)>
                    {icon(Icon::Upload)}
                    "Import a template"
                </button>
            }
        })
    };
    view! {
        <div class="page-head">
            <h2>"All templates"</h2>
            {move || templates.value().map(|all| view! { <span class="count">{all.len()}</span> })}
            <span class="grow"></span>
            {import()}
        </div>
        {loaded(
            templates,
            Skeleton::Cards,
            move |all| {
                if all.is_empty() {
                    return view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Layers
                                title="No templates yet"
                                text="A template says what a device sends and can do. Import a DTDL model or a template exported from Azure IoT Central, or choose one of the catalogue."
                            >
                                {import()}
                            </Blank>
                        </div>
                    }
                        .into_any();
                }
                let cards = all.into_iter().map(|template| view! { <Card template /> }).collect_view();
                view! { <div class="cards">{cards}</div> }.into_any()
            },
        )}
        <import::ImportDialog open=importing />
        <catalogue::CatalogueDialog open=choosing templates />
    }
}

#[component]
fn Card(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let id = template.id.clone();
    let statistics = Loader::new(move || {
        let url = api.urls().statistics(Some(&id));
        async move { api.get::<Statistics>(&url).await }
    });
    let devices = move || {
        let count = usize::try_from(statistics.value()?.devices).unwrap_or(usize::MAX);
        Some(view! { <span class="pill" data-tone="info">{format::counted(count, "device", "devices")}</span> })
    };
    let count = |kind| template.capabilities.iter().filter(|capability| capability.kind == kind).count();
    let parts = [
        (count(CapabilityKind::Telemetry), "telemetry", "telemetry"),
        (count(CapabilityKind::Property), "property", "properties"),
        (count(CapabilityKind::Command), "command", "commands"),
    ];
    let parts = parts.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| {
        view! { <span class="pill" data-tone="quiet">{format::counted(count, one, many)}</span> }
    });
    view! {
        <a class="card link-card" href=api.page(&format!("templates/{}", segment(template.id.as_str())))>
            <h3>{template.display_name.clone()}</h3>
            <p class="mono ellipsis">{template.id.to_string()}</p>
            {template.description.clone().filter(|text| !text.is_empty()).map(|text| view! { <p>{text}</p> })}
            <div class="row">{(!template.published).then(|| pill("warn", "Draft"))} {devices} {parts.collect_view()}</div>
        </a>
    }
}

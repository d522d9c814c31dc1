//! A device template: its model, an editor for its draft, its versions and the moves of devices between them.

mod editor;
mod impact;
mod model;
mod moves;
mod unknown;
mod versions;
mod views;

use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::use_params_map;
use muster_contract::template::DeviceTemplate;
use muster_model::{Permission, TemplateId};

use super::segment;
use super::shell::{set_shown, set_title};
use crate::api::{Api, ApiError, use_api};
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::load::Loader;
use crate::session::use_rights;

/// The page of a device template.
#[component]
pub fn TemplatePage() -> impl IntoView {
    set_title("Device templates");
    let params = use_params_map();
    let id =
        Memo::new(move |_| TemplateId::parse(params.with(|params| params.get("template")).unwrap_or_default()).ok());
    move || match id.get() {
        Some(id) => view! { <TemplateView id /> }.into_any(),
        None => {
            view! { <Blank mark=Icon::Layers title="This is no template ID" text="The address may be mistyped." /> }
                .into_any()
        }
    }
}

#[component]
fn TemplateView(id: TemplateId) -> impl IntoView {
    let api = use_api();
    let wanted = id.clone();
    let template = Loader::new(move || {
        let url = api.urls().template(&wanted);
        async move { api.get::<DeviceTemplate>(&url).await }
    });
    Effect::new(move |_| {
        if let Some(template) = template.value() {
            set_shown(&template.display_name);
        }
    });
    loaded(template, Skeleton::Rows, move |loaded| view! { <Head template=loaded.clone() /> <Tab loaded template /> })
}

/// The address of a template's page.
fn page_of(api: Api, id: &TemplateId) -> String {
    api.page(&format!("templates/{}", segment(id.as_str())))
}

/// The template as its document, without what only answers have: what the editor shows and sends.
fn document_of(template: &DeviceTemplate) -> String {
    let mut document = serde_json::to_value(template).unwrap_or_default();
    if let Some(document) = document.as_object_mut() {
        ["etag", "published", "draft", "capabilities"].iter().for_each(|name| drop(document.remove(*name)));
    }
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

#[component]
fn Head(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let may_manage = use_rights().may(Permission::TemplatesManage);
    let may_see_raw = use_rights().may(Permission::DevicesRawData);
    let deleting = RwSignal::new(false);
    let base = page_of(api, &template.id);
    let state = match (template.published, template.draft) {
        (true, false) => pill("good", "Published"),
        (true, true) => pill("info", "Published, with a draft"),
        (false, _) => pill("warn", "Draft"),
    };
    let tab = move |path: &str, name: &'static str| {
        let href = if path.is_empty() { base.clone() } else { format!("{base}/{path}") };
        view! { <A href=href exact=true attr:class="tab">{name}</A> }
    };
    view! {
        <div class="page-head">
            <div class="crumbs grow">
                <a href=api.page("templates")>"Device templates"</a>
                <span aria-hidden="true">"/"</span>
                <h2 class="ellipsis">{template.display_name.clone()}</h2>
                {state}
            </div>
            <a class="button" href=api.page("devices")>{icon(Icon::Device)} "Devices"</a>
            {may_manage
                .then(|| {
                    view! {
                        <button class="icon-button" aria-label="Delete this template" title="Delete" on:click=move |_| deleting.set(true)>
                            {icon(Icon::Trash)}
                        </button>
                    }
                })}
        </div>
        <nav class="tabs" aria-label="Device template">
            {tab("", "Model")}
            {may_manage.then(|| tab("edit", "Edit"))}
            {tab("views", "Views")}
            {tab("versions", "Versions")}
            {tab("moves", "Move devices")}
            {may_see_raw.then(|| tab("unknown", "Unknown values"))}
        </nav>
        <impact::DeleteDialog id=template.id name=template.display_name open=deleting />
    }
}

#[component]
fn Tab(loaded: DeviceTemplate, template: Loader<DeviceTemplate>) -> impl IntoView {
    let params = use_params_map();
    let may_manage = use_rights().may(Permission::TemplatesManage);
    let tab = Memo::new(move |_| params.with(|params| params.get("tab")).unwrap_or_default());
    move || {
        let loaded = loaded.clone();
        match tab.get().as_str() {
            "" => view! { <model::ModelTab template=loaded /> }.into_any(),
            "edit" if may_manage => view! { <editor::EditTab of=loaded template /> }.into_any(),
            "views" => view! { <views::ViewsTab template=loaded /> }.into_any(),
            "versions" => view! { <versions::VersionsTab template=loaded /> }.into_any(),
            "unknown" => view! { <unknown::UnknownTab template=loaded /> }.into_any(),
            "moves" => view! { <moves::MovesTab template=loaded /> }.into_any(),
            _ => view! { <super::not_found::NothingHere /> }.into_any(),
        }
    }
}

/// The newest document of a template: its draft, or what is published.
async fn newest(api: Api, template: &DeviceTemplate) -> Result<DeviceTemplate, ApiError> {
    match template.draft && template.published {
        true => api.get(&api.urls().template_draft(&template.id)).await,
        false => Ok(template.clone()),
    }
}

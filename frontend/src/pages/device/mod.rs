//! A device: its state at the top, and tabs for what it sends, has and needs.

mod actions;
mod commands;
mod connect;
mod events;
mod files;
mod overview;
mod properties;
mod proposal;
mod raw;
mod shown;

pub use overview::moving_window;

use leptos::html;
use leptos::prelude::*;
use leptos_router::components::A;
use leptos_router::hooks::{use_location, use_params_map};
use muster_contract::device::{ConnectionState, Device};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::rule::Rule;
use muster_contract::template::DeviceTemplate;
use muster_contract::view::TemplateView;
use muster_model::{DeviceId, Permission};
use wasm_bindgen::JsCast;

use super::segment;
use super::shell::{set_shown, set_title};
use crate::api::{Api, ApiError, use_api};
use crate::components::icon::{Icon, icon};
use crate::components::pill::{connection_dot, connection_name, pill, status_pill};
use crate::components::states::{Blank, Skeleton, bones, failure};
use crate::components::time::Ago;
use crate::format;
use crate::live::use_live;
use crate::load::{Load, Loader};
use crate::session::{Rights, use_rights};

/// What the address of a view's tab begins with, so that none is another tab's.
const VIEW: &str = "view-";

/// A device and its template, as the tabs need them.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The device.
    pub device: Device,
    /// Its template, if it has one.
    pub template: Option<DeviceTemplate>,
    /// The template's views.
    pub views: Vec<TemplateView>,
    /// The rules of the tenant, whose limits charts show.
    pub rules: Vec<Rule>,
}

/// The page of a device.
#[component]
pub fn DevicePage() -> impl IntoView {
    set_title("Devices");
    let params = use_params_map();
    let id = Memo::new(move |_| DeviceId::parse(params.with(|params| params.get("device")).unwrap_or_default()).ok());
    move || match id.get() {
        Some(id) => view! { <DeviceView id /> }.into_any(),
        None => view! { <Blank mark=Icon::Device title="This is no device ID" text="The address may be mistyped." /> }
            .into_any(),
    }
}

async fn load(api: Api, rights: Rights, id: DeviceId) -> Result<Known, ApiError> {
    let device: Device = api.get(&api.urls().device(&id)).await?;
    let template = match &device.template {
        Some(template) => Some(api.get(&api.urls().template(template)).await?),
        None => None,
    };
    let views = match &device.template {
        Some(template) => api.get::<Page<TemplateView>>(&api.urls().template_views(template)).await?.value,
        None => Vec::new(),
    };
    let rules =
        if rights.may(Permission::RulesView) { api.get_all(&api.urls().rules(), 1_000).await? } else { Vec::new() };
    Ok(Known { device, template, views, rules })
}

#[component]
fn DeviceView(id: DeviceId) -> impl IntoView {
    let api = use_api();
    let live = use_live();
    let rights = use_rights();
    let wanted = id.clone();
    let known = Loader::new(move || load(api, rights, wanted.clone()));
    live.narrow(vec![id.clone()]);
    let watched = id.clone();
    live.listen(move |event| match event {
        LiveEvent::Device { device, connection_state } if *device == watched => {
            known.change(|known| known.device.connection_state = *connection_state);
        }
        LiveEvent::Telemetry { device, timestamp, .. } if *device == watched => known.change(|known| {
            known.device.connection_state = ConnectionState::Connected;
            known.device.last_seen = known.device.last_seen.max(Some(*timestamp));
        }),
        LiveEvent::Reload => known.reload(),
        _ => {}
    });
    // The tabs are drawn anew only when the device itself changed, not with each sign of life.
    let settled = Memo::new(move |_| match known.state.get() {
        Load::Ready(mut known) => {
            known.device.last_seen = None;
            known.device.connection_state = ConnectionState::Disconnected;
            Load::Ready(known)
        }
        other => other,
    });
    let device = Signal::derive(move || known.value().map(|known| known.device));
    Effect::new(move |_| {
        if let Load::Ready(known) = settled.get() {
            set_shown(&known.device.display_name);
        }
    });
    move || match settled.get() {
        Load::Loading => bones(Skeleton::Block),
        Load::Failed(error) => failure(&error, Callback::new(move |()| known.retry())),
        Load::Ready(loaded) => view! {
            <Head loaded=loaded.clone() device known />
            <Tabs id=id.clone() views=loaded.views.clone() />
            <Tab loaded page=known />
        }
        .into_any(),
    }
}

#[component]
fn Head(loaded: Known, device: Signal<Option<Device>>, known: Loader<Known>) -> impl IntoView {
    let api = use_api();
    let state = Memo::new(move |_| {
        device.with(|device| device.as_ref().map_or(ConnectionState::Disconnected, |device| device.connection_state))
    });
    let last_seen = Signal::derive(move || device.with(|device| device.as_ref().and_then(|device| device.last_seen)));
    let id = loaded.device.id.to_string();
    let template = loaded.template.as_ref().map(|template| {
        let href = api.page(&format!("templates/{}", segment(template.id.as_str())));
        view! { <a href=href>{template.display_name.clone()}</a> }
    });
    let status = loaded.device.status;
    let simulated = loaded.device.simulated;
    view! {
        <div class="device-head">
            <div>
                <div class="row">
                    {move || connection_dot(state.get())}
                    <h2>{loaded.device.display_name.clone()}</h2>
                    {status_pill(status)}
                    {simulated.then(|| pill("quiet", "Simulated"))}
                </div>
                <div class="meta">
                    <span class="mono" title=id.clone()>{format::short_id(&id)}</span>
                    {template}
                    <span>{move || connection_name(state.get())}</span>
                    <span>"Last seen " <Ago at=last_seen /></span>
                </div>
            </div>
            <span class="grow"></span>
            <actions::DeviceActions device=loaded.device known />
        </div>
    }
}

#[component]
fn Tabs(id: DeviceId, views: Vec<TemplateView>) -> impl IntoView {
    let api = use_api();
    let rights = use_rights();
    let base = api.page(&format!("devices/{}", segment(id.as_str())));
    let tab = move |path: &str, name: String| {
        let href = if path.is_empty() { base.clone() } else { format!("{base}/{path}") };
        view! { <A href=href exact=true attr:class="tab">{name}</A> }
    };
    // Views are called as their makers like, often as our own tabs are: those then say that they leave nothing out.
    let own = !views.is_empty();
    let named = move |name: &'static str, all: &'static str| if own { all } else { name };
    let views: Vec<_> = views.into_iter().map(|view| tab(&format!("{VIEW}{}", view.id), view.display_name)).collect();
    let tab = move |path, name: &str| tab(path, name.to_owned());
    let row = NodeRef::<html::Nav>::new();
    show_current(row);
    view! {
        <nav class="tabs" aria-label="Device" node_ref=row>
            {tab("", named("Overview", "All values"))}
            {views}
            {tab("properties", named("Properties", "All properties"))}
            {tab("commands", named("Commands", "All commands"))}
            {tab("events", "Events")}
            {rights.may(Permission::DevicesRawData).then(|| tab("raw", "Raw data"))}
            {rights.may(Permission::DevicesRawData).then(|| tab("files", "Files"))}
            {rights.may(Permission::ConnectivityView).then(|| tab("connect", "Connect"))}
        </nav>
    }
}

/// A device without a template is shown a way to one.
fn untyped(known: &Known, page: Loader<Known>) -> Option<AnyView> {
    let shown = known.template.is_none() && proposal::may_propose();
    let device = known.device.clone();
    shown.then(|| {
        view! {
            <div class="notice section-head">
                {icon(Icon::Info)}
                <div class="grow">"This device has no template: its values have no names, units or types. A template can be guessed from what it sends."</div>
                <proposal::ProposalButton device known=page />
            </div>
        }
        .into_any()
    })
}

/// On a phone the row of tabs is wider than the screen: the current one is scrolled to.
fn show_current(row: NodeRef<html::Nav>) {
    let path = use_location().pathname;
    Effect::new(move |_| {
        path.track();
        let Some(row) = row.get() else { return };
        // The link is marked after this effect.
        request_animation_frame(move || {
            if let Ok(Some(current)) = row.query_selector("[aria-current=page]")
                && let Some(current) = current.dyn_ref::<web_sys::HtmlElement>()
            {
                let middle = current.offset_left() - row.offset_left() + current.offset_width() / 2;
                row.set_scroll_left(middle - row.client_width() / 2);
            }
        });
    });
}

#[component]
fn Tab(loaded: Known, page: Loader<Known>) -> impl IntoView {
    let params = use_params_map();
    let tab = Memo::new(move |_| params.with(|params| params.get("tab")).unwrap_or_default());
    move || {
        let known = loaded.clone();
        match tab.get().as_str() {
            "" => view! {
                {untyped(&known, page)}
                <overview::Overview known />
            }
            .into_any(),
            "properties" => view! { <properties::PropertiesTab known /> }.into_any(),
            "commands" => view! { <commands::CommandsTab known /> }.into_any(),
            "events" => view! { <events::EventsTab known /> }.into_any(),
            "files" => view! { <files::FilesTab known /> }.into_any(),
            "raw" => view! { <raw::RawTab known page /> }.into_any(),
            "connect" => view! { <connect::ConnectTab known /> }.into_any(),
            other => {
                let id = other.strip_prefix(VIEW).unwrap_or_default();
                let found = known.views.iter().find(|view| view.id.as_str() == id).cloned();
                match found {
                    Some(shown) => view! { <shown::ViewTab known shown /> }.into_any(),
                    None => view! { <super::not_found::NothingHere /> }.into_any(),
                }
            }
        }
    }
}

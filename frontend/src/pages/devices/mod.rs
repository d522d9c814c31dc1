//! The list of devices.

mod new_device;
mod row;

use chrono::{DateTime, Utc};
use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::device::{ConnectionState, Device};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::template::DeviceTemplate;
use muster_contract::urls::DeviceList;
use muster_model::device::DeviceStatus;
use muster_model::{DeviceId, Permission, TemplateId};
use std::collections::BTreeMap;

use super::search::debounced;
use super::shell::set_title;
use crate::api::{local_address, use_api};
use crate::components::fields::Select;
use crate::components::icon::{Icon, icon};
use crate::components::pill::status_name;
use crate::components::states::{Blank, Skeleton, bones, failure};
use crate::components::toast::use_toasts;
use crate::format;
use crate::live::use_live;
use crate::load::{Load, Loader};
use crate::session::use_rights;
use crate::table::{DeviceColumn, Direction, sort_devices};

/// What the live stream said about a device since the list was loaded.
pub type Seen = RwSignal<BTreeMap<DeviceId, (ConnectionState, Option<DateTime<Utc>>)>>;

const PAGE_SIZE: u32 = 50;

/// The list of devices.
#[component]
pub fn DevicesPage() -> impl IntoView {
    set_title("Devices");
    let api = use_api();
    let rights = use_rights();
    let text = RwSignal::new(String::new());
    let search = debounced(text);
    let template = RwSignal::new(String::new());
    let status = RwSignal::new(String::new());
    let creating = RwSignal::new(false);
    let list = Loader::new(move || {
        let asked = search.get();
        let list = DeviceList {
            template: TemplateId::parse(template.get()).ok(),
            search: Some(asked.trim().to_owned()).filter(|text| !text.is_empty()),
            page_size: Some(PAGE_SIZE),
        };
        async move { api.get::<Page<Device>>(&api.urls().devices(&list)).await }
    });
    let templates =
        Loader::new(move || async move { api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await });
    let names = Memo::new(move |_| template_names(&templates.value().unwrap_or_default()));
    let seen = follow(list);
    let filtered =
        Memo::new(move |_| !search.get().trim().is_empty() || !template.get().is_empty() || !status.get().is_empty());
    let count = move || {
        list.value().map(|page| {
            let more = if page.next_link.is_some() { "+" } else { "" };
            view! { <span class="count">{format!("{}{more}", page.value.len())}</span> }
        })
    };
    view! {
        <div class="page-head">
            <h2>{move || if filtered.get() { "Matching devices" } else { "All devices" }}</h2>
            {count}
            <span class="grow"></span>
            <div class="toolbar">
                <div class="input-wrap">
                    {icon(Icon::Search)}
                    <input
                        class="input"
                        type="search"
                        placeholder="Name or ID"
                        aria-label="Filter by name or ID"
                        prop:value=move || text.get()
                        on:input:target=move |event| text.set(event.target().value())
                    />
                </div>
                <Select name="Filter by template" value=template options=Signal::derive(move || template_options(&names.get())) />
                <Select name="Filter by status" value=status options=status_options() />
                {rights
                    .may(Permission::DevicesCreate)
                    .then(|| {
                        view! {
                            <button class="button" data-kind="primary" on:click=move |_| creating.set(true)>
                                {icon(Icon::Plus)}
                                "New device"
                            </button>
                        }
                    })}
            </div>
        </div>
        {move || match list.state.get() {
            Load::Loading => bones(Skeleton::Rows),
            Load::Failed(error) => failure(&error, Callback::new(move |()| list.retry())),
            Load::Ready(page) if page.value.is_empty() => empty(filtered.get(), creating),
            Load::Ready(page) => view! { <Table page list names seen status /> }.into_any(),
        }}
        <new_device::NewDeviceDialog open=creating names />
    }
}

fn template_names(templates: &[DeviceTemplate]) -> BTreeMap<TemplateId, String> {
    templates.iter().map(|template| (template.id.clone(), template.display_name.clone())).collect()
}

fn template_options(names: &BTreeMap<TemplateId, String>) -> Vec<(String, String)> {
    let any = (String::new(), "Any template".to_owned());
    std::iter::once(any).chain(names.iter().map(|(id, name)| (id.to_string(), name.clone()))).collect()
}

const STATUSES: [(&str, DeviceStatus); 4] = [
    ("provisioned", DeviceStatus::Provisioned),
    ("registered", DeviceStatus::Registered),
    ("waiting", DeviceStatus::WaitingForApproval),
    ("blocked", DeviceStatus::Blocked),
];

fn status_options() -> Vec<(String, String)> {
    let any = (String::new(), "Any status".to_owned());
    let each = STATUSES.iter().map(|(word, status)| ((*word).to_owned(), status_name(*status).to_owned()));
    std::iter::once(any).chain(each).collect()
}

/// Keeps connection and last seen of the shown devices up to date.
fn follow(list: Loader<Page<Device>>) -> Seen {
    let seen: Seen = RwSignal::new(BTreeMap::new());
    use_live().listen(move |event| match event {
        LiveEvent::Device { device, connection_state } => {
            seen.update(|seen| {
                let before = seen.get(device).and_then(|(_, last_seen)| *last_seen);
                seen.insert(device.clone(), (*connection_state, before));
            });
        }
        LiveEvent::Telemetry { device, timestamp, .. } => {
            seen.update(|seen| {
                seen.insert(device.clone(), (ConnectionState::Connected, Some(*timestamp)));
            });
        }
        LiveEvent::Reload => list.reload(),
        LiveEvent::Alert { .. } | LiveEvent::Properties { .. } => {}
    });
    seen
}

fn empty(filtered: bool, creating: RwSignal<bool>) -> AnyView {
    let may_create = use_rights().may(Permission::DevicesCreate);
    let (title, text) = if filtered {
        ("No device matches", "Try another name, or take a filter away.")
    } else {
        ("No devices yet", "Create one to get its keys and a program to copy, or let one be simulated.")
    };
    view! {
        <div class="card">
            <Blank mark=Icon::Device title text>
                {(may_create && !filtered)
                    .then(|| {
                        view! {
                            <button class="button" data-kind="primary" on:click=move |_| creating.set(true)>
                                {icon(Icon::Plus)}
                                "New device"
                            </button>
                        }
                    })}
            </Blank>
        </div>
    }
    .into_any()
}

#[component]
fn Table(
    page: Page<Device>,
    list: Loader<Page<Device>>,
    names: Memo<BTreeMap<TemplateId, String>>,
    seen: Seen,
    status: RwSignal<String>,
) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let sorting = RwSignal::new((DeviceColumn::Name, Direction::Up));
    let loading_more = RwSignal::new(false);
    let next = page.next_link.clone();
    let loaded = page.value.len();
    let devices = StoredValue::new(page.value);
    let shown = Memo::new(move |_| {
        let (column, direction) = sorting.get();
        let wanted = status.get();
        let wanted = STATUSES.iter().find(|(word, _)| *word == wanted).map(|(_, status)| *status);
        let mut devices = devices.get_value();
        devices.retain(|device| wanted.is_none_or(|wanted| device.status == wanted));
        names.with(|names| sort_devices(&mut devices, column, direction, |device| row::template_name(device, names)));
        devices
    });
    let more = next.clone().map(|next| {
        let load = move |_| {
            let next = local_address(&next);
            loading_more.set(true);
            spawn_local(async move {
                match api.get::<Page<Device>>(&next).await {
                    Ok(mut page) => list.change(|before| {
                        before.value.append(&mut page.value);
                        before.next_link = page.next_link;
                    }),
                    Err(error) => toasts.failed(&error),
                }
                loading_more.try_set(false);
            });
        };
        view! {
            <button class="button small" disabled=move || loading_more.get() on:click=load>
                {move || if loading_more.get() { "Loading …" } else { "Load more" }}
            </button>
        }
    });
    let foot = move || {
        let shown = shown.with(Vec::len);
        let partly = if next.is_some() { " loaded so far; sorting and status look only at these" } else { "" };
        if shown == loaded {
            format!("{}{partly}", format::counted(shown, "device", "devices"))
        } else {
            format!("{shown} of {}{partly}", format::counted(loaded, "device", "devices"))
        }
    };
    view! {
        <div class="card table-card">
            <table class="table">
                <thead>
                    <tr>
                        <Heading column=DeviceColumn::Name name="Device" sorting />
                        <Heading column=DeviceColumn::Template name="Template" sorting />
                        <Heading column=DeviceColumn::Status name="Status" sorting />
                        <Heading column=DeviceColumn::LastSeen name="Last seen" sorting />
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || shown.get()
                        key=|device| (device.id.clone(), device.etag.clone(), device.status as u8)
                        let:device
                    >
                        <row::DeviceRow device names seen />
                    </For>
                </tbody>
            </table>
            <div class="table-foot">
                <span>{foot}</span>
                {more}
            </div>
        </div>
    }
}

#[component]
fn Heading(column: DeviceColumn, name: &'static str, sorting: RwSignal<(DeviceColumn, Direction)>) -> impl IntoView {
    let direction = move || {
        let (sorted, direction) = sorting.get();
        (sorted == column).then_some(direction)
    };
    let turn = move |_| {
        let next = direction().map_or(Direction::Up, Direction::turned);
        sorting.set((column, next));
    };
    view! {
        <th scope="col" aria-sort=move || direction().map(Direction::aria)>
            <button class="sort" on:click=turn>
                {name}
                {move || direction()
                    .map(|direction| icon(if direction == Direction::Up { Icon::ChevronUp } else { Icon::ChevronDown }))}
            </button>
        </th>
    }
}

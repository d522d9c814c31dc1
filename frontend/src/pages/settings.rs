//! The tenant's settings: where devices connect, what services may read, and how they prove themselves.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::hub::{HubPolicy, KeyChoice, KeyName};
use muster_contract::page::Page;
use muster_contract::tenant::{TenantInfo, TenantPatch};
use muster_model::Permission;

use super::shell::set_title;
use crate::api::use_api;
use crate::components::copy::{Copyable, Secret};
use crate::components::dialog::Confirm;
use crate::components::fields::Switch;
use crate::components::states::{Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::session::use_rights;

/// The tenant's settings.
#[component]
pub fn SettingsPage() -> impl IntoView {
    set_title("Settings");
    let api = use_api();
    let rights = use_rights();
    let tenant = Loader::new(move || async move { api.get::<TenantInfo>(&api.urls().tenant()).await });
    view! {
        <div class="page-head"><h2>"Settings"</h2></div>
        <div class="stack">
            {loaded(tenant, Skeleton::Block, move |info| view! { <Connection info=info.clone() /> <Feed info tenant /> })}
            {rights.may(Permission::ConnectivityManage).then(|| view! { <Policies /> })}
        </div>
    }
}

#[component]
fn Connection(info: TenantInfo) -> impl IntoView {
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3>"Where devices connect"</h3>
                    <p>"The same for every device; its own key is on its Connect tab."</p>
                </div>
            </div>
            <div class="card-body">
                <dl class="facts">
                    <dt>"ID scope"</dt>
                    <dd><Copyable text=info.id_scope.to_string() label="ID scope" /></dd>
                    <dt>"Hub"</dt>
                    <dd><Copyable text=format!("{}:{}", info.hub_host, info.mqtt_port) label="hub address" /></dd>
                    <dt>"Authority"</dt>
                    <dd>
                        <a href="/ca.pem" rel="external" download="ca.pem">"Download ca.pem"</a>
                        <p class="soft small">"Devices check the hub against it."</p>
                    </dd>
                </dl>
            </div>
        </section>
    }
}

#[component]
fn Feed(info: TenantInfo, tenant: Loader<TenantInfo>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let may_change = use_rights().may(Permission::TenantManage);
    let busy = RwSignal::new(false);
    let on = info.event_feed;
    let change = Callback::new(move |on: bool| {
        busy.set(true);
        spawn_local(async move {
            let patch = TenantPatch { event_feed: Some(on) };
            match api.patch::<TenantInfo>(&api.urls().tenant(), &patch).await {
                Ok(info) => {
                    toasts.done(if on {
                        "Telemetry is in the event feed now"
                    } else {
                        "Telemetry stays out of the event feed"
                    });
                    tenant.change(|before| *before = info);
                }
                Err(error) => {
                    toasts.failed(&error);
                    // The switch shows what is, not what was wished.
                    tenant.reload();
                }
            }
            busy.try_set(false);
        });
    });
    let address = format!("https://{}/messages/events?after=-1", info.hub_host);
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3>"Event feed for services"</h3>
                    <p>"A program of yours reads what happens, in order and without a gap, for seven days."</p>
                </div>
            </div>
            <div class="card-body stack">
                <Switch
                    label="Telemetry is part of the feed"
                    on=Signal::stored(on)
                    change
                    disabled=Signal::derive(move || busy.get() || !may_change)
                />
                <p class="soft">
                    "Connections, changes of properties and devices that come and go are always in it. With telemetry, every message is kept once more, as it was sent."
                </p>
                <Copyable text=address label="address of the feed" />
            </div>
        </section>
    }
}

#[component]
fn Policies() -> impl IntoView {
    let api = use_api();
    let policies = Loader::new(move || async move { api.get::<Page<HubPolicy>>(&api.urls().policies()).await });
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3>"Access for services"</h3>
                    <p>"Connection strings for programs that use IoT Hub’s service SDKs. Who has one acts as the service: keep them secret."</p>
                </div>
            </div>
            {loaded(
                policies,
                Skeleton::Rows,
                move |page| {
                    let rows = page.value.into_iter().map(|policy| {
                        let label = format!("connection string of {}", policy.name);
                        view! {
                            <dt>
                                <span class="mono">{policy.name.clone()}</span>
                                <small class="soft">{means(&policy.name)}</small>
                            </dt>
                            <dd class="stack">
                                <Secret text=policy.connection_string label />
                                <NewKeys policy=policy.name policies />
                            </dd>
                        }
                    });
                    view! { <div class="card-body"><dl class="facts">{rows.collect_view()}</dl></div> }
                },
            )}
        </section>
    }
}

#[component]
fn NewKeys(policy: String, policies: Loader<Page<HubPolicy>>) -> impl IntoView {
    let keys = [(KeyName::Primary, "primary"), (KeyName::Secondary, "secondary")];
    let keys = keys.map(|key| view! { <NewKey policy=policy.clone() key policies /> });
    view! { <div class="toolbar">{keys.collect_view()}</div> }
}

#[component]
fn NewKey(policy: String, key: (KeyName, &'static str), policies: Loader<Page<HubPolicy>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let (asking, busy) = (RwSignal::new(false), RwSignal::new(false));
    let (key, word) = key;
    let title = format!("Replace the {word} key of {policy}?");
    let text = format!("Whoever uses this key is cut off at once. Give them the {} key first.", other(key));
    let label = format!("New {word} key for {policy}");
    let confirm = Callback::new(move |()| {
        busy.set(true);
        let policy = policy.clone();
        spawn_local(async move {
            let url = api.urls().regenerate_policy_key(&policy);
            match api.post_json::<HubPolicy>(&url, &KeyChoice { key }).await {
                Ok(_) => {
                    toasts.done(format!("{policy} has a new {word} key"));
                    asking.try_set(false);
                    policies.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    });
    view! {
        <button class="button" aria-label=label on:click=move |_| asking.set(true)>
            {format!("New {word} key")}
        </button>
        <Confirm title text button="Replace" open=asking busy confirm />
    }
}

fn other(key: KeyName) -> &'static str {
    match key {
        KeyName::Primary => "secondary",
        KeyName::Secondary => "primary",
    }
}

/// What a policy lets a service do.
fn means(policy: &str) -> &'static str {
    match policy {
        "iothubowner" => "Everything on the hub",
        "service" => "Send to devices, read events",
        "device" => "Connect as any device",
        "registryRead" => "Read devices",
        "registryReadWrite" => "Read and change devices",
        "provisioningserviceowner" => "Manage enrollments",
        _ => "",
    }
}

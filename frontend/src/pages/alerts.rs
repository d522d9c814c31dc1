//! The alerts of the tenant: what is wrong, since when, and who looks after it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::alert::{Alert, AlertState};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_model::Permission;

use super::segment;
use super::shell::set_title;
use crate::api::{local_address, use_api};
use crate::components::icon::{Icon, icon};
use crate::components::pill::{alert_pill, severity_pill};
use crate::components::segments::Segments;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::Ago;
use crate::components::toast::use_toasts;
use crate::format;
use crate::live::use_live;
use crate::load::Loader;
use crate::session::use_rights;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Active,
    All,
}

/// The alerts of the tenant.
#[component]
pub fn AlertsPage() -> impl IntoView {
    set_title("Alerts");
    let api = use_api();
    let which = RwSignal::new(Which::Active);
    let alerts = Loader::new(move || async move { api.get::<Page<Alert>>(&api.urls().alerts(None)).await });
    use_live().listen(move |event| match event {
        LiveEvent::Alert { .. } | LiveEvent::Reload => alerts.reload(),
        _ => {}
    });
    view! {
        <div class="page-head">
            <h2>{move || if which.get() == Which::Active { "Active alerts" } else { "All alerts" }}</h2>
            <span class="grow"></span>
            <Segments label="Which alerts" value=which options=vec![(Which::Active, "Active"), (Which::All, "All")] />
        </div>
        {loaded(alerts, Skeleton::Rows, move |page| view! { <List page which alerts /> })}
    }
}

#[component]
fn List(page: Page<Alert>, which: RwSignal<Which>, alerts: Loader<Page<Alert>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let next = page.next_link;
    let all = StoredValue::new(page.value);
    let shown = Memo::new(move |_| {
        let active = which.get() == Which::Active;
        let mut shown = all.get_value();
        shown.retain(|alert| !active || alert.state != AlertState::Cleared);
        shown
    });
    let more = next.map(|next| {
        let load = move |_| {
            let next = local_address(&next);
            spawn_local(async move {
                match api.get::<Page<Alert>>(&next).await {
                    Ok(mut page) => alerts.change(|before| {
                        before.value.append(&mut page.value);
                        before.next_link = page.next_link;
                    }),
                    Err(error) => toasts.failed(&error),
                }
            });
        };
        view! { <button class="button small" on:click=load>"Load older ones"</button> }
    });
    let more_to_load = more.is_some();
    let foot = move || {
        let count = format::counted(shown.with(Vec::len), "alert", "alerts");
        if more_to_load { format!("{count} among the newest {}", all.with_value(Vec::len)) } else { count }
    };
    view! {
        <div class="card table-card">
            <Show when=move || shown.with(Vec::is_empty)>
                <Blank
                    mark=Icon::Check
                    title="Nothing is wrong"
                    text="No rule is true for any device right now. When one becomes true, its alert appears here at once."
                />
            </Show>
            <Show when=move || !shown.with(Vec::is_empty)>
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"Alert"</th>
                            <th scope="col">"Device"</th>
                            <th scope="col">"Severity"</th>
                            <th scope="col">"State"</th>
                            <th scope="col">"Opened"</th>
                            <th scope="col" class="end">
                                <span class="visually-hidden">"What can be done"</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || shown.get() key=|alert| (alert.id, alert.state as u8) let:alert>
                            <Row alert alerts />
                        </For>
                    </tbody>
                </table>
            </Show>
            <div class="table-foot">
                <span>{foot}</span>
                {more}
            </div>
        </div>
    }
}

#[component]
fn Row(alert: Alert, alerts: Loader<Page<Alert>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let may_update = use_rights().may(Permission::AlertsUpdate);
    let busy = RwSignal::new(false);
    let id = alert.id;
    let act = move |url: String, done: &'static str| {
        busy.set(true);
        spawn_local(async move {
            match api.post::<Option<Alert>>(&url).await {
                Ok(_) => {
                    toasts.done(done);
                    alerts.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    };
    let acknowledge = (alert.state == AlertState::Open && may_update).then(|| {
        let press = move |_| act(api.urls().acknowledge_alert(id), "The alert was acknowledged");
        view! {
            <button class="button small" disabled=move || busy.get() on:click=press>
                {icon(Icon::Eye)}
                "Acknowledge"
            </button>
        }
    });
    let clear = (alert.state != AlertState::Cleared && may_update).then(|| {
        let press = move |_| act(api.urls().clear_alert(id), "The alert was cleared");
        view! {
            <button class="button small" disabled=move || busy.get() on:click=press>
                {icon(Icon::Check)}
                "Clear"
            </button>
        }
    });
    let who = alert.acknowledged_by.clone().filter(|_| alert.state == AlertState::Acknowledged);
    let cleared_at = alert.cleared_at;
    let opened_ms = alert.opened_at.timestamp_millis();
    view! {
        <tr>
            <td>
                <div class="cell-main">
                    <div>
                        <a href=api.page(&format!("rules/{}", alert.rule))>{alert.rule_name.clone()}</a>
                        <div class="soft small">{alert.reason.clone()}</div>
                    </div>
                </div>
            </td>
            <td data-label="Device">
                <a href=api.page(&format!("devices/{}", segment(alert.device.as_str())))>{alert.device_name.clone()}</a>
            </td>
            <td data-label="Severity">{severity_pill(alert.severity)}</td>
            <td data-label="State">
                <div>
                    {alert_pill(alert.state)}
                    {who.map(|who| view! { <div class="soft small">"by "{who}</div> })}
                </div>
            </td>
            <td data-label="Opened" class="soft number">
                <div>
                    <Ago at=Some(alert.opened_at) />
                    {cleared_at
                        .map(|at| {
                            let lasted = format::span(at.timestamp_millis() - opened_ms);
                            view! { <div class="small">{format!("for {lasted}")}</div> }
                        })}
                </div>
            </td>
            <td class="end">
                <span class="row">{acknowledge} {clear}</span>
            </td>
        </tr>
    }
}

//! Moves of devices from this template to another one: started, watched, taken back.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::page::Page;
use muster_contract::template::DeviceTemplate;
use muster_contract::template_life::{MigratedDevice, Migration, NewMigration};
use muster_model::{JobId, Permission, TemplateId};

use super::segment;
use crate::api::{Api, use_api};
use crate::components::dialog::Dialog;
use crate::components::fields::SelectField;
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

/// A move that is under way is looked at this often.
const LOOK: Duration = Duration::from_secs(2);
/// Devices that a report shows.
const MOST: usize = 1_000;

/// The moves of devices from a template.
#[component]
pub fn MovesTab(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let rights = use_rights();
    let may_move = rights.may(Permission::DevicesUpdate);
    let starting = RwSignal::new(false);
    let report = Shown { of: RwSignal::new(None), open: RwSignal::new(false) };
    let from = StoredValue::new(template.id);
    let moves = Loader::new(move || {
        let url = api.urls().migrations(&from.get_value());
        async move { api.get::<Page<Migration>>(&url).await }
    });
    watch(moves);
    let start = move || {
        may_move.then(|| {
            view! {
                <button class="button" data-kind="primary" on:click=move |_| starting.set(true)>
                    {icon(Icon::Grow)}
                    "Move devices"
                </button>
            }
        })
    };
    view! {
        <div class="row spread section-head">
            <p class="soft">"Devices get another version or another template. What they have sent stays, and a move can be taken back."</p>
            {start()}
        </div>
        {loaded(moves, Skeleton::Rows, move |page| {
            if page.value.is_empty() {
                return view! {
                    <div class="card">
                        <Blank mark=Icon::Grow title="No device was moved yet" text="Each move is listed here with its report." />
                    </div>
                }
                .into_any();
            }
            let rows = page.value.into_iter().map(|one| row(api, one, Acts { from, report, moves, may_move })).collect_view();
            view! {
                <div class="card table-card">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"To"</th>
                                <th scope="col">"State"</th>
                                <th scope="col">"Devices"</th>
                                <th scope="col">"Started"</th>
                                <th scope="col" class="end">"Actions"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            }
            .into_any()
        })}
        <Dialog title="Move devices" open=starting>
            <StartForm from=from.get_value() open=starting moves />
        </Dialog>
        <Report from=from.get_value() report />
    }
}

/// Looks again while a move is under way.
fn watch(moves: Loader<Page<Migration>>) {
    let under_way =
        Memo::new(move |_| moves.value().is_some_and(|page| page.value.iter().any(|one| one.ended_at.is_none())));
    let ticking = StoredValue::new(None::<IntervalHandle>);
    let stop = move || {
        if let Some(handle) = ticking.try_update_value(Option::take).flatten() {
            handle.clear();
        }
    };
    Effect::new(move |_| {
        stop();
        if under_way.get() {
            ticking.set_value(set_interval_with_handle(move || moves.reload(), LOOK).ok());
        }
    });
    on_cleanup(stop);
}

/// The report that is shown.
#[derive(Clone, Copy)]
struct Shown {
    of: RwSignal<Option<JobId>>,
    open: RwSignal<bool>,
}

/// What a row of the list acts on.
#[derive(Clone, Copy)]
struct Acts {
    from: StoredValue<TemplateId>,
    report: Shown,
    moves: Loader<Page<Migration>>,
    may_move: bool,
}

fn row(api: Api, one: Migration, acts: Acts) -> AnyView {
    let Acts { from, report, moves, may_move } = acts;
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let (tone, state) = match one.status.as_str() {
        "completed" => ("good", "Done"),
        "failed" => ("bad", "Failed"),
        "cancelled" => ("warn", "Cancelled"),
        "running" => ("info", "Moving"),
        _ => ("quiet", "Waiting"),
    };
    let progress = one.progress;
    let failed = (progress.failed > 0).then(|| format!(", {} failed", progress.failed));
    let undoes = one.undoes.is_some().then(|| pill("quiet", "Taken back"));
    let id = one.id.clone();
    let show = move |_| {
        report.of.set(Some(id.clone()));
        report.open.set(true);
    };
    let ended = one.ended_at.is_some();
    let id = one.id.clone();
    let undo = move |_| {
        busy.set(true);
        let url = api.urls().undo_migration(&from.get_value(), &id);
        spawn_local(async move {
            match api.post::<Migration>(&url).await {
                Ok(_) => {
                    toasts.done("The devices are moving back");
                    moves.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    };
    let to = match one.to {
        Some(to) => {
            let href = api.page(&format!("templates/{}", segment(to.as_str())));
            view! { <a class="mono" href=href>{to.to_string()}</a> }.into_any()
        }
        None => view! { <span class="soft">"The templates that they had"</span> }.into_any(),
    };
    view! {
        <tr>
            <td>{to} {undoes}</td>
            <td>{pill(tone, state)} {one.failure.map(|failure| view! { <p class="problem">{failure}</p> })}</td>
            <td class="number">{format!("{} of {}", progress.completed, progress.total)} {failed}</td>
            <td>{exact(one.created_at)}</td>
            <td class="end">
                <button class="button small" on:click=show>"Report"</button>
                {(ended && may_move && progress.completed > 0)
                    .then(|| view! { <button class="button small" disabled=move || busy.get() on:click=undo>"Take back"</button> })}
            </td>
        </tr>
    }
    .into_any()
}

#[component]
fn StartForm(from: TemplateId, open: RwSignal<bool>, moves: Loader<Page<Migration>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let busy = RwSignal::new(false);
    let chosen = RwSignal::new(String::new());
    let templates =
        Loader::new(move || async move { api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await });
    let this = from.clone();
    let options = Signal::derive(move || {
        let others = templates.value().unwrap_or_default().into_iter();
        let others = others.filter(|template| template.id != this && template.published);
        let named =
            others.map(|template| (template.id.to_string(), format!("{} ({})", template.display_name, template.id)));
        std::iter::once((String::new(), "Choose …".to_owned())).chain(named).collect::<Vec<_>>()
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Ok(to) = TemplateId::parse(chosen.get_untracked()) else { return };
        busy.set(true);
        let url = api.urls().migrate_devices(&from);
        spawn_local(async move {
            match api.post_json::<Migration>(&url, &NewMigration { to, devices: None }).await {
                Ok(_) => {
                    toasts.done("The devices are moving");
                    moves.reload();
                    open.try_set(false);
                }
                Err(error) => {
                    toasts.failed(&error);
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=submit>
            <p>"All devices of this template get the one chosen here. Single devices are moved on their own page."</p>
            <SelectField label="To" value=chosen options help="Published templates" />
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                <button type="submit" class="button" data-kind="primary" disabled=move || busy.get() || chosen.with(String::is_empty)>
                    "Move all devices"
                </button>
            </div>
        </form>
    }
}

/// What became of each device of a move.
#[component]
fn Report(from: TemplateId, report: Shown) -> impl IntoView {
    view! {
        <Dialog title="Report" open=report.open wide=true>
            {report.of.get_untracked().map(|id| view! { <ReportRows from=from.clone() id /> })}
        </Dialog>
    }
}

#[component]
fn ReportRows(from: TemplateId, id: JobId) -> impl IntoView {
    let api = use_api();
    let devices = Loader::new(move || {
        let url = api.urls().migrated_devices(&from, &id);
        async move { api.get_all::<MigratedDevice>(&url, MOST).await }
    });
    loaded(devices, Skeleton::Rows, move |devices| {
        let count = format::counted(devices.len(), "device", "devices");
        let rows = devices.into_iter().map(|device| {
            let lost = device.telemetry.iter().chain(&device.properties).cloned().collect::<Vec<_>>().join(", ");
            let lost =
                if lost.is_empty() { "Everything is known".to_owned() } else { format!("Not known there: {lost}") };
            let text = match &device.error {
                Some(error) => error.clone(),
                None => lost,
            };
            let href = api.page(&format!("devices/{}", segment(device.device.as_str())));
            view! {
                <tr>
                    <td><a class="mono" href=href>{device.device.to_string()}</a></td>
                    <td>{device.status}</td>
                    <td>{text}</td>
                </tr>
            }
        });
        view! {
            <table class="table">
                <thead>
                    <tr><th scope="col">"Device"</th><th scope="col">"State"</th><th scope="col">"What changes for it"</th></tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
            <div class="table-foot"><span>{count}</span></div>
        }
    })
}

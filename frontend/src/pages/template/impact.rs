//! What a change or a delete would do, and to whom.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::template_life::{TemplateImpact, TemplateUse};
use muster_model::TemplateId;
use muster_model::template::{Change, ChangeKind, ReferrerKind};

use super::segment;
use crate::api::{Api, sentence, use_api};
use crate::components::dialog::Dialog;
use crate::components::pill::pill;
use crate::components::states::{Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;

/// A list of changes, each with who is hit by it.
pub fn changes(api: Api, impact: &TemplateImpact) -> AnyView {
    let rows = impact.changes.iter().map(|one| {
        let used_by = one.used_by.iter().map(|used| user(api, used)).collect_view();
        view! { <li>{change(&one.change)} <div class="row">{used_by}</div></li> }
    });
    view! { <ul class="changes">{rows.collect_view()}</ul> }.into_any()
}

/// A change in a line.
pub fn change(change: &Change) -> AnyView {
    let (tone, word) = match change.kind {
        ChangeKind::Added => ("good", "Added"),
        ChangeKind::Removed => ("bad", "Removed"),
        ChangeKind::Renamed => ("warn", "Renamed"),
        ChangeKind::Retyped => ("warn", "Changed"),
        ChangeKind::Extended => ("info", "Extended"),
        ChangeKind::Cosmetic => ("quiet", "Wording"),
    };
    let breaking = change.breaking.then(|| pill("bad", "Breaking"));
    view! { <div class="row">{pill(tone, word)} <span>{sentence(&change.text)}</span> {breaking}</div> }.into_any()
}

/// What names the template, with a link to it.
fn user(api: Api, used: &TemplateUse) -> AnyView {
    let (path, kind) = match used.kind {
        ReferrerKind::Rule => ("rules", "Rule"),
        ReferrerKind::Dashboard => ("dashboards", "Dashboard"),
        ReferrerKind::DeviceGroup => ("groups", "Device group"),
        ReferrerKind::View => ("templates", "View"),
    };
    // A view stands on a tab of its template's page.
    let href = match (used.kind, used.id.split_once('/')) {
        (ReferrerKind::View, Some((template, _))) => api.page(&format!("{path}/{}/views", segment(template))),
        _ => api.page(&format!("{path}/{}", segment(&used.id))),
    };
    let tone = if used.broken { "bad" } else { "quiet" };
    view! { <a class="pill" data-tone=tone href=href>{format!("{kind}: {}", used.display_name)}</a> }.into_any()
}

/// Everything that uses a template.
fn users(api: Api, impact: &TemplateImpact) -> AnyView {
    let devices = (impact.devices > 0).then(|| {
        let count = format::counted(usize::try_from(impact.devices).unwrap_or(usize::MAX), "device", "devices");
        pill("info", count)
    });
    let others = impact.uses.iter().map(|used| user(api, used)).collect_view();
    view! { <div class="row wrap">{devices} {others}</div> }.into_any()
}

/// Asks before a template is deleted, and says what stands in the way.
#[component]
pub fn DeleteDialog(id: TemplateId, name: String, open: RwSignal<bool>) -> impl IntoView {
    view! {
        <Dialog title="Delete this template?" open>
            <Delete id=id.clone() name=name.clone() open />
        </Dialog>
    }
}

#[component]
fn Delete(id: TemplateId, name: String, open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let asked = id.clone();
    let impact = Loader::new(move || {
        let url = api.urls().template_impact(&asked);
        async move { api.get::<TemplateImpact>(&url).await }
    });
    let id = StoredValue::new(id);
    let name = StoredValue::new(name);
    loaded(impact, Skeleton::Block, move |impact| {
        if impact.in_use {
            return view! {
                <p>{format!("“{}” is in use and cannot be deleted. First take it out of:", name.get_value())}</p>
                {users(api, &impact)}
                <div class="dialog-foot">
                    <button type="button" class="button" autofocus on:click=move |_| open.set(false)>"Close"</button>
                </div>
            }
            .into_any();
        }
        view! { <Unused id=id.get_value() name=name.get_value() open /> }.into_any()
    })
}

#[component]
fn Unused(id: TemplateId, name: String, open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let busy = RwSignal::new(false);
    let question = format!("Nothing uses “{name}”. It is removed for good.");
    let delete = move |_| {
        busy.set(true);
        let (url, navigate, name) = (api.urls().template(&id), navigate.clone(), name.clone());
        spawn_local(async move {
            match api.delete(&url).await {
                Ok(()) => {
                    toasts.done(format!("The template {name} was deleted"));
                    navigate(&api.page("templates"), Default::default());
                }
                Err(error) => {
                    toasts.failed(&error);
                    open.try_set(false);
                }
            }
        });
    };
    view! {
        <p>{question}</p>
        <div class="dialog-foot">
            <button type="button" class="button" autofocus on:click=move |_| open.set(false)>"Cancel"</button>
            <button type="button" class="button" data-kind="danger" disabled=move || busy.get() on:click=delete>"Delete"</button>
        </div>
    }
}

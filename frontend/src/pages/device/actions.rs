//! What can be done to a device: edit, block, delete.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::device::{Device, DevicePatch};
use muster_contract::template::DeviceTemplate;
use muster_model::{Permission, TemplateId};

use super::Known;
use crate::api::{ApiError, use_api};
use crate::components::dialog::{Confirm, Dialog};
use crate::components::fields::{SelectField, Switch, TextField};
use crate::components::icon::{Icon, icon};
use crate::components::states::problem_notice;
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::session::use_rights;

/// The buttons beside a device's name.
#[component]
pub fn DeviceActions(
    /// The device.
    device: Device,
    /// Where a change is shown.
    known: Loader<Known>,
) -> impl IntoView {
    let api = use_api();
    let rights = use_rights();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let editing = RwSignal::new(false);
    let deleting = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let device = StoredValue::new(device);
    let enabled = device.with_value(|device| device.enabled);
    let block = move |_| {
        busy.set(true);
        let id = device.with_value(|device| device.id.clone());
        let patch = DevicePatch { enabled: Some(!enabled), ..DevicePatch::default() };
        spawn_local(async move {
            match api.patch::<Device>(&api.urls().device(&id), &patch).await {
                Ok(device) => {
                    let done = if device.enabled { "may connect again" } else { "is blocked and cannot connect" };
                    toasts.done(format!("{} {done}", device.display_name));
                    known.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    };
    let delete = Callback::new(move |()| {
        busy.set(true);
        let device = device.get_value();
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.delete(&api.urls().device(&device.id)).await {
                Ok(()) => {
                    toasts.done(format!("{} was deleted", device.display_name));
                    navigate(&api.page("devices"), Default::default());
                }
                Err(error) => {
                    toasts.failed(&error);
                    busy.try_set(false);
                }
            }
        });
    });
    let question = device.with_value(|device| {
        format!(
            "“{}” can no longer connect, and its telemetry, properties and alerts are removed for good.",
            device.display_name
        )
    });
    view! {
        <div class="toolbar">
            {rights
                .may(Permission::DevicesUpdate)
                .then(|| {
                    view! {
                        <button class="button" on:click=move |_| editing.set(true)>
                            {icon(Icon::Edit)}
                            "Edit"
                        </button>
                        <button class="button" disabled=move || busy.get() on:click=block>
                            {if enabled { "Block" } else { "Unblock" }}
                        </button>
                    }
                })}
            {rights
                .may(Permission::DevicesDelete)
                .then(|| {
                    view! {
                        <button class="icon-button" aria-label="Delete this device" title="Delete" on:click=move |_| deleting.set(true)>
                            {icon(Icon::Trash)}
                        </button>
                    }
                })}
        </div>
        <Dialog title="Edit device" open=editing>
            <EditForm device=device.get_value() known open=editing />
        </Dialog>
        <Confirm title="Delete this device?" text=question button="Delete" open=deleting busy confirm=delete />
    }
}

#[component]
fn EditForm(device: Device, known: Loader<Known>, open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let name = RwSignal::new(device.display_name.clone());
    let template = RwSignal::new(device.template.as_ref().map(ToString::to_string).unwrap_or_default());
    let simulated = RwSignal::new(device.simulated);
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<ApiError>);
    let templates =
        Loader::new(move || async move { api.get_all::<DeviceTemplate>(&api.urls().templates(), 1_000).await });
    let options = Signal::derive(move || {
        let each = templates.value().unwrap_or_default().into_iter();
        let each = each.map(|template| (template.id.to_string(), template.display_name));
        std::iter::once((String::new(), "None".to_owned())).chain(each).collect::<Vec<_>>()
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let chosen = TemplateId::parse(template.get_untracked()).ok();
        let patch = DevicePatch {
            display_name: Some(name.get_untracked().trim().to_owned()),
            template: (chosen != device.template).then_some(chosen),
            simulated: Some(simulated.get_untracked()).filter(|simulated| *simulated != device.simulated),
            ..DevicePatch::default()
        };
        let id = device.id.clone();
        busy.set(true);
        problem.set(None);
        spawn_local(async move {
            match api.patch::<Device>(&api.urls().device(&id), &patch).await {
                Ok(device) => {
                    open.set(false);
                    toasts.done(format!("{} was saved", device.display_name));
                    known.reload();
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=submit>
            <TextField label="Device name" value=name required=true first=true />
            <SelectField label="Template" value=template options />
            <Switch label="Simulate this device" on=simulated change=Callback::new(move |on| simulated.set(on)) />
            {problem_notice(problem)}
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button type="submit" class="button" data-kind="primary" disabled=move || busy.get()>
                    "Save"
                </button>
            </div>
        </form>
    }
}

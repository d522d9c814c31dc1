//! The dialog that creates a device.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::device::{Device, DeviceInput};
use muster_model::{DeviceId, TemplateId};
use std::collections::BTreeMap;
use uuid::Uuid;

use crate::api::{ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::fields::{SelectField, Switch, TextField};
use crate::components::states::problem_notice;
use crate::components::toast::use_toasts;
use crate::pages::segment;

/// The dialog that creates a device.
#[component]
pub fn NewDeviceDialog(
    /// Whether it is shown.
    open: RwSignal<bool>,
    /// The names of templates.
    names: Memo<BTreeMap<TemplateId, String>>,
) -> impl IntoView {
    view! {
        <Dialog title="New device" open>
            <Form open names />
        </Dialog>
    }
}

#[component]
fn Form(open: RwSignal<bool>, names: Memo<BTreeMap<TemplateId, String>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let name = RwSignal::new(String::new());
    let id = RwSignal::new(Uuid::now_v7().to_string());
    let first = names.with_untracked(|names| names.keys().next().map(ToString::to_string).unwrap_or_default());
    let template = RwSignal::new(first);
    let simulated = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<ApiError>);
    let id_problem = Memo::new(move |_| DeviceId::parse(id.get().trim()).err().map(|error| error.rule.to_owned()));
    let options = Signal::derive(move || {
        let each = names.get().into_iter().map(|(id, name)| (id.to_string(), name));
        each.chain([(String::new(), "None: show whatever the device sends".to_owned())]).collect::<Vec<_>>()
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Ok(device) = DeviceId::parse(id.get_untracked().trim()) else { return };
        let named = Some(name.get_untracked().trim().to_owned()).filter(|name| !name.is_empty());
        let input = DeviceInput {
            display_name: named,
            template: TemplateId::parse(template.get_untracked()).ok(),
            enabled: Some(true),
            simulated: Some(simulated.get_untracked()),
            etag: None,
        };
        busy.set(true);
        problem.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.put::<Device>(&api.urls().device(&device), &input).await {
                Ok(device) => {
                    open.set(false);
                    toasts.done(format!("{} was created", device.display_name));
                    let tab = if device.simulated { "" } else { "/connect" };
                    let page = format!("devices/{}{tab}", segment(device.id.as_str()));
                    navigate(&api.page(&page), Default::default());
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
            <TextField label="Device name" value=name first=true help="How people will find it. Without a name it is called by its ID." />
            <TextField
                label="Device ID"
                value=id
                required=true
                mono=true
                help="How the device names itself. Take the one printed on it, or keep this new one."
                problem=Signal::derive(move || id_problem.get())
            />
            <SelectField label="Template" value=template options help="What the device sends and can do." />
            <Switch
                label="Simulate this device"
                on=simulated
                change=Callback::new(move |on| simulated.set(on))
                disabled=Signal::derive(move || template.get().is_empty())
            />
            {problem_notice(problem)}
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button
                    type="submit"
                    class="button"
                    data-kind="primary"
                    disabled=move || busy.get() || id_problem.get().is_some()
                >
                    "Create"
                </button>
            </div>
        </form>
    }
}

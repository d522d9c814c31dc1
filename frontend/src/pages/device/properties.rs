//! The properties of a device: what it reports, what we wish, what we note.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::live::LiveEvent;
use muster_contract::property::Properties;
use muster_contract::template::Capability;
use muster_model::{DeviceId, Permission};
use serde_json::Value;
use std::collections::BTreeMap;

use super::Known;
use crate::api::use_api;
use crate::components::fields::fresh_id;
use crate::components::icon::Icon;
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::Ago;
use crate::components::toast::use_toasts;
use crate::format;
use crate::live::use_live;
use crate::load::Loader;
use crate::property_form::{Input, Owner, PropertyRow, Wish, patch, rows};
use crate::session::use_rights;

/// The properties of a device.
#[component]
pub fn PropertiesTab(
    /// The device and its template.
    known: Known,
    /// The keys of those that are shown; all where absent.
    #[prop(optional)]
    only: Option<Vec<String>>,
) -> impl IntoView {
    let api = use_api();
    let device = known.device.id.clone();
    let only = StoredValue::new(only);
    let capabilities = StoredValue::new(known.template.map(|template| template.capabilities).unwrap_or_default());
    let wanted = device.clone();
    let properties = Loader::new(move || {
        let url = api.urls().properties(&wanted);
        async move { api.get::<Properties>(&url).await }
    });
    let watched = device.clone();
    use_live().listen(move |event| match event {
        LiveEvent::Properties { device } if *device == watched => properties.reload(),
        LiveEvent::Reload => properties.reload(),
        _ => {}
    });
    loaded(properties, Skeleton::Rows, move |values| {
        let device = device.clone();
        view! { <Form device values capabilities properties only /> }
    })
}

#[component]
fn Form(
    device: DeviceId,
    values: Properties,
    capabilities: StoredValue<Vec<Capability>>,
    properties: Loader<Properties>,
    only: StoredValue<Option<Vec<String>>>,
) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let may_edit = use_rights().may(Permission::DevicesUpdate);
    let mut all = capabilities.with_value(|capabilities| rows(capabilities, &values));
    only.with_value(|only| {
        if let Some(only) = only {
            all.retain(|row| only.contains(&row.key()));
        }
    });
    let fields = RwSignal::new(BTreeMap::<usize, String>::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let editable = may_edit && all.iter().any(|row| row.owner != Owner::Device);
    let empty = all.is_empty();
    let drawn = all.iter().enumerate().map(|(index, row)| draw(index, row, fields, may_edit)).collect_view();
    let all = StoredValue::new(all);
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let change = all.with_value(|rows| patch(rows, &fields.get_untracked()));
        let change = match change {
            Ok(change) if change.is_empty() => return problem.set(Some("Nothing was changed.".to_owned())),
            Ok(change) => change,
            Err(text) => return problem.set(Some(text)),
        };
        busy.set(true);
        problem.set(None);
        let url = api.urls().properties(&device);
        spawn_local(async move {
            match api.patch::<Value>(&url, &change).await {
                Ok(_) => {
                    toasts.done("The properties were saved; the device answers when it has taken them");
                    properties.reload();
                }
                Err(error) => {
                    problem.try_set(Some(error.to_string()));
                }
            }
            busy.try_set(false);
        });
    };
    view! {
        <form class="card" on:submit=save>
            {drawn}
            {empty
                .then(|| {
                    view! {
                        <Blank
                            mark=Icon::Layers
                            title="No properties"
                            text="The template has none, and the device has not reported any."
                        />
                    }
                })}
            {editable
                .then(|| {
                    view! {
                        <div class="table-foot">
                            <span role="alert" class="problem">{move || problem.get()}</span>
                            <button type="submit" class="button" data-kind="primary" disabled=move || busy.get()>
                                "Save"
                            </button>
                        </div>
                    }
                })}
        </form>
    }
}

fn draw(index: usize, row: &PropertyRow, fields: RwSignal<BTreeMap<usize, String>>, may_edit: bool) -> AnyView {
    let id = fresh_id();
    let owner = match row.owner {
        Owner::Device => "Reported by the device",
        Owner::Both => "Set here, answered by the device",
        Owner::Cloud => "Noted here, unknown to the device",
    };
    let place = row.component.as_ref().map(|component| format!(" · {component}")).unwrap_or_default();
    let unit = if row.unit.is_empty() { String::new() } else { format!(" ({})", row.unit) };
    let value = if may_edit && row.owner != Owner::Device {
        field(&id, index, row, fields)
    } else {
        let text = row.value.as_ref().map_or_else(|| "—".to_owned(), |value| shown(row, value));
        view! { <span id=id.clone()>{text}</span> }.into_any()
    };
    let changed_at = row.changed_at;
    view! {
        <div class="property">
            <div>
                <label for=id>{format!("{}{unit}", row.display_name)}</label>
                <small>{owner}{place}</small>
            </div>
            <div class="value">{value}{reported(row)}</div>
            <div class="state small soft">
                {state(row)}
                {changed_at.map(|at| view! { <div><Ago at=Some(at) /></div> })}
            </div>
        </div>
    }
    .into_any()
}

/// What the device has, where it differs from what is wished.
fn reported(row: &PropertyRow) -> Option<AnyView> {
    let (Some(Wish::Pending(wish)), Some(value)) = (&row.wish, &row.value) else { return None };
    (wish != value).then(|| view! { <small class="soft">"The device has: "{shown(row, value)}</small> }.into_any())
}

fn shown(row: &PropertyRow, value: &Value) -> String {
    let text = match &row.input {
        Input::States(states) => {
            states.iter().find(|state| state.value == *value).map(|state| state.display_name.clone())
        }
        Input::Number | Input::Boolean | Input::Text | Input::Json => None,
    };
    let text = text.unwrap_or_else(|| format::value(value));
    if value.is_number() && !row.unit.is_empty() { format!("{text} {}", row.unit) } else { text }
}

fn state(row: &PropertyRow) -> AnyView {
    match &row.wish {
        None => ().into_any(),
        Some(Wish::Accepted) => pill("good", "Accepted"),
        Some(Wish::Pending(_)) => view! {
            <span title="The device has not answered yet; it is told when it connects">{pill("warn", "Pending")}</span>
        }
        .into_any(),
        Some(Wish::Refused(code, words)) => {
            let title = format!("The device answered {code}. {words}");
            let hint = title.clone();
            view! { <span title=hint>{pill("bad", "Refused")} <span class="visually-hidden">{title}</span></span> }
                .into_any()
        }
    }
}

fn field(id: &str, index: usize, row: &PropertyRow, fields: RwSignal<BTreeMap<usize, String>>) -> AnyView {
    let start = row.field_text();
    let set = move |text: String| {
        fields.update(|fields| {
            fields.insert(index, text);
        });
    };
    let options: Vec<(String, String)> = match &row.input {
        Input::Boolean => vec![("true".to_owned(), "yes".to_owned()), ("false".to_owned(), "no".to_owned())],
        Input::States(states) => {
            states.iter().map(|state| (state.value.to_string(), state.display_name.clone())).collect()
        }
        Input::Number | Input::Text | Input::Json => {
            let mode = if row.input == Input::Number { "decimal" } else { "text" };
            return view! {
                <input
                    id=id.to_owned()
                    class="input"
                    inputmode=mode
                    autocomplete="off"
                    value=start
                    on:input:target=move |event| set(event.target().value())
                />
            }
            .into_any();
        }
    };
    let unset = start.is_empty().then(|| view! { <option value="" selected disabled>"not set"</option> });
    let options = options.into_iter().map(|(word, name)| {
        let selected = word == start;
        view! { <option value=word selected=selected>{name}</option> }
    });
    view! {
        <select id=id.to_owned() class="input" on:change:target=move |event| set(event.target().value())>
            {unset}
            {options.collect_view()}
        </select>
    }
    .into_any()
}

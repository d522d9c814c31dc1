//! A template proposed from what a device has sent: looked at, named, accepted.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::device::Device;
use muster_contract::template::DeviceTemplate;
use muster_contract::template_life::TemplateImpact;
use muster_contract::traffic::{Guess, TemplateProposal};
use muster_model::{Permission, TemplateId};
use serde_json::json;

use super::Known;
use crate::api::{Api, ApiError, sentence, use_api};
use crate::components::dialog::Dialog;
use crate::components::fields::TextField;
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded, problem_notice};
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

/// May this person look at what was sent, make a template of it and give it to the device?
pub fn may_propose() -> bool {
    let rights = use_rights();
    let needed = [Permission::DevicesRawData, Permission::TemplatesManage, Permission::DevicesUpdate];
    needed.into_iter().all(|permission| rights.may(permission))
}

/// A button that opens the proposal.
#[component]
pub fn ProposalButton(
    /// The device.
    device: Device,
    /// The device's page, loaded anew once the proposal is accepted.
    known: Loader<Known>,
) -> impl IntoView {
    let open = RwSignal::new(false);
    let device = StoredValue::new(device);
    let word = if device.with_value(|device| device.template.is_some()) {
        "Extend the template"
    } else {
        "Propose a template"
    };
    view! {
        <button class="button" on:click=move |_| open.set(true)>{icon(Icon::Layers)} {word}</button>
        <Dialog title=word open wide=true>
            <Proposed device=device.get_value() known open />
        </Dialog>
    }
}

#[component]
fn Proposed(device: Device, known: Loader<Known>, open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let id = device.id.clone();
    let proposal = Loader::new(move || {
        let url = api.urls().template_proposal(&id);
        async move { api.get::<TemplateProposal>(&url).await }
    });
    let device = StoredValue::new(device);
    loaded(proposal, Skeleton::Rows, move |proposal| {
        if proposal.guesses.is_empty() {
            let text = if proposal.messages == 0 {
                "The device has sent nothing yet. Once it has, its values make a template."
            } else {
                "The template knows everything that the device has sent."
            };
            return view! {
                <Blank mark=Icon::Layers title="Nothing to propose" text />
                {left_out(&proposal)}
            }
            .into_any();
        }
        view! { <Form proposal device=device.get_value() known open /> }.into_any()
    })
}

fn left_out(proposal: &TemplateProposal) -> Option<AnyView> {
    let rows = proposal.left_out.iter();
    let rows =
        rows.map(|one| view! { <li><code>{one.key.clone()}</code> " " {sentence(&one.reason)}</li> }).collect_view();
    (!proposal.left_out.is_empty()).then(|| {
        view! {
            <details class="fold field">
                <summary>{format!("{} left out", format::counted(proposal.left_out.len(), "value is", "values are"))}</summary>
                <ul>{rows}</ul>
            </details>
        }
        .into_any()
    })
}

#[component]
fn Form(proposal: TemplateProposal, device: Device, known: Loader<Known>, open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let name = RwSignal::new(proposal.document["displayName"].as_str().unwrap_or_default().to_owned());
    let busy = RwSignal::new(false);
    let refused = RwSignal::new(None::<ApiError>);
    let is_new = device.template.is_none();
    let left_out = left_out(&proposal);
    let messages = format::counted(usize::try_from(proposal.messages).unwrap_or(usize::MAX), "message", "messages");
    let rows = proposal.guesses.iter().map(row).collect_view();
    let document = StoredValue::new(proposal.document);
    let device = StoredValue::new(device);
    let accept = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        busy.set(true);
        refused.set(None);
        spawn_local(async move {
            match accepted(api, document.get_value(), device.get_value(), name.get_untracked()).await {
                Ok(()) => {
                    toasts.done("The template was saved; what the device has sent is shown by it");
                    open.try_set(false);
                    known.reload();
                }
                Err(error) => {
                    refused.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=accept>
            <p>{format!("Guessed from the newest {messages}. Everything can be changed later in the template.")}</p>
            {is_new.then(|| view! { <TextField label="Name of the template" value=name required=true first=true /> })}
            <table class="table field">
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Type"</th>
                        <th scope="col">"Seen"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            {left_out}
            {problem_notice(refused)}
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                <button
                    type="submit"
                    class="button"
                    data-kind="primary"
                    disabled=move || busy.get() || name.with(|name| name.trim().is_empty())
                >
                    {if is_new { "Save and use it" } else { "Add to the template" }}
                </button>
            </div>
        </form>
    }
}

fn row(guess: &Guess) -> AnyView {
    let examples = guess.examples.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let meaning =
        [guess.semantic_type.clone(), guess.unit.clone()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let count = format::counted(usize::try_from(guess.count).unwrap_or(usize::MAX), "time", "times");
    view! {
        <tr>
            <td>
                <code>{guess.key.clone()}</code>
                <div class="soft small">{guess.kind.clone()}</div>
            </td>
            <td>
                {guess.schema.clone()}
                {guess.mixed.then(|| pill("warn", "Other types, too"))}
                <div class="soft small">{meaning}</div>
            </td>
            <td>
                <span class="ellipsis">{examples}</span>
                <div class="soft small">{count}</div>
            </td>
        </tr>
    }
    .into_any()
}

/// Saves the template under its name and gives it to the device.
async fn accepted(api: Api, mut document: serde_json::Value, device: Device, name: String) -> Result<(), ApiError> {
    if device.template.is_none() {
        document["displayName"] = json!(name.trim());
    }
    let id = document["@id"].as_str().unwrap_or_default().to_owned();
    let id = TemplateId::parse(id).map_err(|error| ApiError::Unreadable(error.to_string()))?;
    if device.template.is_some() {
        // Somebody may have changed the template meanwhile: what is not an addition any more is not saved over it.
        let text = document.to_string();
        let impact: TemplateImpact = api.post_text(&api.urls().template_impact(&id), text).await?;
        if impact.breaking {
            return Err(ApiError::Conflict("The template was changed meanwhile. Close this and try again.".to_owned()));
        }
    }
    api.put::<DeviceTemplate>(&api.urls().template(&id), &document).await?;
    if device.template.is_none() {
        api.patch::<Device>(&api.urls().device(&device.id), &json!({"template": id})).await?;
    }
    Ok(())
}

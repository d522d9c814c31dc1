//! What a rule does beside opening an alert.

use leptos::prelude::*;

use crate::components::fields::TextField;
use crate::components::icon::{Icon, icon};
use crate::rule_draft::{DraftAction, DraftActionKind};

/// The most actions that a rule can have.
const MOST: usize = 5;

/// What a rule does beside opening an alert.
#[component]
pub fn Actions(
    /// The actions.
    actions: RwSignal<Vec<DraftAction>>,
) -> impl IntoView {
    let add = move |kind: DraftActionKind| {
        actions.update(|all| {
            let number = all.iter().map(|action| action.number + 1).max().unwrap_or(0);
            all.push(DraftAction { number, kind });
        });
    };
    let email = move |_| add(DraftActionKind::Email { to: String::new(), note: String::new() });
    let webhook = move |_| add(DraftActionKind::Webhook { display_name: String::new(), url: String::new() });
    let full = move || actions.with(|all| all.len() >= MOST);
    view! {
        <section>
            <h3>"Then"</h3>
            <p class="soft field">"An alert is always opened. It can also be told to people and programs."</p>
            <For each=move || actions.get() key=|action| action.number let:action>
                <ActionBox action actions />
            </For>
            <div class="row field">
                <button type="button" class="button small" disabled=full on:click=email>
                    {icon(Icon::Plus)}
                    "E-mail"
                </button>
                <button type="button" class="button small" disabled=full on:click=webhook>
                    {icon(Icon::Plus)}
                    "Webhook"
                </button>
            </div>
        </section>
    }
}

#[component]
fn ActionBox(action: DraftAction, actions: RwSignal<Vec<DraftAction>>) -> impl IntoView {
    let number = action.number;
    let remove = move |_| actions.update(|all| all.retain(|action| action.number != number));
    let keep = move |kind: DraftActionKind| {
        actions.update(|all| {
            if let Some(action) = all.iter_mut().find(|action| action.number == number) {
                action.kind = kind;
            }
        });
    };
    let (title, fields) = match action.kind {
        DraftActionKind::Email { to, note } => {
            let (to, note) = (RwSignal::new(to), RwSignal::new(note));
            Effect::new(move |_| keep(DraftActionKind::Email { to: to.get(), note: note.get() }));
            let fields = view! {
                <TextField label="To" value=to help="Any addresses, with commas between them." />
                <TextField label="Note" value=note help="Put into the mail, under the chart." />
            };
            ("Send an e-mail", fields.into_any())
        }
        DraftActionKind::Webhook { display_name, url } => {
            let (display_name, url) = (RwSignal::new(display_name), RwSignal::new(url));
            Effect::new(move |_| keep(DraftActionKind::Webhook { display_name: display_name.get(), url: url.get() }));
            let fields = view! {
                <TextField label="Name" value=display_name />
                <TextField label="Address" value=url kind="url" help="Called with POST and a JSON body, as Azure IoT Central does." />
            };
            ("Call a webhook", fields.into_any())
        }
    };
    view! {
        <div class="action-box" role="group" aria-label=title>
            <div class="row spread">
                <strong>{title}</strong>
                <button type="button" class="icon-button" aria-label=format!("Remove: {title}") on:click=remove>
                    {icon(Icon::Trash)}
                </button>
            </div>
            {fields}
        </div>
    }
}

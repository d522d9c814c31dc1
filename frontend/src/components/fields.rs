//! Form fields with their label, help and problem tied together.

use std::sync::atomic::{AtomicU32, Ordering};

use leptos::html;
use leptos::prelude::*;

/// An element id that no other field of the page has.
pub fn fresh_id() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("field-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A line of text.
#[component]
pub fn TextField(
    /// What it is.
    #[prop(into)]
    label: String,
    /// Its text.
    value: RwSignal<String>,
    /// `text`, `email`, `password` …
    #[prop(default = "text")]
    kind: &'static str,
    /// What a password manager may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// What helps to fill it in.
    #[prop(optional, into)]
    help: String,
    /// What is wrong with it.
    #[prop(optional, into)]
    problem: Signal<Option<String>>,
    /// May it be empty?
    #[prop(optional)]
    required: bool,
    /// Is it the first one of its dialog?
    #[prop(optional)]
    first: bool,
    /// Is it an id, a key or an address?
    #[prop(optional)]
    mono: bool,
) -> impl IntoView {
    let id = fresh_id();
    let hint = format!("{id}-hint");
    let input = NodeRef::<html::Input>::new();
    if first {
        Effect::new(move |_| {
            if let Some(input) = input.get() {
                // A dialog moves the focus when it opens; this comes after it.
                request_animation_frame(move || {
                    let _ = input.focus();
                });
            }
        });
    }
    let described = hint.clone();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <input
                node_ref=input
                id=id
                class="input"
                class:mono=mono
                type=kind
                autocomplete=autocomplete
                spellcheck="false"
                required=required
                aria-describedby=described
                aria-invalid=move || problem.get().is_some().then_some("true")
                prop:value=move || value.get()
                on:input:target=move |event| value.set(event.target().value())
            />
            <div id=hint>
                {move || match problem.get() {
                    Some(problem) => view! { <p class="problem">{problem}</p> }.into_any(),
                    None if help.is_empty() => ().into_any(),
                    None => view! { <p class="help">{help.clone()}</p> }.into_any(),
                }}
            </div>
        </div>
    }
}

/// A choice from a list of (value, name).
#[component]
pub fn SelectField(
    /// What it is.
    #[prop(into)]
    label: String,
    /// The chosen value.
    value: RwSignal<String>,
    /// What can be chosen.
    #[prop(into)]
    options: Signal<Vec<(String, String)>>,
    /// What helps to choose.
    #[prop(optional, into)]
    help: String,
) -> impl IntoView {
    let id = fresh_id();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <Select id value options />
            {(!help.is_empty()).then(|| view! { <p class="help">{help}</p> })}
        </div>
    }
}

/// A choice without a visible label.
#[component]
pub fn Select(
    /// The chosen value.
    value: RwSignal<String>,
    /// What can be chosen.
    #[prop(into)]
    options: Signal<Vec<(String, String)>>,
    /// The element's id, for a label elsewhere.
    #[prop(optional, into)]
    id: Option<String>,
    /// Its name for screen readers where no label is shown.
    #[prop(optional, into)]
    name: Option<String>,
) -> impl IntoView {
    view! {
        <select
            class="input"
            id=id
            aria-label=name
            prop:value=move || {
                // The options must be there before one of them can be chosen.
                options.track();
                value.get()
            }
            on:change:target=move |event| value.set(event.target().value())
        >
            {move || {
                let chosen = value.get_untracked();
                options
                    .get()
                    .into_iter()
                    .map(|(word, name)| {
                        let selected = word == chosen;
                        view! { <option value=word selected=selected>{name}</option> }
                    })
                    .collect_view()
            }}
        </select>
    }
}

/// Something that is on or off.
#[component]
pub fn Switch(
    /// What it switches.
    #[prop(into)]
    label: String,
    /// Whether it is on.
    #[prop(into)]
    on: Signal<bool>,
    /// Called with what the person wants.
    change: Callback<bool>,
    /// Is the label for screen readers only?
    #[prop(optional)]
    hide_label: bool,
    /// Can it not be changed now?
    #[prop(optional, into)]
    disabled: Signal<bool>,
) -> impl IntoView {
    view! {
        <label class="switch">
            <input
                type="checkbox"
                role="switch"
                prop:checked=move || on.get()
                disabled=move || disabled.get()
                on:change:target=move |event| change.run(event.target().checked())
            />
            <span class:visually-hidden=hide_label>{label}</span>
        </label>
    }
}

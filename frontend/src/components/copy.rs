//! Texts that are copied: keys, ids, snippets.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;

use super::icon::{Icon, icon};

/// A button that copies a text and says so.
#[component]
pub fn CopyButton(
    /// What is copied.
    #[prop(into)]
    text: Signal<String>,
    /// What it is, for screen readers: `Copy the device ID`.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    let copied = RwSignal::new(false);
    let copy = move |_| {
        spawn_local(async move {
            let clipboard = window().navigator().clipboard();
            if JsFuture::from(clipboard.write_text(&text.get_untracked())).await.is_ok() {
                copied.try_set(true);
                set_timeout(
                    move || {
                        copied.try_set(false);
                    },
                    Duration::from_secs(2),
                );
            }
        });
    };
    view! {
        <button type="button" class="icon-button" aria-label=label.clone() title=label on:click=copy>
            {move || icon(if copied.get() { Icon::Check } else { Icon::Copy })}
            <span class="visually-hidden" aria-live="polite">
                {move || copied.get().then_some("Copied")}
            </span>
        </button>
    }
}

/// A block of code with a button that copies it.
#[component]
pub fn CopyBlock(
    /// The code.
    #[prop(into)]
    text: Signal<String>,
    /// What it is, for screen readers.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    view! {
        <div class="copy">
            <pre tabindex="0" role="region" aria-label=label.clone()>
                <code>{move || text.get()}</code>
            </pre>
            <CopyButton text label=format!("Copy {label}") />
        </div>
    }
}

/// A value that can be copied, and shown or hidden when it is secret.
#[component]
pub fn Secret(
    /// The secret.
    #[prop(into)]
    text: String,
    /// What it is: `primary key`.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    let shown = RwSignal::new(false);
    let secret = text.clone();
    let toggle = move || if shown.get() { "Hide" } else { "Show" };
    let name = label.clone();
    view! {
        <div class="secret">
            <code>{move || if shown.get() { secret.clone() } else { "•".repeat(24) }}</code>
            <button
                type="button"
                class="icon-button"
                aria-label=move || format!("{} the {name}", toggle())
                aria-pressed=move || if shown.get() { "true" } else { "false" }
                on:click=move |_| shown.update(|shown| *shown = !*shown)
            >
                {icon(Icon::Eye)}
            </button>
            <CopyButton text label=format!("Copy the {label}") />
        </div>
    }
}

/// A plain value that can be copied.
#[component]
pub fn Copyable(
    /// The value.
    #[prop(into)]
    text: String,
    /// What it is: `device ID`.
    #[prop(into)]
    label: String,
) -> impl IntoView {
    view! {
        <div class="secret">
            <code>{text.clone()}</code>
            <CopyButton text label=format!("Copy the {label}") />
        </div>
    }
}

//! A row of buttons of which one is pressed.

use leptos::prelude::*;

/// A row of buttons of which one is pressed.
#[component]
pub fn Segments<T>(
    /// What is chosen, for screen readers.
    #[prop(into)]
    label: String,
    /// The chosen value.
    value: RwSignal<T>,
    /// What can be chosen, and its name.
    options: Vec<(T, &'static str)>,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let buttons = options.into_iter().map(|(option, name)| {
        view! {
            <button
                type="button"
                aria-pressed=move || if value.get() == option { "true" } else { "false" }
                on:click=move |_| value.set(option)
            >
                {name}
            </button>
        }
    });
    view! { <div class="segments" role="group" aria-label=label>{buttons.collect_view()}</div> }
}

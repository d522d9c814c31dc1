//! Search over everything, opened with Ctrl-K or `/`.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;
use muster_contract::page::Page;
use muster_contract::search::{SearchKind, SearchResult};

use crate::api::{Api, ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::icon::{Icon, icon};
use crate::load::{Load, Loader};

/// The search dialog.
#[component]
pub fn SearchDialog(
    /// Whether it is shown.
    open: RwSignal<bool>,
) -> impl IntoView {
    view! {
        <Dialog title="Search" open wide=true>
            <Search open />
        </Dialog>
    }
}

#[component]
fn Search(open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let navigate = use_navigate();
    let text = RwSignal::new(String::new());
    let asked = debounced(text);
    let chosen = RwSignal::new(0_usize);
    let input = NodeRef::<html::Input>::new();
    Effect::new(move |_| {
        if let Some(input) = input.get() {
            request_animation_frame(move || {
                let _ = input.focus();
            });
        }
    });
    let results = Loader::new(move || {
        let text = asked.get();
        chosen.set(0);
        async move { find(api, text.trim()).await }
    });
    let go = move |result: &SearchResult| {
        open.set(false);
        navigate(&address(api, result), Default::default());
    };
    let go = StoredValue::new_local(go);
    let key = move |event: leptos::ev::KeyboardEvent| {
        let found = results.value().unwrap_or_default();
        match event.key().as_str() {
            "ArrowDown" => chosen.update(|index| *index = (*index + 1).min(found.len().saturating_sub(1))),
            "ArrowUp" => chosen.update(|index| *index = index.saturating_sub(1)),
            "Enter" => {
                if let Some(result) = found.get(chosen.get_untracked()) {
                    go.with_value(|go| go(result));
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <div class="input-wrap">
            {icon(Icon::Search)}
            <input
                node_ref=input
                class="input"
                type="search"
                role="combobox"
                aria-label="Search devices, templates, rules and dashboards"
                aria-expanded="true"
                aria-controls="search-results"
                aria-activedescendant=move || format!("search-result-{}", chosen.get())
                placeholder="Name or ID of a device, template, rule or dashboard"
                autocomplete="off"
                spellcheck="false"
                prop:value=move || text.get()
                on:input:target=move |event| text.set(event.target().value())
                on:keydown=key
            />
        </div>
        <div class="search-results" id="search-results" role="listbox" aria-label="Results">
            {move || draw(api, &results.state.get(), &asked.get(), chosen, open)}
        </div>
    }
}

async fn find(api: Api, text: &str) -> Result<Vec<SearchResult>, ApiError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let page: Page<SearchResult> = api.get(&api.urls().search(text)).await?;
    Ok(page.value)
}

fn draw(
    api: Api,
    state: &Load<Vec<SearchResult>>,
    asked: &str,
    chosen: RwSignal<usize>,
    open: RwSignal<bool>,
) -> AnyView {
    let note = |text: String| view! { <p class="soft" role="status">{text}</p> }.into_any();
    match state {
        Load::Loading => note("Searching …".to_owned()),
        Load::Failed(error) => note(error.to_string()),
        Load::Ready(_) if asked.trim().is_empty() => note("Type to search. Arrow keys choose, Enter opens.".to_owned()),
        Load::Ready(found) if found.is_empty() => note(format!("Nothing is called “{}”.", asked.trim())),
        Load::Ready(found) => {
            let rows = found.iter().enumerate().map(|(index, result)| {
                let (mark, kind) = kind_words(result.kind);
                let hint = if result.hint.is_empty() { kind.to_owned() } else { format!("{kind} · {}", result.hint) };
                view! {
                    <a
                        id=format!("search-result-{index}")
                        class="search-result"
                        role="option"
                        tabindex="-1"
                        aria-selected=move || (chosen.get() == index).to_string()
                        href=address(api, result)
                        on:click=move |_| open.set(false)
                    >
                        {icon(mark)}
                        <span class="ellipsis">{result.display_name.clone()}</span>
                        <small class="ellipsis">{hint}</small>
                    </a>
                }
            });
            rows.collect_view().into_any()
        }
    }
}

fn kind_words(kind: SearchKind) -> (Icon, &'static str) {
    match kind {
        SearchKind::Device => (Icon::Device, "Device"),
        SearchKind::Template => (Icon::Layers, "Template"),
        SearchKind::Rule => (Icon::Rule, "Rule"),
        SearchKind::Dashboard => (Icon::Dashboard, "Dashboard"),
    }
}

fn address(api: Api, result: &SearchResult) -> String {
    let folder = match result.kind {
        SearchKind::Device => "devices",
        SearchKind::Template => "templates",
        SearchKind::Rule => "rules",
        SearchKind::Dashboard => "dashboards",
    };
    api.page(&format!("{folder}/{}", super::segment(&result.id)))
}

/// Follows a text once its writer pauses.
pub fn debounced(text: RwSignal<String>) -> ReadSignal<String> {
    const PAUSE: Duration = Duration::from_millis(250);
    let (settled, set_settled) = signal(text.get_untracked());
    let number = StoredValue::new(0_u64);
    Effect::new(move |_| {
        let text = text.get();
        let mine = number.get_value() + 1;
        number.set_value(mine);
        set_timeout(
            move || {
                if number.try_get_value() == Some(mine) && settled.try_get_untracked().is_some_and(|old| old != text) {
                    set_settled.try_set(text);
                }
            },
            PAUSE,
        );
    });
    settled
}

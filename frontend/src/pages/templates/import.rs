//! The import of a DTDL file or of an exported template, with its errors shown in place.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::template::DeviceTemplate;
use wasm_bindgen_futures::JsFuture;

use crate::api::{ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::icon::{Icon, icon};
use crate::components::problems::problems;
use crate::components::toast::use_toasts;
use crate::pages::segment;

/// Larger files are refused by the server too.
const LARGEST_BYTES: f64 = 1_000_000.0;

/// The import dialog.
#[component]
pub fn ImportDialog(
    /// Whether it is shown.
    open: RwSignal<bool>,
) -> impl IntoView {
    view! {
        <Dialog title="Import a template" open wide=true>
            <Form open />
        </Dialog>
    }
}

#[component]
fn Form(open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let text = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let refused = RwSignal::new(None::<ApiError>);
    let area = NodeRef::<html::Textarea>::new();
    let take = move |files: Option<web_sys::FileList>| read_file(files, text, refused);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        busy.set(true);
        refused.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.post_text::<DeviceTemplate>(&api.urls().import_template(), text.get_untracked()).await {
                Ok(template) => {
                    open.set(false);
                    toasts.done(format!("The template {} was imported", template.display_name));
                    navigate(&api.page(&format!("templates/{}", segment(template.id.as_str()))), Default::default());
                }
                Err(error) => {
                    refused.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=submit>
            <FileDrop take=Callback::new(take) />
            <div class="field">
                <label for="template-text">"Or paste it here"</label>
                <textarea
                    id="template-text"
                    node_ref=area
                    class="input code"
                    spellcheck="false"
                    autocomplete="off"
                    aria-describedby="template-problems"
                    aria-invalid=move || refused.get().is_some().then_some("true")
                    prop:value=move || text.get()
                    on:input:target=move |event| text.set(event.target().value())
                ></textarea>
                <p class="help">"A DTDL interface (version 2 or 3), an array of interfaces, or a template exported from Azure IoT Central."</p>
            </div>
            <div id="template-problems" role="alert">{move || refused.get().map(|error| problems("This was not imported.", &error, area, text))}</div>
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button
                    type="submit"
                    class="button"
                    data-kind="primary"
                    disabled=move || busy.get() || text.with(|text| text.trim().is_empty())
                >
                    {move || if busy.get() { "Checking …" } else { "Import and publish" }}
                </button>
            </div>
        </form>
    }
}

#[component]
fn FileDrop(take: Callback<Option<web_sys::FileList>>) -> impl IntoView {
    let over = RwSignal::new(false);
    let drop = move |event: web_sys::DragEvent| {
        event.prevent_default();
        over.set(false);
        take.run(event.data_transfer().and_then(|transfer| transfer.files()));
    };
    view! {
        <div
            class="drop field"
            data-over=move || over.get().to_string()
            on:dragover=move |event| {
                event.prevent_default();
                over.set(true);
            }
            on:dragleave=move |_| over.set(false)
            on:drop=drop
        >
            <p>"Drop a .json file here, or"</p>
            <label class="button">
                {icon(Icon::Upload)}
                "Choose a file"
                <input
                    type="file"
                    class="visually-hidden"
                    accept=".json,application/json"
                    on:change:target=move |event| take.run(event.target().files())
                />
            </label>
        </div>
    }
}

fn read_file(files: Option<web_sys::FileList>, text: RwSignal<String>, refused: RwSignal<Option<ApiError>>) {
    let Some(file) = files.and_then(|files| files.get(0)) else { return };
    let refuse = move |message: &str| {
        refused.try_set(Some(ApiError::Invalid { message: message.to_owned(), problems: Vec::new() }));
    };
    if file.size() > LARGEST_BYTES {
        return refuse("The file is larger than 1 MB: it is no device template.");
    }
    spawn_local(async move {
        match JsFuture::from(file.text()).await.ok().and_then(|content| content.as_string()) {
            Some(content) => {
                refused.try_set(None);
                text.try_set(content);
            }
            None => refuse("The file could not be read."),
        }
    });
}

//! The editor of a template: its tree and its text side by side, checked while it is written.

use std::time::Duration;

use leptos::html;
use leptos::leptos_dom::helpers::TimeoutHandle;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::template::DeviceTemplate;
use muster_contract::template_life::TemplateImpact;

use super::{document_of, impact, newest, page_of};
use crate::api::{ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::fields::{SelectField, Switch, TextField};
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::problems::{problems, select_line};
use crate::components::states::{Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::outline::{Addition, Node, outline, with_addition, without};

/// Typing rests this long before the text is checked.
const REST: Duration = Duration::from_millis(600);

/// The editor of a template.
#[component]
pub fn EditTab(
    /// The template as its page has it.
    of: DeviceTemplate,
    /// The page's template, loaded anew after a change.
    template: Loader<DeviceTemplate>,
) -> impl IntoView {
    let api = use_api();
    let draft = Loader::new(move || {
        let of = of.clone();
        async move { newest(api, &of).await }
    });
    loaded(draft, Skeleton::Block, move |draft| view! { <Editor draft template /> })
}

/// What the server says of the text.
#[derive(Clone, Debug, PartialEq)]
enum Check {
    Waiting,
    Good(TemplateImpact),
    Bad(ApiError),
}

#[component]
fn Editor(draft: DeviceTemplate, template: Loader<DeviceTemplate>) -> impl IntoView {
    let api = use_api();
    let saved = StoredValue::new(document_of(&draft));
    let text = RwSignal::new(saved.get_value());
    let check = RwSignal::new(Check::Waiting);
    let area = NodeRef::<html::Textarea>::new();
    let adding = RwSignal::new(false);
    let id = draft.id.clone();
    let timer = StoredValue::new_local(None::<TimeoutHandle>);
    Effect::new(move |before: Option<()>| {
        let wanted = text.get();
        check.set(Check::Waiting);
        if let Some(timer) = timer.get_value() {
            timer.clear();
        }
        let url = api.urls().template_impact(&id);
        let ask = move || {
            spawn_local(async move {
                let answer = api.post_text::<TemplateImpact>(&url, wanted.clone()).await;
                // Another text may stand there by now: its own check is under way.
                if text.try_with_untracked(|text| *text == wanted) == Some(true) {
                    check.try_set(answer.map_or_else(Check::Bad, Check::Good));
                }
            });
        };
        let rest = if before.is_none() { Duration::ZERO } else { REST };
        timer.set_value(set_timeout_with_handle(ask, rest).ok());
    });
    on_cleanup(move || {
        if let Some(timer) = timer.try_get_value().flatten() {
            timer.clear();
        }
    });
    let changed = Memo::new(move |_| text.with(|text| saved.with_value(|saved| text != saved)));
    let remove = Callback::new(move |index| {
        text.update(|text| {
            if let Some(shorter) = without(text, index) {
                *text = shorter;
            }
        });
    });
    view! {
        <div class="stack">
            <div class="editor">
                <section class="card">
                    <div class="card-head">
                        <h3 class="grow">"Contents"</h3>
                        <button type="button" class="button small" on:click=move |_| adding.set(true)>{icon(Icon::Plus)} "Add"</button>
                    </div>
                    {move || tree(text.with(|text| outline(text)), area, text, remove)}
                </section>
                <section class="card editor-text">
                    <div class="card-head">
                        <h3 class="grow"><label for="template-json">"JSON"</label></h3>
                        {move || match check.get() {
                            Check::Waiting => pill("quiet", "Checking …"),
                            Check::Good(_) => pill("good", "No problems"),
                            Check::Bad(_) => pill("bad", "Not valid"),
                        }}
                    </div>
                    <textarea
                        id="template-json"
                        node_ref=area
                        class="input code"
                        spellcheck="false"
                        autocomplete="off"
                        aria-describedby="editor-problems"
                        aria-invalid=move || matches!(check.get(), Check::Bad(_)).then_some("true")
                        prop:value=move || text.get()
                        on:input:target=move |event| text.set(event.target().value())
                    ></textarea>
                </section>
            </div>
            <div id="editor-problems" role="status">
                {move || match check.get() {
                    Check::Bad(error) => problems("This cannot be published yet.", &error, area, text),
                    Check::Good(found) if found.changes.is_empty() => ().into_any(),
                    Check::Good(found) => view! {
                        <section class="card">
                            <div class="card-head">
                                <div>
                                    <h3>"What changes"</h3>
                                    <p>{verdict(&found)}</p>
                                </div>
                            </div>
                            <div class="card-body">{impact::changes(api, &found)}</div>
                        </section>
                    }
                    .into_any(),
                    Check::Waiting => ().into_any(),
                }}
            </div>
            <Actions draft text check changed template />
        </div>
        <Dialog title="Add to the template" open=adding>
            <AddForm text open=adding />
        </Dialog>
    }
}

fn verdict(impact: &TemplateImpact) -> &'static str {
    match (impact.breaking, impact.devices > 0) {
        (true, _) => "Something breaks, so this becomes a new version; devices move to it when you say so.",
        (false, true) => "Only additions and wording: its devices have it at once when it is published.",
        (false, false) => "Nothing that is there breaks.",
    }
}

fn tree(
    rows: Option<Vec<Node>>,
    area: NodeRef<html::Textarea>,
    text: RwSignal<String>,
    remove: Callback<usize>,
) -> AnyView {
    let Some(rows) = rows else {
        return view! { <p class="card-body soft">"The tree appears when the text is JSON again."</p> }.into_any();
    };
    if rows.is_empty() {
        return view! { <p class="card-body soft">"Nothing yet. “Add” makes the first telemetry, property or command."</p> }
            .into_any();
    }
    let rows = rows.into_iter().map(|row| {
        let show = move |_| select_line(area, &text.get_untracked(), row.line);
        let taken = format!("Remove {}", row.name);
        view! {
            <li data-depth=row.depth.to_string()>
                <button type="button" class="tree-row" on:click=show>
                    <span class="ellipsis">{row.name}</span>
                    <small class="soft">{row.kind} {(!row.detail.is_empty()).then(|| format!(" · {}", row.detail))}</small>
                </button>
                {row
                    .index
                    .map(|index| {
                        view! {
                            <button type="button" class="icon-button" aria-label=taken title="Remove" on:click=move |_| remove.run(index)>
                                {icon(Icon::Trash)}
                            </button>
                        }
                    })}
            </li>
        }
    });
    view! { <ul class="tree">{rows.collect_view()}</ul> }.into_any()
}

/// What can be done with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Save,
    Publish,
    Version,
    Discard,
}

#[component]
fn Actions(
    draft: DeviceTemplate,
    text: RwSignal<String>,
    check: RwSignal<Check>,
    changed: Memo<bool>,
    template: Loader<DeviceTemplate>,
) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let busy = RwSignal::new(false);
    let has_draft = draft.draft;
    let published_before = draft.published || template.value().is_some_and(|template| template.published);
    let run = Callback::new(move |deed: Deed| {
        busy.set(true);
        let (draft, navigate) = (draft.clone(), navigate.clone());
        spawn_local(async move {
            let id = &draft.id;
            let text = text.get_untracked();
            let urls = api.urls();
            let draft_url = urls.template_draft(id);
            let save = || api.put_text::<DeviceTemplate>(&draft_url, text.clone(), &draft.etag);
            let done = match deed {
                Deed::Save => save().await.map(|_| ("The draft was saved", None)),
                Deed::Discard => {
                    api.delete(&urls.template_draft(id)).await.map(|()| ("The draft was thrown away", None))
                }
                Deed::Publish => match save().await {
                    Ok(_) => api
                        .post::<DeviceTemplate>(&urls.publish_template(id))
                        .await
                        .map(|template| ("Published", Some(template.id))),
                    Err(error) => Err(error),
                },
                Deed::Version => {
                    let made = api.post_text::<DeviceTemplate>(&urls.template_versions(id), text.clone()).await;
                    made.map(|made| {
                        ("A new version was published. Move devices to it when you are ready.", Some(made.id))
                    })
                }
            };
            busy.try_set(false);
            match done {
                Ok((said, page)) => {
                    toasts.done(said);
                    template.reload();
                    if let Some(id) = page {
                        navigate(&page_of(api, &id), Default::default());
                    }
                }
                Err(error) => toasts.failed(&error),
            }
        });
    });
    let good = move || match check.get() {
        Check::Good(impact) => Some(impact.breaking),
        Check::Waiting | Check::Bad(_) => None,
    };
    let button = move |deed: Deed, name: &'static str, kind: Option<&'static str>, may: Signal<bool>| {
        view! {
            <button type="button" class="button" data-kind=kind disabled=move || busy.get() || !may.get() on:click=move |_| run.run(deed)>
                {name}
            </button>
        }
    };
    let to_publish = move || changed.get() || has_draft;
    let publish = Signal::derive(move || good() == Some(false) && to_publish());
    let version = Signal::derive(move || published_before && good().is_some() && to_publish());
    view! {
        <div class="row end wrap">
            {(has_draft && published_before).then(|| button(Deed::Discard, "Throw the draft away", None, Signal::stored(true)))}
            {button(Deed::Save, "Save draft", None, Signal::derive(move || good().is_some() && changed.get()))}
            {published_before.then(|| button(Deed::Version, "Publish as new version", None, version))}
            {button(Deed::Publish, "Publish", Some("primary"), publish)}
        </div>
    }
}

#[component]
fn AddForm(text: RwSignal<String>, open: RwSignal<bool>) -> impl IntoView {
    const KINDS: [&str; 4] = ["Telemetry", "Property", "Cloud property", "Command"];
    const SCHEMAS: [(&str, &str); 10] = [
        ("double", "Number"),
        ("integer", "Whole number"),
        ("boolean", "Yes or no"),
        ("string", "Text"),
        ("dateTime", "Date and time"),
        ("date", "Date"),
        ("time", "Time of day"),
        ("duration", "Duration"),
        ("geopoint", "Position"),
        ("vector", "Vector"),
    ];
    let kind = RwSignal::new(KINDS[0].to_owned());
    let schema = RwSignal::new(SCHEMAS[0].0.to_owned());
    let name = RwSignal::new(String::new());
    let display_name = RwSignal::new(String::new());
    let writable = RwSignal::new(false);
    let pairs = |all: &[(&str, &str)]| {
        all.iter().map(|(word, name)| ((*word).to_owned(), (*name).to_owned())).collect::<Vec<_>>()
    };
    let kinds = pairs(&KINDS.map(|kind| (kind, kind)));
    let schemas = pairs(&SCHEMAS);
    let add = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let addition = Addition {
            kind: kind.get_untracked(),
            name: name.get_untracked(),
            display_name: display_name.get_untracked(),
            schema: schema.get_untracked(),
            writable: writable.get_untracked(),
        };
        text.update(|text| {
            if let Some(longer) = with_addition(text, &addition) {
                *text = longer;
            }
        });
        open.set(false);
    };
    view! {
        <form on:submit=add>
            <SelectField label="What" value=kind options=Signal::stored(kinds) />
            <TextField label="Name" value=name required=true first=true mono=true help="As the device sends it: letters, digits and _" />
            <TextField label="Display name" value=display_name help="What people read" />
            <Show when=move || kind.get() != "Command">
                <SelectField label="Type" value=schema options=Signal::stored(schemas.clone()) />
            </Show>
            <Show when=move || kind.get() == "Property">
                <div class="field">
                    <Switch label="Can be set from here" on=Signal::derive(move || writable.get()) change=Callback::new(move |on| writable.set(on)) />
                </div>
            </Show>
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                <button type="submit" class="button" data-kind="primary" disabled=move || name.with(|name| name.trim().is_empty())>"Add"</button>
            </div>
        </form>
    }
}

//! The views of a template: how its devices are shown, and forms for their properties.

use leptos::prelude::*;
use leptos::task::spawn_local;
use muster_contract::page::Page;
use muster_contract::template::{Capability, CapabilityKind, DeviceTemplate};
use muster_contract::view::{FormSection, TemplateView, TemplateViewInput, ViewContent, ViewTile, ViewTileKind};
use muster_model::{Permission, TemplateId, ViewId};
use uuid::Uuid;

use crate::api::{ApiError, use_api};
use crate::components::dialog::{Confirm, Dialog};
use crate::components::fields::{Select, TextField};
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded, problem_notice};
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::Loader;
use crate::session::use_rights;

type Views = Loader<Page<TemplateView>>;

/// The views of a template.
#[component]
pub fn ViewsTab(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let may_manage = use_rights().may(Permission::TemplatesManage);
    let id = template.id.clone();
    let wanted = id.clone();
    let views: Views = Loader::new(move || {
        let url = api.urls().template_views(&wanted);
        async move { api.get::<Page<TemplateView>>(&url).await }
    });
    let edited = RwSignal::new(None::<Draft>);
    let open = RwSignal::new(false);
    let edit = Callback::new(move |draft: Draft| {
        edited.set(Some(draft));
        open.set(true);
    });
    let busy = RwSignal::new(false);
    let url = api.urls().template_views(&id);
    let generate = move |_| {
        busy.set(true);
        let url = url.clone();
        spawn_local(async move {
            match api.post::<Page<TemplateView>>(&url).await {
                Ok(made) => {
                    toasts.done("The default views were made");
                    views.change(|page| *page = made);
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    };
    let order = move || views.value().map_or(0, |page| u32::try_from(page.value.len()).unwrap_or(u32::MAX));
    let toolbar = may_manage.then(|| {
        view! {
            <div class="row wrap section-head">
                <button class="button" disabled=move || busy.get() on:click=generate>
                    {icon(Icon::Refresh)}
                    "Make the default views"
                </button>
                <button class="button" on:click=move |_| edit.run(Draft::new(Kind::View, order()))>
                    {icon(Icon::Plus)}
                    "New view"
                </button>
                <button class="button" on:click=move |_| edit.run(Draft::new(Kind::Form, order()))>
                    {icon(Icon::Plus)}
                    "New form"
                </button>
            </div>
        }
    });
    let capabilities = StoredValue::new(template.capabilities);
    let id = StoredValue::new(id);
    view! {
        {toolbar}
        {loaded(
            views,
            Skeleton::Cards,
            move |page| {
                if page.value.is_empty() {
                    let text = "A view is a tab on the page of every device of this template: charts, last values, properties or commands. A form lets operators set properties.";
                    return view! { <div class="card"><Blank mark=Icon::Layers title="No views yet" text /></div> }.into_any();
                }
                let cards = page.value.into_iter().map(|one| view! { <Card shown=one template=id.get_value() views edit may_manage /> });
                view! { <div class="cards">{cards.collect_view()}</div> }.into_any()
            },
        )}
        <Dialog title="View" open wide=true>
            {move || {
                edited
                    .get()
                    .map(|draft| view! { <Editor draft capabilities template=id.get_value() views open /> })
            }}
        </Dialog>
    }
}

#[component]
fn Card(
    shown: TemplateView,
    template: TemplateId,
    views: Views,
    edit: Callback<Draft>,
    may_manage: bool,
) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let (open, busy) = (RwSignal::new(false), RwSignal::new(false));
    let name = shown.display_name.clone();
    let url = api.urls().template_view(&template, &shown.id);
    let question = format!("“{name}” is no longer shown on the pages of devices. Nothing that they sent is lost.");
    let deleted = name.clone();
    let confirm = Callback::new(move |()| {
        busy.set(true);
        let (url, name) = (url.clone(), deleted.clone());
        spawn_local(async move {
            match api.delete(&url).await {
                Ok(()) => {
                    toasts.done(format!("The view {name} was deleted"));
                    open.try_set(false);
                    views.reload();
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    });
    let (kind, parts) = match &shown.content {
        ViewContent::View { tiles } => ("View", format::counted(tiles.len(), "tile", "tiles")),
        ViewContent::Form { sections } => ("Form", format::counted(sections.len(), "section", "sections")),
    };
    let draft = Draft::of(&shown);
    let buttons = may_manage.then(|| {
        let (edit_label, delete_label) = (format!("Edit {name}"), format!("Delete {name}"));
        view! {
            <span class="toolbar">
                <button class="icon-button" aria-label=edit_label title="Edit" on:click=move |_| edit.run(draft.clone())>
                    {icon(Icon::Edit)}
                </button>
                <button class="icon-button" aria-label=delete_label title="Delete" on:click=move |_| open.set(true)>
                    {icon(Icon::Trash)}
                </button>
            </span>
        }
    });
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3>{name.clone()}</h3>
                    <p class="row">{pill("quiet", kind)} {parts}</p>
                </div>
                {buttons}
            </div>
        </section>
        <Confirm title="Delete this view?" text=question button="Delete" open busy confirm />
    }
}

/// What a view is, while it is being written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    View,
    Form,
}

/// A view while it is being written.
#[derive(Clone, Debug, PartialEq)]
struct Draft {
    id: Option<ViewId>,
    etag: Option<String>,
    display_name: String,
    order: u32,
    kind: Kind,
    parts: Vec<DraftPart>,
}

/// A tile, or a section of a form.
#[derive(Clone, Debug, PartialEq)]
struct DraftPart {
    /// Tells it from the others while they come and go.
    number: u64,
    display_name: String,
    kind: ViewTileKind,
    capabilities: Vec<String>,
}

impl Draft {
    fn new(kind: Kind, order: u32) -> Self {
        let parts = vec![DraftPart::new(0)];
        Self { id: None, etag: None, display_name: String::new(), order, kind, parts }
    }

    fn of(shown: &TemplateView) -> Self {
        let part = |((display_name, capabilities), kind): ((&String, &Vec<String>), ViewTileKind), number| DraftPart {
            number,
            display_name: display_name.clone(),
            kind,
            capabilities: capabilities.clone(),
        };
        let (kind, parts) = match &shown.content {
            ViewContent::View { tiles } => {
                let tiles = tiles.iter().map(|tile| ((&tile.display_name, &tile.capabilities), tile.kind));
                (Kind::View, tiles.zip(0..).map(|(tile, number)| part(tile, number)).collect())
            }
            ViewContent::Form { sections } => {
                let sections =
                    sections.iter().map(|one| ((&one.display_name, &one.capabilities), ViewTileKind::Property));
                (Kind::Form, sections.zip(0..).map(|(one, number)| part(one, number)).collect())
            }
        };
        let (id, etag) = (Some(shown.id.clone()), Some(shown.etag.clone()));
        Self { id, etag, display_name: shown.display_name.clone(), order: shown.order, kind, parts }
    }

    fn finish(&self) -> TemplateViewInput {
        let parts = self.parts.iter().cloned();
        let content = match self.kind {
            Kind::View => ViewContent::View {
                tiles: parts
                    .map(|DraftPart { display_name, kind, capabilities, .. }| ViewTile {
                        display_name,
                        kind,
                        capabilities,
                    })
                    .collect(),
            },
            Kind::Form => ViewContent::Form {
                sections: parts
                    .map(|DraftPart { display_name, capabilities, .. }| FormSection { display_name, capabilities })
                    .collect(),
            },
        };
        TemplateViewInput {
            display_name: self.display_name.clone(),
            order: self.order,
            content,
            etag: self.etag.clone(),
        }
    }
}

impl DraftPart {
    fn new(number: u64) -> Self {
        Self { number, display_name: String::new(), kind: ViewTileKind::LineChart, capabilities: Vec::new() }
    }
}

/// Can a part show this capability?
fn fits(kind: Kind, tile: ViewTileKind, capability: &Capability) -> bool {
    let property = matches!(capability.kind, CapabilityKind::Property | CapabilityKind::CloudProperty);
    match (kind, tile) {
        (Kind::Form, _) => property && capability.writable,
        (Kind::View, ViewTileKind::LineChart) => capability.kind == CapabilityKind::Telemetry && capability.numeric,
        (Kind::View, ViewTileKind::LastValue) => {
            let several = ["geopoint", "vector", "object"].contains(&capability.schema.as_str());
            capability.kind == CapabilityKind::Telemetry && !several
        }
        (Kind::View, ViewTileKind::Property) => property,
        (Kind::View, ViewTileKind::Command) => capability.kind == CapabilityKind::Command,
    }
}

const KINDS: [(ViewTileKind, &str, &str); 4] = [
    (ViewTileKind::LineChart, "lineChart", "Line chart"),
    (ViewTileKind::LastValue, "lastValue", "Last values"),
    (ViewTileKind::Property, "property", "Properties"),
    (ViewTileKind::Command, "command", "Commands"),
];

#[component]
fn Editor(
    draft: Draft,
    capabilities: StoredValue<Vec<Capability>>,
    template: TemplateId,
    views: Views,
    open: RwSignal<bool>,
) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let kind = draft.kind;
    let name = RwSignal::new(draft.display_name.clone());
    let parts = RwSignal::new(draft.parts.clone());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<ApiError>);
    let word = if kind == Kind::View { "tile" } else { "section" };
    let add = move |_| {
        parts.update(|all| {
            let number = all.iter().map(|part| part.number + 1).max().unwrap_or(0);
            all.push(DraftPart::new(number));
        });
    };
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let fresh = || ViewId::parse(Uuid::now_v7().to_string()).ok();
        let Some(id) = draft.id.clone().or_else(fresh) else { return };
        let (display_name, parts) = (name.get_untracked(), parts.get_untracked());
        let input = Draft { display_name, parts, ..draft.clone() }.finish();
        busy.set(true);
        problem.set(None);
        let url = api.urls().template_view(&template, &id);
        spawn_local(async move {
            match api.put::<TemplateView>(&url, &input).await {
                Ok(saved) => {
                    toasts.done(format!("The view {} was saved", saved.display_name));
                    open.try_set(false);
                    views.reload();
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=save>
            <TextField label="Name" value=name required=true />
            <For each=move || parts.get() key=|part| part.number let:part>
                <Part part kind parts capabilities />
            </For>
            <div class="row field">
                <button type="button" class="button small" on:click=add>
                    {icon(Icon::Plus)}
                    {format!("Add a {word}")}
                </button>
            </div>
            <div role="alert">{problem_notice(problem)}</div>
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button type="submit" class="button" data-kind="primary" disabled=move || busy.get()>
                    "Save view"
                </button>
            </div>
        </form>
    }
}

#[component]
fn Part(
    part: DraftPart,
    kind: Kind,
    parts: RwSignal<Vec<DraftPart>>,
    capabilities: StoredValue<Vec<Capability>>,
) -> impl IntoView {
    let number = part.number;
    let title = RwSignal::new(part.display_name);
    let start = KINDS.iter().find(|(kind, ..)| *kind == part.kind).map_or("lineChart", |(_, word, _)| word);
    let tile = RwSignal::new(start.to_owned());
    let chosen = RwSignal::new(part.capabilities);
    let tile_kind = Memo::new(move |_| {
        let word = tile.get();
        KINDS.iter().find(|(_, known, _)| *known == word).map_or(ViewTileKind::LineChart, |(kind, ..)| *kind)
    });
    // The part owns its fields; the view follows them.
    Effect::new(move |_| {
        let (display_name, kind, capabilities) = (title.get(), tile_kind.get(), chosen.get());
        parts.update(|all| {
            if let Some(part) = all.iter_mut().find(|part| part.number == number) {
                *part = DraftPart { number, display_name, kind, capabilities };
            }
        });
    });
    // Another kind of tile cannot show what this one does.
    Effect::new(move |_| {
        let shown = tile_kind.get();
        let offered = move |key: &String| {
            capabilities.with_value(|all| all.iter().any(|one| one.key == *key && fits(kind, shown, one)))
        };
        if !chosen.with_untracked(|chosen| chosen.iter().all(offered)) {
            chosen.update(|chosen| chosen.retain(offered));
        }
    });
    let remove = move |_| parts.update(|all| all.retain(|part| part.number != number));
    let kinds = KINDS.iter().map(|(_, word, name)| ((*word).to_owned(), (*name).to_owned())).collect::<Vec<_>>();
    let boxes = move || {
        let shown = tile_kind.get();
        let offered =
            capabilities.with_value(|all| all.iter().filter(|one| fits(kind, shown, one)).cloned().collect::<Vec<_>>());
        if offered.is_empty() {
            return view! { <p class="soft">"The template has nothing for this."</p> }.into_any();
        }
        let boxes = offered.into_iter().map(|one| {
            let (key, wanted) = (one.key.clone(), one.key.clone());
            let turn = move |on: bool| {
                chosen.update(|chosen| {
                    chosen.retain(|other| *other != key);
                    if on {
                        chosen.push(key.clone());
                    }
                });
            };
            view! {
                <label class="check">
                    <input
                        type="checkbox"
                        prop:checked=move || chosen.with(|chosen| chosen.contains(&wanted))
                        on:change:target=move |event| turn(event.target().checked())
                    />
                    {one.display_name}
                    {one.component.map(|component| pill("quiet", component))}
                </label>
            }
        });
        view! {
            <fieldset class="checks">
                <legend>"Shows"</legend>
                {boxes.collect_view()}
            </fieldset>
        }
        .into_any()
    };
    view! {
        <div class="action-box field">
            <div class="row">
                <div class="grow"><TextField label="Title" value=title required=true /></div>
                {(kind == Kind::View).then(|| view! { <Select name="Shown as" value=tile options=Signal::stored(kinds) /> })}
                <button type="button" class="icon-button" aria-label="Remove this part" on:click=remove>
                    {icon(Icon::Trash)}
                </button>
            </div>
            {boxes}
        </div>
    }
}

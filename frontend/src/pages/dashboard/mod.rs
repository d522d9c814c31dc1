//! A dashboard: its tiles, and the mode in which they are arranged.

mod figure;
mod line;
mod map;
mod tile;
mod tile_form;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};
use muster_contract::dashboard::{Dashboard, DashboardInput, Tile};
use muster_contract::rule::Rule;
use muster_contract::template::{Capability, CapabilityKind, DeviceTemplate};
use muster_model::{DashboardId, Permission, TemplateId};
use std::collections::BTreeMap;

use super::shell::{set_shown, set_title};
use crate::api::{Api, ApiError, use_api};
use crate::components::dialog::Confirm;
use crate::components::icon::{Icon, icon};
use crate::components::segments::Segments;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::series::Range;
use crate::session::{Rights, use_rights};

/// The templates of the tenant, with what tiles need of them.
#[derive(Clone, Copy)]
pub struct Templates(StoredValue<BTreeMap<TemplateId, (String, Vec<Capability>)>>);

impl Templates {
    fn of(templates: Vec<DeviceTemplate>) -> Self {
        let telemetry = |template: DeviceTemplate| {
            let all = template.capabilities.into_iter();
            let telemetry = all.filter(|capability| capability.kind == CapabilityKind::Telemetry).collect();
            (template.id, (template.display_name, telemetry))
        };
        Self(StoredValue::new(templates.into_iter().map(telemetry).collect()))
    }

    /// The telemetry of a template.
    pub fn telemetry(self, template: &TemplateId) -> Vec<Capability> {
        self.0.with_value(|all| all.get(template).map(|(_, telemetry)| telemetry.clone()).unwrap_or_default())
    }

    /// Ids and names.
    pub fn names(self) -> Vec<(String, String)> {
        self.0.with_value(|all| all.iter().map(|(id, (name, _))| (id.to_string(), name.clone())).collect())
    }
}

/// What all tiles of a dashboard share.
#[derive(Clone, Copy)]
pub struct Board {
    /// The tiles, as they are shown.
    pub tiles: RwSignal<Vec<Tile>>,
    /// Are they being arranged?
    pub editing: RwSignal<bool>,
    /// The range that a person chose for all tiles; `None` leaves each its own.
    pub range: RwSignal<Option<Range>>,
    /// The tile whose form is open: its id, or `None` for a new one.
    pub form: RwSignal<Option<Option<String>>>,
    /// What tiles know of templates.
    pub templates: Templates,
    /// The rules whose limits charts show.
    pub rules: StoredValue<Vec<Rule>>,
}

/// The page of a dashboard.
#[component]
pub fn DashboardPage() -> impl IntoView {
    set_title("Dashboards");
    let api = use_api();
    let params = use_params_map();
    let rights = use_rights();
    let id = Memo::new(move |_| params.with(|params| params.get("dashboard")).unwrap_or_default());
    let all = Loader::new(move || load(api, rights, id.get()));
    loaded(all, Skeleton::Cards, move |loaded| view! { <DashboardView loaded /> })
}

/// A dashboard and what its tiles need beside telemetry.
#[derive(Clone)]
struct Loaded {
    dashboard: Dashboard,
    templates: Vec<DeviceTemplate>,
    rules: Vec<Rule>,
}

async fn load(api: Api, rights: Rights, id: String) -> Result<Loaded, ApiError> {
    let id = DashboardId::parse(id).map_err(|error| ApiError::NotFound(error.to_string()))?;
    let dashboard = api.get(&api.urls().dashboard(&id)).await?;
    let templates = api.get_all(&api.urls().templates(), 1_000).await?;
    let rules =
        if rights.may(Permission::RulesView) { api.get_all(&api.urls().rules(), 1_000).await? } else { Vec::new() };
    Ok(Loaded { dashboard, templates, rules })
}

#[component]
fn DashboardView(loaded: Loaded) -> impl IntoView {
    let dashboard = loaded.dashboard;
    set_shown(&dashboard.display_name);
    let api = use_api();
    let may_manage = use_rights().may(Permission::DashboardsManage);
    let asked_to_edit = use_query_map().with_untracked(|query| query.get("edit").is_some());
    let board = Board {
        tiles: RwSignal::new(dashboard.tiles.clone()),
        editing: RwSignal::new(asked_to_edit && may_manage),
        range: RwSignal::new(None),
        form: RwSignal::new(None),
        templates: Templates::of(loaded.templates),
        rules: StoredValue::new(loaded.rules),
    };
    provide_context(board);
    let saved = StoredValue::new(dashboard.clone());
    let ranges = vec![
        (None, "As set"),
        (Some(Range::Hour), "1 h"),
        (Some(Range::Day), "24 h"),
        (Some(Range::Week), "7 d"),
        (Some(Range::Month), "30 d"),
    ];
    let ids = Memo::new(move |_| {
        let key = |tile: &Tile| (tile.id.clone(), serde_json::to_string(&tile.configuration).unwrap_or_default());
        board.tiles.with(|tiles| tiles.iter().map(key).collect::<Vec<_>>())
    });
    let ranges = StoredValue::new(ranges);
    view! {
        <div class="page-head">
            <div class="crumbs grow">
                <a href=api.page("dashboards")>"Dashboards"</a>
                <span aria-hidden="true">"/"</span>
                <h2 class="ellipsis">{dashboard.display_name.clone()}</h2>
            </div>
            {move || {
                if board.editing.get() {
                    view! { <EditTools board saved /> }.into_any()
                } else {
                    view! {
                        <Segments label="Time range of all tiles" value=board.range options=ranges.get_value() />
                        {may_manage
                            .then(|| {
                                view! {
                                    <button class="button" on:click=move |_| board.editing.set(true)>
                                        {icon(Icon::Edit)}
                                        "Edit"
                                    </button>
                                }
                            })}
                    }
                        .into_any()
                }
            }}
        </div>
        <Show when=move || ids.with(Vec::is_empty)>
            <div class="card">
                <Blank
                    mark=Icon::Dashboard
                    title="This dashboard is empty"
                    text="Press Edit and add a chart, a figure or a map."
                />
            </div>
        </Show>
        <div class="tiles">
            <For each=move || ids.get() key=Clone::clone let:key>
                <tile::TileFrame id=key.0 />
            </For>
        </div>
        <tile_form::TileDialog board />
    }
}

#[component]
fn EditTools(board: Board, saved: StoredValue<Dashboard>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = StoredValue::new_local(use_navigate());
    let busy = RwSignal::new(false);
    let deleting = RwSignal::new(false);
    let question = saved.with_value(|dashboard| format!("“{}” is removed for everybody.", dashboard.display_name));
    let save = move |_| {
        let before = saved.get_value();
        let input = DashboardInput {
            display_name: before.display_name,
            tiles: board.tiles.get_untracked(),
            favorite: before.favorite,
            etag: Some(before.etag),
        };
        busy.set(true);
        spawn_local(async move {
            match api.put::<Dashboard>(&api.urls().dashboard(&before.id), &input).await {
                Ok(dashboard) => {
                    toasts.done("The dashboard was saved");
                    board.tiles.try_set(dashboard.tiles.clone());
                    saved.try_set_value(dashboard);
                    board.editing.try_set(false);
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    };
    let cancel = move |_| {
        board.tiles.set(saved.with_value(|dashboard| dashboard.tiles.clone()));
        board.editing.set(false);
    };
    let delete = Callback::new(move |()| {
        busy.set(true);
        let id = saved.with_value(|dashboard| dashboard.id.clone());
        spawn_local(async move {
            match api.delete(&api.urls().dashboard(&id)).await {
                Ok(()) => {
                    toasts.done("The dashboard was deleted");
                    let page = api.page("dashboards");
                    navigate.try_with_value(|navigate| navigate(&page, Default::default()));
                }
                Err(error) => toasts.failed(&error),
            }
            busy.try_set(false);
        });
    });
    view! {
        <div class="toolbar">
            <button class="icon-button" aria-label="Delete this dashboard" title="Delete" on:click=move |_| deleting.set(true)>
                {icon(Icon::Trash)}
            </button>
            <button class="button" on:click=move |_| board.form.set(Some(None))>
                {icon(Icon::Plus)}
                "Add tile"
            </button>
            <button class="button" on:click=cancel>
                "Cancel"
            </button>
            <button class="button" data-kind="primary" disabled=move || busy.get() on:click=save>
                "Save"
            </button>
        </div>
        <Confirm title="Delete this dashboard?" text=question button="Delete" open=deleting busy confirm=delete />
    }
}

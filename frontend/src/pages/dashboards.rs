//! The list of dashboards, and the one that a person sees first.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::dashboard::{Dashboard, DashboardInput, DashboardPatch};
use muster_model::{DashboardId, Permission};
use uuid::Uuid;

use super::segment;
use super::shell::set_title;
use crate::api::{ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::fields::TextField;
use crate::components::icon::{Icon, icon};
use crate::components::states::{Blank, Skeleton, bones, failure, loaded, problem_notice};
use crate::components::toast::use_toasts;
use crate::format;
use crate::load::{Load, Loader};
use crate::session::use_rights;

/// Favorites first, then by name.
fn sort(dashboards: &mut [Dashboard]) {
    dashboards.sort_by_key(|dashboard| (!dashboard.favorite, dashboard.display_name.to_lowercase()));
}

/// The start of a tenant: its first dashboard, or the list where there is none.
#[component]
pub fn StartPage() -> impl IntoView {
    let api = use_api();
    let navigate = use_navigate();
    let dashboards =
        Loader::new(move || async move { api.get_all::<Dashboard>(&api.urls().dashboards(), 1_000).await });
    Effect::new(move |_| {
        if let Some(mut all) = dashboards.value() {
            sort(&mut all);
            let page = match all.first() {
                Some(first) => format!("dashboards/{}", segment(first.id.as_str())),
                None => "dashboards".to_owned(),
            };
            navigate(&api.page(&page), leptos_router::NavigateOptions { replace: true, ..Default::default() });
        }
    });
    move || match dashboards.state.get() {
        Load::Loading | Load::Ready(_) => bones(Skeleton::Cards),
        Load::Failed(error) => failure(&error, Callback::new(move |()| dashboards.retry())),
    }
}

/// The list of dashboards.
#[component]
pub fn DashboardsPage() -> impl IntoView {
    set_title("Dashboards");
    let api = use_api();
    let may_manage = use_rights().may(Permission::DashboardsManage);
    let creating = RwSignal::new(false);
    let dashboards = Loader::new(move || async move {
        let mut all = api.get_all::<Dashboard>(&api.urls().dashboards(), 1_000).await?;
        sort(&mut all);
        Ok(all)
    });
    let new = move || {
        may_manage.then(|| {
            view! {
                <button class="button" data-kind="primary" on:click=move |_| creating.set(true)>
                    {icon(Icon::Plus)}
                    "New dashboard"
                </button>
            }
        })
    };
    view! {
        <div class="page-head">
            <h2>"All dashboards"</h2>
            {move || dashboards.value().map(|all| view! { <span class="count">{all.len()}</span> })}
            <span class="grow"></span>
            {new()}
        </div>
        {loaded(
            dashboards,
            Skeleton::Cards,
            move |all| {
                if all.is_empty() {
                    return view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Dashboard
                                title="No dashboards yet"
                                text="A dashboard shows charts, numbers and positions of many devices on one screen."
                            >
                                {new()}
                            </Blank>
                        </div>
                    }
                        .into_any();
                }
                let cards = all.into_iter().map(|dashboard| view! { <Card dashboard dashboards may_manage /> }).collect_view();
                view! { <div class="cards">{cards}</div> }.into_any()
            },
        )}
        <Dialog title="New dashboard" open=creating>
            <Form open=creating />
        </Dialog>
    }
}

#[component]
fn Card(dashboard: Dashboard, dashboards: Loader<Vec<Dashboard>>, may_manage: bool) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let href = api.page(&format!("dashboards/{}", segment(dashboard.id.as_str())));
    let favorite = dashboard.favorite;
    let id = dashboard.id.clone();
    let turn = move |_| {
        let url = api.urls().dashboard(&id);
        spawn_local(async move {
            let patch = DashboardPatch { favorite: Some(!favorite), ..DashboardPatch::default() };
            match api.patch::<Dashboard>(&url, &patch).await {
                Ok(_) => dashboards.reload(),
                Err(error) => toasts.failed(&error),
            }
        });
    };
    let name = if favorite { "Take out of the favorites" } else { "Make a favorite" };
    view! {
        <div class="card card-pair">
            <a class="link-card" href=href>
                <h3>{dashboard.display_name.clone()}</h3>
                <p>{format::counted(dashboard.tiles.len(), "tile", "tiles")}</p>
            </a>
            {may_manage
                .then(|| {
                    view! {
                        <button
                            class="icon-button"
                            aria-label=format!("{name}: {}", dashboard.display_name)
                            title=name
                            aria-pressed=favorite.to_string()
                            data-favorite=favorite.to_string()
                            on:click=turn
                        >
                            {icon(Icon::Star)}
                        </button>
                    }
                })}
        </div>
    }
}

#[component]
fn Form(open: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let navigate = use_navigate();
    let name = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<ApiError>);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Ok(id) = DashboardId::parse(Uuid::now_v7().to_string()) else { return };
        let input = DashboardInput {
            display_name: name.get_untracked().trim().to_owned(),
            tiles: Vec::new(),
            favorite: false,
            etag: None,
        };
        busy.set(true);
        problem.set(None);
        let navigate = navigate.clone();
        spawn_local(async move {
            match api.put::<Dashboard>(&api.urls().dashboard(&id), &input).await {
                Ok(dashboard) => {
                    open.set(false);
                    let page = format!("dashboards/{}?edit", segment(dashboard.id.as_str()));
                    navigate(&api.page(&page), Default::default());
                }
                Err(error) => {
                    problem.try_set(Some(error));
                    busy.try_set(false);
                }
            }
        });
    };
    view! {
        <form on:submit=submit>
            <TextField label="Name" value=name required=true first=true />
            {problem_notice(problem)}
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>
                    "Cancel"
                </button>
                <button
                    type="submit"
                    class="button"
                    data-kind="primary"
                    disabled=move || busy.get() || name.with(|name| name.trim().is_empty())
                >
                    "Create"
                </button>
            </div>
        </form>
    }
}

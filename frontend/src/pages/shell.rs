//! The frame around every page of a tenant: navigation, search, live state, person.

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::use_location;
use muster_contract::live::LiveEvent;
use muster_contract::session::Membership;
use muster_contract::statistics::Statistics;
use muster_model::Permission;

use super::search::SearchDialog;
use crate::api::use_api;
use crate::components::icon::{Icon, brand_mark, icon};
use crate::components::toast::use_toasts;
use crate::format;
use crate::live::{LiveState, use_live};
use crate::session::{use_rights, use_session};
use crate::theme::{ThemeChoice, use_theme};
use crate::time::use_now;

/// The section of the app at the top of the page, and what exactly is shown.
#[derive(Clone, Copy)]
struct Title {
    section: RwSignal<String>,
    shown: RwSignal<String>,
}

/// Names the section that a page belongs to, at its top and in the browser's tab.
pub fn set_title(section: &str) {
    if let Some(title) = use_context::<Title>() {
        title.section.set(section.to_owned());
        title.shown.set(section.to_owned());
    }
}

/// Names what a page shows, in the browser's tab.
pub fn set_shown(name: &str) {
    if let Some(title) = use_context::<Title>() {
        title.shown.set(name.to_owned());
    }
}

/// The frame.
#[component]
pub fn Shell(
    /// The tenant, and what the person is there.
    membership: Membership,
    /// The page.
    children: Children,
) -> impl IntoView {
    let title = Title { section: RwSignal::new(String::new()), shown: RwSignal::new(String::new()) };
    provide_context(title);
    let drawer = RwSignal::new(false);
    let searching = RwSignal::new(false);
    let tenant_name = membership.display_name.clone();
    Effect::new(move |_| document().set_title(&format!("{} · {tenant_name}", title.shown.get())));
    let main = NodeRef::<html::Main>::new();
    after_navigation(main, drawer);
    search_keys(searching);
    view! {
        <a class="skip-link" href="#main">"Skip to the content"</a>
        <div class="shell">
            <nav class="side" aria-label="Main" data-open=move || drawer.get().to_string()>
                <Navigation />
                <PersonMenu membership />
            </nav>
            <button class="scrim" aria-label="Close the navigation" tabindex="-1" on:click=move |_| drawer.set(false)></button>
            <div class="main">
                <header class="top">
                    <button
                        class="icon-button menu-button"
                        aria-label="Open the navigation"
                        aria-expanded=move || drawer.get().to_string()
                        on:click=move |_| drawer.update(|open| *open = !*open)
                    >
                        {icon(Icon::Menu)}
                    </button>
                    <h1 class="ellipsis">{move || title.section.get()}</h1>
                    <button class="search-open" on:click=move |_| searching.set(true)>
                        {icon(Icon::Search)} <span>"Search everything"</span> <kbd aria-hidden="true">"/"</kbd>
                    </button>
                    <LiveMark />
                    <ThemeButton />
                </header>
                <main id="main" class="content" tabindex="-1" node_ref=main>
                    {children()}
                </main>
            </div>
        </div>
        <SearchDialog open=searching />
    }
}

/// A new page begins at its top, for eyes, keyboards and screen readers alike; the drawer closes.
fn after_navigation(main: NodeRef<html::Main>, drawer: RwSignal<bool>) {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        drawer.set(false);
        let page = |path: &str| path.split('/').take(5).collect::<Vec<_>>().join("/");
        if before.is_some_and(|before| page(&before) != page(&path))
            && let Some(main) = main.get_untracked()
        {
            let _ = main.focus();
        }
        path
    });
}

/// `/` and Ctrl-K open the search, but not while something is being typed.
fn search_keys(searching: RwSignal<bool>) {
    let keys = window_event_listener(leptos::ev::keydown, move |event| {
        let typing = event
            .target()
            .and_then(|target| wasm_bindgen::JsCast::dyn_into::<web_sys::Element>(target).ok())
            .is_some_and(|element| matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"));
        let command = (event.ctrl_key() || event.meta_key()) && event.key().eq_ignore_ascii_case("k");
        if command || (event.key() == "/" && !typing) {
            event.prevent_default();
            searching.set(true);
        }
    });
    on_cleanup(move || keys.remove());
}

#[component]
fn Navigation() -> impl IntoView {
    let api = use_api();
    let rights = use_rights();
    let link = move |path: &'static str, mark: Icon, name: &'static str| {
        view! {
            <A href=api.page(path) attr:class="nav-link">
                {icon(mark)}
                {name}
            </A>
        }
    };
    view! {
        <a class="brand" href=api.page("dashboards")>{brand_mark()} "Muster"</a>
        <p class="nav-group">"Monitor"</p>
        {rights.may(Permission::DashboardsView).then(|| link("dashboards", Icon::Dashboard, "Dashboards"))}
        {rights.may(Permission::DevicesView).then(|| link("devices", Icon::Device, "Devices"))}
        {rights
            .may(Permission::RulesView)
            .then(|| {
                view! {
                    <A href=api.page("alerts") attr:class="nav-link">
                        {icon(Icon::Bell)}
                        "Alerts"
                        <ActiveAlerts />
                    </A>
                }
            })}
        {rights.may(Permission::TenantView).then(|| link("health", Icon::Pulse, "Health"))}
        <p class="nav-group">"Manage"</p>
        {rights.may(Permission::GroupsView).then(|| link("groups", Icon::Grid, "Device groups"))}
        {rights.may(Permission::TemplatesView).then(|| link("templates", Icon::Layers, "Device templates"))}
        {rights.may(Permission::RulesView).then(|| link("rules", Icon::Rule, "Rules"))}
        {rights.may(Permission::TenantView).then(|| link("settings", Icon::Settings, "Settings"))}
    }
}

/// How many alerts are active. It is asked for again when an alert moves, and now and then.
#[component]
fn ActiveAlerts() -> impl IntoView {
    const EVERY_S: i64 = 60;
    let api = use_api();
    let now = use_now();
    let count = RwSignal::new(0_u64);
    let changes = RwSignal::new(0_u32);
    let minute = Memo::new(move |_| now.get() / 1_000 / EVERY_S);
    use_live().listen(move |event| {
        if matches!(event, LiveEvent::Alert { .. } | LiveEvent::Reload) {
            changes.update(|changes| *changes += 1);
        }
    });
    Effect::new(move |_| {
        minute.track();
        changes.track();
        spawn_local(async move {
            // A count that cannot be had now is left as it is: the page itself shows what is wrong.
            if let Ok(statistics) = api.get::<Statistics>(&api.urls().statistics(None)).await {
                let alerts = statistics.alerts;
                count.try_set(alerts.information + alerts.warning + alerts.critical);
            }
        });
    });
    move || {
        let count = count.get();
        (count > 0).then(|| {
            let words = format::counted(usize::try_from(count).unwrap_or(usize::MAX), "active alert", "active alerts");
            let hint = words.clone();
            view! {
                <span class="nav-count" title=hint>
                    <span aria-hidden="true">{count}</span>
                    <span class="visually-hidden">{words}</span>
                </span>
            }
        })
    }
}

#[component]
fn LiveMark() -> impl IntoView {
    let state = use_live().state;
    let word = move || match state.get() {
        LiveState::Connecting => ("off", "Connecting", "Live values are being switched on"),
        LiveState::Live => ("live", "Live", "Values appear as they arrive"),
        LiveState::Reconnecting => {
            ("reconnecting", "Reconnecting", "Live values are interrupted; what is shown may be old")
        }
    };
    view! {
        <span class="live" role="status" data-state=move || word().0 title=move || word().2>
            {move || word().1}
        </span>
    }
}

#[component]
fn ThemeButton() -> impl IntoView {
    let theme = use_theme();
    let dark = move || theme.theme.get() == muster_charts::Theme::Dark;
    let turn = move |_| theme.choice.set(if dark() { ThemeChoice::Light } else { ThemeChoice::Dark });
    let name = move || if dark() { "Switch to the light theme" } else { "Switch to the dark theme" };
    view! {
        <button class="icon-button" aria-label=name title=name on:click=turn>
            {move || icon(if dark() { Icon::Sun } else { Icon::Moon })}
        </button>
    }
}

#[component]
fn PersonMenu(membership: Membership) -> impl IntoView {
    let session = use_session();
    let toasts = use_toasts();
    let theme = use_theme();
    let open = RwSignal::new(false);
    let foot = NodeRef::<html::Div>::new();
    let info = session.info();
    let (email, name, tenants) =
        info.map(|info| (info.user.email, info.user.display_name, info.tenants)).unwrap_or_default();
    close_outside(foot, open);
    let sign_out = move |_| {
        spawn_local(async move {
            if let Err(error) = session.sign_out().await {
                toasts.failed(&error);
            }
        });
    };
    let choice = move |choice: ThemeChoice, mark: Icon| {
        view! {
            <button
                class="menu-item"
                aria-pressed=move || (theme.choice.get() == choice).to_string()
                on:click=move |_| theme.choice.set(choice)
            >
                {icon(mark)}
                {choice.label()}
                {move || (theme.choice.get() == choice).then(|| view! { <span class="check">{icon(Icon::Check)}</span> })}
            </button>
        }
    };
    let here = membership.id.clone();
    let others = tenants.into_iter().filter(|tenant| tenant.id != here).collect::<Vec<_>>();
    let others = StoredValue::new(others);
    let full_email = email.clone();
    view! {
        <div
            class="side-foot"
            node_ref=foot
            on:keydown=move |event| {
                if event.key() == "Escape" {
                    open.set(false);
                }
            }
        >
            <Show when=move || open.get()>
                <div class="menu">
                    <p class="menu-title ellipsis">{full_email.clone()}</p>
                    <div class="menu-rule"></div>
                    <p class="menu-title">"Theme"</p>
                    {choice(ThemeChoice::Light, Icon::Sun)}
                    {choice(ThemeChoice::Dark, Icon::Moon)}
                    {choice(ThemeChoice::System, Icon::Screen)}
                    {others
                        .with_value(|others| {
                            (!others.is_empty())
                                .then(|| {
                                    let links = others
                                        .iter()
                                        .map(|tenant| {
                                            // Another tenant is another app: the page is loaded anew.
                                            view! {
                                                <a class="menu-item" rel="external" href=format!("/t/{}", tenant.id)>
                                                    {icon(Icon::Right)}
                                                    {tenant.display_name.clone()}
                                                </a>
                                            }
                                        })
                                        .collect_view();
                                    view! {
                                        <div class="menu-rule"></div>
                                        <p class="menu-title">"Other tenants"</p>
                                        {links}
                                    }
                                })
                        })}
                    <div class="menu-rule"></div>
                    <button class="menu-item danger" on:click=sign_out>
                        {icon(Icon::SignOut)}
                        "Sign out"
                    </button>
                </div>
            </Show>
            <button
                class="person"
                title="Account and theme"
                aria-expanded=move || open.get().to_string()
                on:click=move |_| open.update(|open| *open = !*open)
            >
                <span class="avatar" aria-hidden="true">{format::initials(&name)}</span>
                <span>
                    <strong class="ellipsis">{name.clone()}</strong>
                    <small class="ellipsis">{membership.display_name.clone()}</small>
                </span>
                {icon(Icon::ChevronUp)}
            </button>
        </div>
    }
}

/// A menu closes when something outside of it is pressed.
fn close_outside(inside: NodeRef<html::Div>, open: RwSignal<bool>) {
    let presses = window_event_listener(leptos::ev::pointerdown, move |event| {
        let target = event.target().and_then(|target| wasm_bindgen::JsCast::dyn_into::<web_sys::Node>(target).ok());
        let within = inside.get_untracked().is_some_and(|element| element.contains(target.as_ref()));
        if !within {
            open.try_set(false);
        }
    });
    on_cleanup(move || presses.remove());
}

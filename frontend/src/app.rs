//! Addresses and what is shown at them.

use leptos::prelude::*;
use leptos_router::components::{Outlet, ParentRoute, Route, Router, Routes};
use leptos_router::hooks::use_params_map;
use leptos_router::path;
use muster_model::TenantId;

use crate::api::Api;
use crate::components::states::failure;
use crate::components::toast::{ToastArea, provide_toasts};
use crate::live::provide_live;
use crate::pages;
use crate::session::{Rights, SessionState, membership_of, provide_session, use_session};
use crate::theme::provide_theme;
use crate::time::provide_now;

/// The whole app.
#[component]
pub fn App() -> impl IntoView {
    provide_theme();
    provide_now();
    provide_toasts();
    let session = provide_session();
    // Only a change of person or of state draws anew; a new token does not.
    let person = Memo::new(move |_| session.state.with(Person::of));
    view! {
        {move || match person.get() {
            Person::Unknown => view! { <div class="boot" role="status" aria-label="Loading"></div> }.into_any(),
            Person::Nobody => view! { <pages::sign_in::SignInPage /> }.into_any(),
            Person::Known(_) => view! { <Pages /> }.into_any(),
            Person::Failed => {
                let retry = Callback::new(move |()| {
                    session.state.set(SessionState::Unknown);
                    session.refresh();
                });
                session
                    .state
                    .with_untracked(|state| match state {
                        SessionState::Failed(error) => view! { <main class="content">{failure(error, retry)}</main> }.into_any(),
                        SessionState::Unknown | SessionState::SignedOut | SessionState::SignedIn(_) => ().into_any(),
                    })
            }
        }}
        <ToastArea />
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Person {
    Unknown,
    Nobody,
    Known(String),
    Failed,
}

impl Person {
    fn of(state: &SessionState) -> Self {
        match state {
            SessionState::Unknown => Person::Unknown,
            SessionState::SignedOut => Person::Nobody,
            SessionState::SignedIn(info) => Person::Known(info.user.email.clone()),
            SessionState::Failed(_) => Person::Failed,
        }
    }
}

#[component]
fn Pages() -> impl IntoView {
    view! {
        <Router>
            <Routes fallback=|| view! { <pages::not_found::NotFoundPage /> }>
                <Route path=path!("/") view=pages::tenants::TenantsPage />
                <ParentRoute path=path!("/t/:tenant") view=TenantRoute>
                    <Route path=path!("") view=pages::dashboards::StartPage />
                    <Route path=path!("dashboards") view=pages::dashboards::DashboardsPage />
                    <Route path=path!("dashboards/:dashboard") view=pages::dashboard::DashboardPage />
                    <Route path=path!("devices") view=pages::devices::DevicesPage />
                    <Route path=path!("devices/:device/:tab?") view=pages::device::DevicePage />
                    <Route path=path!("groups") view=pages::groups::GroupsPage />
                    <Route path=path!("groups/:group") view=pages::group::GroupPage />
                    <Route path=path!("templates") view=pages::templates::TemplatesPage />
                    <Route path=path!("templates/:template/:tab?") view=pages::template::TemplatePage />
                    <Route path=path!("rules") view=pages::rules::RulesPage />
                    <Route path=path!("rules/:rule") view=pages::rule::RulePage />
                    <Route path=path!("alerts") view=pages::alerts::AlertsPage />
                    <Route path=path!("health") view=pages::health::HealthPage />
                    <Route path=path!("settings") view=pages::settings::SettingsPage />
                    <Route path=path!("*any") view=pages::not_found::NothingHere />
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// Everything below `/t/{tenant}`, drawn anew only for another tenant.
#[component]
fn TenantRoute() -> impl IntoView {
    let params = use_params_map();
    let session = use_session();
    let tenant = Memo::new(move |_| params.with(|params| params.get("tenant")).unwrap_or_default());
    move || {
        let tenant = tenant.get();
        let membership = TenantId::parse(tenant).ok().and_then(|tenant| {
            let info = session.info()?;
            membership_of(&info, &tenant)
        });
        match membership {
            None => view! { <pages::tenants::TenantsPage /> }.into_any(),
            Some(membership) => {
                let api = Api::new(session, membership.id.clone());
                provide_context(api);
                provide_context(Rights::of(&membership));
                provide_live(api);
                view! {
                    <pages::shell::Shell membership>
                        <Outlet />
                    </pages::shell::Shell>
                }
                .into_any()
            }
        }
    }
}

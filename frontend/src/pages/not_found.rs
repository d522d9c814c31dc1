//! Addresses that lead nowhere.

use leptos::prelude::*;

use super::shell::set_title;
use crate::api::use_api;
use crate::components::icon::Icon;
use crate::components::states::Blank;

/// Outside of any tenant.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <main class="content">
            <Blank mark=Icon::Search title="There is no such page" text="The address may be old or mistyped.">
                <a class="button" href="/">"To the start"</a>
            </Blank>
        </main>
    }
}

/// Inside a tenant.
#[component]
pub fn NothingHere() -> impl IntoView {
    set_title("Not found");
    let start = use_api().page("dashboards");
    view! {
        <Blank mark=Icon::Search title="There is no such page" text="The address may be old or mistyped.">
            <a class="button" href=start>"To the dashboards"</a>
        </Blank>
    }
}

//! The choice between tenants, for people who belong to several or came to a wrong address.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::{use_location, use_navigate};

use crate::components::icon::{Icon, brand_mark, icon};
use crate::components::states::Blank;
use crate::components::toast::use_toasts;
use crate::session::use_session;

/// The tenants of the person; whoever has one goes there at once.
#[component]
pub fn TenantsPage() -> impl IntoView {
    let session = use_session();
    let toasts = use_toasts();
    let navigate = use_navigate();
    let at_root = use_location().pathname.get_untracked() == "/";
    let tenants = session.info().map(|info| info.tenants).unwrap_or_default();
    document().set_title("Muster");
    if let ([only], true) = (tenants.as_slice(), at_root) {
        let address = format!("/t/{}", only.id);
        Effect::new(move |_| {
            navigate(&address, leptos_router::NavigateOptions { replace: true, ..Default::default() })
        });
    }
    let sign_out = move |_| {
        spawn_local(async move {
            if let Err(error) = session.sign_out().await {
                toasts.failed(&error);
            }
        });
    };
    let title = if at_root { "Choose a tenant" } else { "You do not belong to this tenant" };
    let cards = tenants.iter().map(|tenant| {
        view! {
            <a class="card link-card" href=format!("/t/{}", tenant.id)>
                <h3>{tenant.display_name.clone()}</h3>
                <p>{format!("{} · {}", tenant.id, tenant.role.display_name())}</p>
            </a>
        }
    });
    let cards = cards.collect_view();
    let empty = tenants.is_empty();
    view! {
        <main class="content">
            <div class="page-head">
                {brand_mark()} <h1 class="grow">{title}</h1>
                <button class="button" on:click=sign_out>{icon(Icon::SignOut)} "Sign out"</button>
            </div>
            <div class="cards">{cards}</div>
            {empty
                .then(|| {
                    view! {
                        <Blank
                            mark=Icon::Info
                            title="You belong to no tenant yet"
                            text="Ask an administrator of your organization to add your e-mail address."
                        />
                    }
                })}
        </main>
    }
}

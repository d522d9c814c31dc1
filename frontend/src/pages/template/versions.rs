//! The versions of a template: what was published when, by whom, and what it changed.

use leptos::prelude::*;
use muster_contract::page::Page;
use muster_contract::template::DeviceTemplate;
use muster_contract::template_life::{Publication, TemplateVersion};

use super::impact::change;
use super::page_of;
use crate::api::use_api;
use crate::components::icon::Icon;
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::format;
use crate::load::Loader;

/// The versions of a template.
#[component]
pub fn VersionsTab(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let here = template.id.clone();
    let versions = Loader::new(move || {
        let url = api.urls().template_versions(&template.id);
        async move { api.get::<Page<TemplateVersion>>(&url).await }
    });
    loaded(versions, Skeleton::Rows, move |page| {
        let here = here.clone();
        let cards = page.value.into_iter().map(|version| {
            let current = version.id == here;
            let href = page_of(api, &version.id);
            card(version, current, href)
        });
        view! { <div class="stack">{cards.collect_view()}</div> }
    })
}

fn card(version: TemplateVersion, current: bool, href: String) -> AnyView {
    let devices = format::counted(usize::try_from(version.devices).unwrap_or(usize::MAX), "device", "devices");
    let state = if version.published { pill("good", "Published") } else { pill("warn", "Draft") };
    let name = format!("Version {}", version.number);
    let name =
        if current { view! { <span>{name}</span> }.into_any() } else { view! { <a href=href>{name}</a> }.into_any() };
    let empty = version.publications.is_empty();
    let publications = version.publications.into_iter().map(publication).collect_view();
    view! {
        <section class="card">
            <div class="card-head">
                <div>
                    <h3 class="row">{name} {state} {current.then(|| pill("quiet", "Shown here"))}</h3>
                    <p class="mono">{version.id.to_string()}</p>
                </div>
                <span class="soft small">{devices}</span>
            </div>
            {if empty {
                view! { <Blank mark=Icon::Layers title="Not published yet" text="Devices can have it once it is published." /> }.into_any()
            } else {
                view! { <ol class="publications">{publications}</ol> }.into_any()
            }}
        </section>
    }
    .into_any()
}

fn publication(publication: Publication) -> AnyView {
    let by = Some(publication.published_by).filter(|by| !by.is_empty()).map(|by| format!(" by {by}"));
    let changes = publication.changes.iter().map(change).collect_view();
    let first = publication.changes.is_empty().then(|| view! { <span class="soft">"The first publication"</span> });
    view! {
        <li>
            <p class="soft small">{exact(publication.published_at)} {by}</p>
            {first}
            {changes}
        </li>
    }
    .into_any()
}

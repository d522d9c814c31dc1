//! The list of device groups.

use leptos::prelude::*;
use muster_contract::group::DeviceGroup;
use muster_model::Permission;

use super::segment;
use super::shell::set_title;
use crate::api::use_api;
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::load::Loader;
use crate::session::use_rights;

/// The list of device groups.
#[component]
pub fn GroupsPage() -> impl IntoView {
    set_title("Device groups");
    let api = use_api();
    let may_manage = use_rights().may(Permission::GroupsManage);
    let groups = Loader::new(move || async move {
        let mut all = api.get_all::<DeviceGroup>(&api.urls().groups(), 1_000).await?;
        all.sort_by_key(|group| group.display_name.to_lowercase());
        Ok(all)
    });
    let new = move || {
        may_manage.then(|| {
            view! {
                <a class="button" data-kind="primary" href=api.page("groups/new")>
                    {icon(Icon::Plus)}
                    "New group"
                </a>
            }
        })
    };
    view! {
        <div class="page-head">
            <h2>"All device groups"</h2>
            {move || groups.value().map(|all| view! { <span class="count">{all.len()}</span> })}
            <span class="grow"></span>
            {new()}
        </div>
        {loaded(
            groups,
            Skeleton::Cards,
            move |all| {
                if all.is_empty() {
                    return view! {
                        <div class="card">
                            <Blank
                                mark=Icon::Grid
                                title="No device groups yet"
                                text="A group is a question that is asked anew each time: all pumps in Oslo, all devices that are simulated."
                            >
                                {new()}
                            </Blank>
                        </div>
                    }
                        .into_any();
                }
                let cards = all.into_iter().map(|group| view! { <Card group /> }).collect_view();
                view! { <div class="cards">{cards}</div> }.into_any()
            },
        )}
    }
}

#[component]
fn Card(group: DeviceGroup) -> impl IntoView {
    let href = use_api().page(&format!("groups/{}", segment(group.id.as_str())));
    let automatic = group.automatic_of.is_some();
    view! {
        <a class="card link-card" href=href>
            <h3>{group.display_name}</h3>
            {(!group.description.is_empty()).then(|| view! { <p>{group.description}</p> })}
            <p class="mono ellipsis" title=group.filter.clone()>{group.filter.clone()}</p>
            {automatic.then(|| view! { <div class="row">{pill("quiet", "Made with its template")}</div> })}
        </a>
    }
}

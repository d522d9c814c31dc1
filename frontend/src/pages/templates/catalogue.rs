//! Templates for common kinds of sensors, to be chosen from.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use muster_contract::template::DeviceTemplate;
use serde_json::{Value, json};

use crate::api::{ApiError, use_api};
use crate::components::dialog::Dialog;
use crate::components::pill::pill;
use crate::components::states::{Skeleton, loaded, problem_notice};
use crate::components::toast::use_toasts;
use crate::load::Loader;
use crate::pages::segment;

/// The dialog with the catalogue.
#[component]
pub fn CatalogueDialog(
    /// Whether it is shown.
    open: RwSignal<bool>,
    /// The templates that the tenant has.
    templates: Loader<Vec<DeviceTemplate>>,
) -> impl IntoView {
    view! {
        <Dialog title="From the catalogue" open wide=true>
            <Catalogue open templates />
        </Dialog>
    }
}

#[component]
fn Catalogue(open: RwSignal<bool>, templates: Loader<Vec<DeviceTemplate>>) -> impl IntoView {
    let api = use_api();
    let toasts = use_toasts();
    let navigate = StoredValue::new(use_navigate());
    let catalogue =
        Loader::new(
            move || async move { api.get_all::<DeviceTemplate>(&api.urls().template_catalogue(), 1_000).await },
        );
    let adding = RwSignal::new(false);
    let refused = RwSignal::new(None::<ApiError>);
    let add = move |chosen: DeviceTemplate| {
        adding.set(true);
        refused.set(None);
        let navigate = navigate.get_value();
        spawn_local(async move {
            match api.post_json::<DeviceTemplate>(&api.urls().import_template(), &document(&chosen)).await {
                Ok(template) => {
                    open.set(false);
                    toasts.done(format!("The template {} was added", template.display_name));
                    navigate(&api.page(&format!("templates/{}", segment(template.id.as_str()))), Default::default());
                }
                Err(error) => {
                    refused.try_set(Some(error));
                    adding.try_set(false);
                }
            }
        });
    };
    let owned = move |id| templates.value().is_some_and(|own| own.iter().any(|template| template.id == id));
    view! {
        <p class="help">
            "A device that says one of these ids as its model when it first connects gets the template by itself."
        </p>
        <div role="alert">{problem_notice(refused)}</div>
        {loaded(
            catalogue,
            Skeleton::Rows,
            move |all| {
                let rows = all.into_iter().map(|template| {
                    let (id, shown) = (template.id.clone(), template.id.to_string());
                    let (name, text) = (template.display_name.clone(), template.description.clone());
                    let label = format!("Add {name}");
                    let button = move || match owned(id.clone()) {
                        true => pill("good", "In use").into_any(),
                        false => {
                            let chosen = template.clone();
                            view! {
                                <button
                                    class="button"
                                    aria-label=label.clone()
                                    disabled=move || adding.get()
                                    on:click=move |_| add(chosen.clone())
                                >
                                    "Add"
                                </button>
                            }
                                .into_any()
                        }
                    };
                    view! {
                        <li class="offer">
                            <div>
                                <h3>{name}</h3>
                                <p>{text}</p>
                                <p class="mono ellipsis">{shown}</p>
                            </div>
                            {button}
                        </li>
                    }
                });
                view! { <ul class="offers">{rows.collect_view()}</ul> }
            },
        )}
    }
}

/// What is imported: the document without what the server adds to it.
fn document(template: &DeviceTemplate) -> Value {
    json!({
        "@id": template.id,
        "@type": template.types,
        "displayName": template.display_name,
        "description": template.description,
        "capabilityModel": template.capability_model,
    })
}

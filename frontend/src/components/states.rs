//! The three states that every page draws beside its content: loading, empty, failed.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::api::ApiError;
use crate::load::{Load, Loader};

/// What is drawn while something loads: grey shapes of about its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skeleton {
    /// A table in a card.
    Rows,
    /// A grid of cards.
    Cards,
    /// A single block.
    Block,
}

/// Draws a loader: its skeleton, its error with a way to try again, or its value.
pub fn loaded<T, Drawn>(
    loader: Loader<T>,
    skeleton: Skeleton,
    draw: impl Fn(T) -> Drawn + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    Drawn: IntoView + 'static,
{
    move || match loader.state.get() {
        Load::Loading => bones(skeleton),
        Load::Failed(error) => failure(&error, Callback::new(move |()| loader.retry())),
        Load::Ready(value) => draw(value).into_any(),
    }
}

/// The grey shapes.
pub fn bones(skeleton: Skeleton) -> AnyView {
    let card = || view! { <div class="card card-body stack"><span class="bone short"></span><span class="bone"></span><span class="bone"></span></div> };
    let drawn = match skeleton {
        Skeleton::Rows => {
            let row = || view! { <div><span class="bone"></span><span class="bone"></span><span class="bone short"></span></div> };
            view! { <div class="card bones">{(0..6).map(|_| row()).collect_view()}</div> }.into_any()
        }
        Skeleton::Cards => view! { <div class="cards">{(0..6).map(|_| card()).collect_view()}</div> }.into_any(),
        Skeleton::Block => view! { <div class="card card-body"><span class="bone tall"></span></div> }.into_any(),
    };
    view! { <div role="status" aria-label="Loading">{drawn}</div> }.into_any()
}

/// An error in the place of the content, with a way to try again.
pub fn failure(error: &ApiError, retry: Callback<()>) -> AnyView {
    let text = error.to_string();
    view! {
        <div class="blank card" data-tone="bad" role="alert">
            <span class="blank-mark">{icon(Icon::Alert)}</span>
            <h3>"This could not be loaded"</h3>
            <p>{text}</p>
            <div class="row">
                <button class="button" on:click=move |_| retry.run(())>
                    {icon(Icon::Refresh)}
                    "Try again"
                </button>
            </div>
        </div>
    }
    .into_any()
}

/// Nothing is there: why, and what can be done about it.
#[component]
pub fn Blank(
    /// A picture of what is missing.
    mark: Icon,
    /// What is missing.
    #[prop(into)]
    title: String,
    /// What to do about it.
    #[prop(into)]
    text: String,
    /// Buttons.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="blank">
            <span class="blank-mark">{icon(mark)}</span>
            <h3>{title}</h3>
            <p>{text}</p>
            {children.map(|children| view! { <div class="row">{children()}</div> })}
        </div>
    }
}

/// An error inside a form or a dialog.
pub fn problem_notice(problem: RwSignal<Option<ApiError>>) -> impl IntoView {
    move || {
        problem.get().map(|error| {
            view! {
                <div class="notice" data-tone="bad" role="alert">
                    {icon(Icon::Alert)} <div>{error.to_string()}</div>
                </div>
            }
        })
    }
}

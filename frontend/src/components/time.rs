//! Times on a page: how long ago, counting on, with the exact moment at hand.

use chrono::{DateTime, Utc};
use leptos::prelude::*;

use crate::format;
use crate::time::{moment, use_now};

/// How long ago something was; it counts on by itself.
#[component]
pub fn Ago(
    /// When it was; `None` reads as `never`.
    #[prop(into)]
    at: Signal<Option<DateTime<Utc>>>,
) -> impl IntoView {
    let now = use_now();
    let text = Memo::new(move |_| match at.get() {
        Some(at) => format::ago(at.timestamp_millis(), now.get()),
        None => "never".to_owned(),
    });
    let exact = move || at.get().map(|at| moment(at.timestamp_millis()));
    let machine = move || at.get().map(|at| at.to_rfc3339());
    view! { <time datetime=machine title=exact>{move || text.get()}</time> }
}

/// The exact moment.
pub fn exact(at: DateTime<Utc>) -> impl IntoView {
    view! { <time class="number" datetime=at.to_rfc3339()>{moment(at.timestamp_millis())}</time> }
}

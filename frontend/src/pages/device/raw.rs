//! The messages of a device as they were understood, following live, and those that were not.

use std::time::Duration;

use leptos::prelude::*;
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;
use muster_contract::telemetry::{RawMessage, RejectedMessage};
use muster_model::DeviceId;
use serde_json::{Map, Value};

use super::Known;
use super::proposal::{ProposalButton, may_propose};
use crate::api::use_api;
use crate::components::fields::Switch;
use crate::components::icon::Icon;
use crate::components::pill::pill;
use crate::components::segments::Segments;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::format;
use crate::live::use_live;
use crate::load::Loader;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Understood,
    Rejected,
}

/// The messages of a device.
#[component]
pub fn RawTab(
    /// The device and its template.
    known: Known,
    /// The device's page.
    page: Loader<Known>,
) -> impl IntoView {
    let propose = may_propose().then(|| known.device.clone());
    let which = RwSignal::new(Which::Understood);
    let follow = RwSignal::new(true);
    let device = StoredValue::new(known.device.id);
    let options = vec![(Which::Understood, "Messages"), (Which::Rejected, "Not understood")];
    view! {
        <div class="stack">
            <div class="row spread">
                <Segments label="Which messages" value=which options />
                <span class="grow"></span>
                {propose.map(|device| view! { <ProposalButton device known=page /> })}
                <Switch label="Follow live" on=follow change=Callback::new(move |on| follow.set(on)) />
            </div>
            {move || match which.get() {
                Which::Understood => view! { <Messages device=device.get_value() follow /> }.into_any(),
                Which::Rejected => view! { <Rejected device=device.get_value() /> }.into_any(),
            }}
        </div>
    }
}

#[component]
fn Messages(device: DeviceId, follow: RwSignal<bool>) -> impl IntoView {
    let api = use_api();
    let wanted = device.clone();
    let messages = Loader::new(move || {
        let url = api.urls().messages(&wanted);
        async move { api.get::<Page<RawMessage>>(&url).await }
    });
    // A fast device would ask for more than a reader can read: at most one request a second.
    let waiting = StoredValue::new(false);
    use_live().listen(move |event| {
        let mine = match event {
            LiveEvent::Telemetry { device: of, .. } => *of == device,
            LiveEvent::Reload => true,
            _ => false,
        };
        if mine && follow.get_untracked() && !waiting.get_value() {
            waiting.set_value(true);
            set_timeout(
                move || {
                    waiting.try_set_value(false);
                    messages.reload();
                },
                Duration::from_secs(1),
            );
        }
    });
    loaded(messages, Skeleton::Rows, move |page| {
        if page.value.is_empty() {
            return view! {
                <div class="card">
                    <Blank mark=Icon::Device title="No messages yet" text="Each message of the device appears here as it arrives." />
                </div>
            }
            .into_any();
        }
        let lines = page.value.iter().map(draw);
        view! {
            <div class="card table-card">
                {lines.collect_view()}
                <div class="table-foot"><span>{format!("The newest {}", format::counted(page.value.len(), "message", "messages"))}</span></div>
            </div>
        }
        .into_any()
    })
}

fn draw(message: &RawMessage) -> AnyView {
    let document = whole(message);
    let line = Value::Object(message.telemetry.clone()).to_string();
    let line = if message.telemetry.is_empty() { Value::Object(message.unmodeled.clone()).to_string() } else { line };
    let strange = (!message.unmodeled.is_empty()).then(|| pill("warn", "Not in template"));
    let kind = match &message.component {
        Some(component) => view! { <span class="pill" data-tone="quiet">{component.clone()}</span> }.into_any(),
        None => strange.unwrap_or_else(|| pill("info", "Telemetry")),
    };
    let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
    view! {
        <details class="raw-line">
            <summary>
                {exact(message.enqueued_time)}
                <span>{kind}</span>
                <code class="ellipsis">{line}</code>
            </summary>
            <pre tabindex="0"><code>{pretty}</code></pre>
        </details>
    }
    .into_any()
}

/// The message as a JSON document with what is known about it.
fn whole(message: &RawMessage) -> Value {
    let mut document = Map::new();
    document.insert("enqueuedTime".to_owned(), message.enqueued_time.to_rfc3339().into());
    if let Some(component) = &message.component {
        document.insert("component".to_owned(), component.clone().into());
    }
    document.insert("telemetry".to_owned(), message.telemetry.clone().into());
    for (name, part) in [("unmodeled", &message.unmodeled), ("properties", &message.properties)] {
        if !part.is_empty() {
            document.insert(name.to_owned(), part.clone().into());
        }
    }
    document.into()
}

#[component]
fn Rejected(device: DeviceId) -> impl IntoView {
    let api = use_api();
    let rejected = Loader::new(move || {
        let url = api.urls().rejected(&device);
        async move { api.get::<Page<RejectedMessage>>(&url).await }
    });
    loaded(rejected, Skeleton::Rows, move |page| {
        if page.value.is_empty() {
            return view! {
                <div class="card">
                    <Blank mark=Icon::Check title="Every message was understood" text="A message that cannot be read is kept here, with the reason." />
                </div>
            }
            .into_any();
        }
        let lines = page.value.into_iter().map(|message| {
            let size = format::counted(usize::try_from(message.size_bytes).unwrap_or(usize::MAX), "byte", "bytes");
            let payload = message.text.unwrap_or_else(|| "(not text)".to_owned());
            let payload = match message.properties.as_str() {
                "" => payload,
                properties => format!("{payload}\n\n{properties}"),
            };
            view! {
                <details class="raw-line">
                    <summary>
                        {exact(message.enqueued_time)}
                        <span class="pill" data-tone="bad">{message.reason}</span>
                        <span class="soft">{size}</span>
                    </summary>
                    <pre tabindex="0">
                        <code>{payload}</code>
                    </pre>
                </details>
            }
        });
        view! { <div class="card table-card">{lines.collect_view()}</div> }.into_any()
    })
}

//! What devices of a template sent within the last hour that it does not know.

use leptos::prelude::*;
use muster_contract::template::DeviceTemplate;
use muster_contract::traffic::{UnmodeledReport, UnmodeledValue};

use crate::api::use_api;
use crate::components::icon::{Icon, icon};
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::format;
use crate::load::Loader;

/// What devices of a template sent that it does not know.
#[component]
pub fn UnknownTab(template: DeviceTemplate) -> impl IntoView {
    let api = use_api();
    let report = Loader::new(move || {
        let url = api.urls().unmodeled_of_template(&template.id);
        async move { api.get::<UnmodeledReport>(&url).await }
    });
    view! {
        <div class="row spread section-head">
            <p class="soft">"What its devices sent within the last hour that the template does not know, or not of this type."</p>
            <button class="button" on:click=move |_| report.retry()>{icon(Icon::Refresh)} "Look again"</button>
        </div>
        {loaded(report, Skeleton::Rows, |report| {
            let messages = format::counted(usize::try_from(report.messages).unwrap_or(usize::MAX), "message", "messages");
            let of = if report.complete { format!("Of {messages}") } else { format!("Of the newest {messages}") };
            if report.values.is_empty() {
                let text = format!("{of}, the template knows every value.");
                return view! { <div class="card"><Blank mark=Icon::Check title="Nothing unknown" text /></div> }.into_any();
            }
            let rows = report.values.into_iter().map(row).collect_view();
            view! {
                <div class="card table-card">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"Value"</th>
                                <th scope="col">"Type"</th>
                                <th scope="col">"How often"</th>
                                <th scope="col">"Last"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                    <div class="table-foot"><span>{of}</span><span>"A device’s page can propose the template that knows them."</span></div>
                </div>
            }
            .into_any()
        })}
    }
}

fn row(value: UnmodeledValue) -> AnyView {
    let times = format::counted(usize::try_from(value.count).unwrap_or(usize::MAX), "time", "times");
    let devices = format::counted(usize::try_from(value.devices).unwrap_or(usize::MAX), "device", "devices");
    let kind = match value.expected {
        Some(expected) => {
            view! { {pill("warn", "Wrong type")} " " {format!("{} instead of {expected}", value.seen)} }.into_any()
        }
        None => view! { {pill("info", "Unknown")} " " {value.seen} }.into_any(),
    };
    view! {
        <tr>
            <td><code>{value.key}</code></td>
            <td>{kind}</td>
            <td>{times} <div class="soft small">{format!("by {devices}")}</div></td>
            <td><code class="ellipsis">{value.last_value.to_string()}</code> <div class="soft small">{exact(value.last_time)}</div></td>
        </tr>
    }
    .into_any()
}

//! What devices of a template send, have and do.

use leptos::prelude::*;
use muster_contract::template::{Capability, CapabilityKind, DeviceTemplate};

use crate::components::copy::{CopyBlock, Copyable};
use crate::components::icon::Icon;
use crate::components::pill::pill;
use crate::components::states::Blank;
use crate::format;

/// What devices of a template send, have and do.
#[component]
pub fn ModelTab(template: DeviceTemplate) -> impl IntoView {
    let source = serde_json::to_string_pretty(&template.capability_model).unwrap_or_default();
    let sections = [
        (CapabilityKind::Telemetry, "Telemetry", "Sent by devices over and over"),
        (CapabilityKind::Property, "Properties", "The state of a device; some can be set from here"),
        (CapabilityKind::CloudProperty, "Cloud properties", "Notes about a device that it never sees"),
        (CapabilityKind::Command, "Commands", "What a device can be told to do"),
    ];
    let sections = sections.into_iter().map(|(kind, name, help)| section(&template.capabilities, kind, name, help));
    let sections = sections.collect_view();
    view! {
        <div class="stack">
            <section class="card card-body">
                <dl class="facts">
                    <dt>"Template ID"</dt>
                    <dd><Copyable text=template.id.to_string() label="template ID" /></dd>
                    {template
                        .description
                        .clone()
                        .filter(|text| !text.is_empty())
                        .map(|text| view! { <dt>"Description"</dt><dd>{text}</dd> })}
                </dl>
            </section>
            {sections}
            {template
                .capabilities
                .is_empty()
                .then(|| {
                    view! {
                        <div class="card">
                            <Blank mark=Icon::Layers title="The model is empty" text="Its devices may send anything; it is kept and shown as it comes." />
                        </div>
                    }
                })}
            <details class="card fold">
                <summary>"DTDL"</summary>
                <div class="card-body">
                    <CopyBlock text=source label="DTDL model" />
                </div>
            </details>
        </div>
    }
}

fn section(all: &[Capability], kind: CapabilityKind, name: &'static str, help: &'static str) -> Option<AnyView> {
    let mut of_kind: Vec<&Capability> = all.iter().filter(|capability| capability.kind == kind).collect();
    if of_kind.is_empty() {
        return None;
    }
    // The template's own stand first, then those of each component together.
    of_kind.sort_by(|one, other| one.component.cmp(&other.component));
    let mut rows = Vec::new();
    let mut component = None;
    for capability in &of_kind {
        if capability.component != component {
            component.clone_from(&capability.component);
            rows.push(component_row(component.as_deref().unwrap_or_default()));
        }
        rows.push(row(capability));
    }
    let count = format::counted(of_kind.len(), "entry", "entries");
    Some(
        view! {
            <section class="card">
                <div class="card-head">
                    <div>
                        <h3>{name}</h3>
                        <p>{help}</p>
                    </div>
                    <span class="count">{count}</span>
                </div>
                <div role="list" aria-label=name>{rows}</div>
            </section>
        }
        .into_any(),
    )
}

fn component_row(name: &str) -> AnyView {
    view! {
        <div class="capability" role="listitem">
            <div class="row">
                <strong>{name.to_owned()}</strong>
                {pill("quiet", "Component")}
            </div>
        </div>
    }
    .into_any()
}

fn row(capability: &Capability) -> AnyView {
    let depth = if capability.component.is_some() { "1" } else { "0" };
    let unit = capability.unit.clone().filter(|unit| !unit.is_empty());
    let bounds = match (capability.minimum, capability.maximum) {
        (Some(low), Some(high)) => Some(format!("{} to {}", format::number(low), format::number(high))),
        (Some(low), None) => Some(format!("from {}", format::number(low))),
        (None, Some(high)) => Some(format!("up to {}", format::number(high))),
        (None, None) => None,
    };
    let states: Vec<String> = capability.enum_values.iter().map(|state| state.display_name.clone()).collect();
    let states = (!states.is_empty()).then(|| states.join(", "));
    let details = [unit, bounds, states].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let writable = capability.writable.then(|| pill("info", "Writable"));
    let semantic = capability.semantic_type.clone();
    view! {
        <div class="capability" role="listitem" data-depth=depth>
            <div>
                {capability.display_name.clone()}
                <small>{capability.key.clone()}</small>
                {Some(capability.description.clone()).filter(|text| !text.is_empty())
                    .map(|text| view! { <p class="soft small">{text}</p> })}
            </div>
            <span class="soft">{capability.schema.clone()}</span>
            <span class="soft">{details}</span>
            <span class="row">
                {writable} {semantic.map(|name| view! { <span class="pill" data-tone="quiet">{name}</span> })}
            </span>
        </div>
    }
    .into_any()
}

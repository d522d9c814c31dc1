//! What a device needs to connect, a program to copy, and a sign when its first message is here.

use leptos::prelude::*;
use muster_contract::device::DeviceCredentials;
use muster_contract::live::LiveEvent;
use muster_contract::template::{Capability, CapabilityKind};
use muster_contract::tenant::TenantInfo;
use muster_model::DeviceId;

use super::Known;
use crate::api::{Api, ApiError, use_api};
use crate::components::copy::{CopyBlock, Copyable, Secret};
use crate::components::icon::{Icon, icon};
use crate::components::states::{Skeleton, loaded};
use crate::live::use_live;
use crate::load::Loader;
use crate::pages::segment;
use crate::snippet::{Connection, python};

/// Keys, program and the waiting sign.
#[component]
pub fn ConnectTab(
    /// The device and its template.
    known: Known,
) -> impl IntoView {
    let api = use_api();
    let device = known.device.id.clone();
    let telemetry = example_values(&known);
    let simulated = known.device.simulated;
    let wanted = device.clone();
    let access = Loader::new(move || load(api, wanted.clone()));
    view! {
        <div class="stack">
            <Waiting device=device.clone() />
            {simulated
                .then(|| {
                    view! {
                        <div class="notice" data-tone="warn">
                            {icon(Icon::Info)}
                            <div>"This device is simulated. Switch the simulation off (Edit) before a real one takes its place."</div>
                        </div>
                    }
                })}
            {loaded(
                access,
                Skeleton::Block,
                move |(credentials, tenant)| {
                    let device = device.clone();
                    let telemetry = telemetry.clone();
                    view! { <Access device credentials tenant telemetry /> }
                },
            )}
        </div>
    }
}

async fn load(api: Api, device: DeviceId) -> Result<(DeviceCredentials, TenantInfo), ApiError> {
    let credentials = api.get(&api.urls().credentials(&device)).await?;
    let tenant = api.get(&api.urls().tenant()).await?;
    Ok((credentials, tenant))
}

#[component]
fn Access(
    device: DeviceId,
    credentials: DeviceCredentials,
    tenant: TenantInfo,
    telemetry: Vec<(String, f64)>,
) -> impl IntoView {
    let keys = credentials.symmetric_key;
    let origin = window().location().origin().unwrap_or_default();
    let program = keys.as_ref().map(|keys| {
        python(&Connection {
            host: tenant.hub_host.clone(),
            id_scope: credentials.id_scope.to_string(),
            device_id: device.to_string(),
            primary_key: keys.primary_key.clone(),
            authority_url: format!("{origin}/ca.pem"),
            telemetry,
        })
    });
    view! {
        <section class="card card-body">
            <dl class="facts">
                <dt>"ID scope"</dt>
                <dd><Copyable text=credentials.id_scope.to_string() label="ID scope" /></dd>
                <dt>"Device ID"</dt>
                <dd><Copyable text=device.to_string() label="device ID" /></dd>
                {keys
                    .map(|keys| {
                        view! {
                            <dt>"Primary key"</dt>
                            <dd><Secret text=keys.primary_key label="primary key" /></dd>
                            <dt>"Secondary key"</dt>
                            <dd><Secret text=keys.secondary_key label="secondary key" /></dd>
                        }
                    })}
                <dt>"Hub"</dt>
                <dd>
                    <Copyable text=format!("{}:{}", tenant.hub_host, tenant.mqtt_port) label="hub address" />
                </dd>
                <dt>"Authority"</dt>
                <dd>
                    <a href="/ca.pem" rel="external" download="ca.pem">"Download ca.pem"</a>
                    <p class="soft small">"Devices check the hub against it."</p>
                </dd>
            </dl>
        </section>
        {program
            .map(|program| {
                view! {
                    <section class="card">
                        <div class="card-head">
                            <div>
                                <h3>"A first program"</h3>
                                <p>"Python with Microsoft’s device SDK, unchanged. Save it, run it, and watch the sign above."</p>
                            </div>
                        </div>
                        <div class="card-body">
                            <CopyBlock text=program label="Python program" />
                        </div>
                    </section>
                }
            })}
    }
}

/// Some of the template's numbers with a value in the middle of their range.
fn example_values(known: &Known) -> Vec<(String, f64)> {
    let capabilities = known.template.iter().flat_map(|template| &template.capabilities);
    let numbers = capabilities.filter(|capability| {
        let whole = capability.component.is_none() && !capability.key.contains('.');
        capability.kind == CapabilityKind::Telemetry && capability.numeric && whole && capability.schema != "boolean"
    });
    let examples: Vec<(String, f64)> =
        numbers.take(4).map(|capability| (capability.key.clone(), middle(capability))).collect();
    if examples.is_empty() { vec![("temperature".to_owned(), 21.0), ("humidity".to_owned(), 45.0)] } else { examples }
}

fn middle(capability: &Capability) -> f64 {
    match (capability.minimum, capability.maximum) {
        (Some(low), Some(high)) => ((low + high) / 2.0).round(),
        _ if capability.unit.as_deref() == Some("%") => 50.0,
        _ => 21.0,
    }
}

/// Waits for the next message of the device and says so when it is here.
#[component]
fn Waiting(device: DeviceId) -> impl IntoView {
    let api = use_api();
    let received = RwSignal::new(None::<String>);
    let watched = device.clone();
    use_live().listen(move |event| {
        if let LiveEvent::Telemetry { device, values, .. } = event
            && *device == watched
        {
            let text = serde_json::to_string(values).unwrap_or_default();
            received.set(Some(text));
        }
    });
    let overview = api.page(&format!("devices/{}", segment(device.as_str())));
    view! {
        <div class="waiting" role="status" data-received=move || received.get().is_some().to_string()>
            {move || match received.get() {
                None => {
                    view! {
                        <span class="ring" aria-hidden="true"></span>
                        <span>"Waiting for a message of this device …"</span>
                    }
                        .into_any()
                }
                Some(values) => {
                    view! {
                        {icon(Icon::Check)}
                        <strong>"Received!"</strong>
                        <code class="ellipsis">{values}</code>
                        <a href=overview.clone()>"See it live"</a>
                    }
                        .into_any()
                }
            }}
        </div>
    }
}

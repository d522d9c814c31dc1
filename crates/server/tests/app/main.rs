//! The whole product in-process: real MQTT, real SQL, real HTTP. Every test runs on the embedded defaults and on
//! PostgreSQL with RabbitMQ.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test stops where something is not as it says")]

mod access;
mod api;
mod bad_input;
mod bucket;
mod commands;
mod connections;
mod crash;
mod device_groups;
mod devices;
mod events;
mod files;
mod import;
mod journey;
mod live;
mod methods;
mod outage;
mod resources;
mod sdk;
mod sdk_devices;
mod sdk_endurance;
mod sdk_messaging;
mod service;
mod service_work;
mod template_life;
mod template_migration;
mod templates;
mod tenant_hosts;
mod tls;
mod traffic;
mod views;

/// Makes two tests of one: `name::embedded` and `name::servers`.
macro_rules! on_both {
    ($($name:ident)*) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                super::$name(muster_testkit::Backend::Embedded).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn servers() {
                if muster_testkit::Backend::Servers.available(concat!(module_path!(), "::servers")) {
                    super::$name(muster_testkit::Backend::Servers).await;
                }
            }
        }
    )* };
}
pub(crate) use on_both;

use muster_testkit::Bootstrapped;
use serde_json::{Value, json};

/// A machine with a temperature in °C and a few more capabilities.
pub(crate) const MACHINE: &str = "dtmi:test:Machine;1";

/// The template's document, as `PUT /api/deviceTemplates/{id}` takes it.
pub(crate) fn machine() -> Value {
    json!({
        "@id": MACHINE,
        "@type": ["ModelDefinition", "DeviceModel"],
        "displayName": "Machine",
        "capabilityModel": {
            "@id": "dtmi:test:MachineModel;1",
            "@type": "Interface",
            "@context": "dtmi:dtdl:context;2",
            "displayName": "Machine",
            "contents": [
                {
                    "@type": ["Telemetry", "Temperature"], "name": "temperature", "displayName": "Temperature",
                    "schema": "double", "unit": "degreeCelsius"
                },
                { "@type": "Telemetry", "name": "running", "schema": "boolean" },
                { "@type": "Telemetry", "name": "state", "schema": "string" },
                { "@type": "Property", "name": "target", "schema": "double", "writable": true },
                { "@type": "Property", "name": "serialNumber", "schema": "string" }
            ]
        }
    })
}

/// Makes the template and a device of it in the tenant.
pub(crate) async fn with_device(tenant: &Bootstrapped, id: &str) {
    tenant.admin.put(&format!("/api/deviceTemplates/{MACHINE}"), machine()).await.ok();
    let device = json!({ "displayName": format!("Machine {id}"), "template": MACHINE });
    tenant.admin.put(&format!("/api/devices/{id}"), device).await.ok();
}

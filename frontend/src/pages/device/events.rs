//! What happened to a device and what went wrong with it, in words for operators.

use leptos::prelude::*;
use muster_contract::event::{DeviceEvent, FailureCode, Operation};
use muster_contract::live::LiveEvent;
use muster_contract::page::Page;

use super::Known;
use crate::api::use_api;
use crate::components::icon::Icon;
use crate::components::pill::pill;
use crate::components::states::{Blank, Skeleton, loaded};
use crate::components::time::exact;
use crate::format;
use crate::live::use_live;
use crate::load::Loader;

/// The newest events of a device.
#[component]
pub fn EventsTab(
    /// The device and its template.
    known: Known,
) -> impl IntoView {
    let api = use_api();
    let (device, watched) = (known.device.id.clone(), known.device.id);
    let events = Loader::new(move || {
        let url = api.urls().device_events(&device);
        async move { api.get::<Page<DeviceEvent>>(&url).await }
    });
    use_live().listen(move |event| match event {
        LiveEvent::Device { device, .. } | LiveEvent::Properties { device } if *device == watched => events.reload(),
        LiveEvent::Reload => events.reload(),
        _ => {}
    });
    loaded(events, Skeleton::Rows, move |page| {
        if page.value.is_empty() {
            return view! {
                <div class="card">
                    <Blank mark=Icon::Device title="Nothing has happened yet"
                        text="Connections, changes of properties and what goes wrong with the device are kept here for a week." />
                </div>
            }
            .into_any();
        }
        let shown = format::counted(page.value.len(), "event", "events");
        view! {
            <div class="card table-card">
                {page.value.into_iter().map(draw).collect_view()}
                <div class="table-foot"><span>{format!("The newest {shown}")}</span></div>
            </div>
        }
        .into_any()
    })
}

fn draw(event: DeviceEvent) -> AnyView {
    match event {
        DeviceEvent::Event { timestamp, operation, body, .. } => {
            let (tone, text) = happened(operation);
            let body = serde_json::to_string_pretty(&body).unwrap_or_default();
            view! {
                <details class="raw-line">
                    <summary>
                        {exact(timestamp)}
                        <span>{pill(tone, "Event")}</span>
                        <span class="ellipsis">{text}</span>
                    </summary>
                    <pre tabindex="0"><code>{body}</code></pre>
                </details>
            }
            .into_any()
        }
        DeviceEvent::Failure { timestamp, code, count, since, .. } => {
            let often = (count > 1)
                .then(|| view! { <span class="soft">{format!("{count} times since ")} {exact(since)}</span> });
            view! {
                <details class="raw-line">
                    <summary>
                        {exact(timestamp)}
                        <span>{pill("bad", "Failure")}</span>
                        <span class="ellipsis">{went_wrong(code)} " " {often}</span>
                    </summary>
                    <p>{advice(code)}</p>
                </details>
            }
            .into_any()
        }
    }
}

/// What happened, and the tone it is told in.
fn happened(operation: Operation) -> (&'static str, &'static str) {
    match operation {
        Operation::DeviceConnected => ("good", "Connected"),
        Operation::DeviceDisconnected => ("quiet", "Disconnected"),
        Operation::CreateDeviceIdentity => ("info", "The device was created"),
        Operation::DeleteDeviceIdentity => ("warn", "The device was deleted"),
        Operation::UpdateTwin => ("quiet", "Properties changed"),
        Operation::ReplaceTwin => ("quiet", "Properties were replaced"),
    }
}

/// What went wrong, in a few words.
fn went_wrong(code: FailureCode) -> &'static str {
    match code {
        FailureCode::NoCredential => "Refused: no key and no certificate",
        FailureCode::BadToken => "Refused: the password is no token",
        FailureCode::TokenExpired => "Refused: the token has expired",
        FailureCode::TokenForAnother => "Refused: the token is for another device",
        FailureCode::WrongKey => "Refused: wrong key",
        FailureCode::WrongCertificate => "Refused: wrong certificate",
        FailureCode::Blocked => "Refused: the device is blocked",
        FailureCode::UnknownModule => "Refused: unknown module",
        FailureCode::ProvisioningRefused => "Provisioning refused: wrong key or certificate",
        FailureCode::EnrollmentDisabled => "Provisioning refused: the enrollment is disabled",
        FailureCode::NotApproved => "Provisioning refused: the device waits for approval, or is blocked",
        FailureCode::ProtocolViolation => "Cut off: it sent what is not allowed",
        FailureCode::MessageTooLarge => "Message too large",
        FailureCode::Throttled => "Too many requests at once",
        FailureCode::MethodTimedOut => "No answer to a command",
    }
}

/// What an operator may do about it.
fn advice(code: FailureCode) -> &'static str {
    match code {
        FailureCode::NoCredential | FailureCode::BadToken | FailureCode::WrongKey | FailureCode::TokenForAnother => {
            "Compare the device's connection string with the Connect tab."
        }
        FailureCode::TokenExpired => "Check the device's clock, and that it renews its token.",
        FailureCode::WrongCertificate => {
            "Check which certificate the device shows, and which one is registered for it."
        }
        FailureCode::Blocked => "Unblock the device to let it in.",
        FailureCode::UnknownModule => "Create the module, or connect as the device itself.",
        FailureCode::ProvisioningRefused => "Compare the device's key or certificate with its enrollment.",
        FailureCode::EnrollmentDisabled => "Enable the enrollment to let its devices in.",
        FailureCode::NotApproved => "Unblock the device to approve it.",
        FailureCode::ProtocolViolation => "Look at the device's program: topic, quality of service, order of packets.",
        FailureCode::MessageTooLarge => "A message holds at most 256 KiB.",
        FailureCode::Throttled => "Let the device wait for an answer before it asks again.",
        FailureCode::MethodTimedOut => "The device is connected but did not answer in time.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_read_words() {
        assert_eq!(went_wrong(FailureCode::WrongKey), "Refused: wrong key");
        assert_eq!(happened(Operation::DeviceConnected), ("good", "Connected"));
    }
}

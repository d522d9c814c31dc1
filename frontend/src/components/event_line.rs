//! What happened to a device or went wrong with it, as a line that opens, in words for operators.

use leptos::prelude::*;
use muster_contract::event::{DeviceEvent, FailureCode, Operation};
use muster_model::DeviceId;

use super::pill::pill;
use super::time::exact;
use crate::api::Api;
use crate::pages::segment;

/// A line of a history; `of` is the tenant whose devices are named in it, where it is not of one device.
pub fn event_line(event: DeviceEvent, of: Option<Api>) -> AnyView {
    match event {
        DeviceEvent::Event { timestamp, device, operation, body, .. } => {
            let (named, link) = named(of, &device);
            let (tone, text) = happened(operation);
            let body = serde_json::to_string_pretty(&body).unwrap_or_default();
            view! {
                <details class="raw-line">
                    <summary>
                        {exact(timestamp)}
                        <span>{pill(tone, "Event")}</span>
                        <span class="ellipsis">{named} {text}</span>
                    </summary>
                    {link} <pre tabindex="0"><code>{body}</code></pre>
                </details>
            }
            .into_any()
        }
        DeviceEvent::Failure { timestamp, device, code, count, since } => {
            let (named, link) = named(of, &device);
            let often = (count > 1)
                .then(|| view! { <span class="soft">{format!("{count} times since ")} {exact(since)}</span> });
            view! {
                <details class="raw-line">
                    <summary>
                        {exact(timestamp)}
                        <span>{pill("bad", "Failure")}</span>
                        <span class="ellipsis">{named} {went_wrong(code)} " " {often}</span>
                    </summary>
                    <p>{advice(code)} " " {link}</p>
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
        Operation::CreateModuleIdentity => ("info", "A module was created"),
        Operation::DeleteModuleIdentity => ("warn", "A module was deleted"),
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

/// The device's id for the line and a link to its page for what opens, where the device is to be named.
fn named(of: Option<Api>, device: &DeviceId) -> (Option<AnyView>, Option<AnyView>) {
    let Some(api) = of else { return (None, None) };
    let id = device.to_string();
    let href = api.page(&format!("devices/{}", segment(&id)));
    let named = view! { <span class="mono">{id}</span> " · " }.into_any();
    let link = view! { <a class="event-device" href=href>"Open the device"</a> }.into_any();
    (Some(named), Some(link))
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

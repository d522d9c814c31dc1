//! Coloured words for states, the same on every page.

use leptos::prelude::*;
use muster_contract::alert::AlertState;
use muster_contract::device::ConnectionState;
use muster_contract::rule::Severity;
use muster_model::device::DeviceStatus;

/// A coloured word.
pub fn pill(tone: &'static str, text: impl IntoView + 'static) -> AnyView {
    view! { <span class="pill" data-tone=tone>{text}</span> }.into_any()
}

/// The status of a device.
pub fn status_pill(status: DeviceStatus) -> AnyView {
    let tone = match status {
        DeviceStatus::Registered => "info",
        DeviceStatus::Provisioned => "good",
        DeviceStatus::WaitingForApproval => "warn",
        DeviceStatus::Blocked => "bad",
    };
    pill(tone, status_name(status))
}

/// The name of a device's status.
pub fn status_name(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Registered => "Registered",
        DeviceStatus::Provisioned => "Provisioned",
        DeviceStatus::WaitingForApproval => "Waiting for approval",
        DeviceStatus::Blocked => "Blocked",
    }
}

/// A dot that is green while the device is connected, with the word for screen readers.
pub fn connection_dot(state: ConnectionState) -> AnyView {
    let tone = match state {
        ConnectionState::Connected => "good",
        ConnectionState::Disconnected => "quiet",
    };
    let name = connection_name(state);
    view! { <span class="dot" data-tone=tone title=name role="img" aria-label=name></span> }.into_any()
}

/// The name of a connection state.
pub fn connection_name(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connected => "Connected",
        ConnectionState::Disconnected => "Disconnected",
    }
}

/// How bad it is.
pub fn severity_pill(severity: Severity) -> AnyView {
    match severity {
        Severity::Information => pill("info", "Information"),
        Severity::Warning => pill("warn", "Warning"),
        Severity::Critical => pill("bad", "Critical"),
    }
}

/// Where an alert stands.
pub fn alert_pill(state: AlertState) -> AnyView {
    match state {
        AlertState::Open => pill("bad", "Open"),
        AlertState::Acknowledged => pill("warn", "Acknowledged"),
        AlertState::Cleared => pill("quiet", "Cleared"),
    }
}

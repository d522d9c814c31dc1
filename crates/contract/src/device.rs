//! Devices and their credentials.

use crate::patch::nullable;
use chrono::{DateTime, Utc};
use muster_model::{DeviceId, IdScope, TemplateId, device as model, device::DeviceStatus};
use serde::{Deserialize, Serialize};

pub use muster_model::device::SymmetricKeys;

/// A device, as IoT Central shows it, with what an operator wants to see beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its id, as it connects with.
    pub id: DeviceId,
    /// Changes with each change of the device.
    pub etag: String,
    /// The name shown to people.
    pub display_name: String,
    /// Its template, if one is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// May it connect?
    pub enabled: bool,
    /// Has it come through provisioning or connected once?
    pub provisioned: bool,
    /// Is it driven by the simulator?
    pub simulated: bool,
    /// The one status shown for it (ours, read-only).
    pub status: DeviceStatus,
    /// Is it connected now? (ours, read-only)
    pub connection_state: ConnectionState,
    /// When it was last heard of (ours, read-only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<DateTime<Utc>>,
    /// When it was created (ours, read-only).
    pub created_at: DateTime<Utc>,
}

/// Is a device connected?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum ConnectionState {
    /// A hub instance holds its connection.
    Connected,
    /// None does.
    Disconnected,
}

impl ConnectionState {
    /// The state for `connected`.
    pub fn of(connected: bool) -> Self {
        if connected { Self::Connected } else { Self::Disconnected }
    }
}

impl From<model::Device> for Device {
    fn from(device: model::Device) -> Self {
        Self {
            status: device.status(),
            connection_state: ConnectionState::of(device.connected),
            id: device.id,
            etag: device.etag,
            display_name: device.display_name,
            template: device.template,
            enabled: device.enabled,
            provisioned: device.provisioned,
            simulated: device.simulated,
            last_seen: device.last_seen,
            created_at: device.created_at,
        }
    }
}

/// `PUT /api/devices/{id}`. Read-only fields of [`Device`] may be sent and are ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceInput {
    /// The name shown to people; the id where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// May it connect? Yes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Is it driven by the simulator? No where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<bool>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `PATCH /api/devices/{id}`, a merge patch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DevicePatch {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Another template; `null` takes it away.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TemplateId>))]
    pub template: Option<Option<TemplateId>>,
    /// May it connect?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Is it driven by the simulator?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<bool>,
    /// The etag the caller saw; another one is refused with 412.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `GET /api/devices/{id}/credentials`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceCredentials {
    /// By which the device finds its tenant in the provisioning service.
    pub id_scope: IdScope,
    /// Its keys, where it connects with keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symmetric_key: Option<SymmetricKeys>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_tells_absent_from_null() {
        let absent: DevicePatch = serde_json::from_str("{}").unwrap();
        let null: DevicePatch = serde_json::from_str(r#"{"template":null}"#).unwrap();
        let some: DevicePatch = serde_json::from_str(r#"{"template":"dtmi:a:b;1"}"#).unwrap();
        assert_eq!(absent.template, None);
        assert_eq!(null.template, Some(None));
        assert_eq!(some.template, Some(Some(TemplateId::parse("dtmi:a:b;1").unwrap())));
        assert_eq!(serde_json::to_string(&null).unwrap(), r#"{"template":null}"#);
    }

    #[test]
    fn keys_do_not_show() {
        let keys = SymmetricKeys { primary_key: "geheim".into(), secondary_key: "geheim".into() };
        let credentials = DeviceCredentials { id_scope: IdScope::parse("0ne1").unwrap(), symmetric_key: Some(keys) };
        assert!(!format!("{credentials:?}").contains("geheim"));
    }
}

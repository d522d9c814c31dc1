//! The tenant itself (ours).

use muster_model::{IdScope, TenantId};
use serde::{Deserialize, Serialize};

/// `GET /api/tenant`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TenantInfo {
    /// Its id, as in `/t/{id}`.
    pub id: TenantId,
    /// The name shown to people.
    pub display_name: String,
    /// By which devices find it in the provisioning service.
    pub id_scope: IdScope,
    /// The host that devices connect to, for the provisioning service and for the hub.
    pub hub_host: String,
    /// The port of MQTT over TLS on that host.
    pub mqtt_port: u16,
    /// Whether services can read telemetry at the hub's `/messages/events`; what happens to devices they always can.
    pub event_feed: bool,
}

/// `PATCH /api/tenant`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantPatch {
    /// Whether services can read telemetry at the hub's `/messages/events`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_feed: Option<bool>,
}

//! Enrollment groups: many devices under one pair of keys.

use muster_model::{EnrollmentGroupId, IdScope, device::SymmetricKeys};
use serde::{Deserialize, Serialize};

/// An enrollment group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentGroup {
    /// Its id.
    pub id: EnrollmentGroupId,
    /// Changes with each change of the group.
    pub etag: String,
    /// The name shown to people.
    pub display_name: String,
    /// May its devices connect?
    pub enabled: bool,
    /// What kind of devices.
    #[serde(rename = "type")]
    pub kind: EnrollmentGroupType,
    /// How its devices prove who they are.
    pub attestation: GroupAttestation,
    /// By which its devices find the tenant.
    pub id_scope: IdScope,
}

/// What kind of devices come through a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum EnrollmentGroupType {
    /// Plain devices.
    Iot,
    /// Azure IoT Edge devices.
    IotEdge,
}

/// How the devices of a group prove who they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum GroupAttestation {
    /// With a key derived from the group's.
    #[serde(rename_all = "camelCase")]
    SymmetricKey {
        /// The group's keys.
        symmetric_key: SymmetricKeys,
    },
    /// With a certificate that the group's authority has signed.
    X509 {},
}

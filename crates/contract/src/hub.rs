//! The hub as its services and its operators see it (ours).

use chrono::{DateTime, Utc};
use muster_model::AuthorityId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A policy by which back-end services prove themselves to the hub or to the provisioning service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HubPolicy {
    /// Its name, for example `service`.
    pub name: String,
    /// The key in use.
    pub primary_key: String,
    /// The second key, for rolling.
    pub secondary_key: String,
    /// What a service is configured with, with the primary key.
    pub connection_string: String,
}

impl fmt::Debug for HubPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubPolicy").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `POST /api/policies/{policyName}/regenerateKey`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyChoice {
    /// The key to be replaced.
    pub key: KeyName,
}

/// One of two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeyName {
    /// The key in use.
    Primary,
    /// The second key, for rolling.
    Secondary,
}

/// A certificate authority whose devices are let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthority {
    /// Its id.
    pub id: AuthorityId,
    /// Changes with each change of it.
    pub etag: String,
    /// Is it known that the tenant has its key?
    pub verified: bool,
    /// The common name that a proof must have; after it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_code: Option<String>,
    /// The SHA-256 thumbprint of its certificate.
    pub thumbprint: String,
    /// Whom the certificate names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// When the certificate expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<DateTime<Utc>>,
}

/// `PUT /api/certificateAuthorities/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateAuthorityInput {
    /// The certificate, PEM or base64.
    pub certificate: String,
    /// Vouch for it: no proof is asked for.
    #[serde(default)]
    pub verified: bool,
}

/// `POST /api/certificateAuthorities/{id}/verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateProof {
    /// A certificate for the verification code, signed with the authority's key, PEM or base64.
    pub certificate: String,
}

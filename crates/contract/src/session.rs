//! Signing in, and who is signed in.

use muster_model::{Role, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `POST /api/session`.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The user's e-mail address.
    pub email: String,
    /// The user's password.
    pub password: String,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("email", &self.email).finish_non_exhaustive()
    }
}

/// `GET /api/session`, and the answer to signing in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// Who is signed in.
    pub user: SessionUser,
    /// The tenants they belong to, by display name.
    pub tenants: Vec<Membership>,
    /// Goes into the header [`crate::CSRF_HEADER`] of every request that changes something.
    pub csrf: String,
}

/// The person who is signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionUser {
    /// Their e-mail address.
    pub email: String,
    /// The name shown to people.
    pub display_name: String,
}

/// A tenant that the person belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The tenant's id, as in `/t/{id}`.
    pub id: TenantId,
    /// The name shown to people.
    pub display_name: String,
    /// What the person is there; [`Role::permissions`] says what they may do.
    pub role: Role,
}

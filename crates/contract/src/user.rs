//! Users and roles.

use muster_model::{Role as ModelRole, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A role that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignment {
    /// The role's id.
    pub role: Uuid,
    /// The organization it is held in; the whole tenant where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl From<ModelRole> for RoleAssignment {
    fn from(role: ModelRole) -> Self {
        Self { role: role.id(), organization: None }
    }
}

/// `GET /api/roles/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Role {
    /// Its id.
    pub id: Uuid,
    /// The name shown to people.
    pub display_name: String,
}

impl From<ModelRole> for Role {
    fn from(role: ModelRole) -> Self {
        Self { id: role.id(), display_name: role.display_name().to_owned() }
    }
}

/// A user of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum User {
    /// A person who signs in with an e-mail address.
    Email {
        /// Their id.
        id: UserId,
        /// Their e-mail address.
        email: String,
        /// What they may do.
        roles: Vec<RoleAssignment>,
    },
}

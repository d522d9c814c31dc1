//! API tokens.

use crate::user::RoleAssignment;
use chrono::{DateTime, Utc};
use muster_model::TokenId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An API token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What it may do.
    pub roles: Vec<RoleAssignment>,
    /// When it ends.
    pub expiry: DateTime<Utc>,
    /// The text that goes into the header `Authorization`; only in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("id", &self.id).field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

/// `PUT /api/apiTokens/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ApiTokenInput {
    /// What it may do: one role.
    pub roles: Vec<RoleAssignment>,
    /// When it ends; in a year where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<DateTime<Utc>>,
}

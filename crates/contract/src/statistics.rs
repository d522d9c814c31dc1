//! Counts for the tenant (ours): the ledger of messages, and how many of what there is.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /api/ledger`: received = stored + rejected + dead-lettered + in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Messages that the hub took.
    pub received: u64,
    /// Messages whose values are stored.
    pub stored: u64,
    /// Messages kept with the reason why they could not be understood, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Messages that could not be processed at all and were put aside.
    pub dead_lettered: u64,
    /// The rest: on their way.
    pub in_flight: u64,
}

/// `GET /api/statistics`, of all devices or of those of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// How many devices there are.
    pub devices: u64,
    /// Those connected now.
    pub connected: u64,
    /// Alerts of the whole tenant that are not cleared.
    pub alerts: AlertCounts,
}

/// How many alerts are not cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AlertCounts {
    /// Good to know.
    pub information: u64,
    /// Should be looked at.
    pub warning: u64,
    /// Must be acted on.
    pub critical: u64,
}

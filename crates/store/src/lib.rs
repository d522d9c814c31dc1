//! Everything SQL: PostgreSQL or SQLite, chosen by URL at run time.
//!
//! Not here: what a change means, who may do it, what follows from it (that is `engine`).
//!
//! # Invariants
//! - No function reads or writes a tenant's data without a [`Scope`](muster_model::Scope); what is outside is "not
//!   found". PostgreSQL's row-level security is a second wall behind it.
//! - Every access runs in a [`Tx`] or an [`IngestTx`]; only [`Store`] makes them, and they last only when committed.
//! - Lists come in pages of at most [`MAX_PAGE`] by key; there is no offset and no list without a limit.
//! - A device's number holds its tenant's number in the upper 32 bits ([`devices::insert`]), so that row-level
//!   security on telemetry costs a shift and no lookup.

pub mod alerts;
pub mod audit;
pub mod authorities;
pub mod c2d;
pub mod command_runs;
pub mod configurations;
mod connect;
mod convert;
pub mod counters;
pub mod dashboards;
pub mod devices;
pub mod enrollment;
mod error;
pub mod events;
pub mod failures;
pub mod files;
pub mod groups;
pub mod health;
pub mod hub_sessions;
pub mod individual_enrollments;
mod ingest;
pub mod jobs;
mod json;
mod keys;
mod leases;
pub mod modules;
pub mod outbox;
mod paging;
mod partitions;
pub mod references;
pub mod registrations;
pub mod rules;
pub mod secrets;
pub mod sessions;
mod store;
pub mod telemetry;
pub mod template_views;
pub mod templates;
pub mod tenants;
pub mod throttle;
pub mod tokens;
pub mod twins;
mod tx;
pub mod users;

pub use error::StoreError;
pub use ingest::{AlertClear, FeedBatch, IngestTx, TelemetryRow};
pub use paging::{MAX_PAGE, Page, Paging};
pub use store::{SchemaState, Store, StoreConfig};
pub use tx::Tx;

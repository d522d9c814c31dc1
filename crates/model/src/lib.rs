//! The domain of Muster: what a tenant, a device, a template, a rule and an alert are.
//!
//! Pure and wasm-safe: no async, no I/O, no clock reads. Everything that comes from outside is parsed here into
//! types that cannot be wrong; inside, nothing is checked again.
//!
//! # Words (one each, no synonyms)
//! tenant · organization · user, role, permission, API token · device template · capability (telemetry, property,
//! command, component) · device · twin (desired, reported) · enrollment group · device group · telemetry · rule,
//! alert · dashboard, tile · job · export, destination.

pub mod access;
pub mod alert;
pub mod batch;
pub mod c2d;
pub mod clock;
pub mod command;
pub mod configuration;
pub mod dashboard;
pub mod device;
pub mod digital_twin;
pub mod dtdl;
pub mod event;
pub mod files;
pub mod group;
pub mod ids;
pub mod job;
pub mod properties;
pub mod push;
pub mod query;
pub mod registry;
pub mod rule;
pub mod telemetry;
pub mod template;
pub mod wire;

pub use access::{Actor, ActorKind, Caller, Denied, Permission, Role, Scope, SystemScope};
pub use clock::{Clock, ManualClock};
pub use ids::*;

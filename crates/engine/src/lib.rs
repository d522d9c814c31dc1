//! The use cases: the only place where things happen.
//!
//! A use case is a free function over [`Engine`]: it authorizes the caller, makes the change, its audit entry and the
//! work it causes in one transaction, and tells every process after the commit. Reads that need no decision go to the
//! store directly.
//!
//! # Invariants
//! - What is outside the caller's tenant is [`EngineError::NotFound`]; what is inside but not allowed is
//!   [`EngineError::Denied`].
//! - A secret is never logged, never in a `Debug`, and at rest only sealed under the master key.
//! - Time comes from the engine's clock.

pub mod alerts;
mod attestation;
mod audit;
pub mod authentication;
pub mod authorities;
pub mod c2d;
pub mod certificates;
pub mod commands;
pub mod configurations;
mod connections;
pub mod dashboards;
pub mod demo;
pub mod devices;
pub mod digital_twins;
pub mod dps_enrollments;
mod engine;
pub mod enrollment;
mod error;
pub mod events;
pub mod files;
pub mod groups;
pub mod health;
mod hosts;
mod housekeeping;
pub mod hub_auth;
pub mod identity;
pub mod ingest;
pub mod jobs;
pub mod live;
pub mod methods;
pub mod modules;
pub mod notices;
pub mod notify;
pub mod outbound;
pub mod policies;
pub mod precondition;
pub mod properties;
pub mod provisioning;
mod pushes;
pub mod queries;
mod refusal;
pub mod registry_service;
pub mod rules;
pub mod secrets;
pub mod series;
pub mod simulator;
pub mod templates;
pub mod tenants;
pub mod twins;
pub mod twins_service;
mod x509;

pub use engine::{Engine, EngineConfig, EngineParts, OwnCertificate, Roles, SmtpConfig};
pub use error::{EngineError, Problem};
pub use muster_store::{Page, Paging};
pub use refusal::Refusal;

#[cfg(test)]
mod tests;

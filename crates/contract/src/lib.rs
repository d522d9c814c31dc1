//! Wire types of the REST API, shared by the server and the browser.
//!
//! Dumb on purpose: a type here says what a JSON body looks like and nothing about what may be done with it. Field
//! names are camelCase. Where IoT Central has a shape it is taken over as it is; fields of our own are additive and
//! read-only, and each says so.
//!
//! It is not the domain (`muster-model`) and knows no HTTP. Invariants: a body that deserializes has valid ids; no
//! type with a secret shows it in its `Debug`.

pub mod alert;
pub mod command;
pub mod dashboard;
pub mod device;
pub mod enrollment;
pub mod error;
pub mod event;
pub mod file;
pub mod group;
pub mod health;
pub mod hub;
pub mod live;
pub mod page;
pub mod patch;
pub mod property;
pub mod rule;
pub mod search;
pub mod session;
pub mod statistics;
pub mod telemetry;
pub mod template;
pub mod template_life;
pub mod tenant;
pub mod token;
pub mod traffic;
pub mod urls;
pub mod user;
pub mod view;

/// The version of IoT Central's REST API that these shapes follow first.
pub const API_VERSION: &str = "2022-07-31";

/// The header that a browser sends back with each change, holding [`session::SessionInfo::csrf`].
pub const CSRF_HEADER: &str = "x-muster-csrf";

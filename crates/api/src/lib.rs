//! Azure IoT Central as scripts and the browser see it, our own resources beside it, and the web app's files.
//!
//! A handler takes what it needs out of the request, makes one call and converts the answer: changes go to the engine,
//! reads to the store. What a request may be is decided in `extract` and `middleware`, what an error looks like in
//! `error`, both once for all resources.
//!
//! # Invariants
//! - Every resource stands below `/api` (the tenant is the token's, or the subdomain's) and below `/t/{tenant}/api`
//!   (for browsers, whose tabs may hold several tenants). A token or session of another tenant sees 404.
//! - A change made with a cookie needs the session's CSRF header and comes from our own pages.
//! - Every reply with a status of 400 or more below these paths has IoT Central's error shape; 5xx say nothing of why.

mod app;
mod config;
mod error;
mod extract;
mod live;
mod middleware;
mod openapi;
mod routes;
mod web;

pub use app::configure;
pub use config::{ApiConfig, ApiParts};
pub use openapi::openapi;

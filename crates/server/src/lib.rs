//! The composition: one binary, `muster`, with roles.
//!
//! [`App`] starts what a process is asked to be, in order, and stops it in the opposite order: no new connections,
//! batches flushed, consumers finished, the web last. Tests start the same [`App`].

mod addresses;
mod app;
mod cli;
pub mod config;
mod dtdl;
mod logging;
mod templates;
mod tls;
mod waiting;
mod welcome;

pub use addresses::Addresses;
pub use app::{App, AppError, Options};
pub use cli::{Cli, run};
pub use config::{Config, InvalidConfig};

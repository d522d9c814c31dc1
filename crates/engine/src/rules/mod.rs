//! Rules: what people do with them. The worker evaluates them (`ingest`).

mod changes;
mod watching;

pub use changes::{delete, patch, put};

pub(crate) use changes::write;
pub(crate) use watching::{clear_unwatched, watching};

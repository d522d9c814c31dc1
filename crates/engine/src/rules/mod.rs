//! Rules: what people do with them. The worker evaluates them (`ingest`).

mod changes;

pub use changes::{delete, patch, put};

pub(crate) use changes::write;

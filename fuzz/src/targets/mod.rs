//! What must hold of every parser for any bytes. The fuzzer calls these, and so do the ordinary tests with the committed
//! corpora (`crates/model/tests/corpus.rs`): a target panics where something does not hold.

mod data;
mod models;
mod query;
mod wire;

/// A target's name, and what runs it.
pub type Target = (&'static str, fn(&[u8]));

/// The targets; `fuzz/corpus/NAME` holds what each begins with.
pub const TARGETS: [Target; 11] = [
    ("topic", wire::topic),
    ("username", wire::username),
    ("sas", wire::sas),
    ("bag", wire::bag),
    ("twin_patch", data::twin_patch),
    ("batch", data::batch),
    ("telemetry", data::telemetry),
    ("query", query::query),
    ("json", models::json),
    ("dtdl", models::dtdl),
    ("template_import", models::template_import),
];

/// The bytes as text; what is not UTF-8 never reaches a parser of text.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// The first line, and all after it.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// An id or another value that is right by construction.
fn sure<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:?}"),
    }
}

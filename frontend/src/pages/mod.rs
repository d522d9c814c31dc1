//! The pages: each fetches what it shows and arranges components.

pub mod alerts;
pub mod dashboard;
pub mod dashboards;
pub mod device;
pub mod devices;
pub mod group;
pub mod groups;
pub mod health;
pub mod not_found;
pub mod rule;
pub mod rules;
pub mod search;
pub mod settings;
pub mod shell;
pub mod sign_in;
pub mod template;
pub mod templates;
pub mod tenants;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stand in a path segment as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An id as a segment of a page's address: device ids may hold `#`, `?` and `%`.
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, ESCAPED).to_string()
}

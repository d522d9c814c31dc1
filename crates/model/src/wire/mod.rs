//! The grammar of Azure IoT Hub and its provisioning service (DPS) on the wire, as pure functions over text.
//!
//! Everything here meets bytes of strangers: every parser has a size limit, none of them panics.

pub mod bag;
pub mod blob;
pub mod sas;
pub mod topic;
pub mod twin;
pub mod username;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986: what all SDKs can read back.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text with everything but letters, digits and `-._~` encoded.
pub fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// `None` where the decoded bytes are not UTF-8. A `%` that starts no escape stays as it is, and so does `+`.
fn percent_decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

//! Files that devices upload: limits, and what the blocks of an upload are called (`iot-hub-wire.md` §5).

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use chrono::Duration;
use std::fmt;

/// Uploads that a device may have open at one time.
pub const MAX_ACTIVE_UPLOADS: u32 = 10;
/// How long a device has for an upload.
pub const GRANT: Duration = Duration::hours(1);
/// The largest block.
pub const MAX_BLOCK_BYTES: u64 = 100 << 20;
/// Blocks of one file.
pub const MAX_BLOCKS: usize = 50_000;
/// The longest block id, decoded.
const MAX_BLOCK_ID_BYTES: usize = 64;

/// What a device calls a block: 1 to 64 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(String);

impl BlockId {
    /// Reads an id; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        (1..=MAX_BLOCK_ID_BYTES).contains(&bytes.len()).then(|| Self(text.to_owned()))
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an entry of a block list is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockPlace {
    /// Among the blocks of the upload, then in the file that it replaces.
    Latest,
    /// Among the blocks of the upload.
    Uncommitted,
    /// In the file that it replaces.
    Committed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_ids_are_short_base64() {
        for good in ["AA==", "MDAwMDAx", &BASE64.encode([7; 64])] {
            assert_eq!(BlockId::parse(good).expect(good).as_str(), good);
        }
        for bad in ["", "A", "../..", "A A=", &BASE64.encode([7; 65]), &"A".repeat(1 << 20)] {
            assert_eq!(BlockId::parse(bad), None, "{bad}");
        }
    }
}

//! Files that devices upload (`iot-hub-wire.md` §5): a device is granted an upload, writes one blob with the grant, and
//! says that it has finished; services hear of it, and people list, fetch and delete the files.
//!
//! A file is a list of objects in the object storage: a block becomes an object when it comes, and committing a list
//! of blocks is one transaction of the database and moves no bytes. Objects have names of our own; no text of a device
//! ever becomes a path.

mod check;
mod grant;
mod notices;
mod read;
mod storage;
mod sweep;
mod write;

pub use check::check;
pub(crate) use check::report;
pub use grant::{Grant, GrantError, Outcome, authorize, container, finish, grant};
pub use muster_store::files::{File, Notice, Upload};
pub use notices::{abandon_notice, complete_notice, receive_notice};
pub use read::{Content, delete, open};
pub(crate) use storage::Files;
pub use storage::FilesConfig;
pub use sweep::sweep;
pub use write::{BlobError, Checks, Checksum, Condition, Piece, Writing, begin, commit, put, stage};

/// What tells one version of a file from another.
pub fn etag(file: &File) -> String {
    format!("0x{:X}", file.id.as_u64_pair().0)
}

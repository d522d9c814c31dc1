//! Locks on messages and feedback, as the `ETag` header tells them.

use crate::fault::Fault;
use uuid::Uuid;

/// A lock token as the `ETag` header gave it.
pub(crate) fn token(text: &str) -> Result<Uuid, Fault> {
    // One that this hub never gave is as good as one whose time is over.
    text.trim_matches('"').parse().map_err(|_| Fault::new(412, 412_001, "the lock token is not known"))
}

/// What is wrong with a lock has a code of its own.
pub(crate) fn lost(fault: Fault) -> Fault {
    if fault.status == 412 { Fault { code: 412_001, ..fault } } else { fault }
}

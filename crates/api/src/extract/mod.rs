//! What handlers take out of a request.

mod body;
mod caller;
mod cookie;
pub(crate) mod csrf;
mod etag;
mod paging;
mod peer;
mod query;
pub(crate) mod version;

pub(crate) use body::{Object, limits};
pub(crate) use caller::{Authenticated, Credential};
pub(crate) use cookie::{ended_session_cookie, new_session_cookie, session_cookie};
pub(crate) use etag::IfMatchHeader;
pub(crate) use paging::Paged;
pub(crate) use peer::Peer;
pub(crate) use query::{Filters, instant_ms};

//! What happens around every request.

pub(crate) mod authenticate;
pub(crate) mod context;
pub(crate) mod cross_site;
mod security;

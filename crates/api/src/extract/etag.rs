//! The header `If-Match`.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use muster_engine::precondition::IfMatch;
use std::{
    convert::Infallible,
    future::{Ready, ready},
};

/// The caller's condition on the current version of what is changed.
pub(crate) struct IfMatchHeader(IfMatch);

impl IfMatchHeader {
    /// The header's condition, or without one that of the body's `etag`.
    pub(crate) fn or_body(self, etag: Option<&str>) -> IfMatch {
        match self.0 {
            IfMatch::Any => IfMatch::from_body(etag),
            condition => condition,
        }
    }
}

impl FromRequest for IfMatchHeader {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let value = request.headers().get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        ready(Ok(Self(IfMatch::parse(value))))
    }
}

//! Who asks.

use crate::error::ApiError;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use muster_engine::EngineError;
use muster_model::Caller;
use secrecy::SecretString;
use std::{
    future::{Ready, ready},
    ops::Deref,
};

/// What a request proves itself with.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// The text of an API token.
    Token(SecretString),
    /// The token in the session's cookie.
    Session(SecretString),
}

/// Who asks, as [`crate::middleware::authenticate`] found out; a request from nobody is refused.
pub(crate) struct Authenticated(Caller);

impl Deref for Authenticated {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequest for Authenticated {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.map(Self).ok_or(ApiError::Engine(EngineError::Unauthenticated)))
    }
}

//! Who asks: a service that holds a policy.

use super::reply;
use crate::{Hub, fault::Fault, https, limits::Kind};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, error::InternalError, http::header::AUTHORIZATION, web::Data,
};
use muster_engine::{
    Engine,
    policies::{self, PolicyCaller, PolicyRefused, Right},
    precondition::IfMatch,
};
use muster_model::Caller;
use std::{future::Future, pin::Pin};

/// A request of a service whose token is good.
pub(crate) struct Service {
    hub: Data<Hub>,
    holder: PolicyCaller,
    request: HttpRequest,
}

impl Service {
    /// The use cases.
    pub(crate) fn engine(&self) -> &Engine {
        &self.hub.engine
    }

    /// The caller of use cases, if the policy grants the right.
    pub(crate) fn may(&self, right: Right) -> Result<Caller, Fault> {
        if self.holder.has(right) {
            return Ok(self.holder.caller());
        }
        Err(Fault::new(401, 401_002, format!("policy '{}' does not grant this", self.holder.policy)))
    }

    /// A header's value, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// Every header whose name begins so: the rest of the name, and the value.
    pub(crate) fn headers(&self, prefix: &str) -> Vec<(String, String)> {
        let all = self.request.headers().iter();
        let own = all.filter_map(|(name, value)| Some((name.as_str().strip_prefix(prefix)?, value.to_str().ok()?)));
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// `If-Match`, where there is one.
    pub(crate) fn if_match(&self) -> Option<IfMatch> {
        self.header("if-match").map(|header| IfMatch::parse(Some(header)))
    }

    /// The answer, errors in the shape that the registry gives them.
    pub(crate) fn answer(&self, result: Result<HttpResponse, Fault>) -> HttpResponse {
        result.unwrap_or_else(|fault| reply::failure(&self.hub, &fault))
    }

    /// The answer, errors in the shape that methods and twins give them.
    pub(crate) fn answer_nested(&self, result: Result<HttpResponse, Fault>) -> HttpResponse {
        result.unwrap_or_else(|fault| reply::nested_failure(&self.hub, &fault))
    }
}

impl FromRequest for Service {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Self::Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let hub = request.app_data::<Data<Hub>>().cloned();
            let hub = hub.ok_or_else(|| actix_web::error::ErrorInternalServerError("the hub is not there"))?;
            match authenticate(&hub, &request).await {
                Ok(holder) => Ok(Self { hub, holder, request }),
                Err(fault) => {
                    let response = reply::failure(&hub, &fault);
                    Err(InternalError::from_response("the service is not let in", response).into())
                }
            }
        })
    }
}

async fn authenticate(hub: &Hub, request: &HttpRequest) -> Result<PolicyCaller, Fault> {
    let unauthorized = |message: &str| Fault::new(401, 401_003, message);
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let authorization = text(AUTHORIZATION).ok_or_else(|| unauthorized("there is no Authorization header"))?;
    let host = https::host(request);
    let holder = policies::authenticate(&hub.engine, host, authorization).await.map_err(|refused| match refused {
        PolicyRefused::BadCredential { reason } => {
            tracing::debug!(reason, "a service was refused");
            unauthorized("the token is not valid")
        }
        PolicyRefused::Unavailable(error) => error.into(),
    })?;
    let share = hub.limits.of_tenant(holder.scope.tenant);
    share.pass(Kind::Calls, 1).await.map_err(|_| Fault::throttled())?;
    Ok(holder)
}

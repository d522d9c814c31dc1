//! Who asks, in which tenant: a token in the header `Authorization`, or the session's cookie.

use crate::{
    app::Api,
    error::ApiError,
    extract::{Credential, csrf, session_cookie, version},
};
use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header,
    middleware::Next,
    web::Data,
};
use muster_engine::{EngineError, identity};
use muster_model::{Caller, TenantId};
use secrecy::ExposeSecret;

/// Around every resource of a tenant. A request without credentials goes on and is refused by the extractor
/// [`crate::extract::Authenticated`], so that an address that does not exist is 404 for everybody.
pub(crate) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    version::check(request.query_string())?;
    let Some(api) = request.app_data::<Data<Api>>().cloned() else {
        return Err(ApiError::NoRoute.into());
    };
    if let Some(credential) = credential(&request) {
        let tenant = tenant_of_address(&request, &api.parts().config.base_domain)?;
        let caller = identify(&api, &credential, tenant.as_ref()).await?;
        if let Credential::Session(token) = &credential {
            csrf::check(request.request(), token, &api.parts().config.public_url)?;
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(credential);
    }
    next.call(request).await
}

/// The caller behind a credential, in the tenant that the address names. Outside of it there is nothing to find.
pub(crate) async fn identify(
    api: &Api,
    credential: &Credential,
    tenant: Option<&TenantId>,
) -> Result<Caller, ApiError> {
    match credential {
        Credential::Token(token) => {
            let caller = identity::api_token(api.engine(), token.expose_secret()).await?;
            match tenant {
                Some(tenant) if *tenant != caller.tenant => Err(ApiError::not_found("tenant", tenant)),
                _ => Ok(caller),
            }
        }
        Credential::Session(token) => {
            let tenant = tenant.ok_or(ApiError::TenantRequired)?;
            Ok(identity::session(api.engine(), token.expose_secret(), tenant).await?)
        }
    }
}

fn credential(request: &ServiceRequest) -> Option<Credential> {
    match request.headers().get(header::AUTHORIZATION) {
        // Bytes that are no text are no token, but they are a try.
        Some(value) => Some(Credential::Token(value.to_str().unwrap_or_default().into())),
        None => session_cookie(request.request()).map(Credential::Session),
    }
}

/// `/t/{tenant}/…`, or `{tenant}.{base_domain}`.
fn tenant_of_address(request: &ServiceRequest, base_domain: &str) -> Result<Option<TenantId>, ApiError> {
    let in_path = request.match_info().get("tenant").map(str::to_owned);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(name) = in_path.or_else(|| subdomain(host?, base_domain)) else { return Ok(None) };
    TenantId::parse(name.as_str()).map(Some).map_err(|_| EngineError::not_found("tenant", name).into())
}

/// `acme.example.com:8443` below `example.com` → `acme`
fn subdomain(host: &str, base_domain: &str) -> Option<String> {
    if base_domain.is_empty() {
        return None;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let label = name.strip_suffix(&base_domain.to_ascii_lowercase())?.strip_suffix('.')?;
    (!label.is_empty()).then(|| label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_read_from_its_subdomain() {
        for (host, expected) in [
            ("acme.example.com", Some("acme")),
            ("Acme.Example.com:8443", Some("acme")),
            ("example.com", None),
            ("acmeexample.com", None),
            ("acme.example.org", None),
        ] {
            assert_eq!(subdomain(host, "example.com").as_deref(), expected, "{host}");
            assert_eq!(subdomain(host, ""), None);
        }
    }
}

//! Signing in and out.

use crate::{
    app::Api,
    error::ApiError,
    extract::{self, Object, Peer, csrf, ended_session_cookie, new_session_cookie, session_cookie},
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Data, Json, ServiceConfig},
};
use muster_contract::{
    error::ErrorBody,
    session::{Membership, SessionInfo, SessionUser, SignIn},
};
use muster_engine::{
    EngineError,
    identity::{self, Account},
};
use secrecy::{ExposeSecret, SecretString};

/// The one resource; it belongs to no tenant.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let resource = web::resource("").post(create_session).get(get_session).delete(delete_session);
    service.service(web::scope("/session").configure(extract::limits).service(resource));
}

/// Sign in
///
/// The answer sets the session's cookie. After too many failures: 429 with `Retry-After`.
#[utoipa::path(post, path = "/api/session", tag = "session", request_body = SignIn,
    responses((status = 200, body = SessionInfo), (status = "default", body = ErrorBody)))]
pub(crate) async fn create_session(
    api: Data<Api>,
    peer: Peer,
    request: HttpRequest,
    body: Json<Object<SignIn>>,
) -> Result<HttpResponse, ApiError> {
    let config = &api.parts().config;
    csrf::check_site(&request, &config.public_url)?;
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let SignIn { email, password } = body.into_inner().0;
    let attempt = identity::SignIn { email, password: password.into(), peer: peer.0, user_agent: agent.to_owned() };
    let signed_in = identity::sign_in(api.engine(), attempt).await?;
    let cookie = new_session_cookie(&signed_in.session_token, config.secure_cookies);
    Ok(HttpResponse::Ok().cookie(cookie).json(info(signed_in.account, &signed_in.session_token)))
}

/// Who is signed in
#[utoipa::path(get, path = "/api/session", tag = "session",
    responses((status = 200, body = SessionInfo), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_session(api: Data<Api>, request: HttpRequest) -> Result<Json<SessionInfo>, ApiError> {
    let token = session_cookie(&request).ok_or(EngineError::Unauthenticated)?;
    let account = identity::tenants_of(api.engine(), token.expose_secret()).await?;
    Ok(Json(info(account, &token)))
}

/// Sign out
#[utoipa::path(delete, path = "/api/session", tag = "session",
    responses((status = 204, description = "signed out"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_session(api: Data<Api>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let config = &api.parts().config;
    if let Some(token) = session_cookie(&request) {
        csrf::check(&request, &token, &config.public_url)?;
        identity::sign_out(api.engine(), token.expose_secret()).await?;
    }
    Ok(HttpResponse::NoContent().cookie(ended_session_cookie(config.secure_cookies)).finish())
}

fn info(account: Account, token: &SecretString) -> SessionInfo {
    let tenants = account.tenancies.into_iter().map(|tenancy| Membership {
        id: tenancy.tenant,
        display_name: tenancy.tenant_name,
        role: tenancy.role,
    });
    SessionInfo {
        user: SessionUser { email: account.email, display_name: account.display_name },
        tenants: tenants.collect(),
        csrf: csrf::token(token),
    }
}

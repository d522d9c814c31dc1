//! `/apiTokens`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Object, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use chrono::DateTime;
use muster_contract::{
    error::ErrorBody,
    page::Page,
    token::{ApiToken, ApiTokenInput},
    user::RoleAssignment,
};
use muster_engine::{EngineError, Problem, identity::tokens as engine};
use muster_model::{Role, TokenId};
use secrecy::ExposeSecret;
use serde::Deserialize;

/// The routes of API tokens.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let token = web::resource("/apiTokens/{tokenId}").get(get_api_token).put(create_api_token);
    service.service(web::resource("/apiTokens").get(list_api_tokens)).service(token.delete(delete_api_token));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenPath {
    token_id: TokenId,
}

/// The tenant's API tokens, in the order of their ids
#[utoipa::path(get, path = "/api/apiTokens", tag = "apiTokens",
    responses((status = 200, body = Page<ApiToken>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_api_tokens(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<ApiToken>>, ApiError> {
    let page = engine::list(api.engine(), &caller, paged.after()?).await?;
    Ok(Json(paged.page(page, |token| token.id.clone(), wire)))
}

/// An API token, without its text
#[utoipa::path(get, path = "/api/apiTokens/{tokenId}", tag = "apiTokens",
    responses((status = 200, body = ApiToken), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_api_token(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TokenPath>,
) -> Result<Json<ApiToken>, ApiError> {
    Ok(Json(wire(engine::get(api.engine(), &caller, &path.token_id).await?)))
}

/// Create an API token; only this answer holds its text
#[utoipa::path(put, path = "/api/apiTokens/{tokenId}", tag = "apiTokens", request_body = ApiTokenInput,
    responses((status = 200, body = ApiToken), (status = "default", body = ErrorBody)))]
pub(crate) async fn create_api_token(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TokenPath>,
    body: Json<Object<ApiTokenInput>>,
) -> Result<Json<ApiToken>, ApiError> {
    let body = body.into_inner().0;
    let new = engine::NewToken { id: path.into_inner().token_id, role: role(&body.roles)?, expires_at: body.expiry };
    let created = engine::create(api.engine(), &caller, new).await?;
    let token = Some(created.text.expose_secret().to_owned());
    Ok(Json(ApiToken { token, ..wire(created.token) }))
}

/// Revoke an API token
#[utoipa::path(delete, path = "/api/apiTokens/{tokenId}", tag = "apiTokens",
    responses((status = 204, description = "revoked"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_api_token(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TokenPath>,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.token_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The one built-in role that a token is asked to have.
fn role(roles: &[RoleAssignment]) -> Result<Role, ApiError> {
    let problem = |pointer: &str, message: &str| {
        ApiError::from(EngineError::Invalid { problems: vec![Problem::at("roles", pointer, message)] })
    };
    let [assignment] = roles else { return Err(problem("/roles", "an API token has exactly one role")) };
    if assignment.organization.is_some() {
        return Err(problem("/roles/0/organization", "there are no organizations in this tenant"));
    }
    Role::from_id(assignment.role).ok_or_else(|| problem("/roles/0/role", "there is no role with this id"))
}

fn wire(token: engine::ApiToken) -> ApiToken {
    ApiToken {
        id: token.id,
        roles: vec![token.role.into()],
        expiry: token.expires_at.unwrap_or(DateTime::<chrono::Utc>::MAX_UTC),
        token: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_known_role() {
        let operator = RoleAssignment::from(Role::Operator);
        assert_eq!(role(std::slice::from_ref(&operator)).unwrap(), Role::Operator);
        let unknown = RoleAssignment { role: uuid::Uuid::nil(), organization: None };
        let bound = RoleAssignment { organization: Some("north".into()), ..operator.clone() };
        for roles in [vec![], vec![operator.clone(), operator], vec![unknown], vec![bound]] {
            assert!(role(&roles).is_err(), "{roles:?}");
        }
    }
}

//! `/users` and `/roles`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Paged},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    user::{Role, User},
};
use muster_model::{Permission, Role as ModelRole, UserId};
use muster_store::users::{self, Member};
use serde::Deserialize;
use uuid::Uuid;

/// The routes of users and roles.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/users").get(list_users))
        .service(web::resource("/users/{userId}").get(get_user))
        .service(web::resource("/roles").get(list_roles))
        .service(web::resource("/roles/{roleId}").get(get_role));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserPath {
    user_id: UserId,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolePath {
    role_id: Uuid,
}

/// The tenant's users, in the order of their ids
#[utoipa::path(get, path = "/api/users", tag = "users",
    responses((status = 200, body = Page<User>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_users(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<User>>, ApiError> {
    caller.require(Permission::UsersView)?;
    let tx = api.read(&caller).await?;
    let page = users::list_members(&tx, &caller.scope, paged.after()?).await?;
    Ok(Json(paged.page(page, |member| member.user.id.clone(), wire)))
}

/// A user
#[utoipa::path(get, path = "/api/users/{userId}", tag = "users",
    responses((status = 200, body = User), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_user(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<UserPath>,
) -> Result<Json<User>, ApiError> {
    caller.require(Permission::UsersView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(wire(users::get_member(&tx, &caller.scope, &path.user_id).await?)))
}

/// The roles that users and API tokens can have
#[utoipa::path(get, path = "/api/roles", tag = "roles",
    responses((status = 200, body = Page<Role>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_roles(_caller: Authenticated) -> Json<Page<Role>> {
    Json(Page::whole(ModelRole::ALL.into_iter().map(Role::from).collect()))
}

/// A role
#[utoipa::path(get, path = "/api/roles/{roleId}", tag = "roles",
    responses((status = 200, body = Role), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_role(_caller: Authenticated, path: Path<RolePath>) -> Result<Json<Role>, ApiError> {
    let role = ModelRole::from_id(path.role_id).ok_or_else(|| ApiError::not_found("role", path.role_id))?;
    Ok(Json(role.into()))
}

fn wire(member: Member) -> User {
    User::Email { id: member.user.id, email: member.user.email, roles: vec![member.role.into()] }
}

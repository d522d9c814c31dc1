//! `/dashboards`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, IfMatchHeader, Object, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    dashboard::{Dashboard, DashboardInput, DashboardPatch},
    error::ErrorBody,
    page::Page,
};
use muster_engine::dashboards as engine;
use muster_model::{DashboardId, Permission};
use muster_store::dashboards;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The routes of dashboards.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let dashboard = web::resource("/dashboards/{dashboardId}").get(get_dashboard).put(put_dashboard);
    service
        .service(web::resource("/dashboards").get(list_dashboards))
        .service(dashboard.patch(patch_dashboard).delete(delete_dashboard));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DashboardPath {
    dashboard_id: DashboardId,
}

/// The tenant's dashboards, in the order of their ids
#[utoipa::path(get, path = "/api/dashboards", tag = "dashboards",
    responses((status = 200, body = Page<Dashboard>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_dashboards(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<Dashboard>>, ApiError> {
    caller.require(Permission::DashboardsView)?;
    let tx = api.read(&caller).await?;
    let page = dashboards::list(&tx, &caller.scope, paged.after()?).await?;
    Ok(Json(paged.page(page, |dashboard| dashboard.id.clone(), Dashboard::from)))
}

/// A dashboard
#[utoipa::path(get, path = "/api/dashboards/{dashboardId}", tag = "dashboards",
    responses((status = 200, body = Dashboard), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_dashboard(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DashboardPath>,
) -> Result<Json<Dashboard>, ApiError> {
    caller.require(Permission::DashboardsView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(dashboards::get(&tx, &caller.scope, &path.dashboard_id).await?.into()))
}

/// Create a dashboard, or replace the one of this id
#[utoipa::path(put, path = "/api/dashboards/{dashboardId}", tag = "dashboards", request_body = DashboardInput,
    responses((status = 200, body = Dashboard), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_dashboard(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DashboardPath>,
    condition: IfMatchHeader,
    body: Json<Object<DashboardInput>>,
) -> Result<Json<Dashboard>, ApiError> {
    let body = body.into_inner().0;
    let condition = condition.or_body(body.etag.as_deref());
    let dashboard = body.into_dashboard(path.into_inner().dashboard_id);
    Ok(Json(engine::put(api.engine(), &caller, dashboard, &condition).await?.into()))
}

/// Change a dashboard by a merge patch
#[utoipa::path(patch, path = "/api/dashboards/{dashboardId}", tag = "dashboards", request_body = DashboardPatch,
    responses((status = 200, body = Dashboard), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_dashboard(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DashboardPath>,
    condition: IfMatchHeader,
    body: Json<Map<String, Value>>,
) -> Result<Json<Dashboard>, ApiError> {
    let condition = condition.or_body(body.get("etag").and_then(Value::as_str));
    Ok(Json(engine::patch(api.engine(), &caller, &path.dashboard_id, &body, &condition).await?.into()))
}

/// Delete a dashboard
#[utoipa::path(delete, path = "/api/dashboards/{dashboardId}", tag = "dashboards",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_dashboard(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DashboardPath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.dashboard_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

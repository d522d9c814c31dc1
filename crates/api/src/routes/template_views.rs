//! `/deviceTemplates/{id}/views` (ours)

use super::templates::TemplatePath;
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, IfMatchHeader, Object},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    view::{TemplateView, TemplateViewInput},
};
use muster_engine::templates as engine;
use muster_model::{TemplateId, ViewId};
use serde::Deserialize;

/// The routes of views. Making the default ones has an address of its own, which no view's is.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let all = web::resource("/deviceTemplates/{deviceTemplateId}/views");
    let one = web::resource("/deviceTemplates/{deviceTemplateId}/views/{viewId}");
    service
        .service(all.get(list_template_views).post(generate_template_views))
        .service(one.get(get_template_view).put(put_template_view).delete(delete_template_view));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ViewPath {
    device_template_id: TemplateId,
    view_id: ViewId,
}

/// The views of a device template, in their order
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/views", tag = "deviceTemplates",
    responses((status = 200, body = Page<TemplateView>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_template_views(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<Page<TemplateView>>, ApiError> {
    let views = engine::list_views(api.engine(), &caller, &path.device_template_id).await?;
    Ok(Json(Page::whole(views.into_iter().map(TemplateView::from).collect())))
}

/// Make the views that a device template has by default
///
/// An overview of its telemetry, its properties, a form for those that can be set, and its commands. Views of the same
/// ids are replaced, others stay.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/views", tag = "deviceTemplates",
    responses((status = 200, body = Page<TemplateView>), (status = "default", body = ErrorBody)))]
pub(crate) async fn generate_template_views(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<Page<TemplateView>>, ApiError> {
    let views = engine::generate_views(api.engine(), &caller, &path.device_template_id).await?;
    Ok(Json(Page::whole(views.into_iter().map(TemplateView::from).collect())))
}

/// A view of a device template
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/views/{viewId}", tag = "deviceTemplates",
    responses((status = 200, body = TemplateView), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_template_view(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ViewPath>,
) -> Result<Json<TemplateView>, ApiError> {
    let view = engine::view(api.engine(), &caller, &path.device_template_id, &path.view_id).await?;
    Ok(Json(view.into()))
}

/// Create a view, or replace the one of this id
#[utoipa::path(put, path = "/api/deviceTemplates/{deviceTemplateId}/views/{viewId}", tag = "deviceTemplates",
    request_body = TemplateViewInput,
    responses((status = 200, body = TemplateView), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_template_view(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ViewPath>,
    condition: IfMatchHeader,
    body: Json<Object<TemplateViewInput>>,
) -> Result<Json<TemplateView>, ApiError> {
    let body = body.into_inner().0;
    let condition = condition.or_body(body.etag.as_deref());
    let ViewPath { device_template_id, view_id } = path.into_inner();
    let view =
        engine::put_view(api.engine(), &caller, &device_template_id, body.into_view(view_id), &condition).await?;
    Ok(Json(view.into()))
}

/// Delete a view
#[utoipa::path(delete, path = "/api/deviceTemplates/{deviceTemplateId}/views/{viewId}", tag = "deviceTemplates",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_template_view(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ViewPath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    let of = (&path.device_template_id, &path.view_id);
    engine::delete_view(api.engine(), &caller, of, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! `/deviceTemplates`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, IfMatchHeader, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Json, Path, ServiceConfig},
};
use muster_contract::{error::ErrorBody, page::Page, template::DeviceTemplate};
use muster_engine::templates as engine;
use muster_model::{
    Caller, Permission, TemplateId,
    template::{Template, catalogue},
};
use muster_store::{Tx, templates};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Members of the answer that are not part of the document.
const READ_ONLY: [&str; 4] = ["etag", "capabilities", "published", "draft"];

/// The routes of device templates.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let template = web::resource("/deviceTemplates/{deviceTemplateId}").get(get_device_template);
    service
        .service(web::resource("/deviceTemplates").get(list_device_templates).post(import_device_template))
        .service(web::resource("/templateCatalogue").get(get_template_catalogue))
        .service(template.put(put_device_template).patch(patch_device_template).delete(delete_device_template));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplatePath {
    pub(crate) device_template_id: TemplateId,
}

/// The tenant's device templates, in the order of their ids
#[utoipa::path(get, path = "/api/deviceTemplates", tag = "deviceTemplates",
    responses((status = 200, body = Page<DeviceTemplate>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_templates(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<DeviceTemplate>>, ApiError> {
    caller.require(Permission::TemplatesView)?;
    let tx = api.read(&caller).await?;
    let stored = templates::list(&tx, &caller.scope, paged.after()?).await?;
    let items = stored.items.into_iter().map(engine::load).collect::<Result<Vec<_>, _>>()?;
    let page = muster_store::Page { items, more: stored.more };
    Ok(Json(paged.page(page, |template| template.id.clone(), |template| DeviceTemplate::from(&template))))
}

/// A device template
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}", tag = "deviceTemplates",
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<DeviceTemplate>, ApiError> {
    caller.require(Permission::TemplatesView)?;
    let tx = api.read(&caller).await?;
    let stored = templates::get(&tx, &caller.scope, &path.device_template_id).await?;
    Ok(Json(DeviceTemplate::from(&engine::load(stored)?)))
}

/// Templates for common kinds of sensors (ours)
///
/// A device that says one of their ids when it first connects gets the template without anybody's doing; to have one
/// before, import its document.
#[utoipa::path(get, path = "/api/templateCatalogue", tag = "deviceTemplates",
    responses((status = 200, body = Page<DeviceTemplate>), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_template_catalogue(caller: Authenticated) -> Result<Json<Page<DeviceTemplate>>, ApiError> {
    caller.require(Permission::TemplatesView)?;
    Ok(Json(Page::whole(catalogue().iter().map(DeviceTemplate::from).collect())))
}

/// Create a device template, or replace the one of this id
///
/// The body is IoT Central's JSON, a DTDL interface, or a list of interfaces. A refusal lists every problem with its
/// line and column.
#[utoipa::path(put, path = "/api/deviceTemplates/{deviceTemplateId}", tag = "deviceTemplates",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_device_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
    body: Bytes,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let text = text(&body)?;
    let condition = condition.or_body(etag_of(text).as_deref());
    let template = engine::put(api.engine(), &caller, &path.device_template_id, text, &condition).await?;
    Ok(Json(DeviceTemplate::from(&template)))
}

/// Import a document that names its own id
///
/// As `PUT`, for a file whose id is in it.
#[utoipa::path(post, path = "/api/deviceTemplates", tag = "deviceTemplates",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn import_device_template(
    api: Data<Api>,
    caller: Authenticated,
    body: Bytes,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let template = engine::import(api.engine(), &caller, text(&body)?).await?;
    Ok(Json(DeviceTemplate::from(&template)))
}

/// Change a device template by a merge patch
#[utoipa::path(patch, path = "/api/deviceTemplates/{deviceTemplateId}", tag = "deviceTemplates", request_body = Object,
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_device_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
    body: Json<Map<String, Value>>,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let mut patch = body.into_inner();
    let condition = condition.or_body(patch.get("etag").and_then(Value::as_str));
    READ_ONLY.iter().for_each(|name| drop(patch.remove(*name)));
    let template = engine::patch(api.engine(), &caller, &path.device_template_id, &patch, &condition).await?;
    Ok(Json(DeviceTemplate::from(&template)))
}

/// Delete a device template that nothing uses
#[utoipa::path(delete, path = "/api/deviceTemplates/{deviceTemplateId}", tag = "deviceTemplates",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_device_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.device_template_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The template of a device, if it has one.
pub(crate) async fn find_template(
    tx: &Tx,
    caller: &Caller,
    id: Option<&TemplateId>,
) -> Result<Option<Template>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    Ok(templates::find(tx, &caller.scope, id).await?.map(engine::load).transpose()?)
}

/// The text is read by the model, which says where in it a problem is.
pub(crate) fn text(body: &Bytes) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| ApiError::malformed("notJson", "the body is not UTF-8"))
}

pub(crate) fn etag_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Tagged {
        etag: Option<String>,
    }
    serde_json::from_str::<Tagged>(text).ok()?.etag
}

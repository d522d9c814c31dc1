//! `/devices`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, IfMatchHeader, Object, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    device::{Device, DeviceCredentials, DeviceInput, DevicePatch},
    error::ErrorBody,
    page::Page,
};
use muster_engine::devices as engine;
use muster_model::{DeviceId, Permission};
use muster_store::devices::{self, DeviceFilter};
use serde::Deserialize;

/// Longer texts find nothing.
const MAX_SEARCH_CHARS: usize = 128;

/// The routes of devices.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let device = web::resource("/devices/{deviceId}").get(get_device).put(put_device).patch(patch_device);
    service
        .service(web::resource("/devices").get(list_devices))
        .service(device.delete(delete_device))
        .service(web::resource("/devices/{deviceId}/credentials").get(get_device_credentials));
}

/// The device in an address.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevicePath {
    pub(crate) device_id: DeviceId,
}

/// The tenant's devices, in the order of their ids
#[utoipa::path(get, path = "/api/devices", tag = "devices",
    params(
        ("template" = Option<String>, Query, description = "only of this device template"),
        ("q" = Option<String>, Query, description = "only those whose name or id holds this"),
        ("connected" = Option<bool>, Query), ("simulated" = Option<bool>, Query), ("enabled" = Option<bool>, Query)),
    responses((status = 200, body = Page<Device>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_devices(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
    paged: Paged,
) -> Result<Json<Page<Device>>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let (filter, paging) = (device_filter(&filters)?, paged.after()?);
    let tx = api.read(&caller).await?;
    let page = devices::list(&tx, &caller.scope, &filter, paging).await?;
    Ok(Json(paged.page(page, |device| device.id.clone(), Device::from)))
}

/// Which devices a query asks for.
pub(crate) fn device_filter(filters: &Filters) -> Result<DeviceFilter, ApiError> {
    Ok(DeviceFilter {
        template: filters.get("template")?,
        templates: Vec::new(),
        search: filters.text("q").map(|text| text.chars().take(MAX_SEARCH_CHARS).collect()),
        connected: filters.get("connected")?,
        simulated: filters.get("simulated")?,
        enabled: filters.get("enabled")?,
    })
}

/// A device
#[utoipa::path(get, path = "/api/devices/{deviceId}", tag = "devices",
    responses((status = 200, body = Device), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
) -> Result<Json<Device>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(devices::get(&tx, &caller.scope, &path.device_id).await?.into()))
}

/// Create a device, or change the one of this id
#[utoipa::path(put, path = "/api/devices/{deviceId}", tag = "devices", request_body = DeviceInput,
    responses((status = 200, body = Device), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_device(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    condition: IfMatchHeader,
    body: Json<Object<DeviceInput>>,
) -> Result<Json<Device>, ApiError> {
    let body = body.into_inner().0;
    let condition = condition.or_body(body.etag.as_deref());
    let new = engine::NewDevice {
        id: path.into_inner().device_id,
        display_name: body.display_name,
        template: body.template,
        enabled: body.enabled.unwrap_or(true),
        simulated: body.simulated.unwrap_or(false),
    };
    Ok(Json(engine::put(api.engine(), &caller, new, &condition).await?.into()))
}

/// Change a device by a merge patch
#[utoipa::path(patch, path = "/api/devices/{deviceId}", tag = "devices", request_body = DevicePatch,
    responses((status = 200, body = Device), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_device(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    condition: IfMatchHeader,
    body: Json<Object<DevicePatch>>,
) -> Result<Json<Device>, ApiError> {
    let DevicePatch { display_name, template, enabled, simulated, etag } = body.into_inner().0;
    let condition = condition.or_body(etag.as_deref());
    let patch = engine::DevicePatch { display_name, template, enabled, simulated, status_reason: None };
    Ok(Json(engine::update(api.engine(), &caller, &path.device_id, patch, &condition).await?.into()))
}

/// Delete a device
#[utoipa::path(delete, path = "/api/devices/{deviceId}", tag = "devices",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_device(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.device_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a device needs to connect
#[utoipa::path(get, path = "/api/devices/{deviceId}/credentials", tag = "devices",
    responses((status = 200, body = DeviceCredentials), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device_credentials(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
) -> Result<Json<DeviceCredentials>, ApiError> {
    let credentials = engine::credentials(api.engine(), &caller, &path.device_id).await?;
    let symmetric_key = Some(credentials.symmetric_key);
    Ok(Json(DeviceCredentials { id_scope: credentials.id_scope, symmetric_key }))
}

//! `/deviceGroups`

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
    device::Device,
    error::ErrorBody,
    group::{DeviceGroup, DeviceGroupInput, DeviceGroupPatch, DeviceGroupPreview},
    page::Page,
};
use muster_engine::groups as engine;
use muster_model::{DeviceGroupId, Permission};
use muster_store::groups;
use serde::Deserialize;

/// The routes of device groups.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let group = web::resource("/deviceGroups/{deviceGroupId}").get(get_device_group).put(put_device_group);
    service
        .service(web::resource("/deviceGroups").get(list_device_groups))
        .service(web::resource("/deviceGroupPreview").post(preview_device_group))
        .service(web::resource("/deviceGroups/{deviceGroupId}/devices").get(list_device_group_devices))
        .service(group.patch(patch_device_group).delete(delete_device_group));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupPath {
    device_group_id: DeviceGroupId,
}

/// The tenant's device groups, in the order of their ids
#[utoipa::path(get, path = "/api/deviceGroups", tag = "deviceGroups",
    responses((status = 200, body = Page<DeviceGroup>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_groups(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<DeviceGroup>>, ApiError> {
    caller.require(Permission::GroupsView)?;
    let tx = api.read(&caller).await?;
    let page = groups::list(&tx, &caller.scope, paged.after()?).await?;
    Ok(Json(paged.page(page, |group| group.id.clone(), DeviceGroup::from)))
}

/// A device group
#[utoipa::path(get, path = "/api/deviceGroups/{deviceGroupId}", tag = "deviceGroups",
    responses((status = 200, body = DeviceGroup), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device_group(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
) -> Result<Json<DeviceGroup>, ApiError> {
    caller.require(Permission::GroupsView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(groups::get(&tx, &caller.scope, &path.device_group_id).await?.into()))
}

/// Create a device group, or replace the one of this id
#[utoipa::path(put, path = "/api/deviceGroups/{deviceGroupId}", tag = "deviceGroups", request_body = DeviceGroupInput,
    responses((status = 200, body = DeviceGroup), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_device_group(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
    condition: IfMatchHeader,
    body: Json<Object<DeviceGroupInput>>,
) -> Result<Json<DeviceGroup>, ApiError> {
    let DeviceGroupInput { display_name, filter, description, etag } = body.into_inner().0;
    let condition = condition.or_body(etag.as_deref());
    let new = engine::NewGroup { display_name, description, filter };
    Ok(Json(engine::put(api.engine(), &caller, &path.device_group_id, new, &condition).await?.into()))
}

/// Change a device group by a merge patch
#[utoipa::path(patch, path = "/api/deviceGroups/{deviceGroupId}", tag = "deviceGroups", request_body = DeviceGroupPatch,
    responses((status = 200, body = DeviceGroup), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_device_group(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
    condition: IfMatchHeader,
    body: Json<Object<DeviceGroupPatch>>,
) -> Result<Json<DeviceGroup>, ApiError> {
    let DeviceGroupPatch { display_name, filter, description, etag } = body.into_inner().0;
    let condition = condition.or_body(etag.as_deref());
    let patch = engine::GroupPatch { display_name, description, filter };
    Ok(Json(engine::patch(api.engine(), &caller, &path.device_group_id, patch, &condition).await?.into()))
}

/// Delete a device group; its devices stay
#[utoipa::path(delete, path = "/api/deviceGroups/{deviceGroupId}", tag = "deviceGroups",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_device_group(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.device_group_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The devices of a group, in the order of their ids
///
/// A page looks at 10,000 devices at most: it may be short, or empty, and still have a next one.
#[utoipa::path(get, path = "/api/deviceGroups/{deviceGroupId}/devices", tag = "deviceGroups",
    responses((status = 200, body = Page<Device>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_group_devices(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
    paged: Paged,
) -> Result<Json<Page<Device>>, ApiError> {
    let members = engine::members(api.engine(), &caller, &path.device_group_id, paged.after()?).await?;
    Ok(Json(paged.page_after(members.devices, members.next, Device::from)))
}

/// The devices that a group of this query would have (ours)
#[utoipa::path(post, path = "/api/deviceGroupPreview", tag = "deviceGroups", request_body = DeviceGroupPreview,
    responses((status = 200, body = Page<Device>), (status = "default", body = ErrorBody)))]
pub(crate) async fn preview_device_group(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
    body: Json<Object<DeviceGroupPreview>>,
) -> Result<Json<Page<Device>>, ApiError> {
    let members = engine::preview(api.engine(), &caller, &body.into_inner().0.filter, paged.after()?).await?;
    Ok(Json(paged.page_after(members.devices, members.next, Device::from)))
}

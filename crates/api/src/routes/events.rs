//! `/events` and `/devices/{deviceId}/events` (ours)

use super::devices::DevicePath;
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Paged},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use muster_contract::{error::ErrorBody, event::DeviceEvent, page::Page};
use muster_model::Permission;
use muster_store::{
    devices,
    events::{self, Entry},
};

/// The routes of events.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/events").get(list_events))
        .service(web::resource("/devices/{deviceId}/events").get(list_device_events));
}

/// What happened to devices and what went wrong with them, newest first
#[utoipa::path(get, path = "/api/events", tag = "devices",
    responses((status = 200, body = Page<DeviceEvent>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_events(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<DeviceEvent>>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let tx = api.read(&caller).await?;
    let page = events::list(&tx, &caller.scope, None, paged.after()?).await?;
    Ok(Json(paged.page(page, Entry::place, wire)))
}

/// What happened to a device and what went wrong with it, newest first
#[utoipa::path(get, path = "/api/devices/{deviceId}/events", tag = "devices",
    responses((status = 200, body = Page<DeviceEvent>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_events(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    paged: Paged,
) -> Result<Json<Page<DeviceEvent>>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?.id;
    let page = events::list(&tx, &caller.scope, Some(&device), paged.after()?).await?;
    Ok(Json(paged.page(page, Entry::place, wire)))
}

fn wire(entry: Entry) -> DeviceEvent {
    match entry {
        Entry::Event { event, .. } => DeviceEvent::Event {
            timestamp: event.at,
            device: event.device,
            module: event.module,
            operation: event.operation,
            body: event.body,
        },
        Entry::Failure(failure) => DeviceEvent::Failure {
            timestamp: failure.last_at,
            device: failure.device,
            code: failure.code,
            count: u64::try_from(failure.count).unwrap_or_default(),
            since: failure.first_at,
        },
    }
}

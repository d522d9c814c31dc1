//! `/devices/{deviceId}/properties`, of the root and of components.

use super::{devices::DevicePath, templates::find_template};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{error::ErrorBody, property::Properties};
use muster_engine::{
    properties::{self as engine, Write},
    twins::Change,
};
use muster_model::{
    Caller, DeviceId, Permission,
    properties::{Unmodelled, document},
};
use muster_store::{devices, twins};
use serde::Deserialize;
use serde_json::Value;

/// The routes of properties.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let of_device = web::resource("/devices/{deviceId}/properties").get(get_properties);
    let of_component = web::resource("/devices/{deviceId}/components/{componentName}/properties");
    service.service(of_device.put(replace_properties).patch(update_properties)).service(
        of_component.get(get_component_properties).put(replace_component_properties).patch(update_component_properties),
    );
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentPath {
    device_id: DeviceId,
    component_name: String,
}

/// A device's properties: reported, desired and cloud properties
#[utoipa::path(get, path = "/api/devices/{deviceId}/properties", tag = "properties",
    params(("unmodeled" = Option<bool>, Query, description = "also what the device template lacks")),
    responses((status = 200, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_properties(
    api: Data<Api>,
    caller: Authenticated,
    device: Path<DevicePath>,
    filters: Filters,
) -> Result<Json<Properties>, ApiError> {
    Ok(Json(read(&api, &caller, &device.device_id, &filters).await?.document))
}

/// Replace a device's writable and cloud properties
#[utoipa::path(put, path = "/api/devices/{deviceId}/properties", tag = "properties", request_body = Object,
    responses((status = 202, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn replace_properties(
    api: Data<Api>,
    caller: Authenticated,
    device: Path<DevicePath>,
    filters: Filters,
    body: Json<Properties>,
) -> Result<HttpResponse, ApiError> {
    let write = Write { component: None, body: &body, change: Change::Replace };
    accept(&api, &caller, &device.device_id, &filters, write).await
}

/// Change some of a device's writable and cloud properties
#[utoipa::path(patch, path = "/api/devices/{deviceId}/properties", tag = "properties", request_body = Object,
    responses((status = 202, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn update_properties(
    api: Data<Api>,
    caller: Authenticated,
    device: Path<DevicePath>,
    filters: Filters,
    body: Json<Properties>,
) -> Result<HttpResponse, ApiError> {
    let write = Write { component: None, body: &body, change: Change::Merge };
    accept(&api, &caller, &device.device_id, &filters, write).await
}

/// A component's properties
#[utoipa::path(get, path = "/api/devices/{deviceId}/components/{componentName}/properties", tag = "properties",
    params(("unmodeled" = Option<bool>, Query, description = "also what the device template lacks")),
    responses((status = 200, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_component_properties(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ComponentPath>,
    filters: Filters,
) -> Result<Json<Properties>, ApiError> {
    Ok(Json(read(&api, &caller, &path.device_id, &filters).await?.component(&path.component_name)?))
}

/// Replace a component's writable properties
#[utoipa::path(put, path = "/api/devices/{deviceId}/components/{componentName}/properties", tag = "properties",
    request_body = Object, responses((status = 202, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn replace_component_properties(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ComponentPath>,
    filters: Filters,
    body: Json<Properties>,
) -> Result<HttpResponse, ApiError> {
    let write = Write { component: Some(&path.component_name), body: &body, change: Change::Replace };
    accept(&api, &caller, &path.device_id, &filters, write).await
}

/// Change some of a component's writable properties
#[utoipa::path(patch, path = "/api/devices/{deviceId}/components/{componentName}/properties", tag = "properties",
    request_body = Object, responses((status = 202, body = Object), (status = "default", body = ErrorBody)))]
pub(crate) async fn update_component_properties(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<ComponentPath>,
    filters: Filters,
    body: Json<Properties>,
) -> Result<HttpResponse, ApiError> {
    let write = Write { component: Some(&path.component_name), body: &body, change: Change::Merge };
    accept(&api, &caller, &path.device_id, &filters, write).await
}

/// Writes, and answers with what is now wished for. The device answers in its own time: 202.
async fn accept(
    api: &Api,
    caller: &Caller,
    device: &DeviceId,
    filters: &Filters,
    write: Write<'_>,
) -> Result<HttpResponse, ApiError> {
    engine::write(api.engine(), caller, device, write).await?;
    let read = read(api, caller, device, filters).await?;
    let answer = match write.component {
        Some(component) => read.component(component)?,
        None => read.document,
    };
    Ok(HttpResponse::Accepted().json(answer))
}

/// A device's properties, and the components that its template has.
struct Read {
    document: Properties,
    components: Option<Vec<String>>,
}

async fn read(api: &Api, caller: &Caller, id: &DeviceId, filters: &Filters) -> Result<Read, ApiError> {
    caller.require(Permission::DevicesView)?;
    let unmodelled = match filters.get("unmodeled")? {
        Some(true) => Unmodelled::Shown,
        _ => Unmodelled::Hidden,
    };
    let tx = api.read(caller).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let twin = twins::get(&tx, &caller.scope, device.key).await?;
    let template = find_template(&tx, caller, device.template.as_ref()).await?;
    let document = document(template.as_ref(), &twin, unmodelled);
    let components = template.map(|template| template.components.into_iter().map(|component| component.name).collect());
    Ok(Read { document, components })
}

impl Read {
    /// The part of a component; it may be empty, but the template must have it where there is one.
    fn component(mut self, name: &str) -> Result<Properties, ApiError> {
        match self.document.remove(name) {
            Some(Value::Object(part)) => Ok(part),
            _ if self.components.is_some_and(|names| names.iter().any(|known| known == name)) => Ok(Properties::new()),
            _ => Err(ApiError::not_found("component", name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_component_is_there_where_the_template_or_the_device_has_it() {
        let read = |components: Option<&[&str]>| Read {
            document: json!({"fan": {"speed": 3}}).as_object().cloned().unwrap(),
            components: components.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        };
        assert_eq!(Value::Object(read(None).component("fan").unwrap()), json!({"speed": 3}));
        assert_eq!(read(Some(&["door"])).component("door").unwrap().len(), 0);
        assert!(read(Some(&["fan"])).component("door").is_err());
        assert!(read(None).component("door").is_err());
    }
}

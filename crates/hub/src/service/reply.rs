//! Answers and errors as Microsoft's service clients read them (`iot-hub-wire.md` §6).

use crate::{Hub, fault::Fault, https};
use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use muster_model::{DeviceId, ModuleId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use https::failure;

/// An error as methods and twins tell it: its JSON in the text of `Message`.
pub(crate) fn nested_failure(hub: &Hub, fault: &Fault) -> HttpResponse {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = String::from_utf8_lossy(&fault.body(hub.engine.clock().now())).into_owned();
    HttpResponse::build(status)
        .insert_header(("iothub-errorcode", https::name(fault)))
        .json(json!({"Message": message, "ExceptionMessage": ""}))
}

/// A document with its etag in the header.
pub(super) fn document(document: &Value, etag: &str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(etag) = document[etag].as_str() {
        response.insert_header((header::ETAG, format!("\"{etag}\"")));
    }
    response.json(document)
}

/// The JSON of a request, whatever its content type says.
pub(crate) fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::new(400, 400_004, format!("the body can not be read: {error}")))
}

pub(super) fn device(id: &str) -> Result<DeviceId, Fault> {
    DeviceId::parse(id).map_err(|error| Fault::new(400, 400_004, error.to_string()))
}

/// A device and a module of it.
pub(super) fn module((device_id, id): &(String, String)) -> Result<(DeviceId, ModuleId), Fault> {
    let module = ModuleId::parse(id).map_err(|error| Fault::new(400, 400_004, error.to_string()))?;
    Ok((device(device_id)?, module))
}

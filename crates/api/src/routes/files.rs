//! `/devices/{deviceId}/files` (ours)

use super::devices::DevicePath;
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Paged},
};
use actix_web::{
    HttpResponse,
    body::SizedStream,
    http::header::{CONTENT_DISPOSITION, ContentEncoding, ETAG},
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{error::ErrorBody, file::DeviceFile, page::Page};
use muster_engine::files as engine;
use muster_model::{DeviceId, FileName, Permission};
use muster_store::{
    devices,
    files::{self, File},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// The routes of files.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let file = web::resource("/devices/{deviceId}/files/{fileName:.+}").get(get_device_file).delete(delete_device_file);
    service.service(web::resource("/devices/{deviceId}/files").get(list_device_files)).service(file);
}

/// The file in an address.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FilePath {
    device_id: DeviceId,
    file_name: FileName,
}

/// A device's files in the order of their names
#[utoipa::path(get, path = "/api/devices/{deviceId}/files", tag = "files",
    responses((status = 200, body = Page<DeviceFile>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_files(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    paged: Paged,
) -> Result<Json<Page<DeviceFile>>, ApiError> {
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    caller.require(Permission::DevicesRawData)?;
    let page = files::list(&tx, &caller.scope, device.key, paged.after()?).await?;
    Ok(Json(paged.page(page, |file| file.name.clone(), wire)))
}

/// The bytes of a file; slashes of its name may stand as they are
#[utoipa::path(get, path = "/api/devices/{deviceId}/files/{fileName}", tag = "files",
    responses(
        (status = 200, description = "the bytes, as application/octet-stream"),
        (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device_file(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<FilePath>,
) -> Result<HttpResponse, ApiError> {
    let content = engine::open(api.engine(), &caller, &path.device_id, &path.file_name).await?;
    // A device's bytes are never shown as a page of ours, whatever it says that they are.
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((CONTENT_DISPOSITION, disposition(&path.file_name)))
        .insert_header((ETAG, format!("\"{}\"", engine::etag(&content.file))))
        // Nothing that changes the length: who fetches wants to know how far it is.
        .insert_header(ContentEncoding::Identity)
        .body(SizedStream::new(content.file.size_bytes, content.bytes)))
}

/// Delete a file
#[utoipa::path(delete, path = "/api/devices/{deviceId}/files/{fileName}", tag = "files",
    responses((status = 204, description = "deleted"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_device_file(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<FilePath>,
) -> Result<HttpResponse, ApiError> {
    engine::delete(api.engine(), &caller, &path.device_id, &path.file_name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// To be kept as a file, under the last part of its name (RFC 6266).
fn disposition(name: &FileName) -> String {
    let last = name.as_str().rsplit('/').next().unwrap_or_default();
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(last, NON_ALPHANUMERIC))
}

fn wire(file: File) -> DeviceFile {
    DeviceFile {
        etag: engine::etag(&file),
        name: file.name,
        size_bytes: file.size_bytes,
        content_type: file.content_type,
        created: file.created_at,
        last_modified: file.modified_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_break_out_of_its_header() {
        let name = FileName::parse("logs/a \"b\";\u{e4}.txt").unwrap();
        assert_eq!(disposition(&name), "attachment; filename*=UTF-8''a%20%22b%22%3B%C3%A4%2Etxt");
    }
}

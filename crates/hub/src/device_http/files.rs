//! File uploads: a device asks where it may write, and says when it has finished. The bytes go to `crate::blob`.

use super::caller;
use crate::{Hub, fault::Fault, https, service::body};
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use muster_engine::files::{self, GrantError, Outcome};
use muster_model::{FileName, UploadId};
use serde::Deserialize;
use serde_json::json;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices/{id}/{path:(?i:files)}", web::post().to(begin_upload))
        .route("/devices/{id}/{path:(?i:files/notifications)}", web::post().to(finish_upload))
        .route("/devices/{id}/{path:(?i:files/notifications)}/{correlation}", web::post().to(finish_named_upload));
}

/// What a device wants to upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    blob_name: String,
}

/// What became of an upload; codes and texts are the device's own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    correlation_id: Option<String>,
    is_success: bool,
}

async fn begin_upload(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>, text: Bytes) -> HttpResponse {
    let begin = async {
        let session = caller::device(&hub, &request, &path.0).await?;
        let wanted: Wanted = body(&text)?;
        let name = FileName::parse(wanted.blob_name);
        let name = name.map_err(|error| Fault::new(400, 400_004, error.to_string()))?;
        let grant = files::grant(&hub.engine, &session, name).await.map_err(refused)?;
        Ok(HttpResponse::Ok().json(json!({
            "correlationId": grant.correlation_id,
            // The device has reached the hub by this name and port.
            "hostName": https::host(&request),
            "containerName": grant.container,
            "blobName": grant.blob,
            "sasToken": grant.sas,
        })))
    };
    begin.await.unwrap_or_else(|fault: Fault| https::failure(&hub, &fault))
}

async fn finish_upload(
    hub: Data<Hub>,
    request: HttpRequest,
    path: Path<(String, String)>,
    text: Bytes,
) -> HttpResponse {
    finish(&hub, &request, &path.0, None, &text).await.unwrap_or_else(|fault| https::failure(&hub, &fault))
}

async fn finish_named_upload(
    hub: Data<Hub>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    text: Bytes,
) -> HttpResponse {
    let (id, _, correlation) = path.into_inner();
    let finished = finish(&hub, &request, &id, Some(correlation), &text).await;
    finished.unwrap_or_else(|fault| https::failure(&hub, &fault))
}

async fn finish(
    hub: &Hub,
    request: &HttpRequest,
    id: &str,
    correlation: Option<String>,
    text: &[u8],
) -> Result<HttpResponse, Fault> {
    let session = caller::device(hub, request, id).await?;
    let told: Told = body(text)?;
    let correlation = correlation.or(told.correlation_id);
    let correlation = correlation.ok_or_else(|| Fault::new(400, 400_004, "correlationId is missing"))?;
    let unknown = || Fault::new(404, 404_000, "the device has no open upload of this correlation id");
    let upload: UploadId = correlation.parse().map_err(|_| unknown())?;
    let outcome = if told.is_success { Outcome::Success } else { Outcome::Failure };
    files::finish(&hub.engine, &session, upload, outcome).await.map_err(|error| {
        let fault = Fault::from(error);
        if fault.status == 404 { Fault { code: 404_000, ..fault } } else { fault }
    })?;
    Ok(HttpResponse::NoContent().finish())
}

fn refused(error: GrantError) -> Fault {
    match error {
        GrantError::TooMany => Fault::new(403, 403_006, error.to_string()),
        GrantError::Refused(error) => error.into(),
    }
}

//! Notices of finished uploads, one at a time: taken, then completed or abandoned.

use super::{Service, lock};
use crate::https;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ETAG,
    web::{self, Path, ServiceConfig},
};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_engine::{
    files::{self, Notice},
    policies::Right,
};
use serde_json::{Value, json};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/{path:(?i:messages/servicebound/filenotifications)}", web::get().to(receive_notice))
        .route("/{path:(?i:messages/servicebound/filenotifications)}/{token}", web::delete().to(complete_notice))
        .route("/{path:(?i:messages/servicebound/filenotifications)}/{token}/abandon", web::post().to(abandon_notice));
}

async fn receive_notice(service: Service, request: HttpRequest) -> HttpResponse {
    let receive = async {
        let caller = service.may(Right::ServiceConnect)?;
        let Some((token, notice)) = files::receive_notice(service.engine(), &caller).await? else {
            return Ok(HttpResponse::NoContent().finish());
        };
        let base = format!("https://{}/{}", https::host(&request), files::container(&caller.tenant));
        Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{token}\""))).json(told(&base, &notice)))
    };
    service.answer(receive.await)
}

async fn complete_notice(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let complete = async {
        let caller = service.may(Right::ServiceConnect)?;
        let completed = files::complete_notice(service.engine(), &caller, lock::token(&path.1)?).await;
        completed.map_err(|error| lock::lost(error.into()))?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(complete.await)
}

async fn abandon_notice(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let abandon = async {
        let caller = service.may(Right::ServiceConnect)?;
        let abandoned = files::abandon_notice(service.engine(), &caller, lock::token(&path.1)?).await;
        abandoned.map_err(|error| lock::lost(error.into()))?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(abandon.await)
}

fn told(base: &str, notice: &Notice) -> Value {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let blob = format!("{}/{}", notice.device_id, notice.name);
    json!({
        "deviceId": notice.device_id,
        "blobUri": format!("{base}/{blob}"),
        "blobName": blob,
        "lastUpdatedTime": time(notice.modified_at),
        "blobSizeInBytes": notice.size_bytes,
        "enqueuedTimeUtc": time(notice.at),
    })
}

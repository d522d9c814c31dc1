//! What machines ask: is it alive, is it ready, what does it count, what must devices trust.

use crate::{app::Api, error::ApiError};
use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Json, ServiceConfig},
};
use muster_contract::health::{Check, Health};
use muster_engine::health;

/// The resources outside of `/api`.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/health/live").get(get_liveness))
        .service(web::resource("/health/ready").get(get_readiness))
        .service(web::resource("/metrics").get(get_metrics))
        .service(web::resource("/ca.pem").get(get_authority));
}

/// Is the process alive?
#[utoipa::path(get, path = "/health/live", tag = "operation", responses((status = 200, body = Health)))]
pub(crate) async fn get_liveness() -> Json<Health> {
    Json(Health { ready: true, checks: Vec::new() })
}

/// Can the process do its work?
#[utoipa::path(get, path = "/health/ready", tag = "operation",
    responses((status = 200, body = Health), (status = 503, description = "not ready, and why", body = Health)))]
pub(crate) async fn get_readiness(api: Data<Api>) -> HttpResponse {
    let checks: Vec<Check> = health::check(api.engine()).await.into_iter().map(wire).collect();
    let ready = checks.iter().all(|check| check.problem.is_none());
    let mut reply = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    reply.json(Health { ready, checks })
}

/// Counters in Prometheus' text format
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn get_metrics(api: Data<Api>) -> HttpResponse {
    let parts = api.parts();
    metrics::gauge!("muster_tasks").set(parts.runtime.metrics().num_alive_tasks() as f64);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(parts.metrics.render())
}

/// The authority that devices must trust, PEM
#[utoipa::path(get, path = "/ca.pem", tag = "operation",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub(crate) async fn get_authority(api: Data<Api>) -> Result<HttpResponse, ApiError> {
    let pem = api.authority().await?.to_owned();
    Ok(HttpResponse::Ok()
        .content_type("application/x-pem-file")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"muster-ca.pem\""))
        .body(pem))
}

fn wire(check: health::Check) -> Check {
    Check { name: check.name.to_owned(), problem: check.problem }
}

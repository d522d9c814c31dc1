//! Digital twins: properties and commands by the Plug and Play conventions.

use super::{Service, methods, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Bytes, Path, Query, ServiceConfig},
};
use muster_engine::{
    digital_twins,
    methods::{DEFAULT_RESPONSE_TIMEOUT, Invocation},
    policies::Right,
    precondition::IfMatch,
};
use muster_model::{Address, digital_twin::Operation};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/digitaltwins/{id}", web::get().to(get_digital_twin))
        .route("/digitaltwins/{id}", web::patch().to(patch_digital_twin))
        .route("/digitaltwins/{id}/commands/{command}", web::post().to(invoke_command))
        .route(
            "/digitaltwins/{id}/components/{component}/commands/{command}",
            web::post().to(invoke_component_command),
        );
}

async fn get_digital_twin(service: Service, id: Path<String>) -> HttpResponse {
    let get = async {
        let caller = service.may(Right::ServiceConnect)?;
        let (document, etag) = digital_twins::get(service.engine(), &caller, &reply::device(&id)?).await?;
        Ok(HttpResponse::Ok().insert_header((header::ETAG, format!("\"{etag}\""))).json(document))
    };
    service.answer_nested(get.await)
}

async fn patch_digital_twin(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let patch = async {
        let caller = service.may(Right::ServiceConnect)?;
        let operations: Vec<Operation> = reply::body(&body)?;
        let condition = service.if_match().unwrap_or(IfMatch::Any);
        let device = reply::device(&id)?;
        let etag = digital_twins::update(service.engine(), &caller, &device, &operations, &condition).await?;
        Ok(HttpResponse::Accepted()
            .insert_header((header::ETAG, format!("\"{etag}\"")))
            .insert_header((header::LOCATION, format!("/digitaltwins/{device}")))
            .finish())
    };
    service.answer_nested(patch.await)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timeouts {
    connect_timeout_in_seconds: Option<u64>,
    response_timeout_in_seconds: Option<u64>,
}

async fn invoke_command(
    service: Service,
    path: Path<(String, String)>,
    timeouts: Query<Timeouts>,
    body: Bytes,
) -> HttpResponse {
    let (id, command) = path.into_inner();
    let answer = invoke(&service, &id, &command, &timeouts, &body).await;
    service.answer_nested(answer)
}

async fn invoke_component_command(
    service: Service,
    path: Path<(String, String, String)>,
    timeouts: Query<Timeouts>,
    body: Bytes,
) -> HttpResponse {
    let (id, component, command) = path.into_inner();
    let answer = invoke(&service, &id, &format!("{component}*{command}"), &timeouts, &body).await;
    service.answer_nested(answer)
}

async fn invoke(
    service: &Service,
    id: &str,
    name: &str,
    timeouts: &Timeouts,
    body: &[u8],
) -> Result<HttpResponse, Fault> {
    let caller = service.may(Right::ServiceConnect)?;
    let payload = if body.is_empty() { Value::Null } else { reply::body(body)? };
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    let invocation = Invocation {
        address: &Address::from(reply::device(id)?),
        name,
        payload: &payload,
        response_timeout: seconds(timeouts.response_timeout_in_seconds).unwrap_or(DEFAULT_RESPONSE_TIMEOUT),
        connect_timeout: seconds(timeouts.connect_timeout_in_seconds).unwrap_or_default(),
    };
    let answer = muster_engine::methods::invoke(service.engine(), &caller, invocation).await.map_err(methods::fault)?;
    Ok(HttpResponse::Ok().insert_header(("x-ms-command-statuscode", answer.status)).json(answer.payload))
}

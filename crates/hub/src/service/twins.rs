//! Twins of devices and modules.

use super::{Service, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, ServiceConfig},
};
use muster_engine::{policies::Right, precondition::IfMatch, twins_service as twins};
use muster_model::{Address, wire::twin::ServiceChange};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/twins/{id}", web::get().to(get_twin))
        .route("/twins/{id}", web::patch().to(patch_twin))
        .route("/twins/{id}", web::put().to(put_twin))
        .route("/twins/{id}/modules/{module}", web::get().to(get_module_twin))
        .route("/twins/{id}/modules/{module}", web::patch().to(patch_module_twin))
        .route("/twins/{id}/modules/{module}", web::put().to(put_module_twin));
}

/// A twin as clients write it; what a service can not change is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TwinBody {
    tags: Option<Map<String, Value>>,
    properties: Option<Properties>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    desired: Option<Map<String, Value>>,
}

impl TwinBody {
    pub(super) fn merge(self) -> ServiceChange {
        let desired = self.properties.and_then(|properties| properties.desired);
        ServiceChange { tags: self.tags, desired, replace: false }
    }
}

async fn get_twin(service: Service, id: Path<String>) -> HttpResponse {
    let got = get(&service, reply::device(&id).map(Address::from)).await;
    service.answer_nested(got)
}

async fn get_module_twin(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let got = get(&service, reply::module(&path).map(Address::from)).await;
    service.answer_nested(got)
}

async fn patch_twin(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let patched = change(&service, reply::device(&id).map(Address::from), patch(&body)).await;
    service.answer_nested(patched)
}

async fn patch_module_twin(service: Service, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let patched = change(&service, reply::module(&path).map(Address::from), patch(&body)).await;
    service.answer_nested(patched)
}

async fn put_twin(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let replaced = change(&service, reply::device(&id).map(Address::from), whole(&body)).await;
    service.answer_nested(replaced)
}

async fn put_module_twin(service: Service, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let replaced = change(&service, reply::module(&path).map(Address::from), whole(&body)).await;
    service.answer_nested(replaced)
}

fn patch(body: &[u8]) -> Result<ServiceChange, Fault> {
    reply::body::<TwinBody>(body).map(TwinBody::merge)
}

fn whole(body: &[u8]) -> Result<ServiceChange, Fault> {
    Ok(ServiceChange { replace: true, ..patch(body)? })
}

async fn get(service: &Service, address: Result<Address, Fault>) -> Result<HttpResponse, Fault> {
    let caller = service.may(Right::ServiceConnect)?;
    let twin = twins::get(service.engine(), &caller, &address?).await?;
    Ok(reply::document(&twin, "etag"))
}

async fn change(
    service: &Service,
    address: Result<Address, Fault>,
    change: Result<ServiceChange, Fault>,
) -> Result<HttpResponse, Fault> {
    let caller = service.may(Right::ServiceConnect)?;
    let condition = service.if_match().unwrap_or(IfMatch::Any);
    let twin = twins::change(service.engine(), &caller, &address?, change?, &condition).await?;
    Ok(reply::document(&twin, "etag"))
}

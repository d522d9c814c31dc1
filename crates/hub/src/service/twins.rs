//! Twins.

use super::{Service, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, ServiceConfig},
};
use muster_engine::{policies::Right, precondition::IfMatch, twins_service as twins};
use muster_model::wire::twin::ServiceChange;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/twins/{id}", web::get().to(get_twin))
        .route("/twins/{id}", web::patch().to(patch_twin))
        .route("/twins/{id}", web::put().to(put_twin));
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
    let get = async {
        let caller = service.may(Right::ServiceConnect)?;
        let twin = twins::get(service.engine(), &caller, &reply::device(&id)?).await?;
        Ok(reply::document(&twin, "etag"))
    };
    service.answer_nested(get.await)
}

async fn patch_twin(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let patched = change(&service, &id, reply::body::<TwinBody>(&body).map(TwinBody::merge)).await;
    service.answer_nested(patched)
}

async fn put_twin(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let whole = reply::body::<TwinBody>(&body).map(|body| ServiceChange { replace: true, ..body.merge() });
    let replaced = change(&service, &id, whole).await;
    service.answer_nested(replaced)
}

async fn change(service: &Service, id: &str, change: Result<ServiceChange, Fault>) -> Result<HttpResponse, Fault> {
    let caller = service.may(Right::ServiceConnect)?;
    let condition = service.if_match().unwrap_or(IfMatch::Any);
    let twin = twins::change(service.engine(), &caller, &reply::device(id)?, change?, &condition).await?;
    Ok(reply::document(&twin, "etag"))
}

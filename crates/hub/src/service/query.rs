//! Queries over twins and jobs.

use super::{Service, reply};
use actix_web::{
    HttpResponse,
    web::{self, Bytes, ServiceConfig},
};
use muster_engine::{
    policies::Right,
    queries::{self, Kind},
};
use serde::Deserialize;

/// Results in one page.
const PAGE: u32 = 100;
/// The most that may be asked for.
const MAX_PAGE: u32 = 1000;

pub(super) fn configure(config: &mut ServiceConfig) {
    config.route("/devices/query", web::post().to(query_devices));
}

#[derive(Debug, Deserialize)]
struct Question {
    query: String,
}

async fn query_devices(service: Service, body: Bytes) -> HttpResponse {
    let answer = async {
        let caller = service.may(Right::RegistryRead).or_else(|_| service.may(Right::ServiceConnect))?;
        let Question { query } = reply::body(&body)?;
        let limit = service.header("x-ms-max-item-count").and_then(|count| count.trim().parse().ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(PAGE).min(MAX_PAGE);
        let continuation = service.header("x-ms-continuation").filter(|text| !text.is_empty());
        let page = queries::run(service.engine(), &caller, &query, limit, continuation).await?;
        let mut response = HttpResponse::Ok();
        let kind = match page.kind {
            Kind::Twin => "Twin",
            Kind::DeviceJob => "DeviceJob",
            Kind::Raw => "Raw",
        };
        response.insert_header(("x-ms-item-type", kind));
        if let Some(continuation) = page.continuation {
            response.insert_header(("x-ms-continuation", continuation));
        }
        Ok(response.json(page.items))
    };
    service.answer(answer.await)
}

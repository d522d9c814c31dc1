//! Cloud-to-device messages, and what became of them.

use super::{Service, lock, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    http::header::{CONTENT_TYPE, ETAG},
    web::{self, Bytes, Path, ServiceConfig},
};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_engine::{
    c2d::{self, NewMessage, Record, SendError},
    policies::Right,
};
use muster_model::c2d::{Envelope, Feedback};
use serde_json::{Value, json};

/// What feedback is.
const FEEDBACK_TYPE: &str = "application/vnd.microsoft.iothub.feedback.json";

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices/{id}/{path:(?i:messages/devicebound)}", web::post().to(send_message))
        .route("/devices/{id}/commands", web::delete().to(purge_messages))
        .route("/{path:(?i:messages/servicebound/feedback)}", web::get().to(receive_feedback))
        .route("/{path:(?i:messages/servicebound/feedback)}/{token}", web::delete().to(complete_feedback))
        .route("/{path:(?i:messages/servicebound/feedback)}/{token}/abandon", web::post().to(abandon_feedback));
}

async fn send_message(service: Service, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    let send = async {
        let caller = service.may(Right::ServiceConnect)?;
        let message = NewMessage { envelope: envelope(&service)?, payload: body.to_vec() };
        c2d::send(service.engine(), &caller, &reply::device(&path.0)?, message).await.map_err(refused)?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(send.await)
}

/// The properties of a message, from the request's headers.
fn envelope(service: &Service) -> Result<Envelope, Fault> {
    let bad = |message: &str| Fault::new(400, 400_004, message);
    let text = |name: &str| service.header(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let feedback = match text("iothub-ack") {
        None => Feedback::None,
        Some(ack) => Feedback::parse(&ack).ok_or_else(|| bad("iothub-ack is none, positive, negative or full"))?,
    };
    let expires_at = match text("iothub-expiry") {
        None => None,
        Some(expiry) => Some(time(&expiry).ok_or_else(|| bad("iothub-expiry is no time"))?),
    };
    let properties = service.headers("iothub-app-").into_iter().map(|(name, value)| (name, Some(value)));
    Ok(Envelope {
        message_id: text("iothub-messageid").unwrap_or_default(),
        correlation_id: text("iothub-correlationid"),
        user_id: text("iothub-userid"),
        content_type: text("iothub-contenttype"),
        content_encoding: text("iothub-contentencoding"),
        feedback,
        expires_at,
        properties: properties.collect(),
    })
}

/// A time as RFC 3339 writes it, or in milliseconds since 1970.
fn time(text: &str) -> Option<DateTime<Utc>> {
    match text.parse::<i64>() {
        Ok(ms) => DateTime::from_timestamp_millis(ms),
        Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
    }
}

fn refused(error: SendError) -> Fault {
    match error {
        SendError::QueueFull => Fault::new(403, 403_004, error.to_string()),
        SendError::TooLarge => Fault::new(413, 413_001, error.to_string()),
        SendError::Refused(error) => error.into(),
    }
}

async fn purge_messages(service: Service, id: Path<String>) -> HttpResponse {
    let purge = async {
        let caller = service.may(Right::ServiceConnect)?;
        let device = reply::device(&id)?;
        let count = c2d::purge(service.engine(), &caller, &device).await?;
        Ok(HttpResponse::Ok().json(json!({"totalMessagesPurged": count, "deviceId": device, "moduleId": null})))
    };
    service.answer(purge.await)
}

async fn receive_feedback(service: Service) -> HttpResponse {
    let receive = async {
        let caller = service.may(Right::ServiceConnect)?;
        let Some(batch) = c2d::receive_feedback(service.engine(), &caller).await? else {
            return Ok(HttpResponse::NoContent().finish());
        };
        let records: Vec<Value> = batch.records.iter().map(record).collect();
        Ok(HttpResponse::Ok()
            .insert_header((ETAG, format!("\"{}\"", batch.token)))
            .insert_header((CONTENT_TYPE, FEEDBACK_TYPE))
            .body(Value::Array(records).to_string()))
    };
    service.answer(receive.await)
}

async fn complete_feedback(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let complete = async {
        let caller = service.may(Right::ServiceConnect)?;
        let completed = c2d::complete_feedback(service.engine(), &caller, lock::token(&path.1)?).await;
        completed.map_err(|error| lock::lost(error.into()))?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(complete.await)
}

async fn abandon_feedback(service: Service, path: Path<(String, String)>) -> HttpResponse {
    let abandon = async {
        let caller = service.may(Right::ServiceConnect)?;
        let abandoned = c2d::abandon_feedback(service.engine(), &caller, lock::token(&path.1)?).await;
        abandoned.map_err(|error| lock::lost(error.into()))?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(abandon.await)
}

fn record(record: &Record) -> Value {
    json!({
        "originalMessageId": record.message_id,
        "enqueuedTimeUtc": record.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "statusCode": record.outcome.name(),
        "description": record.outcome.name(),
        "deviceId": record.device_id,
        "deviceGenerationId": record.generation,
    })
}

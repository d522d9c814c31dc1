//! Cloud-to-device messages, one by one: taken, then completed, rejected or abandoned.

use super::caller;
use crate::{Hub, fault::Fault, https, service::lock};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ETAG,
    web::{self, Data, Path, ServiceConfig},
};
use chrono::SecondsFormat;
use muster_engine::c2d::{self, Settle};
use muster_model::wire::bag::Bag;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/devices/{id}/{path:(?i:messages/devicebound)}", web::get().to(take_message))
        .route("/devices/{id}/{path:(?i:messages/devicebound)}/{token}", web::delete().to(settle_message))
        .route("/devices/{id}/{path:(?i:messages/devicebound)}/{token}/abandon", web::post().to(abandon_message));
}

async fn take_message(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>) -> HttpResponse {
    let take = async {
        let session = caller::device(&hub, &request, &path.0).await?;
        let Some((token, message)) = c2d::take(&hub.engine, &session).await? else {
            return Ok(HttpResponse::NoContent().finish());
        };
        let time = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut response = HttpResponse::Ok();
        response
            .insert_header((ETAG, format!("\"{token}\"")))
            .insert_header(("iothub-sequencenumber", message.sequence))
            .insert_header(("iothub-enqueuedtime", time(message.enqueued_at)))
            .insert_header(("iothub-expiry", time(message.expires_at)))
            .insert_header(("iothub-deliverycount", message.deliveries));
        for (name, value) in headers(&message.bag) {
            // What can not stand in a header is left out.
            response.insert_header((name, value));
        }
        Ok(response.body(message.payload))
    };
    answer(&hub, take.await)
}

async fn settle_message(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String, String)>) -> HttpResponse {
    let rejected = request.query_string().split('&').any(|pair| pair.split('=').next() == Some("reject"));
    let what = if rejected { Settle::Reject } else { Settle::Complete };
    answer(&hub, settle(&hub, &request, &path, what).await)
}

async fn abandon_message(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String, String)>) -> HttpResponse {
    answer(&hub, settle(&hub, &request, &path, Settle::Abandon).await)
}

async fn settle(
    hub: &Hub,
    request: &HttpRequest,
    (id, _, token): &(String, String, String),
    what: Settle,
) -> Result<HttpResponse, Fault> {
    let session = caller::device(hub, request, id).await?;
    let settled = c2d::settle(&hub.engine, &session, lock::token(token)?, what).await;
    settled.map_err(|error| lock::lost(error.into()))?;
    Ok(HttpResponse::NoContent().finish())
}

/// The headers that tell a message's properties.
fn headers(bag: &str) -> Vec<(String, String)> {
    let Ok(bag) = Bag::parse(bag) else { return Vec::new() };
    let system = [
        ("$.mid", "iothub-messageid"),
        ("$.cid", "iothub-correlationid"),
        ("$.uid", "iothub-userid"),
        ("$.to", "iothub-to"),
        ("iothub-ack", "iothub-ack"),
        ("$.ct", "ContentType"),
        ("$.ce", "ContentEncoding"),
    ];
    let own = system.iter().filter_map(|(key, name)| Some(((*name).to_owned(), bag.get(key)?.to_owned())));
    let application = bag.properties().filter(|(key, _)| *key != "iothub-ack");
    let application =
        application.map(|(key, value)| (format!("iothub-app-{key}"), value.unwrap_or_default().to_owned()));
    own.chain(application).collect()
}

fn answer(hub: &Hub, result: Result<HttpResponse, Fault>) -> HttpResponse {
    result.unwrap_or_else(|fault| https::failure(hub, &fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_become_headers() {
        let bag = "%24.mid=m&%24.to=%2Fdevices%2Fd%2Fmessages%2FdeviceBound&iothub-ack=full&%24.ct=a%2Fb&p1&p2=x%20y";
        let expected = [
            ("iothub-messageid", "m"),
            ("iothub-to", "/devices/d/messages/deviceBound"),
            ("iothub-ack", "full"),
            ("ContentType", "a/b"),
            ("iothub-app-p1", ""),
            ("iothub-app-p2", "x y"),
        ];
        let found = headers(bag);
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }
}

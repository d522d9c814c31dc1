//! Telemetry, a message at a time or many.

use super::caller;
use crate::{Hub, fault::Fault, https, limits::Kind, telemetry};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::CONTENT_TYPE,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use muster_engine::{
    events::failures,
    hub_auth::DeviceSession,
    ingest::{Ack, AckSink},
};
use muster_model::{event::FailureCode, wire::bag::Bag};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// A body of many messages.
const BATCH_TYPE: &str = "application/vnd.microsoft.iothub.json";
/// Time for messages to become safe; then the device sends them again.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn configure(config: &mut ServiceConfig) {
    config.route("/devices/{id}/{path:(?i:messages/events)}", web::post().to(send_events));
}

async fn send_events(hub: Data<Hub>, request: HttpRequest, path: Path<(String, String)>, body: Bytes) -> HttpResponse {
    match send(&hub, &request, &path.0, body).await {
        Ok(()) => HttpResponse::NoContent().finish(),
        Err(fault) => https::failure(&hub, &fault),
    }
}

async fn send(hub: &Hub, request: &HttpRequest, id: &str, body: Bytes) -> Result<(), Fault> {
    let session = caller::device(hub, request, id).await?;
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let batch = header(CONTENT_TYPE.as_str()).is_some_and(|kind| kind.to_ascii_lowercase().starts_with(BATCH_TYPE));
    let messages = if batch { many(&body)? } else { vec![(one(request), body)] };
    if messages.iter().any(|(bag, payload)| telemetry::too_large(bag, payload)) {
        failures::note(&hub.engine, session.tenant, &session.device_id, FailureCode::MessageTooLarge);
        return Err(Fault::new(413, 413_001, "a message is larger than 256 KiB"));
    }
    let share = hub.limits.of_device(session.tenant, session.source);
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    if share.pass(Kind::Messages, count).await.is_err() {
        failures::note(&hub.engine, session.tenant, &session.device_id, FailureCode::Throttled);
        return Err(Fault::throttled());
    }
    confirmed(hub, &session, messages).await
}

/// Gives the messages to the ingress and waits until all of them are safe.
async fn confirmed(hub: &Hub, session: &DeviceSession, messages: Vec<(String, Bytes)>) -> Result<(), Fault> {
    if messages.is_empty() {
        return Ok(());
    }
    let unavailable = || Fault::new(503, 503_005, "the message could not be kept, send it again");
    let (safe, all_safe) = oneshot::channel();
    let sink = Arc::new(Confirms(Mutex::new((messages.len(), Some(safe)))));
    let now_ms = hub.engine.clock().now_ms();
    let sent = async {
        for (bag, payload) in messages {
            let ack = Ack { sink: sink.clone(), packet: 1 };
            let inbound = telemetry::inbound(session, bag, payload, now_ms);
            hub.meters.received.increment(1);
            hub.engine.ingress().submit(session.partition, inbound, ack).await.map_err(|_| unavailable())?;
        }
        if all_safe.await == Ok(true) { Ok(()) } else { Err(unavailable()) }
    };
    timeout(CONFIRM_TIMEOUT, sent).await.map_err(|_| Fault::timed_out())?
}

/// Counts confirms; tells when none is left, or when one failed.
struct Confirms(Mutex<(usize, Option<oneshot::Sender<bool>>)>);

impl AckSink for Confirms {
    fn done(&self, _: u32, ok: bool) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 = waiting.0.saturating_sub(1);
        if (waiting.0 == 0 || !ok)
            && let Some(safe) = waiting.1.take()
        {
            // Who gave up needs no answer.
            let _ = safe.send(ok);
        }
    }
}

/// The properties of a message whose body is the request's.
fn one(request: &HttpRequest) -> String {
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    bag(headers.filter(|(name, _)| name.starts_with("iothub-")))
}

/// One message of many.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    body: String,
    #[serde(default = "encoded")]
    base64_encoded: bool,
    #[serde(default)]
    properties: Map<String, Value>,
}

fn encoded() -> bool {
    true
}

fn many(body: &[u8]) -> Result<Vec<(String, Bytes)>, Fault> {
    let bad = |message: String| Fault::new(400, 400_004, message);
    let messages: Vec<Message> = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let read = |message: Message| {
        let payload = match message.base64_encoded {
            true => BASE64.decode(&message.body).map_err(|error| bad(error.to_string()))?,
            false => message.body.into_bytes(),
        };
        let properties = message.properties.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        Ok((bag(properties), Bytes::from(payload)))
    };
    messages.into_iter().map(read).collect()
}

/// The property bag that the same message has over MQTT.
fn bag<'a>(properties: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut bag = Bag::default();
    for (name, value) in properties {
        let known = name.to_ascii_lowercase().starts_with("iothub-");
        let name = if known { &name["iothub-".len()..] } else { name };
        let key = match name.to_ascii_lowercase().as_str() {
            "messageid" => "$.mid",
            "correlationid" => "$.cid",
            "userid" => "$.uid",
            "contenttype" => "$.ct",
            "contentencoding" => "$.ce",
            "to" => "$.to",
            "creation-time-utc" => "iothub-creation-time-utc",
            lower if lower.starts_with("app-") => &name["app-".len()..],
            _ => continue,
        };
        bag.set(key, Some(value.to_owned()));
    }
    bag.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_become_the_bag_of_mqtt() {
        let headers = [
            ("iothub-app-Color", "dark red"),
            ("iothub-messageid", "m"),
            ("iothub-contenttype", "application/json"),
            ("iothub-to", "/devices/d/messages/events"),
            ("iothub-unknown", "x"),
            ("IoTHub-creation-time-utc", "2026-11-23T00:00:00Z"),
        ];
        let expected = "Color=dark%20red&%24.mid=m&%24.ct=application%2Fjson&%24.to=%2Fdevices%2Fd%2Fmessages%2Fevents\
                        &iothub-creation-time-utc=2026-11-23T00%3A00%3A00Z";
        assert_eq!(bag(headers.into_iter()), expected);
    }

    #[test]
    fn many_messages_are_read() {
        let body = br#"[{"body":"aGk=","properties":{"iothub-app-k":"v"}},{"body":"plain","base64Encoded":false}]"#;
        let expected = vec![("k=v".to_owned(), Bytes::from("hi")), (String::new(), Bytes::from("plain"))];
        assert_eq!(many(body).expect("messages"), expected);
        assert_eq!(many(b"{}").err().map(|fault| fault.status), Some(400));
        assert_eq!(many(br#"[{"body":"%%"}]"#).err().map(|fault| fault.status), Some(400));
    }
}

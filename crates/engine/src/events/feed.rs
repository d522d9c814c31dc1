//! Events as back-end services read them: in order, from any number that is kept, waiting for what comes.

use super::telemetry::unpack;
use crate::{Engine, EngineError};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_model::{
    Caller, DeviceKey, ModuleId, Permission, Scope, batch::Inbound, event::DeviceEvent, wire::bag::Bag,
};
use muster_store::{
    Tx, devices,
    events::{self, Row},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, sleep};

/// Events in one answer.
pub const MAX_EVENTS: u32 = 1000;
/// The longest wait for an event.
pub const MAX_WAIT: Duration = Duration::from_secs(60);

/// An answer ends after so many bytes of bodies; it holds one event at least.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Rows read at once: 16 MiB at the very most.
const ROWS: u32 = 64;
/// How often it is looked whether there is something new. Any process may write it, so nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Readers that may wait in one process.
pub(crate) const MAX_WAITING: usize = 256;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Only what comes after this number.
    pub after: i64,
    /// At most so many, 1 to [`MAX_EVENTS`].
    pub max: u32,
    /// How long to wait where there is nothing yet, at most [`MAX_WAIT`].
    pub wait: Duration,
}

/// An event as a service reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its number: greater than that of every event before it, in this tenant.
    pub seq: i64,
    /// `Telemetry`, `twinChangeEvents`, `deviceLifecycleEvents` or `deviceConnectionStateEvents`.
    pub source: &'static str,
    /// The device.
    pub device_id: String,
    /// The module on it.
    pub module_id: Option<ModuleId>,
    /// When the hub took it, or when it happened.
    pub enqueued_time: String,
    /// `message-id`, `content-type` and their like.
    pub system_properties: Map<String, Value>,
    /// The application's properties.
    pub properties: Map<String, Value>,
    /// What the hub says of it.
    pub annotations: Map<String, Value>,
    /// The body in base64, byte for byte as it was sent.
    pub body: String,
}

/// Reads events in their order; none where nothing came in time.
///
/// # Errors
/// [`EngineError::Denied`], [`EngineError::Invalid`] beyond a limit, [`EngineError::TooMany`] where too many wait.
pub async fn read(engine: &Engine, caller: &Caller, wanted: Wanted) -> Result<Vec<Event>, EngineError> {
    caller.require(Permission::DevicesRawData)?;
    if !(1..=MAX_EVENTS).contains(&wanted.max) || wanted.wait > MAX_WAIT {
        let message = format!("max is 1 to {MAX_EVENTS}, wait at most {} seconds", MAX_WAIT.as_secs());
        return Err(EngineError::invalid("events", message));
    }
    let until = Instant::now() + wanted.wait;
    let mut place = None;
    loop {
        let found = look(engine, &caller.scope, wanted).await?;
        if !found.is_empty() || Instant::now() >= until {
            return Ok(found);
        }
        if place.is_none() {
            let taken = engine.feed_places().try_acquire();
            place = Some(taken.map_err(|_| EngineError::TooMany { retry_after: Duration::from_secs(5) })?);
        }
        tokio::select! {
            () = engine.stop().cancelled() => return Ok(found),
            () = sleep(LOOK_EVERY.min(until - Instant::now())) => {}
        }
    }
}

/// What there is now.
async fn look(engine: &Engine, scope: &Scope, wanted: Wanted) -> Result<Vec<Event>, EngineError> {
    let tx = engine.store().begin_read(scope).await?;
    let tenant = muster_store::tenants::get(&tx, scope).await?;
    let (mut found, mut bytes, mut after) = (Vec::new(), 0, wanted.after);
    'rows: loop {
        let rows = events::read(&tx, scope, after, ROWS).await?;
        let last = rows.len() < ROWS as usize;
        for row in rows {
            match row {
                Row::Event { seq, event } => {
                    after = seq;
                    bytes += event.body.to_string().len();
                    found.push(Found { seq, what: What::Happened(event) });
                }
                Row::Telemetry { first_seq, batch } => {
                    let messages = tokio::task::spawn_blocking(move || unpack(&batch, first_seq)).await;
                    let messages = messages.map_err(|error| EngineError::unavailable("compression", error))??;
                    for (seq, message) in (first_seq..).zip(messages) {
                        if seq <= after {
                            continue;
                        }
                        if found.len() >= wanted.max as usize || bytes >= MAX_BYTES {
                            break 'rows;
                        }
                        after = seq;
                        bytes += message.encoded_len();
                        found.push(Found { seq, what: What::Sent(message) });
                    }
                }
            }
            if found.len() >= wanted.max as usize || bytes >= MAX_BYTES {
                break 'rows;
            }
        }
        if last {
            break;
        }
    }
    let generations = generations(&tx, scope, &found).await?;
    Ok(found.into_iter().map(|found| found.event(&tenant.hub_name, &generations)).collect())
}

struct Found {
    seq: i64,
    what: What,
}

enum What {
    Happened(DeviceEvent),
    Sent(Inbound),
}

/// The generations of the devices that sent something and are still there.
async fn generations(tx: &Tx, scope: &Scope, found: &[Found]) -> Result<HashMap<DeviceKey, String>, EngineError> {
    let mut keys: Vec<DeviceKey> = found
        .iter()
        .filter_map(|found| match &found.what {
            What::Sent(message) => Some(message.device),
            What::Happened(_) => None,
        })
        .collect();
    keys.sort();
    keys.dedup();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let devices = devices::list_by_keys(tx, scope, &keys).await?;
    Ok(devices.into_iter().map(|device| (device.key, device.generation)).collect())
}

impl Found {
    fn event(self, hub: &str, generations: &HashMap<DeviceKey, String>) -> Event {
        match self.what {
            What::Happened(event) => happened(self.seq, event, hub),
            What::Sent(message) => {
                let generation = generations.get(&message.device).map(String::as_str);
                sent(self.seq, &message, generation)
            }
        }
    }
}

fn happened(seq: i64, event: DeviceEvent, hub: &str) -> Event {
    let DeviceEvent { at, device, module, operation, body } = event;
    let mut properties = object(json!({
        "hubName": hub, "deviceId": device, "opType": operation.name(), "operationTimestamp": ticks(at),
        "iothub-message-schema": operation.schema(),
    }));
    let mut annotations = annotations(device.as_str(), at.timestamp_millis(), operation.source());
    if let Some(module) = &module {
        properties.insert("moduleId".into(), json!(module));
        annotations.insert("iothub-connection-module-id".into(), json!(module));
    }
    Event {
        seq,
        source: operation.source(),
        device_id: device.into(),
        module_id: module,
        enqueued_time: time(at),
        system_properties: object(json!({"content-type": "application/json", "content-encoding": "utf-8"})),
        properties,
        annotations,
        body: BASE64.encode(body.to_string()),
    }
}

fn sent(seq: i64, message: &Inbound, generation: Option<&str>) -> Event {
    const SOURCE: &str = "Telemetry";
    // What cannot be read as properties is passed on without.
    let bag = Bag::parse(&message.bag).unwrap_or_default();
    let mut annotations = annotations(&message.device_id, message.enqueued_ms, SOURCE);
    let model = Some(message.model_id.as_str()).filter(|model| !model.is_empty());
    let stamps = [
        ("iothub-connection-module-id", message.module.as_ref().map(ModuleId::as_str)),
        ("iothub-connection-auth-method", message.auth.method(message.module.as_ref())),
        ("iothub-connection-auth-generation-id", generation),
        ("dt-dataschema", model),
        ("dt-subject", bag.component()),
    ];
    annotations.extend(stamps.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
    Event {
        seq,
        source: SOURCE,
        device_id: message.device_id.clone(),
        module_id: message.module.clone(),
        enqueued_time: time(DateTime::from_timestamp_millis(message.enqueued_ms).unwrap_or_default()),
        system_properties: system_properties(&bag),
        properties: bag.to_json(),
        annotations,
        body: BASE64.encode(&message.payload),
    }
}

/// The properties that the protocol has names of its own for.
fn system_properties(bag: &Bag) -> Map<String, Value> {
    const NAMES: [(&str, &str); 7] = [
        ("$.mid", "message-id"),
        ("$.cid", "correlation-id"),
        ("$.uid", "user-id"),
        ("$.ct", "content-type"),
        ("$.ce", "content-encoding"),
        ("$.to", "to"),
        ("$.exp", "absolute-expiry-time"),
    ];
    let known = NAMES.into_iter().filter_map(|(key, name)| Some((name.to_owned(), bag.get(key)?.into())));
    known.collect()
}

fn annotations(device: &str, at_ms: i64, source: &str) -> Map<String, Value> {
    object(json!({
        "iothub-connection-device-id": device, "iothub-enqueuedtime": at_ms, "iothub-message-source": source,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time with the seven digits that .NET writes.
fn ticks(at: DateTime<Utc>) -> String {
    format!("{}.{:07}Z", at.format("%Y-%m-%dT%H:%M:%S"), at.timestamp_subsec_nanos() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{DeviceId, event::Operation};

    #[test]
    fn an_event_says_what_the_hub_says() {
        let event = DeviceEvent {
            at: DateTime::from_timestamp_millis(1_795_305_600_123).expect("a time"),
            device: DeviceId::parse("pump-1").expect("a device id"),
            module: None,
            operation: Operation::UpdateTwin,
            body: json!({"version": 3}),
        };
        let event = happened(9, event, "contoso");
        assert_eq!((event.seq, event.source), (9, "twinChangeEvents"));
        assert_eq!(
            Value::Object(event.properties),
            json!({
                "hubName": "contoso", "deviceId": "pump-1", "opType": "updateTwin",
                "operationTimestamp": "2026-11-22T00:00:00.1230000Z", "iothub-message-schema": "twinChangeNotification",
            })
        );
        assert_eq!(event.annotations["iothub-enqueuedtime"], 1_795_305_600_123_i64);
        assert_eq!(BASE64.decode(event.body).ok().as_deref(), Some(&b"{\"version\":3}"[..]));
    }
}

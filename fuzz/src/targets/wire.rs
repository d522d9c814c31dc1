//! What devices put into the lines of MQTT and of HTTP: topics, user names, tokens, message properties.

use super::{sure, text};
use chrono::DateTime;
use muster_model::wire::bag::{Bag, MAX_BAG_BYTES, MAX_PROPERTIES};
use muster_model::wire::percent_encode;
use muster_model::wire::sas::{self, MAX_TOKEN_BYTES, Token};
use muster_model::wire::topic::{self, DeviceTopic, DpsTopic, MAX_REQUEST_ID_BYTES, Subscription};
use muster_model::wire::username::{DpsUsername, HubUsername, MAX_USERNAME_BYTES};
use muster_model::{DeviceId, ModuleId};

/// 32 bytes, and 32 others.
const KEYS: [&str; 2] =
    ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="];

pub fn topic(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let (device, other) = (sure(DeviceId::parse("d-1")), sure(DeviceId::parse("d-2")));
    let module = sure(ModuleId::parse("m"));
    for module in [None, Some(&module)] {
        if let Ok(read) = DeviceTopic::parse(text, &device, module) {
            published(text, &read, module);
            let foreign = DeviceTopic::parse(text, &other, module);
            assert!(foreign.is_err() || text.starts_with("$iothub/"), "nobody sends for another device");
        }
        if Subscription::parse(text, &device, module).is_ok() {
            let own =
                module.map_or("devices/d-1/messages/".to_owned(), |module| format!("devices/d-1/modules/{module}/"));
            assert!(text.starts_with("$iothub/") || text.starts_with(&own), "a filter is for one's own messages");
            let (_, wildcards) = text.split_once(['#', '+']).unwrap_or_default();
            assert!(wildcards.is_empty(), "only the last level is a wildcard");
        }
    }
    match DpsTopic::parse(text) {
        Ok(DpsTopic::DpsRegister { rid }) => request_id(&rid, &topic::dps_response(202, &rid, Some(3))),
        Ok(DpsTopic::DpsStatus { rid, operation_id }) => {
            request_id(&rid, &topic::dps_response(200, &rid, None));
            assert!(!operation_id.contains('&'));
        }
        Err(_) => {}
    }
    if let Ok(method) = topic::method_topic(text, "1") {
        assert_eq!(method.split('/').count(), 5, "a method's name is one level");
        assert!(!method.contains(['+', '#']));
    }
}

/// What was read, written again, reads the same.
fn published(text: &str, read: &DeviceTopic, module: Option<&ModuleId>) {
    let device = sure(DeviceId::parse("d-1"));
    let written = match read {
        DeviceTopic::Telemetry { bag, .. } => {
            assert!(text.ends_with(bag.as_str()));
            let of = module.map(|module| format!("modules/{module}/")).unwrap_or_default();
            format!("devices/{device}/{of}messages/events/{bag}")
        }
        DeviceTopic::TwinGet { rid } => {
            request_id(rid, &topic::twin_response(200, rid, None));
            format!("$iothub/twin/GET/?$rid={rid}")
        }
        DeviceTopic::TwinReported { rid } => {
            request_id(rid, &topic::twin_response(204, rid, Some(7)));
            format!("$iothub/twin/PATCH/properties/reported/?$rid={rid}")
        }
        DeviceTopic::MethodResponse { status, rid } => {
            request_id(rid, &sure(topic::method_topic("m", rid)));
            format!("$iothub/methods/res/{status}/?$rid={rid}")
        }
    };
    assert_eq!(DeviceTopic::parse(&written, &device, module).as_ref(), Ok(read));
}

/// A request id can be echoed in a topic.
fn request_id(rid: &str, answer: &str) {
    assert!(!rid.is_empty() && rid.len() <= MAX_REQUEST_ID_BYTES);
    assert!(answer.contains(&format!("?$rid={rid}")) && !answer.contains(['+', '#', '\0']), "{answer}");
}

pub fn username(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(read) = HubUsername::parse(text) {
        assert!(text.len() <= MAX_USERNAME_BYTES);
        assert_eq!(read.host, read.host.to_ascii_lowercase());
        let module = read.module.as_ref().map(|module| format!("{module}/")).unwrap_or_default();
        let (model, client) = (read.model_id.as_deref(), read.client_type.as_deref());
        let query = [("model-id", model), ("DeviceClientType", client)]
            .map(|(name, value)| value.map(|value| format!("&{name}={}", percent_encode(value))).unwrap_or_default())
            .concat();
        let written = format!("{}/{}/{module}?api-version=2021-04-12{query}", read.host, read.device);
        if written.len() <= MAX_USERNAME_BYTES {
            assert_eq!(HubUsername::parse(&written), Ok(read));
        }
    }
    if let Ok(read) = DpsUsername::parse(text) {
        let written = format!("{}/registrations/{}/api-version=2019-03-31", read.id_scope, read.registration);
        assert_eq!(DpsUsername::parse(&written), Ok(read));
    }
}

pub fn sas(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Ok(token) = Token::parse(text) {
        checked(&token);
    }
    let se = i64::from(u32::from_be_bytes([text.len() as u8, 1, 2, 3]));
    let signed = sure(sas::sign(text, KEYS[0], se, Some("service")));
    match Token::parse(&signed) {
        Ok(token) => {
            assert_eq!((token.sr.as_str(), token.se), (percent_encode(text).as_str(), se));
            assert!(token.verify(KEYS[0]) && !token.verify(KEYS[1]));
            assert!(!Token { se: se + 1, ..token.clone() }.verify(KEYS[0]), "the expiry is signed");
            assert!(!Token { sr: format!("{}x", token.sr), ..token.clone() }.verify(KEYS[0]), "the resource is signed");
            checked(&token);
        }
        Err(_) => assert!(signed.len() > MAX_TOKEN_BYTES, "{signed}"),
    }
    if let Ok(device) = DeviceId::parse(text) {
        let token = sure(Token::parse(&sure(sas::sign(&format!("hub.local/devices/{device}"), KEYS[0], se, None))));
        assert!(token.covers_device("HUB.local", &device) && !token.covers_device("hub", &device));
        assert!(!token.covers_hub("hub.local"));
        if let Ok(other) = DeviceId::parse(format!("{device}x")) {
            assert!(!token.covers_device("hub.local", &other), "an id's beginning is another id");
        }
    }
    sure(sas::check_key(&sure(sas::derive_key(KEYS[0], text))));
    if sas::check_key(text).is_ok() {
        sure(sas::sign("hub", text, 0, None));
    }
    assert!(text.contains(sas::without_port(text)));
}

fn checked(token: &Token) {
    let device = sure(DeviceId::parse("d"));
    let debug = format!("{token:?}");
    assert!(!debug.contains("sig:"), "{debug}");
    if token.covers_hub("hub") {
        assert!(token.covers_device("hub", &device) || token.sr.contains(':'), "who may do all may do each");
    }
    if token.covers_device("hub", &device) {
        assert!(token.covers_module("hub", &device, &sure(ModuleId::parse("m"))), "a device answers for its modules");
    }
    for now in [0, i64::from(u32::MAX)].into_iter().filter_map(|seconds| DateTime::from_timestamp(seconds, 0)) {
        assert!(!token.expired(now) || token.se < now.timestamp());
    }
    let _ = token.expires_at();
}

pub fn bag(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(bag) = Bag::parse(text) else { return };
    assert!(text.len() <= MAX_BAG_BYTES && bag.size_bytes() <= text.len());
    assert!(bag.properties().count() <= MAX_PROPERTIES);
    assert!(bag.properties().all(|(key, _)| !key.starts_with("$.")), "system properties are none of the application's");
    assert_eq!(bag.to_json().len(), bag.properties().count());
    let _ = (bag.component(), bag.content_type(), bag.creation_time());
    let encoded = bag.encode();
    assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%&=".contains(&byte)));
    if encoded.len() <= MAX_BAG_BYTES {
        assert_eq!(Bag::parse(&encoded), Ok(bag));
    }
}

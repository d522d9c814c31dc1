//! A device's message on its way to the ingress, whatever protocol it came by.

use bytes::Bytes;
use muster_engine::hub_auth::DeviceSession;
use muster_model::batch::{Inbound, Kind};

/// The largest message: its body, the values of its system properties, names and values of the others.
pub(crate) const MAX_MESSAGE_BYTES: usize = 262_144;

/// A telemetry message of the session's device. What a module sends is its device's, with the module noted beside it.
pub(crate) fn inbound(session: &DeviceSession, bag: String, payload: Bytes, enqueued_ms: i64) -> Inbound {
    Inbound {
        tenant: session.tenant,
        device: session.source,
        device_id: session.device_id.as_str().to_owned(),
        model_id: session.model_id.clone().unwrap_or_default(),
        module: session.module.clone(),
        enqueued_ms,
        kind: Kind::Telemetry,
        auth: session.auth,
        bag,
        payload,
    }
}

/// Whether a message is larger than the hub takes.
pub(crate) fn too_large(bag: &str, payload: &[u8]) -> bool {
    // What is percent-encoded or a separator takes more room on the wire than it counts.
    payload.len() + bag.len() > MAX_MESSAGE_BYTES && payload.len() + counted_bytes(bag) > MAX_MESSAGE_BYTES
}

/// The bag with one more property; neither name nor value needs encoding.
pub(crate) fn with_property(bag: &str, name: &str, value: &str) -> String {
    if bag.is_empty() { format!("{name}={value}") } else { format!("{bag}&{name}={value}") }
}

fn counted_bytes(bag: &str) -> usize {
    let escapes = bag.bytes().filter(|byte| *byte == b'%').count();
    let separators = bag.bytes().filter(|byte| matches!(byte, b'&' | b'=')).count();
    bag.len().saturating_sub(2 * escapes + separators)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_that_of_body_and_properties() {
        let body = vec![0; MAX_MESSAGE_BYTES - 2];
        assert!(!too_large("", &vec![0; MAX_MESSAGE_BYTES]));
        assert!(too_large("", &vec![0; MAX_MESSAGE_BYTES + 1]));
        assert!(!too_large("a=%20", &body));
        assert!(too_large("a=bc", &body));
    }

    #[test]
    fn properties_are_appended() {
        assert_eq!(with_property("", "mqtt-retain", "true"), "mqtt-retain=true");
        assert_eq!(with_property("a=1", "mqtt-retain", "true"), "a=1&mqtt-retain=true");
    }
}

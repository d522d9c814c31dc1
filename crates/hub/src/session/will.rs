//! The will: what is said in a device's name when its connection breaks (`iot-hub-wire.md` §1).

use super::end::End;
use crate::telemetry;
use bytes::Bytes;
use muster_model::{Address, wire::topic::DeviceTopic};
use rmqtt_codec::{types::QoS, v3::LastWill};

/// A will that may be said.
pub(super) struct Will {
    /// The property bag, marked as a will.
    pub(super) bag: String,
    /// The message.
    pub(super) payload: Bytes,
}

impl Will {
    /// Checks the will of a CONNECT: it must be telemetry of the same identity.
    pub(super) fn parse(will: &LastWill, address: &Address) -> Result<Self, End> {
        if will.qos == QoS::ExactlyOnce {
            return Err(End::Forbidden("will with QoS 2"));
        }
        let DeviceTopic::Telemetry { bag, .. } =
            DeviceTopic::parse(&will.topic, &address.device, address.module.as_ref())?
        else {
            return Err(End::Forbidden("will that is not telemetry"));
        };
        let bag = telemetry::with_property(&bag, "iothub-MessageType", "Will");
        if telemetry::too_large(&bag, &will.message) {
            return Err(End::Forbidden("will over the size limit"));
        }
        // The CONNECT's buffer is large and would be kept as long as the connection.
        Ok(Self { bag, payload: Bytes::copy_from_slice(&will.message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(topic: &'static str, qos: QoS) -> Result<Will, End> {
        let address = "d".parse().expect("an address");
        let will = LastWill { qos, retain: false, topic: topic.into(), message: Bytes::from_static(b"{}") };
        Will::parse(&will, &address)
    }

    #[test]
    fn a_will_is_the_devices_own_telemetry() {
        let will = parse("devices/d/messages/events/a=1", QoS::AtLeastOnce).expect("a will");
        assert_eq!(will.bag, "a=1&iothub-MessageType=Will");
        for topic in ["devices/e/messages/events/", "$iothub/twin/GET/?$rid=1", "x"] {
            assert!(parse(topic, QoS::AtMostOnce).is_err(), "{topic}");
        }
        assert!(parse("devices/d/messages/events/", QoS::ExactlyOnce).is_err());
    }
}

//! The topics between a device and the hub (`iot-hub-wire.md` §2, §3).

use super::bag::Bag;
use crate::{DeviceId, ModuleId};

/// A request id longer than this is refused; SDKs use UUIDs and short numbers.
pub const MAX_REQUEST_ID_BYTES: usize = 128;
/// The only filter that a device may subscribe to at the provisioning service.
pub const PROVISIONING_FILTER: &str = "$dps/registrations/res/#";

/// What a device publishes to the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceTopic {
    /// Telemetry.
    Telemetry {
        /// The module that sends it.
        module: Option<ModuleId>,
        /// The property bag as it was sent: everything after `/messages/events/`.
        bag: String,
    },
    /// Asks for the twin.
    TwinGet {
        /// To be echoed verbatim.
        rid: String,
    },
    /// Patches the reported properties.
    TwinReported {
        /// To be echoed verbatim.
        rid: String,
    },
    /// Answers a direct method.
    MethodResponse {
        /// The device's own status.
        status: i64,
        /// The request that it answers.
        rid: String,
    },
}

/// What a device publishes to the provisioning service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DpsTopic {
    /// Asks to be registered.
    DpsRegister {
        /// To be echoed verbatim.
        rid: String,
    },
    /// Asks how its registration stands.
    DpsStatus {
        /// To be echoed verbatim.
        rid: String,
        /// The operation that the registration was answered with.
        operation_id: String,
    },
}

/// What a device may subscribe to at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subscription {
    /// Cloud-to-device messages.
    CloudToDevice,
    /// Everything sent to a module.
    ModuleInputs,
    /// Direct methods.
    Methods,
    /// Answers to twin requests.
    TwinResponses,
    /// Changes of desired properties.
    DesiredProperties,
}

/// Why a topic or a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// It is none of the known forms.
    #[error("topic is not one of the hub's")]
    Unknown,
    /// It belongs to another device or module.
    #[error("topic belongs to another device")]
    Foreign,
    /// `$rid` is missing, empty, too long or holds a character that clients can't take back.
    #[error("request id of the topic is missing or malformed")]
    RequestId,
    /// A method's name can't stand in a topic.
    #[error("method name can't stand in a topic")]
    MethodName,
}

impl DeviceTopic {
    /// Reads the topic of a PUBLISH of this device or module.
    ///
    /// # Errors
    /// [`TopicError`]; the connection is closed then.
    pub fn parse(topic: &str, device: &DeviceId, module: Option<&ModuleId>) -> Result<Self, TopicError> {
        if let Some(rest) = topic.strip_prefix("$iothub/") {
            return service_topic(rest);
        }
        match own(topic, device, module)? {
            "messages/events" => Ok(Self::Telemetry { module: module.cloned(), bag: String::new() }),
            rest => match rest.strip_prefix("messages/events/") {
                Some(bag) => Ok(Self::Telemetry { module: module.cloned(), bag: bag.to_owned() }),
                None => Err(TopicError::Unknown),
            },
        }
    }
}

impl DpsTopic {
    /// Reads the topic of a PUBLISH to the provisioning service.
    ///
    /// # Errors
    /// [`TopicError`]; the connection is closed then.
    pub fn parse(topic: &str) -> Result<Self, TopicError> {
        let rest = topic.strip_prefix("$dps/registrations/").ok_or(TopicError::Unknown)?;
        let (path, query) = rest.split_once("/?").ok_or(TopicError::Unknown)?;
        match path {
            "PUT/iotdps-register" => Ok(Self::DpsRegister { rid: request_id(query)? }),
            "GET/iotdps-get-operationstatus" => Ok(Self::DpsStatus {
                rid: request_id(query)?,
                operation_id: parameter(query, &["operationId"]).unwrap_or_default().to_owned(),
            }),
            _ => Err(TopicError::Unknown),
        }
    }
}

impl Subscription {
    /// Reads a filter that this device or module subscribes to.
    ///
    /// # Errors
    /// [`TopicError`]; the filter is answered with 0x80 then.
    pub fn parse(filter: &str, device: &DeviceId, module: Option<&ModuleId>) -> Result<Self, TopicError> {
        match filter {
            "$iothub/methods/POST/#" => return Ok(Self::Methods),
            "$iothub/twin/res/#" => return Ok(Self::TwinResponses),
            "$iothub/twin/PATCH/properties/desired/#" => return Ok(Self::DesiredProperties),
            _ => {}
        }
        match (own(filter, device, module)?, module) {
            ("messages/devicebound/#" | "messages/devicebound" | "messages/devicebound/", None) => {
                Ok(Self::CloudToDevice)
            }
            ("inputs/#" | "#", Some(_)) => Ok(Self::ModuleInputs),
            _ => Err(TopicError::Unknown),
        }
    }
}

/// Where the answer to a twin request goes; `version` follows a patch.
pub fn twin_response(status: u16, rid: &str, version: Option<i64>) -> String {
    match version {
        Some(version) => format!("$iothub/twin/res/{status}/?$rid={rid}&$version={version}"),
        None => format!("$iothub/twin/res/{status}/?$rid={rid}"),
    }
}

/// Where a change of the desired properties goes.
pub fn desired_topic(version: i64) -> String {
    format!("$iothub/twin/PATCH/properties/desired/?$version={version}")
}

/// Where a direct method goes. The name is sent raw: one SDK does not decode it (`iot-hub-wire.md` §0.5).
///
/// # Errors
/// [`TopicError::MethodName`] where the name is empty, longer than 100 bytes or would break the topic.
pub fn method_topic(name: &str, rid: &str) -> Result<String, TopicError> {
    let breaks = |c: char| c.is_control() || "/+#?$".contains(c);
    if name.is_empty() || name.len() > 100 || name.contains(breaks) {
        return Err(TopicError::MethodName);
    }
    Ok(format!("$iothub/methods/POST/{name}/?$rid={rid}"))
}

/// Where a cloud-to-device message goes; the slash at the end stays where there are no properties.
pub fn devicebound_topic(device: &DeviceId, bag: &Bag) -> String {
    devicebound(device, &bag.encode())
}

/// [`devicebound_topic`] with a bag that is encoded already.
pub fn devicebound(device: &DeviceId, bag: &str) -> String {
    format!("devices/{device}/messages/devicebound/{bag}")
}

/// Where an answer of the provisioning service goes; `retry_after` in seconds.
pub fn dps_response(status: u16, rid: &str, retry_after: Option<u32>) -> String {
    match retry_after {
        Some(seconds) => format!("$dps/registrations/res/{status}/?$rid={rid}&retry-after={seconds}"),
        None => format!("$dps/registrations/res/{status}/?$rid={rid}"),
    }
}

fn service_topic(rest: &str) -> Result<DeviceTopic, TopicError> {
    let (path, query) = rest.split_once("/?").ok_or(TopicError::Unknown)?;
    match path {
        "twin/GET" => Ok(DeviceTopic::TwinGet { rid: request_id(query)? }),
        "twin/PATCH/properties/reported" => Ok(DeviceTopic::TwinReported { rid: request_id(query)? }),
        _ => {
            let status = path.strip_prefix("methods/res/").ok_or(TopicError::Unknown)?;
            let status = status.parse().map_err(|_| TopicError::Unknown)?;
            Ok(DeviceTopic::MethodResponse { status, rid: request_id(query)? })
        }
    }
}

/// What follows `devices/{id}/` (and `modules/{module}/`) where the topic is this identity's own.
fn own<'a>(topic: &'a str, device: &DeviceId, module: Option<&ModuleId>) -> Result<&'a str, TopicError> {
    let (id, rest) = topic.strip_prefix("devices/").and_then(|rest| rest.split_once('/')).ok_or(TopicError::Unknown)?;
    if id != device.as_str() {
        return Err(TopicError::Foreign);
    }
    match (rest.strip_prefix("modules/").and_then(|rest| rest.split_once('/')), module) {
        (None, None) => Ok(rest),
        (Some((id, rest)), Some(module)) if id == module.as_str() => Ok(rest),
        _ => Err(TopicError::Foreign),
    }
}

fn request_id(query: &str) -> Result<String, TopicError> {
    let rid = parameter(query, &["$rid", "%24rid"]).ok_or(TopicError::RequestId)?;
    let breaks = |c: char| c.is_control() || "/+#?$".contains(c);
    if rid.is_empty() || rid.len() > MAX_REQUEST_ID_BYTES || rid.contains(breaks) {
        return Err(TopicError::RequestId);
    }
    Ok(rid.to_owned())
}

fn parameter<'a>(query: &'a str, names: &[&str]) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| names.contains(name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device() -> DeviceId {
        DeviceId::parse("d-1").expect("a device id")
    }

    fn module() -> ModuleId {
        ModuleId::parse("m").expect("a module id")
    }

    #[test]
    fn published_topics_are_read() {
        let telemetry = |bag: &str| DeviceTopic::Telemetry { module: None, bag: bag.into() };
        for (topic, expected) in [
            ("devices/d-1/messages/events", telemetry("")),
            ("devices/d-1/messages/events/", telemetry("")),
            ("devices/d-1/messages/events/%24.ct=a%2Fb&x=1", telemetry("%24.ct=a%2Fb&x=1")),
            ("devices/d-1/messages/events/$.ct=application/json", telemetry("$.ct=application/json")),
            ("$iothub/twin/GET/?$rid=12", DeviceTopic::TwinGet { rid: "12".into() }),
            ("$iothub/twin/PATCH/properties/reported/?$rid=a-b", DeviceTopic::TwinReported { rid: "a-b".into() }),
            ("$iothub/methods/res/-1/?$rid=7", DeviceTopic::MethodResponse { status: -1, rid: "7".into() }),
        ] {
            assert_eq!(DeviceTopic::parse(topic, &device(), None), Ok(expected), "{topic}");
        }
        let topic = "devices/d-1/modules/m/messages/events/$.on=out";
        let expected = DeviceTopic::Telemetry { module: Some(module()), bag: "$.on=out".into() };
        assert_eq!(DeviceTopic::parse(topic, &device(), Some(&module())), Ok(expected));
    }

    #[test]
    fn other_topics_are_refused() {
        for (topic, error) in [
            ("", TopicError::Unknown),
            ("a/b", TopicError::Unknown),
            ("devices/d-1", TopicError::Unknown),
            ("devices/d-1/messages", TopicError::Unknown),
            ("devices/d-1/messages/eventsx", TopicError::Unknown),
            ("devices/d-2/messages/events/", TopicError::Foreign),
            ("devices/d-1/modules/m/messages/events/", TopicError::Foreign),
            ("$iothub/twin/GET/", TopicError::Unknown),
            ("$iothub/twin/GET/?rid=1", TopicError::RequestId),
            ("$iothub/twin/GET/?$rid=", TopicError::RequestId),
            ("$iothub/twin/GET/?$rid=a$b", TopicError::RequestId),
            ("$iothub/twin/PUT/?$rid=1", TopicError::Unknown),
            ("$iothub/methods/res/x/?$rid=1", TopicError::Unknown),
            ("$SYS/broker", TopicError::Unknown),
        ] {
            assert_eq!(DeviceTopic::parse(topic, &device(), None), Err(error), "{topic}");
        }
        assert_eq!(
            DeviceTopic::parse("devices/d-1/messages/events/", &device(), Some(&module())),
            Err(TopicError::Foreign)
        );
    }

    #[test]
    fn provisioning_topics_are_read() {
        assert_eq!(
            DpsTopic::parse("$dps/registrations/PUT/iotdps-register/?$rid=1"),
            Ok(DpsTopic::DpsRegister { rid: "1".into() })
        );
        assert_eq!(
            DpsTopic::parse("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.a.b"),
            Ok(DpsTopic::DpsStatus { rid: "2".into(), operation_id: "5.a.b".into() })
        );
        for topic in [
            "",
            "$dps/registrations/PUT/iotdps-register/",
            "$dps/registrations/DELETE/x/?$rid=1",
            "devices/d/messages/events/",
        ] {
            assert!(DpsTopic::parse(topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn filters_are_those_of_the_identity() {
        for (filter, expected) in [
            ("devices/d-1/messages/devicebound/#", Subscription::CloudToDevice),
            ("devices/d-1/messages/devicebound", Subscription::CloudToDevice),
            ("$iothub/methods/POST/#", Subscription::Methods),
            ("$iothub/twin/res/#", Subscription::TwinResponses),
            ("$iothub/twin/PATCH/properties/desired/#", Subscription::DesiredProperties),
        ] {
            assert_eq!(Subscription::parse(filter, &device(), None), Ok(expected), "{filter}");
        }
        for filter in ["devices/d-1/modules/m/inputs/#", "devices/d-1/modules/m/#"] {
            assert_eq!(
                Subscription::parse(filter, &device(), Some(&module())),
                Ok(Subscription::ModuleInputs),
                "{filter}"
            );
        }
        for filter in [
            "#",
            "+/+",
            "devices/d-2/messages/devicebound/#",
            "devices/d-1/#",
            "devices/+/messages/devicebound/#",
            PROVISIONING_FILTER,
        ] {
            assert!(Subscription::parse(filter, &device(), None).is_err(), "{filter}");
        }
    }

    #[test]
    fn topics_to_the_device_are_exact() {
        assert_eq!(twin_response(200, "1", None), "$iothub/twin/res/200/?$rid=1");
        assert_eq!(twin_response(204, "1", Some(5)), "$iothub/twin/res/204/?$rid=1&$version=5");
        assert_eq!(desired_topic(3), "$iothub/twin/PATCH/properties/desired/?$version=3");
        assert_eq!(
            method_topic("thermostat1*reboot", "9").as_deref(),
            Ok("$iothub/methods/POST/thermostat1*reboot/?$rid=9")
        );
        assert_eq!(method_topic("a/b", "9"), Err(TopicError::MethodName));
        assert_eq!(dps_response(202, "1", Some(3)), "$dps/registrations/res/202/?$rid=1&retry-after=3");
        assert_eq!(dps_response(200, "1", None), "$dps/registrations/res/200/?$rid=1");
        assert_eq!(devicebound_topic(&device(), &Bag::default()), "devices/d-1/messages/devicebound/");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*", prefix in "(devices/d-1/|\\$iothub/|\\$dps/registrations/)?") {
            let text = format!("{prefix}{text}");
            let _ = DeviceTopic::parse(&text, &device(), None);
            let _ = DpsTopic::parse(&text);
            let _ = Subscription::parse(&text, &device(), Some(&module()));
        }
    }
}

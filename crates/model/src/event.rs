//! What happens to devices, as back-end services hear of it (`iot-hub-wire.md` §10), and what goes wrong with them.

use crate::{DeviceId, ModuleId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// The device.
    pub device: DeviceId,
    /// The module on it, where it happened to one.
    pub module: Option<ModuleId>,
    /// What.
    pub operation: Operation,
    /// What services are told of it.
    pub body: Value,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// It connected.
    DeviceConnected,
    /// Its connection ended.
    DeviceDisconnected,
    /// It was made.
    CreateDeviceIdentity,
    /// It was deleted.
    DeleteDeviceIdentity,
    /// A module of it was made.
    CreateModuleIdentity,
    /// A module of it was deleted, and the device stays.
    DeleteModuleIdentity,
    /// Its twin was changed by a patch.
    UpdateTwin,
    /// Its twin was replaced.
    ReplaceTwin,
}

/// Every operation.
const OPERATIONS: [Operation; 8] = [
    Operation::DeviceConnected,
    Operation::DeviceDisconnected,
    Operation::CreateDeviceIdentity,
    Operation::DeleteDeviceIdentity,
    Operation::CreateModuleIdentity,
    Operation::DeleteModuleIdentity,
    Operation::UpdateTwin,
    Operation::ReplaceTwin,
];

impl Operation {
    /// The hub's name for it (`opType`).
    pub fn name(self) -> &'static str {
        match self {
            Self::DeviceConnected => "deviceConnected",
            Self::DeviceDisconnected => "deviceDisconnected",
            Self::CreateDeviceIdentity => "createDeviceIdentity",
            Self::DeleteDeviceIdentity => "deleteDeviceIdentity",
            Self::CreateModuleIdentity => "createModuleIdentity",
            Self::DeleteModuleIdentity => "deleteModuleIdentity",
            Self::UpdateTwin => "updateTwin",
            Self::ReplaceTwin => "replaceTwin",
        }
    }

    /// The operation of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        OPERATIONS.into_iter().find(|operation| operation.name() == name)
    }

    /// Where the hub says that the event comes from (`iothub-message-source`).
    pub fn source(self) -> &'static str {
        match self {
            Self::DeviceConnected | Self::DeviceDisconnected => "deviceConnectionStateEvents",
            Self::CreateDeviceIdentity
            | Self::DeleteDeviceIdentity
            | Self::CreateModuleIdentity
            | Self::DeleteModuleIdentity => "deviceLifecycleEvents",
            Self::UpdateTwin | Self::ReplaceTwin => "twinChangeEvents",
        }
    }

    /// What the body is (`iothub-message-schema`).
    pub fn schema(self) -> &'static str {
        match self {
            Self::DeviceConnected | Self::DeviceDisconnected => "deviceConnectionStateNotification",
            Self::CreateDeviceIdentity | Self::DeleteDeviceIdentity => "deviceLifecycleNotification",
            Self::CreateModuleIdentity | Self::DeleteModuleIdentity => "moduleLifecycleNotification",
            Self::UpdateTwin | Self::ReplaceTwin => "twinChangeNotification",
        }
    }
}

/// What went wrong with a device. The names are stable: they are stored, and shown by the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum FailureCode {
    /// It showed neither token nor certificate.
    NoCredential,
    /// Its password is no token.
    BadToken,
    /// Its token has expired.
    TokenExpired,
    /// Its token is for something else.
    TokenForAnother,
    /// Its token is signed with another key.
    WrongKey,
    /// It has another certificate.
    WrongCertificate,
    /// It may not connect.
    Blocked,
    /// It named a module that there is not.
    UnknownModule,
    /// The provisioning service did not take what it showed.
    ProvisioningRefused,
    /// Its enrollment is disabled.
    EnrollmentDisabled,
    /// It waits for approval, or is blocked, and asked to be provisioned.
    NotApproved,
    /// It did what the protocol does not allow, and was cut off.
    ProtocolViolation,
    /// It sent a message that is too large.
    MessageTooLarge,
    /// It asked for too much at once.
    Throttled,
    /// It did not answer a method in time.
    MethodTimedOut,
}

impl FailureCode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCredential => "noCredential",
            Self::BadToken => "badToken",
            Self::TokenExpired => "tokenExpired",
            Self::TokenForAnother => "tokenForAnother",
            Self::WrongKey => "wrongKey",
            Self::WrongCertificate => "wrongCertificate",
            Self::Blocked => "blocked",
            Self::UnknownModule => "unknownModule",
            Self::ProvisioningRefused => "provisioningRefused",
            Self::EnrollmentDisabled => "enrollmentDisabled",
            Self::NotApproved => "notApproved",
            Self::ProtocolViolation => "protocolViolation",
            Self::MessageTooLarge => "messageTooLarge",
            Self::Throttled => "throttled",
            Self::MethodTimedOut => "methodTimedOut",
        }
    }

    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_value(Value::from(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for operation in OPERATIONS {
            assert_eq!(Operation::from_name(operation.name()), Some(operation));
            assert_eq!(serde_json::to_value(operation).expect("a name"), operation.name());
        }
        for code in [FailureCode::NoCredential, FailureCode::WrongKey, FailureCode::MethodTimedOut] {
            assert_eq!(FailureCode::from_name(code.name()), Some(code));
        }
        assert_eq!(FailureCode::from_name("nothing"), None);
    }
}

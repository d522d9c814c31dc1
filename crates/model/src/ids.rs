//! Typed ids. A value of one of these types is valid: parsing is the only way to make it from text.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Text that is no valid id of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What the text was meant to be, for example `device id`.
    pub kind: &'static str,
    /// The text, cut to 128 characters.
    pub text: String,
    /// The rule that it breaks, readable by people.
    pub rule: &'static str,
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $max:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, description = $rule))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str { &self.0 }
            /// Parses `text`.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule that the text breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if !text.is_empty() && text.len() <= $max && valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, text: text.chars().take(128).collect(), rule: $rule })
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> { Self::parse(text) }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> { Self::parse(text) }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.0 }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId {
                    kind: stringify!($name),
                    text: text.chars().take(128).collect(),
                    rule: "expected a UUID",
                })
            }
        }
    };
}

number_id!(/// A tenant's number inside the database.
    TenantKey(i32));
number_id!(/// A device's number inside the database; never reused.
    DeviceKey(i64));
number_id!(/// An interned list of telemetry keys (`docs/ingest.md`).
    ShapeKey(i32));

fn slug(text: &str) -> bool {
    !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

text_id!(/// A tenant's name in addresses (`/t/{tenant}`).
    TenantId, "tenant id", "2 to 48 lower-case letters, digits and '-', not at an end", 48, |t| t.len() >= 2 && slug(t));
text_id!(/// A device's id as Azure IoT Hub defines it; case-sensitive.
    DeviceId, "device id", "1 to 128 letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '", 128,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@;$'".contains(&b)));
text_id!(/// A module's id inside its device.
    ModuleId, "module id", "1 to 128 letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '", 128,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@;$'".contains(&b)));
text_id!(/// A job's id.
    JobId, "job id", "1 to 64 letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ '", 64,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:.+%_#*?!(),=@;$'".contains(&b)));
text_id!(/// A configuration's id: what a service wants of many devices.
    ConfigurationId, "configuration id", "1 to 128 lower-case letters, digits and - : + % _ # * ? ! ( ) , = @ ; '", 128,
    |t| t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-:+%_#*?!(),=@;'".contains(&b)));
text_id!(/// A certificate authority that a tenant has uploaded.
    AuthorityId, "certificate authority id", "1 to 128 letters, digits and - . _ :", 128,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b)));
text_id!(/// A registration id of the provisioning service (DPS).
    RegistrationId, "registration id", "1 to 128 letters, digits and - . _ :, the last a letter, digit or '-'", 128,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
        && t.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'-'));
text_id!(/// A device template's id: a DTMI, or one of the old `urn:` forms of IoT Central.
    TemplateId, "device template id", "expected dtmi:… or urn:… of at most 2048 characters", 2048,
    |t| (t.starts_with("dtmi:") || t.starts_with("urn:"))
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || b":;_.-".contains(&b)));
text_id!(/// A dashboard's id.
    DashboardId, "dashboard id", "1 to 128 letters, digits, '-', ':' and ';'", 128,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:;".contains(&b)));
text_id!(/// A view's id in its template.
    ViewId, "view id", "1 to 64 letters, digits, '-' and '_'", 64,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
text_id!(/// A device group's id.
    DeviceGroupId, "device group id", "1 to 255 letters, digits, '-' and '_'", 255,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
text_id!(/// An enrollment group's id.
    EnrollmentGroupId, "enrollment group id", "1 to 255 letters, digits and '-'", 255,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
text_id!(/// A user's id.
    UserId, "user id", "1 to 48 letters, digits, '-' and '_'", 48,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
text_id!(/// An API token's id (its name).
    TokenId, "API token id", "1 to 48 letters, digits, '-', '_' and '.'", 48,
    |t| t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
text_id!(/// A tenant's id scope, by which a device finds it in the provisioning service.
    IdScope, "id scope", "1 to 32 letters and digits", 32, |t| t.bytes().all(|b| b.is_ascii_alphanumeric()));
text_id!(/// The name of an uploaded file inside its device; `/` parts folders. It never becomes a path on a disk.
    FileName, "file name",
    "1 to 1024 characters in parts between '/', none of them empty, '.' or '..', without '\\' and control characters", 4096,
    |t| t.chars().count() <= 1024
        && !t.contains(|c: char| c == '\\' || c.is_control())
        && t.split('/').all(|part| !matches!(part, "" | "." | "..")));

/// A device, or a module of one: what connects, has a twin and answers methods. It is written `device` or
/// `device/module`; no id has a slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The device.
    pub device: DeviceId,
    /// Its module, where it is one.
    pub module: Option<ModuleId>,
}

impl Address {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        if self.module.is_some() { "module" } else { "device" }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            None => self.device.fmt(f),
            Some(module) => write!(f, "{}/{module}", self.device),
        }
    }
}

impl From<DeviceId> for Address {
    fn from(device: DeviceId) -> Self {
        Self { device, module: None }
    }
}

impl From<(DeviceId, ModuleId)> for Address {
    fn from((device, module): (DeviceId, ModuleId)) -> Self {
        Self { device, module: Some(module) }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl FromStr for Address {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            None => Ok(Self { device: text.parse()?, module: None }),
            Some((device, module)) => Ok(Self { device: device.parse()?, module: Some(module.parse()?) }),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

uuid_id!(/// An upload of a file that a device has been granted (`correlationId`).
    UploadId);
uuid_id!(/// A run of a command; of two, the later is greater.
    CommandRunId);
uuid_id!(/// A rule.
    RuleId);
uuid_id!(/// An alert.
    AlertId);
uuid_id!(/// A batch of messages on the bus.
    BatchId);
uuid_id!(/// A row of outgoing work.
    WorkId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_their_rules() {
        assert!(TenantId::parse("demo").is_ok());
        for bad in ["", "a", "-ab", "ab-", "Ab", "a b", &"a".repeat(49)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
        assert!(DeviceId::parse("a-:.+%_#*?!(),=@;$'Z9").is_ok());
        for bad in ["", "a/b", "a b", "ä", &"a".repeat(129)] {
            assert!(DeviceId::parse(bad).is_err(), "{bad}");
        }
        assert!(RegistrationId::parse("sn-007:a.b_c-").is_ok());
        assert!(RegistrationId::parse("a.").is_err());
        assert!(TemplateId::parse("urn:modelDefinition:xx:yy").is_ok());
        assert!(TemplateId::parse("dtmi:a:b;1").is_ok());
        assert!(TemplateId::parse("a:b").is_err());
        for good in ["a", "logs/2026/an ä.txt", "a..b", &"ä".repeat(1024)] {
            assert!(FileName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", "a\\b", "a\nb", &"ä".repeat(1025)] {
            assert!(FileName::parse(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<DeviceId>("\"a/b\"").is_err());
        for address in ["d", "d/m", "a?b/$'"] {
            assert_eq!(address.parse::<Address>().map(|read| read.to_string()).as_deref(), Ok(address));
        }
        for bad in ["", "/m", "d/", "d/m/x", "a b"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}

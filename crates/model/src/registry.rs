//! Device identities and twins as IoT Hub's service API shows them (`iot-hub-wire.md` §6).

use crate::{
    ModuleId,
    device::{Device, Module, SymmetricKeys, Twin},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// A time that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What belongs to a device and stands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How it proves who it is.
    pub proof: Proof,
    /// Messages that wait for it.
    pub messages: i64,
}

/// How a device proves who it is, as the registry tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By tokens.
    Sas(SymmetricKeys),
    /// By a certificate of one of these thumbprints.
    SelfSigned {
        /// The one in use.
        primary: Option<String>,
        /// The next one.
        secondary: Option<String>,
    },
    /// By a certificate that an authority has signed.
    CertificateAuthority,
}

impl Proof {
    /// Its name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sas(_) => "sas",
            Self::SelfSigned { .. } => "selfSigned",
            Self::CertificateAuthority => "certificateAuthority",
        }
    }

    fn thumbprints(&self) -> Value {
        match self {
            Self::SelfSigned { primary, secondary } => {
                json!({"primaryThumbprint": primary, "secondaryThumbprint": secondary})
            }
            Self::Sas(_) | Self::CertificateAuthority => {
                json!({"primaryThumbprint": null, "secondaryThumbprint": null})
            }
        }
    }

    fn document(&self) -> Value {
        let keys = match self {
            Self::Sas(keys) => json!({"primaryKey": keys.primary_key, "secondaryKey": keys.secondary_key}),
            Self::SelfSigned { .. } | Self::CertificateAuthority => json!({"primaryKey": null, "secondaryKey": null}),
        };
        json!({"symmetricKey": keys, "x509Thumbprint": self.thumbprints(), "type": self.kind()})
    }
}

/// The module's identity, keys included.
pub fn module(module: &Module, facts: &Facts) -> Value {
    let identity = &module.identity;
    json!({
        "moduleId": module.id,
        "managedBy": module.managed_by,
        "deviceId": identity.id,
        "generationId": identity.generation,
        "etag": identity.etag,
        "connectionState": connection_state(identity),
        "connectionStateUpdatedTime": time(identity.connection_changed_at),
        "lastActivityTime": time(identity.last_seen),
        "cloudToDeviceMessageCount": facts.messages,
        "authentication": facts.proof.document(),
    })
}

/// The identity, keys included.
pub fn identity(device: &Device, facts: &Facts) -> Value {
    json!({
        "deviceId": device.id,
        "generationId": device.generation,
        "etag": device.etag,
        "connectionState": connection_state(device),
        "status": status(device),
        "statusReason": device.status_reason,
        "connectionStateUpdatedTime": time(device.connection_changed_at),
        "statusUpdatedTime": time(device.status_changed_at),
        "lastActivityTime": time(device.last_seen),
        "cloudToDeviceMessageCount": facts.messages,
        "authentication": facts.proof.document(),
        "capabilities": {"iotEdge": false},
    })
}

/// The twin as services see it: of a device, or of this module of it.
pub fn twin(device: &Device, module: Option<&ModuleId>, twin: &Twin, facts: &Facts) -> Value {
    let mut document = json!({
        "deviceId": device.id,
        "etag": twin.etag(),
        "deviceEtag": device.etag,
        "status": status(device),
        "statusUpdateTime": time(device.status_changed_at),
        "connectionState": connection_state(device),
        "lastActivityTime": time(device.last_seen),
        "cloudToDeviceMessageCount": facts.messages,
        "authenticationType": facts.proof.kind(),
        "x509Thumbprint": facts.proof.thumbprints(),
        "modelId": twin.model_id.as_deref().unwrap_or_default(),
        "version": twin.version,
        "tags": twin.tags,
        "properties": {
            "desired": section(&twin.desired, &twin.desired_metadata, twin.desired_version, device),
            "reported": section(&twin.reported, &twin.reported_metadata, twin.reported_version, device),
        },
        "capabilities": {"iotEdge": false},
    });
    if let (false, Some(document)) = (twin.configurations.is_empty(), document.as_object_mut()) {
        document.insert("configurations".into(), twin.configurations.clone().into());
    }
    let mut add = |name: &str, value: Option<&str>| {
        if let (Some(value), Some(document)) = (value, document.as_object_mut()) {
            document.insert(name.into(), value.into());
        }
    };
    add("statusReason", device.status_reason.as_deref());
    add("moduleId", module.map(ModuleId::as_str));
    document
}

fn section(properties: &Map<String, Value>, metadata: &Map<String, Value>, version: i64, device: &Device) -> Value {
    let mut section = properties.clone();
    let mut metadata = metadata.clone();
    // One that never changed is as old as its device.
    metadata.entry("$lastUpdated").or_insert_with(|| time(Some(device.created_at)).into());
    section.insert("$metadata".into(), Value::Object(metadata));
    section.insert("$version".into(), version.into());
    Value::Object(section)
}

fn status(device: &Device) -> &'static str {
    if device.enabled { "enabled" } else { "disabled" }
}

fn connection_state(device: &Device) -> &'static str {
    if device.connected { "Connected" } else { "Disconnected" }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceId, DeviceKey};

    fn device() -> Device {
        Device {
            key: DeviceKey(1),
            id: DeviceId::parse("d").expect("a device id"),
            display_name: "D".into(),
            template: None,
            enabled: true,
            provisioned: true,
            simulated: false,
            etag: "1".into(),
            created_at: DateTime::UNIX_EPOCH,
            last_seen: None,
            connected: false,
            generation: "g".into(),
            status_reason: None,
            status_changed_at: None,
            connection_changed_at: Some(DateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn documents_have_what_clients_read() {
        let keys = SymmetricKeys { primary_key: "p".into(), secondary_key: "s".into() };
        let facts = Facts { proof: Proof::Sas(keys), messages: 2 };
        let identity = identity(&device(), &facts);
        assert_eq!(identity["authentication"]["symmetricKey"]["primaryKey"], "p");
        assert_eq!(identity["lastActivityTime"], NEVER);
        assert_eq!(identity["connectionStateUpdatedTime"], "1970-01-01T00:00:00.000Z");
        assert_eq!(identity["cloudToDeviceMessageCount"], 2);
        let new = Twin { desired_version: 1, reported_version: 1, version: 2, service_version: 1, ..Twin::default() };
        let twin = twin(&device(), None, &new, &facts);
        assert_eq!(
            (&twin["etag"], &twin["deviceEtag"], &twin["version"]),
            (&json!("AAAAAAAAAAE="), &json!("1"), &json!(2))
        );
        let section = json!({"$metadata": {"$lastUpdated": "1970-01-01T00:00:00.000Z"}, "$version": 1});
        assert_eq!(twin["properties"], json!({"desired": section, "reported": section}));
        assert_eq!(twin.get("statusReason"), None);
        assert!(!twin.to_string().contains("\"p\""), "a twin shows no key");
    }
}

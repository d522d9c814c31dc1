//! How a device proves who it is: by symmetric keys or by a certificate.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    devices::{self, DeviceKeys},
    notices::NoticeKind,
    x509,
};
use muster_model::{Caller, DeviceId, Permission, device::SymmetricKeys, wire::sas};
use muster_store::devices as stored;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

/// How a device proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// By tokens signed with a key.
    Sas(SymmetricKeys),
    /// By a certificate.
    X509(X509),
}

/// Which certificates are a device's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum X509 {
    /// Those of a thumbprint, whoever signed them: SHA-1 or SHA-256, in hex.
    #[serde(rename_all = "camelCase")]
    SelfSigned {
        /// The one in use.
        primary: Option<String>,
        /// The next one, for rolling.
        secondary: Option<String>,
    },
    /// Those that carry the device's id as common name and lead to an authority of the tenant.
    CertificateAuthority,
}

/// How the device proves who it is.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Authentication, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = stored::get(&tx, &caller.scope, id).await?;
    let sealed = stored::find_credentials(&tx, &caller.scope, device.key).await?;
    let sealed = sealed.ok_or_else(|| EngineError::not_found("device key", id))?;
    let keys = devices::open_keys(engine, device.key, &sealed)?;
    Ok(match keys.x509 {
        Some(x509) => Authentication::X509(x509),
        None => Authentication::Sas(keys.keys),
    })
}

/// Changes how the device proves who it is, and ends its connection.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::Invalid`] for keys or thumbprints that are none.
pub async fn set(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    authentication: Authentication,
) -> Result<(), EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let authentication = authentication.checked()?;
    let kind = authentication.kind();
    let tx = engine.store().begin(&caller.scope).await?;
    let device = stored::get(&tx, &caller.scope, id).await?;
    let keys = match authentication {
        Authentication::Sas(keys) => DeviceKeys { keys, group: None, x509: None },
        Authentication::X509(x509) => {
            let keys = SymmetricKeys { primary_key: String::new(), secondary_key: String::new() };
            DeviceKeys { keys, group: None, x509: Some(x509) }
        }
    };
    stored::set_credentials(&tx, &caller.scope, device.key, &devices::seal_keys(engine, device.key, &keys)?).await?;
    let details = Map::from_iter([("type".to_owned(), json!(kind))]);
    audit::record(&tx, engine, caller, Entry::new("keysChanged", "device", id).with(details)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    devices::disconnect(engine, &caller.scope, device.key, "the device's authentication was changed").await
}

impl Authentication {
    /// Its name in IoT Hub's registry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sas(_) => "sas",
            Self::X509(X509::SelfSigned { .. }) => "selfSigned",
            Self::X509(X509::CertificateAuthority) => "certificateAuthority",
        }
    }

    /// The same in the form that is stored.
    fn checked(self) -> Result<Self, EngineError> {
        match &self {
            Self::Sas(keys) => {
                for (name, key) in [("primaryKey", &keys.primary_key), ("secondaryKey", &keys.secondary_key)] {
                    let checked = sas::check_key(key);
                    checked.map_err(|error| Problem::at("key", format!("/symmetricKey/{name}"), error.to_string()))?;
                }
                Ok(self)
            }
            Self::X509(X509::CertificateAuthority) => Ok(self),
            Self::X509(X509::SelfSigned { primary, secondary }) => {
                let primary = thumbprint("primaryThumbprint", primary.as_deref())?;
                let secondary = thumbprint("secondaryThumbprint", secondary.as_deref())?;
                if primary.is_none() && secondary.is_none() {
                    return Err(
                        Problem::at("thumbprint", "/x509Thumbprint", "there is neither of the thumbprints").into()
                    );
                }
                Ok(Self::X509(X509::SelfSigned { primary, secondary }))
            }
        }
    }
}

fn thumbprint(name: &str, text: Option<&str>) -> Result<Option<String>, EngineError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let normalized = x509::normalize_thumbprint(text).ok_or_else(|| {
        let message = "a thumbprint has 40 (SHA-1) or 64 (SHA-256) hexadecimal digits";
        Problem::at("thumbprint", format!("/x509Thumbprint/{name}"), message)
    })?;
    Ok(Some(normalized))
}

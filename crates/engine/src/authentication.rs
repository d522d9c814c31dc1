//! How a device proves who it is: by symmetric keys or by a certificate.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    devices::{self, DeviceKeys},
    notices::NoticeKind,
    precondition::IfMatch,
    secrets::symmetric_key,
    x509,
};
use muster_model::{Address, Caller, DeviceId, Permission, device::SymmetricKeys, wire::sas};
use muster_store::{devices as stored, modules};
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
    let keys = authentication.into_keys();
    stored::set_credentials(&tx, &caller.scope, device.key, &devices::seal_keys(engine, device.key, &keys)?).await?;
    let details = Map::from_iter([("type".to_owned(), json!(kind))]);
    audit::record(&tx, engine, caller, Entry::new("keysChanged", "device", id).with(details)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    devices::disconnect(engine, &caller.scope, device.key, "the device's authentication was changed").await
}

/// One of an identity's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

/// Makes one of the keys of a device, or of a module, anew and ends its connection; both keys after it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`], [`EngineError::Invalid`]
/// where it proves itself by certificate.
pub async fn regenerate(
    engine: &Engine,
    caller: &Caller,
    address: &Address,
    (key, condition): (Key, &IfMatch),
) -> Result<SymmetricKeys, EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    stored::get(&tx, &caller.scope, &address.device).await?;
    let identity = modules::resolve(&tx, &caller.scope, address).await?;
    condition.check(address.kind(), address, &identity.etag)?;
    let sealed = stored::find_credentials(&tx, &caller.scope, identity.key).await?;
    let sealed = sealed.ok_or_else(|| EngineError::not_found("device key", address))?;
    let mut keys = devices::open_keys(engine, identity.key, &sealed)?;
    if keys.x509.is_some() {
        return Err(EngineError::invalid("key", "it proves itself by certificate and has no keys"));
    }
    match key {
        Key::Primary => keys.keys.primary_key = symmetric_key()?,
        Key::Secondary => keys.keys.secondary_key = symmetric_key()?,
    }
    keys.group = None;
    let sealed = devices::seal_keys(engine, identity.key, &keys)?;
    stored::set_credentials(&tx, &caller.scope, identity.key, &sealed).await?;
    audit::record(&tx, engine, caller, Entry::new("keysChanged", address.kind(), address)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, &address.device).await;
    devices::disconnect(engine, &caller.scope, identity.key, "the key was made anew").await?;
    Ok(keys.keys)
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

    /// As it is stored, sealed.
    pub(crate) fn into_keys(self) -> DeviceKeys {
        match self {
            Self::Sas(keys) => DeviceKeys { keys, group: None, x509: None },
            Self::X509(x509) => {
                let keys = SymmetricKeys { primary_key: String::new(), secondary_key: String::new() };
                DeviceKeys { keys, group: None, x509: Some(x509) }
            }
        }
    }

    /// The same in the form that is stored.
    pub(crate) fn checked(self) -> Result<Self, EngineError> {
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

//! What the devices of an enrollment prove themselves with, and whether they have.

use crate::{Engine, EngineError, authentication::X509, authorities, devices::DeviceKeys, x509};
use muster_model::{AuthorityId, EnrollmentGroupId, RegistrationId, Scope, device::SymmetricKeys, wire::sas};
use muster_store::{Tx, authorities as stored, enrollment::Attestation};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

/// What proves a device, opened.
#[derive(Clone)]
pub(crate) enum Attested {
    /// A key, or one derived from it in a group.
    Keys(SymmetricKeys),
    /// A certificate, or one that leads to it in a group.
    Certificates(Certificates),
}

/// The certificates of an enrollment, base64 of DER.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificates {
    pub(crate) primary: Option<String>,
    pub(crate) secondary: Option<String>,
    /// An authority that the tenant has uploaded.
    pub(crate) primary_authority: Option<AuthorityId>,
    pub(crate) secondary_authority: Option<AuthorityId>,
}

/// What a device has shown to the provisioning service.
pub(crate) struct Shown<'a> {
    pub(crate) registration: &'a RegistrationId,
    pub(crate) token: Result<sas::Token, &'static str>,
    pub(crate) chain: &'a [CertificateDer<'static>],
}

impl Shown<'_> {
    /// Whether the token was signed with either key.
    pub(crate) fn signed(&self, keys: &SymmetricKeys) -> bool {
        // Both are tried always, so that the time does not tell which one it was.
        self.token.as_ref().is_ok_and(|token| token.verify(&keys.primary_key) | token.verify(&keys.secondary_key))
    }

    /// What the device will prove itself to the hub with when it has come here by certificate: the same certificate.
    pub(crate) fn certificate_keys(&self, group: Option<EnrollmentGroupId>) -> Option<DeviceKeys> {
        let own = self.chain.first()?;
        let keys = SymmetricKeys { primary_key: String::new(), secondary_key: String::new() };
        let x509 = X509::SelfSigned { primary: Some(x509::thumbprint(own)), secondary: None };
        Some(DeviceKeys { keys, group, x509: Some(x509) })
    }
}

impl Certificates {
    /// Whether the device's own certificate carries the registration id and is one of these.
    pub(crate) fn hold(&self, shown: &Shown<'_>) -> bool {
        let Some(own) = shown.chain.first() else { return false };
        let named = x509::common_name(own).as_deref() == Some(shown.registration.as_str());
        named && self.der().any(|der| der == own.as_ref())
    }

    /// Whether the device's certificate carries the registration id and leads to one of these.
    pub(crate) async fn sign(
        &self,
        tx: &Tx,
        engine: &Engine,
        scope: &Scope,
        shown: &Shown<'_>,
    ) -> Result<bool, EngineError> {
        let Some(own) = shown.chain.first() else { return Ok(false) };
        if x509::common_name(own).as_deref() != Some(shown.registration.as_str()) {
            return Ok(false);
        }
        let mut anchors: Vec<Vec<u8>> = self.der().collect();
        for id in self.primary_authority.iter().chain(&self.secondary_authority) {
            anchors.extend(stored::find(tx, scope, id).await?.filter(|one| one.verified).map(|one| one.certificate));
        }
        Ok(x509::leads_to(shown.chain, &anchors, engine.clock().now()))
    }

    fn der(&self) -> impl Iterator<Item = Vec<u8>> {
        self.primary.iter().chain(&self.secondary).filter_map(|text| x509::read(text))
    }
}

/// Whether a device that was told what to prove itself with has done so.
pub(crate) async fn device_proven(
    engine: &Engine,
    scope: &Scope,
    keys: &DeviceKeys,
    shown: &Shown<'_>,
) -> Result<bool, EngineError> {
    match (&keys.x509, shown.chain.first()) {
        (None, _) => Ok(shown.signed(&keys.keys)),
        (Some(X509::SelfSigned { primary, secondary }), Some(own)) => {
            Ok(primary.iter().chain(secondary).any(|thumbprint| x509::has_thumbprint(own, thumbprint)))
        }
        (Some(X509::CertificateAuthority), Some(own)) => {
            let verified = authorities::verified(engine, scope).await?;
            let named = x509::common_name(own).as_deref() == Some(shown.registration.as_str());
            Ok(named && x509::leads_to(shown.chain, &verified, engine.clock().now()))
        }
        (Some(_), None) => Ok(false),
    }
}

/// An attestation as it is stored.
pub(crate) fn seal(engine: &Engine, context: &str, attested: &Attested) -> Result<Attestation, EngineError> {
    Ok(match attested {
        Attested::Keys(keys) => Attestation::SymmetricKey { encrypted: engine.seal(context, keys)? },
        Attested::Certificates(certificates) => Attestation::X509 { encrypted: engine.seal(context, certificates)? },
    })
}

/// What [`seal`] made for the same place.
pub(crate) fn open(engine: &Engine, context: &str, attestation: &Attestation) -> Result<Attested, EngineError> {
    Ok(match attestation {
        Attestation::SymmetricKey { encrypted } => Attested::Keys(engine.open(context, encrypted)?),
        Attestation::X509 { encrypted } => Attested::Certificates(engine.open(context, encrypted)?),
    })
}

/// The place of a group's attestation.
pub(crate) fn group_context(scope: &Scope, id: &EnrollmentGroupId) -> String {
    format!("enrollment-group/{}/{id}", scope.tenant)
}

/// The place of an individual enrollment's attestation.
pub(crate) fn individual_context(scope: &Scope, id: &RegistrationId) -> String {
    format!("enrollment/{}/{}", scope.tenant, id.as_str().to_ascii_lowercase())
}

//! The private certificate authority and the hub's server certificate, for devices that are told to trust it.
//!
//! One authority serves all instances: it lives in the database, sealed under the master key. Two instances that start
//! at once both make one; the database keeps the first, and both use that.

use crate::{Engine, EngineError, hosts};
use chrono::{DateTime, Datelike, Duration, Utc};
use muster_model::SystemScope;
use muster_store::secrets;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// How long the authority is valid: a device in the field is told to trust it once.
const AUTHORITY_YEARS: i64 = 20;
/// How long a server certificate is valid; some clients refuse more than 398 days.
const SERVER_DAYS: i64 = 397;
/// A server certificate is issued again when less is left.
const RENEW_DAYS: i64 = 60;

/// What the hub's TLS listeners need.
#[derive(Clone)]
pub struct HubTls {
    /// The server's certificate and what leads to the authority, PEM.
    pub chain_pem: String,
    /// The server's private key, PEM.
    pub key_pem: SecretString,
    /// What devices must trust, PEM; offered at `/ca.pem`.
    pub ca_pem: String,
    /// When to ask again: the certificate is issued anew then. `None` for a certificate that the operator brought.
    pub renew_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for HubTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubTls").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

/// A certificate and its key, as they are sealed.
#[derive(Clone, Serialize, Deserialize)]
struct Issued {
    /// Its own number for an authority.
    serial: String,
    /// The number of the authority that signed it.
    authority: String,
    certificate_pem: String,
    key_pem: String,
    renew_at: DateTime<Utc>,
    /// Its names besides the hub's.
    #[serde(default)]
    names: Vec<String>,
}

const AUTHORITY: &str = "certificate-authority";

/// What the hub listens with: the operator's certificate, or one of the private authority for `hub.host` and the hosts
/// of the tenants. It is made where there is none yet, where a name has come or gone, and where the last one is about to
/// expire.
///
/// # Errors
/// [`EngineError::Unavailable`], [`EngineError::Secret`], [`EngineError::Certificate`] for a host that is no name.
pub async fn hub_tls(engine: &Engine) -> Result<HubTls, EngineError> {
    if let Some(own) = &engine.config().certificate {
        return Ok(HubTls {
            chain_pem: own.chain_pem.clone(),
            key_pem: own.key_pem.clone(),
            ca_pem: own.ca_pem.clone(),
            renew_at: None,
        });
    }
    let now = engine.clock().now();
    let authority = match find(engine, AUTHORITY).await? {
        Some(authority) => authority,
        None => keep_first(engine, AUTHORITY, issue_authority(now)?).await?,
    };
    let host = engine.config().hub_host.to_lowercase();
    let name = format!("server-certificate/{host}");
    let names = hosts::of_tenants(engine).await?;
    let server = match find(engine, &name).await? {
        Some(server) if server.renew_at > now && server.authority == authority.serial && server.names == names => {
            server
        }
        Some(_) => replace(engine, &name, issue_server(&authority, &host, names, now)?).await?,
        None => keep_first(engine, &name, issue_server(&authority, &host, names, now)?).await?,
    };
    Ok(HubTls {
        chain_pem: server.certificate_pem,
        key_pem: server.key_pem.into(),
        ca_pem: authority.certificate_pem,
        renew_at: Some(server.renew_at),
    })
}

async fn find(engine: &Engine, name: &str) -> Result<Option<Issued>, EngineError> {
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let sealed = secrets::find(&tx, &SystemScope, name).await?;
    sealed.map(|sealed| engine.open(name, &sealed)).transpose()
}

/// Stores it unless another instance was faster; returns the one that stands.
async fn keep_first(engine: &Engine, name: &str, issued: Issued) -> Result<Issued, EngineError> {
    let sealed = engine.seal(name, &issued)?;
    let tx = engine.store().begin_system(&SystemScope).await?;
    let stands = secrets::insert_if_absent(&tx, &SystemScope, name, &sealed, engine.clock().now()).await?;
    tx.commit().await?;
    tracing::info!(certificate = name, "a certificate was made");
    engine.open(name, &stands)
}

/// Two instances may renew at once: both certificates are of the same authority, so either will do.
async fn replace(engine: &Engine, name: &str, issued: Issued) -> Result<Issued, EngineError> {
    let sealed = engine.seal(name, &issued)?;
    let tx = engine.store().begin_system(&SystemScope).await?;
    secrets::put(&tx, &SystemScope, name, &sealed, engine.clock().now()).await?;
    tx.commit().await?;
    tracing::info!(certificate = name, "a certificate was issued anew");
    Ok(issued)
}

fn issue_authority(now: DateTime<Utc>) -> Result<Issued, EngineError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::new())?;
    // A name of its own for each installation, so that a machine that trusts two of them can tell them apart.
    let serial = uuid::Uuid::now_v7().simple().to_string();
    params.distinguished_name.push(DnType::CommonName, format!("Muster device CA {}", &serial[20..]));
    params.distinguished_name.push(DnType::OrganizationName, "Muster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let start = now - Duration::days(1);
    set_validity(&mut params, start, start + Duration::days(365 * AUTHORITY_YEARS));
    let certificate = params.self_signed(&key)?;
    let renew_at = now + Duration::days(365 * (AUTHORITY_YEARS - 1));
    Ok(Issued {
        authority: serial.clone(),
        serial,
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        renew_at,
        names: Vec::new(),
    })
}

/// `host` is a DNS name or an IP address; rcgen writes the right kind of alternative name for either. Each name is written
/// out: clients refuse a wildcard below a name of one label.
fn issue_server(authority: &Issued, host: &str, names: Vec<String>, now: DateTime<Utc>) -> Result<Issued, EngineError> {
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate_pem, KeyPair::from_pem(&authority.key_pem)?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new([&[host.to_owned()], names.as_slice()].concat())?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_validity(&mut params, now - Duration::days(1), now + Duration::days(SERVER_DAYS - 1));
    let certificate = params.signed_by(&key, &issuer)?;
    let renew_at = now + Duration::days(SERVER_DAYS - 1 - RENEW_DAYS);
    Ok(Issued {
        serial: uuid::Uuid::now_v7().simple().to_string(),
        authority: authority.serial.clone(),
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        renew_at,
        names,
    })
}

/// Whole days are exact enough.
fn set_validity(params: &mut CertificateParams, from: DateTime<Utc>, until: DateTime<Utc>) {
    params.not_before = date_time_ymd(from.year(), from.month() as u8, from.day() as u8);
    params.not_after = date_time_ymd(until.year(), until.month() as u8, until.day() as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_certificate_holds_its_name_or_address_and_is_signed() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let authority = issue_authority(now).expect("an authority");
        for host in ["localhost", "hub.example.org", "192.0.2.7", "2001:db8::7"] {
            let server = issue_server(&authority, host, Vec::new(), now).expect(host);
            assert!(server.certificate_pem.contains("BEGIN CERTIFICATE"), "{host}");
            assert_eq!(server.authority, authority.serial);
            assert!(server.renew_at > now + Duration::days(300));
        }
        let bad = |host| issue_server(&authority, host, Vec::new(), now).is_err();
        assert!(bad("no name") || bad("ä"));
    }
}

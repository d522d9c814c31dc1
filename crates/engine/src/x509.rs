//! What the certificates say that a client has shown. That it has the key of the first one is proven before
//! (`iot-hub-wire.md` §1, X.509).

use chrono::{DateTime, SecondsFormat, Utc};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates above a device's own that are looked at; more are a waste of time that a stranger wants.
const MAX_INTERMEDIATES: usize = 6;

/// Whether this is the certificate of the thumbprint: SHA-1 or SHA-256, in hex.
pub(crate) fn has_thumbprint(certificate: &[u8], thumbprint: &str) -> bool {
    let digest = match thumbprint.len() {
        40 => hex(&Sha1::digest(certificate)),
        64 => hex(&Sha256::digest(certificate)),
        _ => return false,
    };
    digest.eq_ignore_ascii_case(thumbprint)
}

/// The certificate's SHA-256 thumbprint.
pub(crate) fn thumbprint(certificate: &[u8]) -> String {
    hex(&Sha256::digest(certificate))
}

/// A thumbprint as it is stored: 40 or 64 digits in upper case, without what people put between them.
pub(crate) fn normalize_thumbprint(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ' | '-')).collect();
    let valid = matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| digits.to_ascii_uppercase())
}

/// Whom the certificate is for.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    Some(name)
}

/// When the certificate is valid.
pub(crate) fn validity(certificate: &[u8]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
    Some((time(certificate.validity().not_before)?, time(certificate.validity().not_after)?))
}

/// Whether the certificate may sign others.
pub(crate) fn is_authority(certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.is_ca())
}

/// Whether the first certificate of the chain leads to one of the authorities, all of it valid now. Revocation is not
/// looked at.
pub(crate) fn leads_to(chain: &[CertificateDer<'_>], authorities: &[Vec<u8>], now: DateTime<Utc>) -> bool {
    let Some((leaf, above)) = chain.split_first() else { return false };
    let authorities: Vec<CertificateDer<'_>> =
        authorities.iter().map(|authority| CertificateDer::from(authority.as_slice())).collect();
    let anchors: Vec<_> = authorities.iter().filter_map(|one| anchor_from_trusted_cert(one).ok()).collect();
    let Ok(leaf) = EndEntityCert::try_from(leaf) else { return false };
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let verified = leaf.verify_for_usage(
        ring::default_provider().signature_verification_algorithms.all,
        &anchors,
        &above[..above.len().min(MAX_INTERMEDIATES)],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        KeyUsage::client_auth(),
        None,
        None,
    );
    verified.is_ok()
}

/// Whether the authority has signed the certificate itself, with its own key. Proofs of possession are often of X.509
/// version 1, which a chain may not have.
pub(crate) fn is_signed_by(certificate: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, authority))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(authority))
    else {
        return false;
    };
    certificate.issuer() == authority.subject() && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// The base64 of a certificate in DER; [`read`] takes it.
pub(crate) fn write(certificate: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(certificate)
}

/// What the provisioning service tells of a certificate.
pub(crate) fn describe(certificate: &[u8]) -> Value {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Value::Null };
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (from, until) = validity(certificate).unzip();
    json!({
        "subjectName": parsed.subject().to_string(),
        "sha1Thumbprint": hex(&Sha1::digest(certificate)),
        "sha256Thumbprint": hex(&Sha256::digest(certificate)),
        "issuerName": parsed.issuer().to_string(),
        "notBeforeUtc": from.map(time),
        "notAfterUtc": until.map(time),
        "serialNumber": parsed.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect::<String>(),
        "version": parsed.version().0 + 1,
    })
}

/// The first certificate of a text: PEM, or the base64 of DER as Microsoft's clients send it.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let der = match CertificateDer::from_pem_slice(text.as_bytes()) {
        Ok(certificate) => certificate.to_vec(),
        Err(_) => {
            let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let decoded = STANDARD.decode(text).ok()?;
            // Some clients encode the whole PEM text once more.
            match CertificateDer::from_pem_slice(&decoded) {
                Ok(certificate) => certificate.to_vec(),
                Err(_) => decoded,
            }
        }
    };
    X509Certificate::from_der(&der).is_ok().then_some(der)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    struct Made {
        der: Vec<u8>,
        pem: String,
        key: KeyPair,
    }

    fn params(name: &str, authority: bool) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        if authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    fn root(name: &str) -> Made {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, true).self_signed(&key).expect("a certificate");
        Made { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }

    fn issue(by: &Made, name: &str, authority: bool) -> Made {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&by.pem, &by.key).expect("an issuer");
        let certificate = params(name, authority).signed_by(&key, &issuer).expect("a certificate");
        Made { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }

    fn chain(of: &[&Made]) -> Vec<CertificateDer<'static>> {
        of.iter().map(|made| CertificateDer::from(made.der.clone())).collect()
    }

    #[test]
    fn chains_lead_to_their_authority_and_to_no_other() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let (ca, other) = (root("Root"), root("Other"));
        let middle = issue(&ca, "Middle", true);
        let (leaf, deep) = (issue(&ca, "pump-1", false), issue(&middle, "pump-2", false));
        assert!(leads_to(&chain(&[&leaf]), std::slice::from_ref(&ca.der), now));
        assert!(leads_to(&chain(&[&deep, &middle]), std::slice::from_ref(&ca.der), now));
        assert!(leads_to(&chain(&[&deep]), std::slice::from_ref(&middle.der), now), "an intermediate will do");
        assert!(!leads_to(&chain(&[&deep]), std::slice::from_ref(&ca.der), now), "the middle is missing");
        assert!(!leads_to(&chain(&[&leaf]), std::slice::from_ref(&other.der), now));
        assert!(!leads_to(&chain(&[&leaf]), &[], now));
        assert!(!leads_to(&[], std::slice::from_ref(&ca.der), now));
        let wrong = issue(&leaf, "pump-3", false);
        assert!(!leads_to(&chain(&[&wrong, &leaf]), std::slice::from_ref(&ca.der), now), "a device is no authority");
        assert!(is_signed_by(&leaf.der, &ca.der) && !is_signed_by(&deep.der, &ca.der));
        assert!(is_authority(&ca.der) && !is_authority(&leaf.der));
        assert_eq!(common_name(&deep.der).as_deref(), Some("pump-2"));
    }

    #[test]
    fn thumbprints_are_compared_without_case() {
        let made = root("device");
        let sha256 = thumbprint(&made.der);
        assert!(has_thumbprint(&made.der, &sha256.to_lowercase()));
        assert!(has_thumbprint(&made.der, &hex(&Sha1::digest(&made.der))));
        assert!(!has_thumbprint(&made.der, &"0".repeat(40)) && !has_thumbprint(&made.der, ""));
        let spaced = sha256.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two)).collect::<Vec<_>>().join(":");
        assert_eq!(normalize_thumbprint(&spaced.to_lowercase()), Some(sha256));
        assert_eq!(normalize_thumbprint("abc"), None);
        assert_eq!(normalize_thumbprint(&"x".repeat(40)), None);
    }

    #[test]
    fn certificates_come_as_pem_or_base64() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let made = root("device");
        for text in [made.pem.clone(), STANDARD.encode(&made.der), STANDARD.encode(&made.pem)] {
            assert_eq!(read(&text), Some(made.der.clone()));
        }
        for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! The certificate that listeners show, which may be replaced while they run, and what they ask of clients
//! (`iot-hub-wire.md` §1, X.509).

use crate::HubError;
use muster_engine::certificates::HubTls;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

/// A server's certificate: every handshake takes the one of its time. Clones show the same one.
#[derive(Debug, Clone)]
pub struct ServerCertificate(Arc<Shown>);

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Shows this certificate.
    ///
    /// # Errors
    /// [`HubError::Certificate`] where chain and key cannot be read or do not belong together.
    pub fn new(chain_pem: &str, key_pem: &SecretString) -> Result<Self, HubError> {
        Ok(Self(Arc::new(Shown(RwLock::new(read(chain_pem, key_pem)?)))))
    }

    /// Shows another one from the next handshake on.
    ///
    /// # Errors
    /// As [`ServerCertificate::new`]; the one before stays then.
    pub fn replace(&self, tls: &HubTls) -> Result<(), HubError> {
        let key = read(&tls.chain_pem, &tls.key_pem)?;
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// For listeners of browsers and scripts.
    ///
    /// # Errors
    /// [`HubError::Certificate`].
    pub fn for_browsers(&self) -> Result<ServerConfig, HubError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(self.0.clone()))
    }

    /// For listeners of devices: they may show a certificate. TLS 1.2 is on: one SDK speaks nothing else
    /// (`iot-hub-wire.md` §0.3).
    ///
    /// # Errors
    /// [`HubError::Certificate`].
    pub fn for_devices(&self) -> Result<ServerConfig, HubError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let verifier = Arc::new(Possession { algorithms: provider().signature_verification_algorithms });
        Ok(builder.with_client_cert_verifier(verifier).with_cert_resolver(self.0.clone()))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Where a client connects from, and the certificates that it has shown: its own, then those above it. That it has
/// the first one's key is proven; whom it makes of the client is decided when it says who it is.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The host that its HTTP request was sent to.
    pub(crate) host: Option<String>,
}

impl Peer {
    /// A client without a certificate.
    pub(crate) fn plain(address: IpAddr) -> Self {
        Self { address, chain: Vec::new(), host: None }
    }
}

/// Asks for a certificate, takes any, and checks only that the client has its key: a self-signed one is as good as
/// one of an authority that only one tenant knows.
#[derive(Debug)]
struct Possession {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Possession {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(chain_pem: &str, key_pem: &SecretString) -> Result<Arc<CertifiedKey>, HubError> {
    let unreadable = |error: rustls::pki_types::pem::Error| Error::General(error.to_string());
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose_secret().as_bytes()).map_err(unreadable)?;
    let key = CertifiedKey::from_der(chain, key, &provider())?;
    key.keys_match()?;
    Ok(Arc::new(key))
}

//! The listener with TLS (`iot-hub-wire.md` §0.3, §11).

use crate::{
    client::{Client, Login},
    support::TestHub,
};
use muster_engine::{
    authentication::{self, Authentication, X509},
    authorities::{self, Verification},
};
use muster_hub::HubConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rmqtt_codec::v3::ConnectAckReason;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

pub fn client(ca_pem: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(authority.expect("a certificate")).expect("an authority");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test]
async fn devices_connect_with_tls_1_2_and_1_3() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    for version in [&TLS12, &TLS13] {
        let tls = client(hub.ca_pem(), &[version]);
        let mut device = Client::open_tls(hub.tls_address(), tls).await.expect("a handshake");
        device.log_in(login.connect()).await;
        device.publish("devices/d-1/messages/events/", vec![b' '; 100_000], 1).await;
        device.acked(1).await;
        assert_eq!(hub.message().await.payload.len(), 100_000);
        device.ping().await;
    }
}

#[tokio::test]
async fn a_device_that_does_not_trust_the_authority_does_not_connect() {
    let hub = TestHub::start().await;
    let tls = client("", &[&TLS12, &TLS13]);
    assert!(Client::open_tls(hub.tls_address(), tls).await.is_err());
}

#[tokio::test]
async fn who_does_not_speak_tls_is_dropped() {
    let config = HubConfig { handshake_timeout: Duration::from_millis(100), ..HubConfig::default() };
    let hub = TestHub::start_with(config).await;
    let login = hub.device("d-1").await;
    let mut silent = Client::open(hub.tls_address()).await;
    assert_eq!(silent.bytes().await, b"");
    let mut plain = Client::open(hub.tls_address()).await;
    plain.send(login.connect().into()).await;
    // An alert, and the end.
    assert!(plain.bytes().await.len() < 16);
}

/// A certificate and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Identity {
    fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self { certificate: params(name).self_signed(&key).expect("a certificate"), key }
    }

    fn authority(name: &str) -> Self {
        let (mut params, key) = (params(name), KeyPair::generate().expect("a key"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).expect("a certificate"), key }
    }

    fn issue(&self, name: &str) -> Self {
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key).expect("an issuer");
        let key = KeyPair::generate().expect("a key");
        Self { certificate: params(name).signed_by(&key, &issuer).expect("a certificate"), key }
    }

    fn thumbprint(&self) -> String {
        Sha256::digest(self.certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// How a device with this certificate opens a connection.
    fn client(&self, ca_pem: &str, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(authority.expect("a certificate")).expect("an authority");
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).expect("a key");
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.certificate.der().clone()], key)
            .expect("a certificate with its key")
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What the hub answers to a CONNECT over this connection.
async fn answer(hub: &TestHub, tls: ClientConfig, login: &Login) -> ConnectAckReason {
    let mut device = Client::open_tls(hub.tls_address(), tls).await.expect("a handshake");
    device.send(login.connect().into()).await;
    match device.packet().await {
        Some(rmqtt_codec::v3::Packet::ConnectAck(ack)) => ack.return_code,
        other => panic!("expected CONNACK, got {other:?}"),
    }
}

#[tokio::test]
async fn certificates_take_the_place_of_tokens() {
    let hub = TestHub::start().await;
    let service = hub.service().await;
    let (plant, own) = (Identity::authority("Plant"), Identity::self_signed("anything"));
    let id = "plant-root".parse().expect("an id");
    let pem = plant.certificate.pem();
    authorities::upload(hub.engine(), &service, id, &pem, Verification::OnUpload).await.expect("an authority");
    let thumbprint = X509::SelfSigned { primary: None, secondary: Some(own.thumbprint()) };
    for (id, x509) in [("d-self", thumbprint), ("d-ca", X509::CertificateAuthority)] {
        hub.device(id).await;
        let id = id.parse().expect("a device id");
        authentication::set(hub.engine(), &service, &id, Authentication::X509(x509)).await.expect("a device");
    }
    let issued = plant.issue("d-ca");
    let (of_self, of_ca) = (hub.login("d-self").await, hub.login("d-ca").await);
    let without_token = |login: &Login| Login { password: None, ..login.clone() };
    for version in [&TLS12, &TLS13] {
        for (identity, login, accepted) in [
            (&own, &without_token(&of_self), true),
            (&own, &of_self, true),
            (&issued, &without_token(&of_ca), true),
            (&own, &without_token(&of_ca), false),
            (&issued, &without_token(&of_self), false),
            (&plant.issue("d-other"), &without_token(&of_ca), false),
            (&Identity::authority("Plant").issue("d-ca"), &without_token(&of_ca), false),
        ] {
            let expected =
                if accepted { ConnectAckReason::ConnectionAccepted } else { ConnectAckReason::NotAuthorized };
            let answer = answer(&hub, identity.client(hub.ca_pem(), version), login).await;
            assert_eq!(answer, expected, "{} {version:?}", login.client_id);
        }
    }
    let none = client(hub.ca_pem(), &[&TLS13]);
    assert_eq!(answer(&hub, none, &of_self).await, ConnectAckReason::NotAuthorized, "its token is of no use any more");
    let plain = hub.device("d-key").await;
    let shown = own.client(hub.ca_pem(), &TLS13);
    assert_eq!(
        answer(&hub, shown, &plain).await,
        ConnectAckReason::ConnectionAccepted,
        "a device of keys needs a token"
    );
}

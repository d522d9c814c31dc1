//! `amqps://`: encrypted, or not at all.

use crate::{
    cases::{ids_of, send_all, take},
    world::World,
};
use muster_bus::{Bus, BusError, BusHealth};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 0x16;

#[tokio::test]
async fn amqps_never_speaks_plain_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let authority = Authority::new();
    let port = listener.local_addr().expect("an address").port();
    let world = World::at(&format!("amqps://127.0.0.1:{port}/?cacertfile={}", authority.file()));
    let _bus = world.connect().await;
    let (mut stream, _) = listener.accept().await.expect("a connection");
    assert_eq!(stream.read_u8().await.expect("a byte"), HANDSHAKE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqps_carries_batches_from_a_trusted_broker_only() {
    let Some(plain) = World::rabbit("amqps_carries_batches_from_a_trusted_broker_only") else { return };
    let broker = plain.url.rsplit('@').next().expect("a host").split('/').next().expect("a host").to_owned();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(serve(listener, authority.acceptor(), broker));

    plain
        .run(async move |world| {
            let mut cfg = world.config();
            cfg.url = format!("amqps://guest:guest@localhost:{port}/%2f?cacertfile={}", authority.file());
            let bus = Bus::connect(cfg, world.stop.clone()).await.expect("a bus");
            let ids = send_all(&bus, 0, 3).await.expect("a sender");
            let mut consumer = bus.consume(0).await.expect("a consumer");
            assert_eq!(ids_of(&take(&mut consumer, 3).await), ids);

            let mut cfg = world.config();
            cfg.url = format!("amqps://guest:guest@localhost:{port}/%2f?cacertfile={}", stranger.file());
            let bus = Bus::connect(cfg, world.stop.clone()).await.expect("a bus");
            loop {
                match bus.health() {
                    BusHealth::Waiting { reason, .. } if reason.contains("certificate") => return,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        })
        .await;
}

#[tokio::test]
async fn a_missing_authority_file_is_told_at_start() {
    let world = World::at("amqps://localhost/?cacertfile=/nowhere/ca.pem");
    let refused = Bus::connect(world.config(), CancellationToken::new()).await;
    assert!(matches!(refused, Err(BusError::Invalid(why)) if why.contains("/nowhere/ca.pem")));
}

/// A certificate authority in a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".into()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key.into())
            .expect("a server's configuration");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Ends TLS in front of a broker.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, broker: String) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, broker) = (acceptor.clone(), broker.clone());
        tokio::spawn(async move {
            if let (Ok(mut stream), Ok(mut upstream)) =
                (acceptor.accept(stream).await, TcpStream::connect(broker).await)
            {
                let _ = copy_bidirectional(&mut stream, &mut upstream).await;
            }
        });
    }
}

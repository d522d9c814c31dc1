//! The server's certificate, on every listener that shows it, before and after its renewal.

use chrono::{Duration, Utc};
use muster_model::{Clock, ManualClock};
use muster_testkit::{Backend, TestApp};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A certificate is renewed after this time.
const RENEWED_AFTER_DAYS: i64 = 337;

/// The certificate that the listener shows to a client that trusts `authority`.
async fn shown(address: SocketAddr, authority: &[u8]) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_without_a_restart() {
    #[expect(clippy::disallowed_methods, reason = "clients check certificates by the machine's clock")]
    let now = Utc::now();
    let clock = ManualClock::new(now - Duration::days(RENEWED_AFTER_DAYS));
    let app =
        TestApp::start_at(Backend::Embedded, &[("http.tls_bind", "127.0.0.1:0")], Clock::Manual(clock.clone())).await;
    let addresses = app.app().addresses().clone();
    let listeners = [addresses.mqtts, addresses.hub_https, addresses.https].map(Option::unwrap);
    let authority = std::fs::read(app.folder().join("tls/ca.pem")).unwrap();
    let copy = || CertificateDer::from_pem_slice(&std::fs::read(app.folder().join("tls/server.pem")).unwrap()).unwrap();
    let first = copy();
    for listener in listeners {
        assert_eq!(shown(listener, &authority).await, first, "{listener}");
    }
    app.app().renew_certificate().await.unwrap();
    assert_eq!(copy(), first, "it is too early");
    clock.advance(Duration::days(RENEWED_AFTER_DAYS));
    app.app().renew_certificate().await.unwrap();
    let second = copy();
    assert_ne!(second, first);
    for listener in listeners {
        assert_eq!(shown(listener, &authority).await, second, "{listener}");
    }
    assert_eq!(std::fs::read(app.folder().join("tls/ca.pem")).unwrap(), authority, "devices go on trusting it");
    app.stop().await;
}

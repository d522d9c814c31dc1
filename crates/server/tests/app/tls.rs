//! The server's certificate, on every listener that shows it, before and after its renewal.

use chrono::{Duration, Utc};
use muster_model::{Clock, ManualClock};
use muster_testkit::{Backend, TestApp, eventually};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate is renewed after this time.
const RENEWED_AFTER_DAYS: i64 = 337;

/// The certificate that the listener shows to a client that trusts `authority`.
async fn shown(address: SocketAddr, authority: &[u8]) -> CertificateDer<'static> {
    let stream = connect(address, "localhost", authority).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A client that trusts `authority` and wants the server to be `name`.
async fn connect(address: SocketAddr, name: &str, authority: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_tenants_host_gets_into_the_certificate_without_a_restart() {
    let app = TestApp::start(Backend::Embedded, &[("hub.tenant_hosts", "true")]).await;
    let addresses = app.app().addresses().clone();
    let listeners = [addresses.mqtts, addresses.hub_https].map(Option::unwrap);
    let authority = std::fs::read(app.folder().join("tls/ca.pem")).unwrap();
    for tenant in ["contoso", "fabrikam"] {
        let host = format!("{tenant}.localhost");
        for listener in listeners {
            assert!(connect(listener, &host, &authority).await.is_err(), "there is no {tenant} yet");
        }
        assert_eq!(app.bootstrap(tenant).await.tenant.hub_host, host);
        for listener in listeners {
            eventually("the name is in the certificate", async || connect(listener, &host, &authority).await.ok())
                .await;
        }
    }
    for name in ["localhost", "contoso.localhost"] {
        assert!(connect(listeners[0], name, &authority).await.is_ok(), "{name} stays");
    }
    app.stop().await;
}

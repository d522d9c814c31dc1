//! Where the devices connect to.

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Loopback addresses to connect from: each has its own 28,000 ports.
const LOOPBACK_SOURCES: u8 = 16;

/// A plain or encrypted connection.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// A broker's address, and how to trust it.
#[derive(Clone)]
pub struct Endpoint {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// Reads `mqtt://host[:port]` or `mqtts://host[:port]` and resolves the host. `authorities` is a PEM file with
    /// those who may sign the server's certificate, instead of the operating system's.
    ///
    /// # Errors
    /// When the URL is of another form, the host has no address or the authorities can't be read.
    pub async fn parse(url: &str, authorities: Option<&Path>) -> Result<Self> {
        let (encrypted, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => bail!("target '{url}' is not of the form mqtt://host:port or mqtts://host:port"),
        };
        let authority = rest.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().context("port of the target")?),
            _ => (authority, if encrypted { 8883 } else { 1883 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = lookup_host((host, port)).await.with_context(|| format!("address of '{host}'"))?;
        // The same for all devices; version 4 first, as servers on this machine mostly listen there only.
        let address = found.min_by_key(SocketAddr::is_ipv6).with_context(|| format!("'{host}' has no address"))?;
        let tls = match encrypted {
            false => None,
            true => {
                Some((connector(authorities)?, ServerName::try_from(host.to_owned()).context("name of the target")?))
            }
        };
        Ok(Self { address, tls })
    }

    /// Connects; devices of different `index` come from different addresses where the target is this machine.
    pub(crate) async fn connect(&self, index: usize) -> Result<Stream> {
        let connecting = async {
            let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            if let Some(source) = self.source(index) {
                socket.bind(SocketAddr::new(source, 0)).context("local address")?;
            }
            let stream = socket.connect(self.address).await.context("connect")?;
            stream.set_nodelay(true)?;
            Ok(match &self.tls {
                None => Either::Left(stream),
                Some((connector, name)) => {
                    Either::Right(connector.connect(name.clone(), stream).await.context("TLS handshake")?)
                }
            })
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.context("connect: no answer in time")?
    }

    fn source(&self, index: usize) -> Option<IpAddr> {
        let loopback = self.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
        let last = u8::try_from(index % usize::from(LOOPBACK_SOURCES)).unwrap_or(0) + 1;
        loopback.then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
    }
}

fn connector(authorities: Option<&Path>) -> Result<TlsConnector> {
    let certificates = match authorities {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("certificate authorities in {}", path.display()))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        bail!("no certificate authority found: give one with --ca");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn targets() {
        for (url, address) in [
            ("mqtt://127.0.0.1:1234", "127.0.0.1:1234"),
            ("mqtt://[::1]/", "[::1]:1883"),
            ("mqtt://127.0.0.1", "127.0.0.1:1883"),
        ] {
            let endpoint = Endpoint::parse(url, None).await.expect(url);
            assert_eq!(endpoint.address, address.parse().expect("an address"), "{url}");
            assert!(endpoint.tls.is_none());
        }
        for url in ["127.0.0.1:1883", "http://localhost", "mqtt://127.0.0.1:port"] {
            assert!(Endpoint::parse(url, None).await.is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn loopback_targets_are_reached_from_many_addresses() {
        let local = Endpoint::parse("mqtt://127.0.0.1", None).await.expect("an endpoint");
        let sources: std::collections::BTreeSet<_> = (0..100).filter_map(|index| local.source(index)).collect();
        assert_eq!(sources.len(), usize::from(LOOPBACK_SOURCES));
        let remote = Endpoint::parse("mqtt://192.0.2.1", None).await.expect("an endpoint");
        assert_eq!(remote.source(7), None);
    }
}

//! Where the broker is, and whom to trust there.

use crate::BusError;
use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Seconds without a sign of life after which either side gives the connection up.
const HEARTBEAT_SECONDS: u16 = 10;

/// A parsed address.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) uri: AMQPUri,
    /// For `amqps://`, with the name that the broker's certificate must bear.
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Address {
    /// Parses the URL and reads the authorities of `cacertfile`, or else those of the operating system.
    pub(crate) fn parse(url: &str) -> Result<Self, BusError> {
        // The parser's message may hold the password, so it is not passed on.
        let mut uri: AMQPUri = url.parse().map_err(|_| BusError::Invalid("url is not a valid AMQP address".into()))?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        // No path means the default virtual host, as everybody expects, and not the one of the empty name.
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        let tls = match uri.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some((connector(authorities_file(url))?, server_name(&uri.authority.host)?)),
        };
        Ok(Self { uri, tls })
    }
}

fn authorities_file(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("cacertfile="))
}

fn server_name(host: &str) -> Result<ServerName<'static>, BusError> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_| BusError::Invalid(format!("'{host}' is no name that a certificate can bear")))
}

fn connector(authorities: Option<&str>) -> Result<TlsConnector, BusError> {
    let certificates = match authorities {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| BusError::Invalid(format!("cacertfile '{path}': {error}")))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        let place = authorities.unwrap_or("the operating system's store");
        return Err(BusError::Invalid(format!("no certificate authority in {place}: the broker can not be trusted")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BusError::Invalid(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let address = Address::parse("amqp://me:s%40fe@broker:1234").expect("an address");
        assert_eq!(address.uri.vhost, "/");
        assert_eq!(address.uri.authority.userinfo.password, "s@fe");
        assert_eq!(address.uri.authority.port, 1234);
        assert_eq!(address.uri.query.heartbeat, Some(HEARTBEAT_SECONDS));
        assert!(address.tls.is_none());
        let other = Address::parse("amqp://127.0.0.1/site?heartbeat=3").expect("an address");
        assert_eq!((other.uri.vhost.as_str(), other.uri.query.heartbeat), ("site", Some(3)));
        assert_eq!(other.uri.authority.host, "127.0.0.1");
    }

    #[test]
    fn a_bad_address_does_not_tell_its_password() {
        for url in ["amqp://me:secret@broker:port", "amqps://me:secret@broker/?cacertfile=/nowhere"] {
            let error = Address::parse(url).err().expect("an error").to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

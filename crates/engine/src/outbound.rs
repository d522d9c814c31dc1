//! The one client for calls to addresses that people typed in (webhooks): it must not become a way into the network
//! that Muster runs in.
//!
//! The address is checked after the name was resolved and again on each redirect: loopback, private, link-local,
//! metadata and other special ranges are refused unless `outbound.allow` names them. Time and size are limited.

use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const MAX_REDIRECTS: usize = 3;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// It is no http or https address.
    #[error("'{0}' is not an http or https address")]
    NotHttp(String),
    /// The address lies in a range that may not be reached.
    #[error("{0} is a loopback, private or special address; outbound.allow does not name it")]
    Refused(String),
    /// The call went out and failed, or was not answered in time.
    #[error("the call to {host} failed: {reason}")]
    Failed {
        /// The host called.
        host: String,
        /// What happened, as the client says it.
        reason: String,
    },
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The first 64 KiB of the body.
    pub body: Vec<u8>,
    /// Seconds the other side asks to wait (`Retry-After`).
    pub retry_after: Option<u64>,
}

/// The client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: reqwest::Client,
    guard: Arc<Guard>,
}

#[derive(Debug)]
struct Guard {
    allow: Vec<IpNet>,
}

impl Outbound {
    /// A client that may reach public addresses, and those of `allow`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(allow: Vec<IpNet>, timeout: Duration) -> Result<Self, reqwest::Error> {
        let guard = Arc::new(Guard { allow });
        let on_redirect = Arc::clone(&guard);
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .no_proxy()
            .user_agent(concat!("Muster/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(Arc::clone(&guard))))
            .redirect(redirect::Policy::custom(move |attempt| {
                if attempt.previous().len() > MAX_REDIRECTS {
                    return attempt.error("too many redirects");
                }
                match on_redirect.check_url(attempt.url()) {
                    Ok(()) => attempt.follow(),
                    Err(error) => attempt.error(error),
                }
            }))
            .build()?;
        Ok(Self { client, guard })
    }

    /// POSTs JSON.
    ///
    /// # Errors
    /// [`OutboundError`]; an answer of any status is no error.
    pub async fn post_json(&self, url: &str, body: Vec<u8>) -> Result<Answer, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::NotHttp(url.chars().take(200).collect()))?;
        self.guard.check_url(&url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let failed = |error: reqwest::Error| failure(&host, &error);
        let request = self.client.post(url).header("content-type", "application/json").body(body);
        let mut response = request.send().await.map_err(failed)?;
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = MAX_ANSWER_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(Answer { status, body, retry_after })
    }
}

/// The refusal inside a client error, if that is what it was; else the innermost cause.
fn failure(host: &str, error: &reqwest::Error) -> OutboundError {
    let mut cause: &dyn std::error::Error = error;
    loop {
        if let Some(OutboundError::Refused(address)) = cause.downcast_ref() {
            return OutboundError::Refused(address.clone());
        }
        match cause.source() {
            Some(source) => cause = source,
            None if error.is_timeout() => {
                return OutboundError::Failed { host: host.to_owned(), reason: "no answer in time".into() };
            }
            None => return OutboundError::Failed { host: host.to_owned(), reason: cause.to_string() },
        }
    }
}

impl Guard {
    /// Names are checked when they are resolved; this checks what needs no resolving.
    fn check_url(&self, url: &Url) -> Result<(), OutboundError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OutboundError::NotHttp(url.as_str().chars().take(200).collect()));
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => self.check(address),
            Err(_) => Ok(()),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), OutboundError> {
        let address = address.to_canonical();
        if self.allow.iter().any(|network| network.contains(&address)) || is_public(address) {
            Ok(())
        } else {
            Err(OutboundError::Refused(address.to_string()))
        }
    }
}

#[derive(Debug)]
struct GuardedResolver(Arc<Guard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One forbidden address refuses the name: a mixed answer is how rebinding starts.
            for address in &found {
                guard.check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared address space
        || (a == 198 && (18..20).contains(&b)) // benchmarking
        || (a == 192 && b == 0 && address.octets()[2] == 0)) // protocol assignments
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low), // NAT64
        [0x2002, high, low, ..] => embedded(high, low),               // 6to4
        [0x2001, 0xdb8, ..] | [0x64, 0xff9b, 1, ..] => false,         // documentation, local NAT64
        [0x2001, low, ..] if low < 0x200 => false,                    // protocol assignments, Teredo
        [first, ..] => (first & 0xe000) == 0x2000,                    // global unicast
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[test]
    fn special_ranges_are_not_public() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            let parsed: IpAddr = address.parse().expect(address);
            assert!(!is_public(parsed.to_canonical()), "{address}");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(is_public(address.parse().expect(address)), "{address}");
        }
    }

    fn client(allow: &[&str]) -> Outbound {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allow = allow.iter().map(|text| text.parse().expect("a network")).collect();
        Outbound::new(allow, Duration::from_secs(5)).expect("a client")
    }

    /// Answers every connection with `answer` and returns its address.
    async fn server(answer: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let _ = socket.read(&mut buffer).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn loopback_is_refused_by_address_and_by_name() {
        let address = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()).await;
        for url in [format!("http://{address}/"), format!("http://localhost:{}/", address.port())] {
            let error = client(&[]).post_json(&url, Vec::new()).await.expect_err(&url);
            assert!(matches!(error, OutboundError::Refused(_)), "{url}: {error}");
        }
        let answer = client(&["127.0.0.0/8"]).post_json(&format!("http://{address}/"), Vec::new()).await;
        assert_eq!(answer.expect("allowed").status, 200);
    }

    #[tokio::test]
    async fn a_redirect_into_a_private_range_is_refused() {
        let target = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n";
        let address = server(target.into()).await;
        let error = client(&["127.0.0.0/8"]).post_json(&format!("http://{address}/"), Vec::new()).await;
        assert!(matches!(error, Err(OutboundError::Refused(ref to)) if to == "10.0.0.1"), "{error:?}");
    }

    #[tokio::test]
    async fn other_schemes_are_refused() {
        for url in ["file:///etc/passwd", "gopher://a", "nonsense"] {
            let error = client(&[]).post_json(url, Vec::new()).await;
            assert!(matches!(error, Err(OutboundError::NotHttp(_))), "{url}: {error:?}");
        }
    }
}

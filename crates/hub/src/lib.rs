//! Azure IoT Hub and its provisioning service (DPS) as devices see them: MQTT 3.1.1 and 5, plain, over TLS or over WebSocket,
//! and HTTPS.
//!
//! This crate speaks protocols. What a device may do and what happens then is decided by `muster-engine`; the grammar
//! of topics, user names and tokens is `muster_model::wire`. Modules outside `session` know nothing of MQTT, so that
//! other transports can use them.
//!
//! # Invariants
//! - A message is acknowledged to its device only after the ingress has confirmed it, in the order of sending. When a
//!   confirm fails, the connection is closed and the device sends again.
//! - A device has one connection here: the newer one closes the older one.
//! - Bytes and messages held for a connection are bounded; beyond the bounds its socket is not read. Pings and twin
//!   requests do not wait for confirms.
//! - User names, tokens and payloads are never logged.

mod blob;
mod calls;
mod config;
mod device_http;
mod downlink;
mod dps_service;
mod error;
mod fault;
mod https;
mod limits;
mod listener;
mod mailbox;
mod metering;
mod pace;
mod provisioning;
mod pushes;
mod registry;
mod service;
mod session;
mod telemetry;
mod tls;
mod twin;
mod vouchers;
mod websocket;

pub use config::HubConfig;
pub use error::HubError;
pub use limits::Rates;
pub use tls::ServerCertificate;

use limits::Limits;
use listener::Transport;
use metering::Meters;
use muster_engine::Engine;
use registry::Registry;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the composition gives the hub.
pub struct HubParts {
    /// The use cases; the hub's name is theirs.
    pub engine: Engine,
    /// What `mqtts` and `https` show.
    pub certificate: ServerCertificate,
    /// MQTT over TLS, port 8883 in production.
    pub mqtts: Option<TcpListener>,
    /// MQTT without TLS: for measurements, and behind a proxy that ends TLS.
    pub mqtt: Option<TcpListener>,
    /// HTTPS and WebSocket, port 443 in production; non-blocking.
    pub https: Option<std::net::TcpListener>,
    /// Limits.
    pub config: HubConfig,
    /// Ends the hub: no new connections, outstanding acknowledgements are waited for, then all are closed.
    pub stop: CancellationToken,
    /// Counts the hub's tasks; they end after `stop`.
    pub tasks: TaskTracker,
}

/// Starts to serve devices; the hub runs until `parts.stop` fires and its connections are drained.
///
/// # Errors
/// [`HubError::Engine`] where the way back to devices cannot be opened, [`HubError::Certificate`], [`HubError::Listen`].
pub async fn serve(parts: HubParts) -> Result<(), HubError> {
    let HubParts { engine, certificate, mqtts, mqtt, https, config, stop, tasks } = parts;
    let pushes = engine.pushes().await?;
    let hub = Arc::new(Hub {
        places: Arc::new(Semaphore::new(config.max_connections)),
        registry: Arc::default(),
        meters: Meters::new(),
        limits: Arc::new(Limits::new(config.device_rates, config.tenant_rates)),
        engine,
        config,
        stop,
    });
    tasks.spawn(pushes::deliver(hub.clone(), pushes));
    tasks.spawn(vouchers::watch(hub.clone()));
    if let Some(listener) = mqtt {
        tasks.spawn(listener::run(hub.clone(), listener, Transport::Plain));
    }
    if let Some(listener) = mqtts {
        let acceptor = TlsAcceptor::from(Arc::new(certificate.for_devices()?));
        tasks.spawn(listener::run(hub.clone(), listener, Transport::Tls(acceptor)));
    }
    if let Some(listener) = https {
        https::start(hub, listener, certificate.for_devices()?, &tasks)?;
    }
    Ok(())
}

/// What all connections share.
struct Hub {
    engine: Engine,
    config: HubConfig,
    registry: Arc<Registry>,
    places: Arc<Semaphore>,
    meters: Meters,
    limits: Arc<Limits>,
    stop: CancellationToken,
}

//! What the composition gives this crate.

use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use muster_engine::Engine;
use std::path::PathBuf;
use tokio::runtime::Handle;

/// What the composition gives the API.
#[derive(Clone)]
pub struct ApiParts {
    /// The use cases.
    pub engine: Engine,
    /// What the operator configured.
    pub config: ApiConfig,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// The runtime of everything but the web server, whose tasks are counted.
    pub runtime: Handle,
}

/// What the operator configured, as far as this crate needs it.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// The address people use, without a path: `https://muster.example.com`.
    pub public_url: String,
    /// The domain whose subdomains are tenants; empty = one host for all.
    pub base_domain: String,
    /// The networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The folder with the built web app.
    pub web_dir: Option<PathBuf>,
    /// Are cookies only sent over TLS?
    pub secure_cookies: bool,
    /// The port where devices find MQTT over TLS.
    pub mqtt_port: u16,
}

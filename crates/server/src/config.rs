//! The configuration: `config.default.toml`, overridden by `MUSTER__SECTION__KEY`; read once, checked whole, then
//! immutable.

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use secrecy::SecretString;
use serde::Deserialize;
use std::{fmt::Write, net::SocketAddr, path::PathBuf};

/// The commented defaults, as embedded in the binary.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// A configuration that cannot be used; says every key that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid:{0}")]
pub struct InvalidConfig(String);

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where Muster keeps what is its own on this machine.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// The message bus.
    pub bus: Bus,
    /// The web app and the REST API.
    pub http: Http,
    /// The devices' side.
    pub hub: Hub,
    /// What devices and tenants may do in a second.
    pub limits: Limits,
    /// Outgoing e-mail.
    pub smtp: Smtp,
    /// Outgoing webhooks.
    pub outbound: Outbound,
    /// Uploaded files.
    pub files: Files,
    /// The master key.
    pub secrets: Secrets,
    /// The log.
    pub log: Log,
    /// How a stop goes.
    pub shutdown: Shutdown,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`; empty: in the data folder.
    pub url: SecretString,
    /// Connections of one process.
    pub max_connections: u32,
}

/// `[bus]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// `embedded`, `amqp://…` or `amqps://…`.
    pub url: SecretString,
    /// Prefix of queue names.
    pub namespace: String,
    /// Partitions at the first start.
    pub partitions: u16,
    /// Bytes that may wait for confirms.
    pub max_unconfirmed_bytes: usize,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address of the plain listener.
    pub bind: String,
    /// Address of the TLS listener; empty = off.
    pub tls_bind: String,
    /// PEM file of the certificate chain.
    pub certificate_file: String,
    /// PEM file of the private key.
    pub private_key_file: String,
    /// The address people use.
    pub public_url: String,
    /// The domain whose subdomains are tenants.
    pub base_domain: String,
    /// Networks of trusted proxies.
    pub trusted_proxies: String,
}

/// `[hub]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// Address of MQTT over TLS; empty = off.
    pub mqtts_bind: String,
    /// Address of plain MQTT; empty = off.
    pub mqtt_bind: String,
    /// Address of HTTPS for devices; empty = off.
    pub https_bind: String,
    /// The name that devices connect to.
    pub host: String,
    /// Whether each tenant has a host below it.
    pub tenant_hosts: bool,
    /// PEM file of the certificate chain.
    pub certificate_file: String,
    /// PEM file of the private key.
    pub private_key_file: String,
    /// Connections that one process accepts.
    pub max_connections: usize,
}

/// `[limits]`: so many in a second, at one process; 0 = as many as come.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Telemetry of a device.
    pub device_messages: u32,
    /// Connections of a device.
    pub device_connects: u32,
    /// Patches of a device's reported properties.
    pub device_twin_writes: u32,
    /// Telemetry of a tenant.
    pub tenant_messages: u32,
    /// Connections of a tenant's devices.
    pub tenant_connects: u32,
    /// Patches of reported properties of a tenant's devices.
    pub tenant_twin_writes: u32,
    /// Requests of a tenant's services.
    pub tenant_calls: u32,
}

/// `[smtp]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// The server; empty = no e-mail.
    pub url: SecretString,
    /// The sender.
    pub from: String,
}

/// `[outbound]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// Networks that are allowed although private.
    pub allow: String,
    /// Seconds until a request is given up.
    pub timeout_seconds: u64,
}

/// `[files]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Where uploaded files go; empty: in the data folder.
    pub url: SecretString,
    /// The largest file.
    pub max_file_bytes: u64,
    /// What all files of a tenant may hold together.
    pub max_tenant_bytes: u64,
}

/// `[secrets]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The master key's file; empty: in the data folder.
    pub master_key_file: String,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub filter: String,
    /// How it is written.
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[shutdown]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds that a stop waits.
    pub deadline_seconds: u64,
}

impl Config {
    /// Reads the defaults and the environment.
    ///
    /// # Errors
    /// [`InvalidConfig`] naming every key that is unknown, of the wrong type or out of range.
    pub fn load() -> Result<Self, InvalidConfig> {
        Self::from_figment(Figment::new().merge(Toml::string(DEFAULTS)).merge(Env::prefixed("MUSTER__").split("__")))
    }

    /// Reads the defaults and `overrides`, given as `("http.bind", "127.0.0.1:0")`; for tests.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn with(overrides: &[(&str, &str)]) -> Result<Self, InvalidConfig> {
        let figment = overrides.iter().fold(Figment::new().merge(Toml::string(DEFAULTS)), |figment, (key, value)| {
            let value = value.parse::<figment::value::Value>().unwrap_or_else(|never| match never {});
            figment.merge((*key, value))
        });
        Self::from_figment(figment)
    }

    fn from_figment(figment: Figment) -> Result<Self, InvalidConfig> {
        let config: Self = figment.extract().map_err(|errors| {
            InvalidConfig(errors.into_iter().fold(String::new(), |mut text, error| {
                let _ = write!(text, "\n  {}: {}", variable(&error.path.join(".")), error.kind);
                text
            }))
        })?;
        let problems = config.problems();
        if problems.is_empty() { Ok(config) } else { Err(InvalidConfig(problems)) }
    }

    fn problems(&self) -> String {
        let mut text = String::new();
        let mut problem = |key: &str, what: String| {
            let _ = write!(text, "\n  {}: {what}", variable(key));
        };
        let ranges = [
            ("database.max_connections", u64::from(self.database.max_connections), 2, 500),
            ("bus.partitions", u64::from(self.bus.partitions), 1, 64),
            ("bus.max_unconfirmed_bytes", self.bus.max_unconfirmed_bytes as u64, 1 << 20, 4 << 30),
            ("hub.max_connections", self.hub.max_connections as u64, 1, 1_000_000),
            ("files.max_file_bytes", self.files.max_file_bytes, 1 << 20, 4 << 40),
            ("files.max_tenant_bytes", self.files.max_tenant_bytes, 1 << 20, 1 << 50),
            ("outbound.timeout_seconds", self.outbound.timeout_seconds, 1, 120),
            ("shutdown.deadline_seconds", self.shutdown.deadline_seconds, 1, 300),
        ];
        for (key, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                problem(key, format!("{value} is out of range, expected {low} to {high}"));
            }
        }
        let addresses = [
            ("http.bind", &self.http.bind, false),
            ("http.tls_bind", &self.http.tls_bind, true),
            ("hub.mqtts_bind", &self.hub.mqtts_bind, true),
            ("hub.mqtt_bind", &self.hub.mqtt_bind, true),
            ("hub.https_bind", &self.hub.https_bind, true),
        ];
        for (key, value, may_be_empty) in addresses {
            if !(may_be_empty && value.is_empty()) && value.parse::<SocketAddr>().is_err() {
                problem(key, format!("'{value}' is not an address, expected for example 127.0.0.1:8080"));
            }
        }
        let pairs = [
            ("http", &self.http.certificate_file, &self.http.private_key_file),
            ("hub", &self.hub.certificate_file, &self.hub.private_key_file),
        ];
        for (section, certificate, key) in pairs {
            if certificate.is_empty() != key.is_empty() {
                problem(&format!("{section}.certificate_file"), "goes together with private_key_file".into());
            }
        }
        if self.hub.host.is_empty()
            || self.hub.host.contains(['/', ' ', ':']) && self.hub.host.parse::<std::net::IpAddr>().is_err()
        {
            problem("hub.host", format!("'{}' is not a host name or IP address", self.hub.host));
        }
        if self.hub.tenant_hosts && self.hub.host.parse::<std::net::IpAddr>().is_ok() {
            problem("hub.tenant_hosts", format!("'{}' is an address, which has no names below it", self.hub.host));
        }
        text
    }
}

fn variable(key: &str) -> String {
    format!("MUSTER__{}", key.to_uppercase().replace('.', "__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::with(&[]).expect("valid defaults");
        assert_eq!(config.http.bind, "127.0.0.1:8080");
        assert_eq!(config.hub.mqtts_bind, "127.0.0.1:8883");
    }

    #[test]
    fn every_wrong_value_names_its_variable() {
        for (key, value, expected) in [
            ("bus.partitions", "0", "MUSTER__BUS__PARTITIONS: 0 is out of range, expected 1 to 64"),
            ("http.bind", "nonsense", "MUSTER__HTTP__BIND: 'nonsense' is not an address"),
            ("hub.max_connections", "many", "MUSTER__HUB__MAX_CONNECTIONS"),
            ("hub.certificate_file", "/a.pem", "MUSTER__HUB__CERTIFICATE_FILE: goes together"),
            ("hub.host", "a/b", "MUSTER__HUB__HOST"),
            ("hub.tenant_hosts", "maybe", "MUSTER__HUB__TENANT_HOSTS"),
            ("http.nonsense", "1", "nonsense"),
            ("log.format", "xml", "MUSTER__LOG__FORMAT"),
        ] {
            let error = Config::with(&[(key, value)]).expect_err(key).to_string();
            assert!(error.contains(expected), "{key}={value}: {error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = Config::with(&[("database.url", "postgres://u:hunter2@h/d")]).expect("valid");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

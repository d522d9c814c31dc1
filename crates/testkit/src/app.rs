//! The product in-process.

use crate::{Backend, Client, Device, DeviceError, backend::Database, skip};
use chrono::{DateTime, Utc};
use muster::{App, Config, Options};
use muster_engine::{
    Roles,
    tenants::{self, Bootstrap, BootstrapResult},
};
use muster_model::{Clock, TenantId, wire::sas};
use secrecy::{ExposeSecret, SecretString};
use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
};
use tempfile::TempDir;
use uuid::Uuid;

/// The password of every administrator that [`TestApp::bootstrap`] makes.
const PASSWORD: &str = "correct horse battery staple";

/// A running product with a folder, ports and a database of its own.
#[derive(Debug)]
pub struct TestApp {
    app: App,
    folder: TempDir,
    /// Dropped after the product.
    _servers: Option<Arc<Servers>>,
}

/// A database of one test's own, and its own namespace on the broker.
#[derive(Debug)]
pub struct Servers {
    /// As overrides of the configuration.
    pub settings: Vec<(&'static str, String)>,
    _database: Database,
}

/// A tenant with an administrator who calls the API.
#[derive(Debug)]
pub struct Bootstrapped {
    /// What `muster admin bootstrap` prints.
    pub tenant: BootstrapResult,
    /// The administrator's e-mail address; the password is [`Bootstrapped::password`].
    pub email: String,
    /// Calls the API with the tenant's token.
    pub admin: Client,
}

impl Bootstrapped {
    /// The administrator's password.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }
}

impl TestApp {
    /// Starts one process with every role; `overrides` as `("smtp.url", "…")`.
    pub async fn start(backend: Backend, overrides: &[(&str, &str)]) -> Self {
        Self::start_at(backend, overrides, Clock::System(now)).await
    }

    /// Starts one process at a loopback address of its own, with the ports that Microsoft's SDKs insist on: 8883 and
    /// 443. `None` where this machine does not let us have them; the test is counted as skipped under `name` then.
    pub async fn start_for_sdks(backend: Backend, name: &str, overrides: &[(&str, &str)]) -> Option<Self> {
        let address = sdk_address(name)?;
        let own = address.each_ref().map(|(key, value)| (*key, value.as_str()));
        Some(Self::start(backend, &[&own, overrides].concat()).await)
    }

    /// As [`TestApp::start_for_sdks`], with a second process on the same servers that no device knows.
    pub async fn start_pair_for_sdks(name: &str) -> Option<(Self, Self)> {
        let address = sdk_address(name)?;
        let own = address.each_ref().map(|(key, value)| (*key, value.as_str()));
        Some(Self::start_two(&own, &own[..1]).await)
    }

    /// Starts one process whose time is this clock's.
    pub async fn start_at(backend: Backend, overrides: &[(&str, &str)], clock: Clock) -> Self {
        let servers = if backend == Backend::Servers { Some(Arc::new(servers().await)) } else { None };
        Self::launch(servers, overrides, clock).await
    }

    /// Starts one process with every role on these servers.
    pub async fn start_on(servers: Servers, overrides: &[(&str, &str)]) -> Self {
        Self::launch(Some(Arc::new(servers)), overrides, Clock::System(now)).await
    }

    /// Starts two processes with every role on the same servers.
    pub async fn start_pair(overrides: &[(&str, &str)]) -> (Self, Self) {
        Self::start_two(overrides, overrides).await
    }

    async fn start_two(first: &[(&str, &str)], second: &[(&str, &str)]) -> (Self, Self) {
        let servers = Arc::new(servers().await);
        // What the two share must be sealed under one key.
        let key_folder = tempfile::tempdir().expect("a folder");
        let key = key_folder.path().join("master.key");
        std::fs::write(&key, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").expect("a key");
        let key = ("secrets.master_key_file", &*key.display().to_string());
        let clock = || Clock::System(now);
        let first = Self::launch(Some(Arc::clone(&servers)), &[&[key], first].concat(), clock()).await;
        (first, Self::launch(Some(servers), &[&[key], second].concat(), clock()).await)
    }

    async fn launch(servers: Option<Arc<Servers>>, overrides: &[(&str, &str)], clock: Clock) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().display().to_string();
        let mut settings = vec![
            ("data_dir", data_dir.as_str()),
            ("bus.partitions", "2"),
            ("http.bind", "127.0.0.1:0"),
            ("hub.mqtts_bind", "127.0.0.1:0"),
            ("hub.mqtt_bind", "127.0.0.1:0"),
            ("hub.https_bind", "127.0.0.1:0"),
        ];
        let own = servers.iter().flat_map(|servers| &servers.settings);
        settings.extend(own.map(|(key, value)| (*key, value.as_str())));
        settings.extend(overrides);
        let config = Config::with(&settings).expect("a valid configuration");
        let options = Options { roles: Roles::ALL, demo: false, migrate: true };
        let app = App::start_at(config, options, clock).await.expect("the product starts");
        Self { app, folder, _servers: servers }
    }

    /// The running process.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Makes a tenant.
    pub async fn bootstrap(&self, tenant: &str) -> Bootstrapped {
        let email = format!("admin@{tenant}.example");
        let request = Bootstrap {
            tenant: TenantId::parse(tenant).expect("a tenant id"),
            name: tenant.to_owned(),
            admin_email: email.clone(),
            admin_password: SecretString::from(PASSWORD),
        };
        let tenant = tenants::bootstrap(self.app.engine(), request).await.expect("a tenant");
        let admin = self.client(tenant.api_token.as_ref().map(|token| token.expose_secret().to_owned()));
        Bootstrapped { tenant, email, admin }
    }

    /// A caller of the API.
    pub fn client(&self, token: Option<String>) -> Client {
        let address = self.app.addresses().http.expect("the api role");
        Client::new(format!("http://{address}"), token)
    }

    /// Connects a device over plain MQTT with the key that the tenant's enrollment group gives it.
    ///
    /// # Errors
    /// As [`Device::connect`].
    pub async fn device(&self, tenant: &Bootstrapped, id: &str) -> Result<Device, DeviceError> {
        let host = &tenant.tenant.hub_host;
        let key = sas::derive_key(&tenant.tenant.keys.primary_key, id).expect("a group key");
        let token = sas::sign(&format!("{host}/devices/{id}"), &key, 4_102_444_800, None).expect("a token");
        let address = self.app.addresses().mqtt.expect("plain MQTT");
        Device::connect(address, id, &format!("{host}/{id}/?api-version=2021-04-12"), &token).await
    }

    /// Stops the product; everything that was acknowledged is stored then.
    pub async fn stop(self) {
        self.app.stop().await.expect("a clean stop");
    }
}

/// A new database and a new namespace on the broker, of the private servers that `cargo xtask test` starts.
pub async fn servers() -> Servers {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let name = format!("t_{}", Uuid::now_v7().simple());
    let database = Database::create(&variable("MUSTER_TEST_POSTGRES"), &name).await;
    let settings =
        vec![("database.url", database.url()), ("bus.url", variable("MUSTER_TEST_RABBITMQ")), ("bus.namespace", name)];
    Servers { settings, _database: database }
}

/// Settings of a hub at an address of its own, with the ports that Microsoft's SDKs insist on; the first is its name.
type SdkAddress = [(&'static str, String); 3];

fn sdk_address(test: &str) -> Option<SdkAddress> {
    let host = own_address();
    let (mqtts, https) = (format!("{host}:8883"), format!("{host}:443"));
    for address in [&mqtts, &https] {
        if let Err(error) = TcpListener::bind(address) {
            skip(test, &format!("{address} cannot be had: {error}"));
            return None;
        }
    }
    Some([("hub.host", host.to_string()), ("hub.mqtts_bind", mqtts), ("hub.https_bind", https)])
}

/// A loopback address that no other test is likely to have.
pub fn own_address() -> Ipv4Addr {
    let random = Uuid::new_v4().into_bytes();
    Ipv4Addr::new(127, 1 + random[0] % 250, random[1], 1 + random[2] % 250)
}

#[expect(clippy::disallowed_methods, reason = "the harness is a composition: the machine's clock comes in here")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

//! A hub with everything behind it but the worker: the test takes the messages from the bus itself.

use crate::client::Login;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use muster_bus::{Bus, BusConfig, InstanceId};
use muster_engine::{
    Engine, EngineConfig, EngineParts, Roles, certificates,
    files::FilesConfig,
    provisioning::{self, DpsConnect},
    secrets::MasterKey,
    tenants::{self, Bootstrap, BootstrapResult},
};
use muster_hub::{HubConfig, HubParts, ServerCertificate};
use muster_model::{
    Caller, Clock, DeviceId, DeviceKey, RegistrationId, Scope, SystemScope, TenantId, TenantKey,
    batch::{self, Inbound},
    push::Push,
    wire::sas,
};
use muster_store::{Store, StoreConfig};
use rustls::crypto::ring;
use std::{future::Future, net::SocketAddr, path::Path, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The name that devices connect to.
pub const HOST: &str = "localhost";
const PARTITIONS: u16 = 2;
const PATIENCE: Duration = Duration::from_secs(20);

pub struct TestHub {
    pub address: SocketAddr,
    running: Running,
    messages: Mutex<Option<Messages>>,
    config: HubConfig,
    folder: tempfile::TempDir,
}

/// What ends when the process does.
struct Running {
    engine: Engine,
    bus: Bus,
    tenant: BootstrapResult,
    instance: InstanceId,
    tls_address: SocketAddr,
    https_address: SocketAddr,
    ca_pem: String,
    hub_stop: CancellationToken,
    hub_tasks: TaskTracker,
    bus_stop: CancellationToken,
    engine_stop: CancellationToken,
    engine_tasks: TaskTracker,
}

/// What the bus was given.
pub struct Messages(mpsc::Receiver<Inbound>);

impl Messages {
    pub async fn message(&mut self) -> Inbound {
        timeout(PATIENCE, self.0.recv()).await.expect("a message in time").expect("a consumer")
    }
}

/// A token over `uri`.
pub fn sign(uri: &str, key: &str, expiry: i64) -> String {
    sas::sign(uri, key, expiry, None).expect("a key")
}

impl TestHub {
    /// A hub whose messages are safe at once.
    pub async fn start() -> Self {
        Self::start_with(HubConfig::default()).await
    }

    pub async fn start_with(config: HubConfig) -> Self {
        let hub = Self::start_held_back_with(config).await;
        *hub.messages.lock().await = Some(hub.consume().await);
        hub
    }

    /// A hub whose messages are safe only once the test consumes them.
    pub async fn start_held_back() -> Self {
        Self::start_held_back_with(HubConfig::default()).await
    }

    pub async fn start_held_back_with(config: HubConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (running, address) = run(folder.path(), config.clone()).await;
        Self { address, running, messages: Mutex::default(), config, folder }
    }

    /// Stops everything and starts it again on the same database.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.running.end().await;
        (self.running, self.address) = run(self.folder.path(), self.config.clone()).await;
    }

    /// Restarts with other limits.
    pub async fn restart_with(&mut self, config: HubConfig) {
        self.config = config;
        self.restart().await;
    }

    /// Begins to stop the hub; the future waits for its end.
    pub fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        self.running.hub_stop.cancel();
        let tasks = self.running.hub_tasks.clone();
        async move { timeout(PATIENCE, tasks.wait()).await.expect("the hub ends in time") }
    }

    /// Ends the bus; what is not safe can not become so.
    pub fn end_bus(&self) {
        self.running.bus_stop.cancel();
    }

    /// Takes messages from the bus, which makes them safe.
    pub async fn consume(&self) -> Messages {
        let (messages, taken) = mpsc::channel(4096);
        for partition in 0..PARTITIONS {
            let mut consumer = self.running.bus.consume(partition).await.expect("a consumer");
            let messages = messages.clone();
            tokio::spawn(async move {
                while let Ok(deliveries) = consumer.next(16).await {
                    for delivery in &deliveries {
                        for message in batch::decode(delivery.body.clone()).expect("a batch").messages {
                            messages.send(message).await.expect("the test listens");
                        }
                    }
                    consumer.ack(deliveries).await.expect("a bus");
                }
            });
        }
        Messages(taken)
    }

    /// Where the hub listens with TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.running.tls_address
    }

    /// Where the hub listens with HTTPS.
    pub fn https_address(&self) -> SocketAddr {
        self.running.https_address
    }

    /// The authority that devices must trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.running.ca_pem
    }

    /// The next message that the bus was given.
    pub async fn message(&self) -> Inbound {
        self.messages.lock().await.as_mut().expect("a hub that is not held back").message().await
    }

    /// A device that is known, and how it connects.
    pub async fn device(&self, id: &str) -> Login {
        let engine = &self.running.engine;
        let registration = RegistrationId::parse(id).expect("a registration id");
        let password = self.registration(id).await.password;
        let id_scope = &self.running.tenant.id_scope;
        let connect = DpsConnect { id_scope, registration: &registration, password: password.as_deref(), chain: &[] };
        let session = provisioning::authenticate(engine, connect).await.expect("a good key");
        provisioning::register(engine, &session, None).await.expect("a registration");
        self.login(id).await
    }

    /// How a device connects to the hub.
    pub async fn login(&self, id: &str) -> Login {
        let username = format!("{HOST}/{id}/?api-version=2019-10-01&DeviceClientType=test");
        let password = Some(self.token(id, self.expiry(3600)).await);
        Login { client_id: id.into(), username, password }
    }

    /// How a device connects to the provisioning service.
    pub async fn registration(&self, id: &str) -> Login {
        let scope = &self.running.tenant.id_scope;
        let uri = format!("{scope}/registrations/{id}");
        let password = Some(sign(&uri, &self.key(id).await, self.expiry(3600)));
        Login { client_id: id.into(), username: format!("{uri}/api-version=2019-03-31&ClientVersion=test"), password }
    }

    /// The key that the enrollment group gives a device.
    pub async fn key(&self, id: &str) -> String {
        sas::derive_key(&self.running.tenant.keys.primary_key, id).expect("a group key")
    }

    /// A device's token.
    pub async fn token(&self, id: &str, expiry: i64) -> String {
        sign(&format!("{HOST}/devices/{id}"), &self.key(id).await, expiry)
    }

    /// So many seconds from now.
    pub fn expiry(&self, seconds: i64) -> i64 {
        self.running.engine.clock().now().timestamp() + seconds
    }

    pub fn now_ms(&self) -> i64 {
        self.running.engine.clock().now_ms()
    }

    /// A device's numbers in the database.
    pub async fn keys_of(&self, id: &str) -> (TenantKey, DeviceKey) {
        let store = self.running.engine.store();
        let tx = store.begin_system_read(&SystemScope).await.expect("a database");
        let id_scope = &self.running.tenant.id_scope;
        let tenant = muster_store::tenants::find_by_id_scope(&tx, &SystemScope, id_scope).await.expect("a database");
        drop(tx);
        let scope = Scope { tenant: tenant.expect("a tenant").key };
        let id = DeviceId::parse(id).expect("a device id");
        let tx = store.begin_read(&scope).await.expect("a database");
        (scope.tenant, muster_store::devices::get(&tx, &scope, &id).await.expect("a device").key)
    }

    /// The use cases behind the hub.
    pub fn engine(&self) -> &Engine {
        &self.running.engine
    }

    /// The service, which may do everything in the tenant.
    pub async fn service(&self) -> Caller {
        let store = self.running.engine.store();
        let tx = store.begin_system_read(&SystemScope).await.expect("a database");
        let id_scope = &self.running.tenant.id_scope;
        let tenant = muster_store::tenants::find_by_id_scope(&tx, &SystemScope, id_scope).await.expect("a database");
        let tenant = tenant.expect("a tenant");
        Caller::system(Scope { tenant: tenant.key }, tenant.id, "test")
    }

    /// Pushes to the hub, as another instance would.
    pub async fn push(&self, push: &Push) {
        let body = Bytes::from(serde_json::to_vec(push).expect("JSON"));
        self.running.bus.push(&self.running.instance, body).await.expect("a hub that takes pushes");
    }
}

impl Running {
    async fn end(&mut self) {
        self.engine_stop.cancel();
        self.engine_tasks.close();
        timeout(PATIENCE, self.engine_tasks.wait()).await.expect("the engine ends in time");
        self.bus_stop.cancel();
        self.engine.store().close().await;
    }
}

async fn run(folder: &Path, config: HubConfig) -> (Running, SocketAddr) {
    // Every test is first, or finds it installed.
    let _ = ring::default_provider().install_default();
    let url = format!("sqlite://{}", folder.join("muster.db").display());
    let store = Store::connect(&url, &StoreConfig::default()).await.expect("a database");
    store.migrate().await.expect("a schema");
    let partitions = store.fix_partitions(PARTITIONS).await.expect("partitions");
    let instance = InstanceId("hub-1".into());
    let bus_stop = CancellationToken::new();
    let bus = BusConfig {
        url: "embedded".into(),
        namespace: BusConfig::DEFAULT_NAMESPACE.into(),
        partitions,
        instance: instance.clone(),
        max_unconfirmed_bytes: 64 * 1024 * 1024,
    };
    let bus = Bus::connect(bus, bus_stop.clone()).await.expect("a bus");
    let (engine_stop, engine_tasks) = (CancellationToken::new(), TaskTracker::new());
    let engine = Engine::start(EngineParts {
        store,
        bus: bus.clone(),
        clock: Clock::System(now),
        secrets_key: MasterKey::load_or_create(&folder.join("master.key")).expect("a key"),
        config: engine_config(),
        instance: instance.clone(),
        partitions,
        stop: engine_stop.clone(),
        tasks: engine_tasks.clone(),
    });
    let engine = engine.await.expect("an engine");
    let tenant = tenants::bootstrap(&engine, wanted()).await.expect("a tenant");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let secure = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let tls_address = secure.local_addr().expect("an address");
    let https = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    https.set_nonblocking(true).expect("a socket");
    let https_address = https.local_addr().expect("an address");
    let tls = certificates::hub_tls(&engine).await.expect("a certificate");
    let (hub_stop, hub_tasks) = (CancellationToken::new(), TaskTracker::new());
    let parts = HubParts {
        engine: engine.clone(),
        certificate: ServerCertificate::new(&tls.chain_pem, &tls.key_pem).expect("a certificate with its key"),
        mqtts: Some(secure),
        mqtt: Some(listener),
        https: Some(https),
        config,
        stop: hub_stop.clone(),
        tasks: hub_tasks.clone(),
    };
    muster_hub::serve(parts).await.expect("a hub");
    hub_tasks.close();
    let running = Running {
        engine,
        bus,
        tenant,
        instance,
        tls_address,
        https_address,
        ca_pem: tls.ca_pem,
        hub_stop,
        hub_tasks,
        bus_stop,
        engine_stop,
        engine_tasks,
    };
    (running, address)
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        roles: Roles { hub: true, worker: false, api: false },
        hub_host: HOST.into(),
        tenant_hosts: false,
        public_url: "http://localhost:8080".into(),
        certificate: None,
        smtp: None,
        outbound_allow: Vec::new(),
        outbound_timeout: Duration::from_secs(5),
        files: FilesConfig { url: "memory:///".into(), max_file_bytes: 1 << 20, tenant_bytes: 4 << 20 },
        drain: Duration::from_secs(5),
    }
}

fn wanted() -> Bootstrap {
    Bootstrap {
        tenant: TenantId::parse("demo").expect("a tenant id"),
        name: "Demo".into(),
        admin_email: "admin@demo.local".into(),
        admin_password: "correct horse battery".into(),
    }
}

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

//! One process of Muster: started in order, stopped in the opposite order.

use crate::{
    Addresses, Config, InvalidConfig,
    tls::Certificates,
    waiting::{self, Reason},
    welcome,
};
use anyhow::{Context, bail};
use chrono::Utc;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use muster_api::{ApiConfig, ApiParts};
use muster_bus::{Bus, BusConfig, InstanceId};
use muster_engine::{
    Engine, EngineConfig, EngineParts, OwnCertificate, Roles, SmtpConfig, demo, files::FilesConfig, ingest,
    secrets::MasterKey,
};
use muster_hub::{HubConfig, HubParts, Rates, ServerCertificate};
use muster_model::Clock;
use muster_store::{SchemaState, Store, StoreConfig};
use secrecy::{ExposeSecret, SecretString};
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// How often a dependency that is away is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Anything else, with its causes.
    #[error("{0:#}")]
    Start(#[from] anyhow::Error),
}

/// What a process is asked to be.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Its roles.
    pub roles: Roles,
    /// Make the demo tenant?
    pub demo: bool,
    /// Migrate first? Always done on SQLite.
    pub migrate: bool,
}

/// A running process.
#[derive(Debug)]
pub struct App {
    engine: Engine,
    bus: Bus,
    addresses: Addresses,
    welcome: String,
    api: Option<actix_web::dev::ServerHandle>,
    hub_stop: CancellationToken,
    hub_tasks: TaskTracker,
    worker_stop: CancellationToken,
    worker_tasks: TaskTracker,
    engine_stop: CancellationToken,
    engine_tasks: TaskTracker,
    failed: CancellationToken,
    deadline: Duration,
    certificates: Certificates,
}

impl App {
    /// Starts a process; waits, with a reason in the log and at `/health/ready`, for a database or broker that is away.
    ///
    /// # Errors
    /// [`AppError`] where the configuration or this machine does not allow it.
    pub async fn start(config: Config, options: Options) -> Result<Self, AppError> {
        Self::start_at(config, options, Clock::System(now)).await
    }

    /// Starts a process whose time is this clock's.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_at(config: Config, options: Options, clock: Clock) -> Result<Self, AppError> {
        Ok(start(config, options, clock).await?)
    }

    /// Issues the server's certificate anew where it is time; the process does so by itself every minute.
    ///
    /// # Errors
    /// Where the database or the data folder does not allow it.
    pub async fn renew_certificate(&self) -> anyhow::Result<()> {
        self.certificates.renew(&self.engine).await
    }

    /// Where the process listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What a newcomer needs to know next; empty without `--demo`.
    pub fn welcome(&self) -> &str {
        &self.welcome
    }

    /// The use cases, for tests that drive them by hand.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Resolves when a part of the process ended that should not have.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops: no new connections, batches flushed, consumers finished, the web last.
    ///
    /// # Errors
    /// Where a part did not stop within the deadline.
    pub async fn stop(self) -> anyhow::Result<()> {
        tracing::info!("stopping");
        let late = [
            drain("devices' connections", &self.hub_stop, &self.hub_tasks, self.deadline).await,
            drain("the worker", &self.worker_stop, &self.worker_tasks, self.deadline).await,
        ];
        if let Some(api) = self.api {
            // Live streams never end by themselves; everything that was asked has been answered by its own time limit.
            api.stop(false).await;
        }
        let engine = drain("the engine", &self.engine_stop, &self.engine_tasks, self.deadline).await;
        self.bus.close().await;
        self.engine.store().close().await;
        late.into_iter().chain([engine]).collect::<anyhow::Result<Vec<()>>>()?;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn drain(what: &str, stop: &CancellationToken, tasks: &TaskTracker, deadline: Duration) -> anyhow::Result<()> {
    stop.cancel();
    tasks.close();
    tokio::time::timeout(deadline, tasks.wait())
        .await
        .with_context(|| format!("{what} did not stop within {} s", deadline.as_secs()))
}

async fn start(config: Config, options: Options, clock: Clock) -> anyhow::Result<App> {
    check_split(&config, options.roles)?;
    std::fs::create_dir_all(&config.data_dir).with_context(|| format!("data folder {}", config.data_dir.display()))?;
    let key = master_key(&config)?;
    let web = options.roles.api.then(|| listen(&config.http.bind)).transpose()?;
    let reason = Reason::default();
    let waiting = match &web {
        Some(listener) => Some(waiting::serve(listener.try_clone()?, reason.clone())?),
        None => None,
    };

    let store = wait_for_store(&config, options.migrate, &reason).await?;
    let engine_stop = CancellationToken::new();
    let partitions = store.fix_partitions(config.bus.partitions).await.context("the number of partitions")?;
    let instance = InstanceId(Uuid::now_v7().to_string());
    let bus = wait_for_bus(&config, partitions, instance.clone(), &engine_stop, &reason).await?;
    let engine_tasks = TaskTracker::new();
    let engine = Engine::start(EngineParts {
        store,
        bus: bus.clone(),
        clock,
        secrets_key: key,
        config: engine_config(&config, options.roles, web.as_ref())?,
        instance,
        partitions,
        stop: engine_stop.clone(),
        tasks: engine_tasks.clone(),
    })
    .await?;
    let certificates = Certificates::obtain(&engine, &config.data_dir).await?;
    engine_tasks.spawn(certificates.clone().keep_renewed(engine.clone()));
    let welcome = if options.demo {
        let demo = demo::seed(&engine).await.context("the demo tenant")?;
        welcome::welcome(&engine, &demo, &config.data_dir).await.context("the demo tenant")?
    } else {
        String::new()
    };
    if let Some(waiting) = waiting {
        waiting.stop(false).await;
    }

    let mut app = App {
        engine,
        bus,
        addresses: Addresses::default(),
        welcome,
        api: None,
        hub_stop: CancellationToken::new(),
        hub_tasks: TaskTracker::new(),
        worker_stop: CancellationToken::new(),
        worker_tasks: TaskTracker::new(),
        engine_stop,
        engine_tasks,
        failed: CancellationToken::new(),
        deadline: Duration::from_secs(config.shutdown.deadline_seconds),
        certificates,
    };
    if options.roles.worker {
        ingest::start_worker(&app.engine, &app.worker_stop, &app.worker_tasks);
    }
    if options.roles.hub {
        start_hub(&mut app, &config).await?;
    }
    if let Some(listener) = web {
        start_api(&mut app, &config, listener)?;
    }
    app.addresses.write(&config.data_dir).context("addresses.json")?;
    Ok(app)
}

#[expect(clippy::disallowed_methods, reason = "the composition is where the machine's clock comes in")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}

/// Roles on different machines need what machines can share.
fn check_split(config: &Config, roles: Roles) -> anyhow::Result<()> {
    if roles == Roles::ALL {
        return Ok(());
    }
    if on_sqlite(config) {
        bail!("split roles need PostgreSQL: set MUSTER__DATABASE__URL to postgres://…");
    }
    if config.bus.url.expose_secret() == "embedded" {
        bail!("split roles need RabbitMQ: set MUSTER__BUS__URL to amqp://…");
    }
    if config.secrets.master_key_file.is_empty() {
        bail!("split roles share one master key: set MUSTER__SECRETS__MASTER_KEY_FILE");
    }
    Ok(())
}

fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    if config.secrets.master_key_file.is_empty() {
        Ok(MasterKey::load_or_create(&config.data_dir.join("master.key"))?)
    } else {
        Ok(MasterKey::load(Path::new(&config.secrets.master_key_file))?)
    }
}

fn database_url(config: &Config) -> SecretString {
    if config.database.url.expose_secret().is_empty() {
        SecretString::from(format!("sqlite://{}", config.data_dir.join("muster.db").display()))
    } else {
        config.database.url.clone()
    }
}

fn on_sqlite(config: &Config) -> bool {
    database_url(config).expose_secret().starts_with("sqlite:")
}

/// The store, connected once.
pub(crate) async fn connect_store(config: &Config) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&config.data_dir)?;
    let options = StoreConfig { max_connections: config.database.max_connections, ..StoreConfig::default() };
    Store::connect(database_url(config).expose_secret(), &options).await.context("the database does not answer")
}

async fn wait_for_store(config: &Config, migrate: bool, reason: &Reason) -> anyhow::Result<Store> {
    let store = loop {
        match connect_store(config).await {
            Ok(store) => break store,
            Err(error)
                if error
                    .downcast_ref::<muster_store::StoreError>()
                    .is_some_and(muster_store::StoreError::is_transient) =>
            {
                wait(reason, format!("waiting for the database: {error:#}")).await;
            }
            Err(error) => return Err(error),
        }
    };
    if migrate || on_sqlite(config) {
        store.migrate().await.context("the database could not be migrated")?;
    }
    loop {
        match store.schema_state().await {
            Ok(SchemaState::Ready) => return Ok(store),
            Ok(SchemaState::Behind(missing)) => {
                wait(reason, format!("waiting for `muster migrate`: missing {}", missing.join(", "))).await;
            }
            Err(error) => wait(reason, format!("waiting for the database: {error}")).await,
        }
    }
}

async fn wait_for_bus(
    config: &Config,
    partitions: u16,
    instance: InstanceId,
    stop: &CancellationToken,
    reason: &Reason,
) -> anyhow::Result<Bus> {
    reason.set("waiting for the message broker".into());
    let bus = BusConfig {
        url: config.bus.url.expose_secret().to_owned(),
        namespace: config.bus.namespace.clone(),
        partitions,
        instance,
        max_unconfirmed_bytes: config.bus.max_unconfirmed_bytes,
    };
    Bus::connect(bus, stop.clone()).await.context("the message broker does not answer")
}

async fn wait(reason: &Reason, why: String) {
    tracing::warn!("{why}");
    reason.set(why);
    tokio::time::sleep(RETRY).await;
}

fn engine_config(config: &Config, roles: Roles, web: Option<&TcpListener>) -> anyhow::Result<EngineConfig> {
    let smtp = (!config.smtp.url.expose_secret().is_empty())
        .then(|| SmtpConfig { url: config.smtp.url.clone(), from: config.smtp.from.clone() });
    Ok(EngineConfig {
        roles,
        hub_host: config.hub.host.clone(),
        tenant_hosts: config.hub.tenant_hosts,
        public_url: public_url(config, web)?,
        certificate: own_certificate(&config.hub.certificate_file, &config.hub.private_key_file)?,
        smtp,
        outbound_allow: networks("MUSTER__OUTBOUND__ALLOW", &config.outbound.allow)?,
        outbound_timeout: Duration::from_secs(config.outbound.timeout_seconds),
        files: files_config(config)?,
        drain: Duration::from_secs(config.shutdown.deadline_seconds),
    })
}

fn files_config(config: &Config) -> anyhow::Result<FilesConfig> {
    let url = if config.files.url.expose_secret().is_empty() {
        let folder = std::path::absolute(config.data_dir.join("files"))?;
        SecretString::from(folder.display().to_string())
    } else {
        config.files.url.clone()
    };
    let (max_file_bytes, tenant_bytes) = (config.files.max_file_bytes, config.files.max_tenant_bytes);
    Ok(FilesConfig { url, max_file_bytes, tenant_bytes })
}

fn public_url(config: &Config, web: Option<&TcpListener>) -> anyhow::Result<String> {
    Ok(match (config.http.public_url.trim_end_matches('/'), web) {
        ("", Some(listener)) => format!("http://{}", listener.local_addr()?),
        (url, _) => url.to_owned(),
    })
}

fn networks(variable: &str, text: &str) -> anyhow::Result<Vec<ipnet::IpNet>> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| name.parse().with_context(|| format!("{variable}: '{name}' is not a network such as 10.0.0.0/8")))
        .collect()
}

fn own_certificate(chain: &str, key: &str) -> anyhow::Result<Option<OwnCertificate>> {
    if chain.is_empty() {
        return Ok(None);
    }
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("certificate file {path}"));
    let chain_pem = read(chain)?;
    Ok(Some(OwnCertificate { ca_pem: chain_pem.clone(), chain_pem, key_pem: SecretString::from(read(key)?) }))
}

fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn start_hub(app: &mut App, config: &Config) -> anyhow::Result<()> {
    let open = |address: &str| (!address.is_empty()).then(|| listen(address)).transpose();
    let (mqtts, mqtt) = (open(&config.hub.mqtts_bind)?, open(&config.hub.mqtt_bind)?);
    let https = open(&config.hub.https_bind)?;
    app.addresses.hub_https = https.as_ref().map(TcpListener::local_addr).transpose()?;
    app.addresses.mqtts = mqtts.as_ref().map(TcpListener::local_addr).transpose()?;
    app.addresses.mqtt = mqtt.as_ref().map(TcpListener::local_addr).transpose()?;
    let parts = HubParts {
        engine: app.engine.clone(),
        certificate: app.certificates.hub().clone(),
        mqtts: mqtts.map(tokio::net::TcpListener::from_std).transpose()?,
        mqtt: mqtt.map(tokio::net::TcpListener::from_std).transpose()?,
        https,
        config: hub_config(config),
        stop: app.hub_stop.clone(),
        tasks: app.hub_tasks.clone(),
    };
    muster_hub::serve(parts).await.context("the hub")
}

fn hub_config(config: &Config) -> HubConfig {
    let limits = &config.limits;
    HubConfig {
        max_connections: config.hub.max_connections,
        device_rates: Rates {
            messages: limits.device_messages,
            connects: limits.device_connects,
            twin_writes: limits.device_twin_writes,
            calls: 0,
        },
        tenant_rates: Rates {
            messages: limits.tenant_messages,
            connects: limits.tenant_connects,
            twin_writes: limits.tenant_twin_writes,
            calls: limits.tenant_calls,
        },
        ..HubConfig::default()
    }
}

fn start_api(app: &mut App, config: &Config, listener: TcpListener) -> anyhow::Result<()> {
    app.addresses.http = Some(listener.local_addr()?);
    let public_url = public_url(config, Some(&listener))?;
    let configure = muster_api::configure(ApiParts {
        engine: app.engine.clone(),
        config: ApiConfig {
            secure_cookies: public_url.starts_with("https://"),
            public_url,
            base_domain: config.http.base_domain.clone(),
            trusted_proxies: networks("MUSTER__HTTP__TRUSTED_PROXIES", &config.http.trusted_proxies)?,
            web_dir: web_dir(),
            mqtt_port: port(&config.hub.mqtts_bind, app.addresses.mqtts),
        },
        metrics: metrics()?,
        runtime: tokio::runtime::Handle::current(),
    });
    let mut server = actix_web::HttpServer::new(move || actix_web::App::new().configure(configure.clone()))
        .disable_signals()
        .shutdown_timeout(config.shutdown.deadline_seconds)
        .listen(listener)?;
    if !config.http.tls_bind.is_empty() {
        let own = own_certificate(&config.http.certificate_file, &config.http.private_key_file)?;
        let certificate = match &own {
            Some(own) => ServerCertificate::new(&own.chain_pem, &own.key_pem)?,
            None => app.certificates.hub().clone(),
        };
        let tls = certificate.for_browsers()?;
        let secure = listen(&config.http.tls_bind)?;
        app.addresses.https = Some(secure.local_addr()?);
        server = server.listen_rustls_0_23(secure, tls)?;
    }
    let server = server.run();
    app.api = Some(server.handle());
    let failed = app.failed.clone();
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the web server ended");
            failed.cancel();
        }
    });
    Ok(())
}

/// The port that devices are told: the real one of this process's hub, else the one that a hub is configured with.
fn port(configured: &str, real: Option<SocketAddr>) -> u16 {
    real.or_else(|| configured.parse().ok()).map_or(8883, |address| address.port())
}

/// The process's counters; there is one recorder, however many products tests start.
fn metrics() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = recorder.as_ref() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().install_recorder().context("metrics")?;
    Ok(recorder.insert(handle).clone())
}

/// The web app's files: beside the binary (`web/`), or in the source tree that it was built from.
fn web_dir() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("web")));
    let source = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../frontend/dist"));
    beside.into_iter().chain([source]).find(|folder| folder.join("index.html").is_file())
}

/// An engine for the command line: the use cases without roles, beside a running server or alone.
pub(crate) async fn tool_engine(config: &Config) -> anyhow::Result<Engine> {
    let store = connect_store(config).await?;
    if on_sqlite(config) {
        store.migrate().await.context("the database could not be migrated")?;
    }
    if let SchemaState::Behind(_) = store.schema_state().await? {
        bail!("the database is not migrated: run `muster migrate` first");
    }
    let stop = CancellationToken::new();
    let instance = InstanceId(Uuid::now_v7().to_string());
    let partitions = store.fix_partitions(config.bus.partitions).await?;
    // With RabbitMQ the running processes hear of the change at once; without, their caches expire by themselves.
    let bus = wait_for_bus(config, partitions, instance.clone(), &stop, &Reason::default()).await?;
    let none = Roles { hub: false, worker: false, api: false };
    let engine = Engine::start(EngineParts {
        store,
        bus,
        clock: Clock::System(now),
        secrets_key: master_key(config)?,
        config: engine_config(config, none, None)?,
        instance,
        partitions,
        stop,
        tasks: TaskTracker::new(),
    });
    Ok(engine.await?)
}

//! The handle that every use case takes, and what is started with it.

use crate::{
    EngineError, c2d,
    connections::{self, Connections},
    events::{
        failures::{self, Tally},
        feed,
    },
    files::{self, Files, FilesConfig},
    hub_auth, identity,
    ingest::{Ingress, Latest},
    live::Live,
    methods::Calls,
    notices::{Notice, NoticeKind, Notices},
    outbound::Outbound,
    pushes::Pushes,
    secrets::MasterKey,
    series,
};
use muster_bus::{Bus, BusError, InstanceId};
use muster_model::{Clock, TenantKey, push::Push};
use muster_store::Store;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the composition gives the engine.
pub struct EngineParts {
    /// The database, migrated.
    pub store: Store,
    /// The bus, connected.
    pub bus: Bus,
    /// Where time comes from.
    pub clock: Clock,
    /// The key that stored secrets are sealed with.
    pub secrets_key: MasterKey,
    /// What the operator configured.
    pub config: EngineConfig,
    /// This process's name on the bus.
    pub instance: InstanceId,
    /// Into how many partitions devices are spread; stored in the database.
    pub partitions: u16,
    /// Ends every task that the engine starts.
    pub stop: CancellationToken,
    /// Counts them.
    pub tasks: TaskTracker,
}

/// Which parts of Muster this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Devices connect here.
    pub hub: bool,
    /// Messages are stored, rules evaluated and work is done here.
    pub worker: bool,
    /// Browsers and scripts ask here.
    pub api: bool,
}

impl Roles {
    /// One process that is everything.
    pub const ALL: Self = Self { hub: true, worker: true, api: true };
}

/// What the operator configured, as far as the use cases need it.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// What this process is.
    pub roles: Roles,
    /// The name or address that devices connect to (`hub.host`): in twins, SAS tokens and the server's certificate.
    pub hub_host: String,
    /// Whether each tenant has a host of its own below it (`hub.tenant_hosts`).
    pub tenant_hosts: bool,
    /// Where browsers find Muster, for links in mails (`http.public_url`).
    pub public_url: String,
    /// The operator's own server certificate; without one Muster's private CA issues it.
    pub certificate: Option<OwnCertificate>,
    /// How mail is sent; without it mail actions fail with a reason.
    pub smtp: Option<SmtpConfig>,
    /// Address ranges that webhooks may reach although they are private (`outbound.allow`).
    pub outbound_allow: Vec<ipnet::IpNet>,
    /// How long an outgoing call may take (`outbound.timeout_seconds`).
    pub outbound_timeout: Duration,
    /// Where uploaded files go, and how large they may be (`files.…`).
    pub files: FilesConfig,
    /// How long a stop waits for messages that the bus has not confirmed (`shutdown.deadline_seconds`).
    pub drain: Duration,
}

/// A server certificate that the operator brings.
#[derive(Clone)]
pub struct OwnCertificate {
    /// Leaf and intermediates, PEM.
    pub chain_pem: String,
    /// Private key, PEM.
    pub key_pem: SecretString,
    /// What devices must trust, PEM; offered at `/ca.pem`.
    pub ca_pem: String,
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCertificate(…)")
    }
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// `smtp://…` or `smtps://…`, with credentials where needed.
    pub url: SecretString,
    /// The sender's address.
    pub from: String,
}

/// The use cases' handle on everything they need. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    bus: Bus,
    clock: Clock,
    key: MasterKey,
    config: EngineConfig,
    instance: InstanceId,
    partitions: u16,
    stop: CancellationToken,
    tasks: TaskTracker,
    notices: Notices,
    outbound: Outbound,
    ingress: Ingress,
    files: Files,
    latest: Latest,
    live: Live,
    passwords: identity::Passwords,
    credentials: hub_auth::Credentials,
    connections: Connections,
    pushes: Pushes,
    calls: Calls,
    tally: Tally,
    feed_places: Semaphore,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("instance", &self.0.instance).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the engine and its tasks; they end with `parts.stop`.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] where the database or the bus does not answer, or there is no place for files;
    /// [`EngineError::Invalid`] where that place is no address.
    pub async fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let EngineParts { store, bus, clock, secrets_key, config, instance, partitions, stop, tasks } = parts;
        let outbound = Outbound::new(config.outbound_allow.clone(), config.outbound_timeout);
        let (connections, changes) = Connections::new();
        let engine = Self(Arc::new(Inner {
            notices: Notices::new(bus.clone()),
            live: Live::new(bus.clone()),
            ingress: Ingress::start(&bus, partitions, config.drain, &stop, &tasks),
            outbound: outbound.map_err(|error| EngineError::unavailable("the client for outgoing calls", error))?,
            files: Files::open(&config.files)?,
            latest: Latest::default(),
            passwords: identity::Passwords::new(),
            credentials: hub_auth::Credentials::new(),
            connections,
            pushes: Pushes::new(),
            calls: Calls::default(),
            tally: Tally::default(),
            feed_places: Semaphore::new(feed::MAX_WAITING),
            store,
            bus,
            clock,
            key: secrets_key,
            config,
            instance,
            partitions,
            stop,
            tasks,
        }));
        engine.start_tasks(changes).await?;
        Ok(engine)
    }

    async fn start_tasks(&self, changes: connections::Changes) -> Result<(), EngineError> {
        let roles = self.config().roles;
        // Only these hold devices: the hub its connections, the worker the simulated ones.
        if roles.hub || roles.worker {
            connections::renew(self).await?;
            self.spawn(connections::run(self.clone(), changes));
            self.spawn(connections::keep_lease(self.clone()));
        }
        if roles.hub || roles.worker || roles.api {
            // The outcomes of direct methods come this way too, to whoever called them.
            self.0.pushes.start(self).await?;
            self.spawn(failures::run(self.clone()));
        }
        if roles.worker {
            self.spawn(c2d::run(self.clone()));
            self.spawn(series::run(self.clone()));
        }
        if roles.hub || roles.worker || roles.api {
            self.spawn(files::report(self.clone()));
        }
        self.spawn(hear_notices(self.clone()));
        let engine = self.clone();
        self.spawn_on_bus("change notices", async move { engine.notices().run(engine.stop().clone()).await });
        let engine = self.clone();
        self.spawn_on_bus("live values", async move { engine.live().run(engine.stop().clone()).await });
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(task);
    }

    fn spawn_on_bus(&self, what: &'static str, task: impl Future<Output = Result<(), BusError>> + Send + 'static) {
        self.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, "{what} are not carried over the bus any more");
            }
        });
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The bus.
    pub fn bus(&self) -> &Bus {
        &self.0.bus
    }

    /// Where time comes from.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What the operator configured.
    pub fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    /// This process's name on the bus.
    pub fn instance(&self) -> &InstanceId {
        &self.0.instance
    }

    /// Into how many partitions devices are spread.
    pub fn partitions(&self) -> u16 {
        self.0.partitions
    }

    /// The way of device messages to the bus.
    pub fn ingress(&self) -> &Ingress {
        &self.0.ingress
    }

    /// The client for calls to addresses that people typed in.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    /// Where uploaded files are.
    pub(crate) fn files(&self) -> &Files {
        &self.0.files
    }

    /// Last known values on their way to the database.
    pub(crate) fn latest(&self) -> &Latest {
        &self.0.latest
    }

    /// Ends every task of the engine.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Counts the engine's tasks.
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Change notices.
    pub fn notices(&self) -> &Notices {
        &self.0.notices
    }

    /// Live values.
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    /// A value as it is stored: sealed for the place named by `context`.
    pub(crate) fn seal(&self, context: &str, value: &impl Serialize) -> Result<Vec<u8>, EngineError> {
        let text = serde_json::to_vec(value).map_err(|error| EngineError::corrupt("secret", context, error))?;
        Ok(self.0.key.seal(context, &text)?)
    }

    /// A value that [`Engine::seal`] made for the same place.
    pub(crate) fn open<T: DeserializeOwned>(&self, context: &str, sealed: &[u8]) -> Result<T, EngineError> {
        let text = self.0.key.open(context, sealed)?;
        serde_json::from_slice(text.expose_secret()).map_err(|error| EngineError::corrupt("secret", context, error))
    }

    pub(crate) fn passwords(&self) -> &identity::Passwords {
        &self.0.passwords
    }

    pub(crate) fn credentials(&self) -> &hub_auth::Credentials {
        &self.0.credentials
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Tells every process that `kind` `id` of `tenant` changed; call it after the commit.
    pub(crate) async fn notify(&self, tenant: TenantKey, kind: NoticeKind, id: impl fmt::Display) {
        let notice = Notice { tenant: Some(tenant), kind, id: id.to_string() };
        // This process must not see what it has just changed as it was.
        self.0.credentials.hear(&notice).await;
        self.0.notices.publish(notice).await;
    }

    /// Direct methods that somebody here waits for.
    pub(crate) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    /// Failures and counts that are not written yet.
    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Places for those who wait for events.
    pub(crate) fn feed_places(&self) -> &Semaphore {
        &self.0.feed_places
    }

    pub(crate) fn local_pushes(&self) -> &Pushes {
        &self.0.pushes
    }

    /// What is pushed to the devices that this instance's hub holds; one receiver.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] where it was taken before.
    pub async fn pushes(&self) -> Result<mpsc::Receiver<Push>, EngineError> {
        self.0
            .pushes
            .take_hub()
            .ok_or_else(|| EngineError::unavailable("the receiver of pushes", "it was taken before"))
    }
}

/// Drops from this process's caches what others say has changed.
async fn hear_notices(engine: Engine) {
    let mut listener = engine.notices().listen();
    loop {
        let notice = tokio::select! {
            () = engine.stop().cancelled() => return,
            notice = listener.next() => notice,
        };
        let Some(notice) = notice else { return };
        engine.credentials().hear(&notice).await;
    }
}

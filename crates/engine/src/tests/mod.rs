//! The use cases against a database in a temporary folder and the embedded bus.

mod access;
mod c2d;
mod certificates;
mod configurations;
mod connect;
mod credentials;
mod devices;
mod documents;
mod enrollments;
mod events;
mod jobs;
mod modules;
mod provisioning;
mod registry;
mod simulation;
mod twins;

use crate::{
    Engine, EngineConfig, EngineParts, Roles,
    files::FilesConfig,
    identity,
    secrets::MasterKey,
    tenants::{self, Bootstrap, BootstrapResult},
};
use chrono::{DateTime, Duration};
use muster_bus::{Bus, BusConfig, InstanceId};
use muster_model::{Caller, Clock, DeviceId, ManualClock, TenantId, wire::sas};
use muster_store::{Store, StoreConfig};
use secrecy::ExposeSecret;
use std::path::Path;
use tempfile::TempDir;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const HOST: &str = "hub.test";
const PARTITIONS: u16 = 2;

/// An installation of its own.
pub(crate) struct Home {
    pub(crate) engine: Engine,
    pub(crate) clock: ManualClock,
    folder: TempDir,
    stop: CancellationToken,
    tasks: TaskTracker,
    bus_stop: DropGuard,
}

/// A tenant with its administrator.
pub(crate) struct Tenant {
    pub(crate) made: BootstrapResult,
    pub(crate) admin: Caller,
}

impl Home {
    pub(crate) async fn new() -> Self {
        Self::with_roles(Roles { hub: true, worker: false, api: true }).await
    }

    pub(crate) async fn with_roles(roles: Roles) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let clock = ManualClock::new(DateTime::from_timestamp(1_795_000_000, 0).expect("a time"));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let bus_stop = CancellationToken::new();
        let engine = start(folder.path(), &clock, roles, (&stop, &tasks, &bus_stop)).await;
        Self { engine, clock, folder, stop, tasks, bus_stop: bus_stop.drop_guard() }
    }

    /// A tenant with this id.
    pub(crate) async fn tenant(&self, id: &str) -> Tenant {
        let made = tenants::bootstrap(&self.engine, wanted(id)).await.expect("a tenant");
        let token = made.api_token.as_ref().expect("a token").expose_secret().to_owned();
        let admin = identity::api_token(&self.engine, &token).await.expect("a caller");
        Tenant { made, admin }
    }

    /// Another process on the same database; its bus is its own.
    pub(crate) async fn neighbour(&self) -> Engine {
        let roles = Roles { hub: true, worker: false, api: false };
        start(self.folder.path(), &self.clock, roles, (&self.stop, &self.tasks, &self.stop)).await
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Ends everything; nothing may be left running.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(std::time::Duration::from_secs(20), self.tasks.wait()).await.expect("every task ends");
        drop(self.bus_stop);
    }
}

async fn start(
    folder: &Path,
    clock: &ManualClock,
    roles: Roles,
    (stop, tasks, bus_stop): (&CancellationToken, &TaskTracker, &CancellationToken),
) -> Engine {
    let url = format!("sqlite://{}", folder.join("muster.db").display());
    let store = Store::connect(&url, &StoreConfig::default()).await.expect("a database");
    store.migrate().await.expect("migrated");
    let partitions = store.fix_partitions(PARTITIONS).await.expect("partitions");
    let instance = InstanceId(uuid::Uuid::now_v7().to_string());
    let bus = BusConfig {
        url: "embedded".into(),
        namespace: BusConfig::DEFAULT_NAMESPACE.into(),
        partitions,
        instance: instance.clone(),
        max_unconfirmed_bytes: 64 << 20,
    };
    let bus = Bus::connect(bus, bus_stop.clone()).await.expect("a bus");
    let parts = EngineParts {
        store,
        bus,
        clock: Clock::Manual(clock.clone()),
        secrets_key: MasterKey::from_bytes([7; 32]),
        config: EngineConfig {
            roles,
            hub_host: HOST.into(),
            tenant_hosts: false,
            public_url: "http://127.0.0.1:8080".into(),
            certificate: None,
            smtp: None,
            outbound_allow: Vec::new(),
            outbound_timeout: std::time::Duration::from_secs(5),
            files: FilesConfig { url: "memory:///".into(), max_file_bytes: 1 << 20, tenant_bytes: 4 << 20 },
            drain: std::time::Duration::from_secs(5),
        },
        instance,
        partitions,
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    Engine::start(parts).await.expect("an engine")
}

pub(crate) fn wanted(id: &str) -> Bootstrap {
    Bootstrap {
        tenant: TenantId::parse(id).expect("an id"),
        name: format!("Tenant {id}"),
        admin_email: format!("admin@{id}.example"),
        admin_password: PASSWORD.into(),
    }
}

pub(crate) fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).expect("a device id")
}

/// A token of the device, valid for an hour.
pub(crate) fn hub_token(home: &Home, device: &str, key: &str) -> String {
    let expiry = home.engine.clock().now().timestamp() + 3_600;
    sas::sign(&format!("{HOST}/devices/{device}"), key, expiry, None).expect("signed")
}

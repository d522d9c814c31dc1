//! A bus of its own for each test.

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use muster_bus::{Bus, BusConfig, InstanceId};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Partitions of every test.
pub const PARTITIONS: u16 = 2;
/// Longer than anything in a test should take.
pub const LONG: Duration = Duration::from_secs(60);
/// Bytes that may be unconfirmed in a test.
pub const BUDGET: usize = 1024 * 1024;

/// Where a test runs.
#[derive(Clone)]
pub struct World {
    pub url: String,
    pub namespace: String,
    pub stop: CancellationToken,
    embedded: Option<Arc<tokio::sync::OnceCell<Bus>>>,
    instances: Arc<AtomicUsize>,
}

impl World {
    pub fn embedded() -> Self {
        Self { embedded: Some(Arc::default()), ..Self::at("embedded") }
    }

    /// `None` where there is no broker to test with.
    pub fn rabbit(test: &str) -> Option<Self> {
        match std::env::var("MUSTER_TEST_RABBITMQ") {
            Ok(url) => Some(Self::at(&url)),
            Err(_) => {
                muster_testkit::skip(test, "no MUSTER_TEST_RABBITMQ");
                None
            }
        }
    }

    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            namespace: format!("test-{}", Uuid::now_v7()),
            stop: CancellationToken::new(),
            embedded: None,
            instances: Arc::default(),
        }
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    pub fn config(&self) -> BusConfig {
        BusConfig {
            url: self.url.clone(),
            namespace: self.namespace.clone(),
            partitions: PARTITIONS,
            instance: InstanceId(format!("instance-{}", self.instances.fetch_add(1, Ordering::Relaxed))),
            max_unconfirmed_bytes: BUDGET,
        }
    }

    /// The number of the instance that was configured last.
    pub fn last_instance(&self) -> usize {
        self.instances.load(Ordering::Relaxed) - 1
    }

    /// Another process's view of the bus; with the embedded bus there is only one process.
    pub async fn connect(&self) -> Bus {
        let connecting = async || Bus::connect(self.config(), self.stop.clone()).await.expect("a bus");
        match &self.embedded {
            Some(bus) => bus.get_or_init(connecting).await.clone(),
            None => connecting().await,
        }
    }

    /// Runs a case within a time limit and leaves nothing at the broker, also when it fails.
    pub async fn run<F>(self, case: impl FnOnce(World) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let outcome = tokio::spawn(tokio::time::timeout(LONG, case(self.clone()))).await;
        self.stop.cancel();
        if !self.is_embedded() {
            self.clean().await;
        }
        match outcome {
            Ok(in_time) => in_time.expect("the case ends in time"),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }

    async fn clean(&self) {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        for partition in 0..PARTITIONS {
            let queue = format!("{}.ingest.{partition}", self.namespace);
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("a queue deleted");
        }
        for topic in ["notice", "live", "interest"] {
            let exchange = format!("{}.{topic}", self.namespace);
            let deleting = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
            deleting.await.expect("an exchange deleted");
        }
        connection.close(200, "done".into()).await.expect("a connection closed");
    }
}

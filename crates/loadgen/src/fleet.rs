//! Many devices at once: connect them all, then put them under load or just hold them.

use crate::{
    connection::Connection,
    device::{self, Pace, Plan},
    endpoint::Endpoint,
    methods::{self, Service},
    payload::Payload,
    reconnect,
    report::{LoadReport, Totals},
};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, stream};
use std::{
    num::NonZeroU16,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Devices that connect at the same time.
const CONNECTING: usize = 128;

/// A load.
#[derive(Clone)]
pub struct LoadConfig {
    /// Where to.
    pub endpoint: Endpoint,
    /// Who.
    pub devices: Vec<DeviceLogin>,
    /// What they do once connected.
    pub activity: Activity,
    /// How long.
    pub duration: Duration,
}

/// What devices do.
#[derive(Debug, Clone)]
pub enum Activity {
    /// Send messages.
    Send {
        /// Messages of one device that may be under way, unacknowledged.
        window: NonZeroU16,
        /// Messages a second of all devices together; as many as go without.
        rate: Option<f64>,
        /// What they send.
        payload: Payload,
        /// With acknowledgements or without.
        quality: Quality,
    },
    /// Hold the connection, to measure what it costs.
    Hold,
}

/// MQTT's quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce,
}

/// How one device signs in, and where it sends to.
#[derive(Clone)]
pub struct DeviceLogin {
    /// MQTT client id.
    pub client_id: String,
    /// MQTT user name.
    pub username: Option<String>,
    /// MQTT password.
    pub password: Option<String>,
    /// The topic of its messages.
    pub topic: String,
}

/// Connects all devices, runs the load and reports.
///
/// # Errors
/// When no device could connect, or the configuration can't work. Failures of single devices are in the report.
pub async fn run(config: LoadConfig) -> Result<LoadReport> {
    Fleet::connect(config.endpoint, config.devices).await?.load(config.activity, config.duration).await
}

/// Has the devices connect and leave in turn, `times` in all; in the report each is a message, and its connection the
/// acknowledgement.
///
/// # Errors
/// When a task died.
pub async fn churn(endpoint: Endpoint, devices: Vec<DeviceLogin>, times: u64) -> Result<LoadReport> {
    let totals = Arc::new(Totals::new()?);
    reconnect::churn(endpoint, devices, times, &totals).await?;
    totals.report(0, Duration::ZERO)
}

/// Devices that are connected.
pub struct Fleet {
    endpoint: Endpoint,
    connections: Vec<(usize, DeviceLogin, Connection)>,
    connecting: Duration,
    totals: Arc<Totals>,
}

impl Fleet {
    /// Connects all devices.
    ///
    /// # Errors
    /// When none could connect; with some of them connected it goes on, and the report tells the others' errors.
    pub async fn connect(endpoint: Endpoint, devices: Vec<DeviceLogin>) -> Result<Self> {
        let start = Instant::now();
        let totals = Arc::new(Totals::new()?);
        let connecting = stream::iter(devices.into_iter().enumerate()).map(|(index, login)| {
            let endpoint = endpoint.clone();
            // A task each: TLS handshakes go to all processors.
            tokio::spawn(async move {
                let connection = Connection::open(&endpoint, index, &login).await?;
                anyhow::Ok((index, login, connection))
            })
        });
        let outcomes: Vec<_> = connecting.buffer_unordered(CONNECTING).collect().await;
        let (mut connections, mut first_error) = (Vec::new(), None);
        for outcome in outcomes {
            match outcome.context("connecting task")? {
                Ok(connection) => connections.push(connection),
                Err(error) => {
                    totals.failed(&error);
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) if connections.is_empty() => Err(error.context("no device could connect")),
            _ => Ok(Self { endpoint, connections, connecting: start.elapsed(), totals }),
        }
    }

    /// How many are connected.
    pub fn connected(&self) -> usize {
        self.connections.len()
    }

    /// How long connecting took.
    pub fn connecting(&self) -> Duration {
        self.connecting
    }

    /// Reads messages sent and acknowledged so far, while [`Fleet::load`] runs.
    pub fn counter(&self) -> impl Fn() -> (u64, u64) + Send + 'static {
        let totals = self.totals.clone();
        move || totals.so_far()
    }

    /// Runs the load to its end and closes the connections.
    ///
    /// # Errors
    /// When the rate can't be kept by any means, or a task died.
    pub async fn load(self, activity: Activity, duration: Duration) -> Result<LoadReport> {
        let connected = self.connections.len();
        let plan = Arc::new(plan(activity, duration, connected)?);
        let mut devices = JoinSet::new();
        for (place, (_, login, connection)) in self.connections.into_iter().enumerate() {
            let (plan, totals) = (plan.clone(), self.totals.clone());
            devices.spawn(async move {
                if let Err(error) = device::run(connection, &login.topic, place, &plan, &totals).await {
                    totals.failed(&error);
                }
            });
        }
        while let Some(ended) = devices.join_next().await {
            ended.context("a device's task")?;
        }
        self.totals.report(connected, self.connecting)
    }

    /// Waits for the server to drop the devices and has them connect again, all at once; in the report an attempt is a
    /// message, a connection its acknowledgement, and its latency counts from when the first was dropped. A refused
    /// sign-in is an error, so is whatever fails once others are let in, and a device that is not back after `patience`.
    ///
    /// # Errors
    /// When a task died.
    pub async fn outlast(self, patience: Duration) -> Result<LoadReport> {
        let connected = self.connections.len();
        reconnect::outlast(self.endpoint, self.connections, patience, &self.totals).await?;
        self.totals.report(connected, self.connecting)
    }

    /// Has the service call a method of every device, one call of each at a time, until the end; in the report a call is
    /// a message, and its answer the acknowledgement.
    ///
    /// # Errors
    /// When a device does not listen, or a task died.
    pub async fn call_methods(self, service: Service, duration: Duration) -> Result<LoadReport> {
        let (connected, stop) = (self.connections.len(), CancellationToken::new());
        let (mut devices, mut callers) = (JoinSet::new(), JoinSet::new());
        let mut ids = Vec::new();
        for (_, login, mut connection) in self.connections {
            methods::listen(&mut connection).await?;
            devices.spawn(methods::answer(connection, stop.clone()));
            ids.push(login.client_id);
        }
        let start = Instant::now();
        for (index, id) in ids.into_iter().enumerate() {
            let (service, totals) = (service.clone(), self.totals.clone());
            callers.spawn(async move {
                while start.elapsed() < duration {
                    let called = Instant::now();
                    totals.sent(1);
                    if let Err(error) = service.call(&id).await {
                        return totals.failed(&error);
                    }
                    totals.acknowledged(index, start, [called].into_iter());
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.context("a caller's task")?;
        }
        stop.cancel();
        while let Some(ended) = devices.join_next().await {
            if let Err(error) = ended.context("a device's task")? {
                self.totals.failed(&error);
            }
        }
        self.totals.report(connected, self.connecting)
    }
}

fn plan(activity: Activity, duration: Duration, devices: usize) -> Result<Plan> {
    let start = Instant::now();
    Ok(match activity {
        Activity::Hold => Plan {
            start,
            duration,
            window: NonZeroU16::MIN,
            quality: Quality::AtLeastOnce,
            payload: Payload::parse(""),
            pace: Pace::Never,
        },
        Activity::Send { window, rate, payload, quality } => {
            let pace = match rate {
                None => Pace::Unlimited,
                Some(rate) => {
                    let interval = Duration::try_from_secs_f64(devices as f64 / rate);
                    let Ok(interval) = interval else { bail!("a rate of {rate} messages a second is not possible") };
                    Pace::Every { interval, devices }
                }
            };
            Plan { start, duration, window, quality, payload, pace }
        }
    })
}

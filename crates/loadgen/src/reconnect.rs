//! Devices whose hub goes away: how long until all are back; and devices that come and go.

use crate::{
    connection::{Connection, SignInRefused},
    endpoint::Endpoint,
    fleet::DeviceLogin,
    report::Totals,
};
use anyhow::{Context, Result, anyhow};
use futures::{StreamExt, stream};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Devices that come and go at the same time.
const COMING: usize = 128;
/// A device that could not connect tries again after this, then after twice this …
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Waits until the server drops the devices, which then connect again, all at once and as often as it takes, until
/// `patience` is over. In the totals an attempt is a message, a connection its acknowledgement, counted from when the
/// first device was dropped.
pub(crate) async fn outlast(
    endpoint: Endpoint,
    connections: Vec<(usize, DeviceLogin, Connection)>,
    patience: Duration,
    totals: &Arc<Totals>,
) -> Result<()> {
    let seen: Arc<Seen> = Arc::default();
    let end = Instant::now() + patience;
    let mut devices = JoinSet::new();
    for (index, login, connection) in connections {
        let (endpoint, totals, seen) = (endpoint.clone(), totals.clone(), seen.clone());
        devices.spawn(async move {
            if let Some(connection) = connection.held(end).await {
                return Some(connection);
            }
            seen.dropped.get_or_init(Instant::now);
            again(&endpoint, (index, &login), &totals, (&seen, end)).await
        });
    }
    // Who is back holds its connection until the last one is.
    let mut back = Vec::new();
    while let Some(device) = devices.join_next().await {
        match device.context("a device's task")? {
            Some(connection) => back.push(connection),
            None => totals.failed(&anyhow!("not back in time")),
        }
    }
    stream::iter(back).for_each_concurrent(COMING, |connection| async { drop(connection.close().await) }).await;
    Ok(())
}

/// What the devices have seen of their server, together.
#[derive(Default)]
struct Seen {
    /// When the first of them was dropped.
    dropped: OnceLock<Instant>,
    /// When the first of them was let in again.
    back: OnceLock<Instant>,
}

async fn again(
    endpoint: &Endpoint,
    (index, login): (usize, &DeviceLogin),
    totals: &Totals,
    (seen, end): (&Seen, Instant),
) -> Option<Connection> {
    let mut pause = FIRST_PAUSE;
    while Instant::now() < end {
        let began = Instant::now();
        totals.sent(1);
        match Connection::open(endpoint, index, login).await {
            Ok(connection) => {
                seen.back.get_or_init(Instant::now);
                let dropped = *seen.dropped.get_or_init(Instant::now);
                totals.acknowledged(index, dropped, [dropped].into_iter());
                return Some(connection);
            }
            // That the server is not there yet is what this is about. That it refuses a good device is not, nor that it
            // fails one in whatever way once it lets others in.
            Err(error) => {
                let there = seen.back.get().is_some_and(|back| began > *back);
                if there || error.is::<SignInRefused>() {
                    totals.failed(&error);
                }
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    None
}

/// Has the devices connect and leave in turn, `times` in all; in the totals each is a message, and its connection the
/// acknowledgement.
pub(crate) async fn churn(
    endpoint: Endpoint,
    devices: Vec<DeviceLogin>,
    times: u64,
    totals: &Arc<Totals>,
) -> Result<()> {
    let (next, devices) = (Arc::new(AtomicU64::new(0)), Arc::new(devices));
    let (start, at_once) = (Instant::now(), COMING.min(devices.len()));
    let mut coming = JoinSet::new();
    for place in 0..at_once {
        let (endpoint, totals) = (endpoint.clone(), totals.clone());
        let (next, devices) = (next.clone(), devices.clone());
        coming.spawn(async move {
            // Each has devices of its own, so that nobody takes a connection over.
            for (index, login) in devices.iter().enumerate().skip(place).step_by(at_once).cycle() {
                if next.fetch_add(1, Ordering::Relaxed) >= times {
                    return;
                }
                let came = Instant::now();
                totals.sent(1);
                match Connection::open(&endpoint, index, login).await {
                    Ok(connection) => {
                        totals.acknowledged(index, start, [came].into_iter());
                        drop(connection.close().await);
                    }
                    Err(error) => totals.failed(&error),
                }
            }
        });
    }
    while let Some(ended) = coming.join_next().await {
        ended.context("a device's task")?;
    }
    Ok(())
}

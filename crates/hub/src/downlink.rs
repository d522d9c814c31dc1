//! Cloud-to-device messages on their way to a connected device, whatever protocol it speaks.
//!
//! Messages are read from the database as the device takes them, and removed there when the device has them; so a
//! connection that breaks loses none, and the next one gets what is left.

use muster_engine::{
    Engine, EngineError,
    c2d::{self, Message},
    hub_auth::DeviceSession,
};
use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Messages that a device may have without saying that it has them.
const WINDOW: usize = 10;
/// The pause after the database did not answer.
const RETRY: Duration = Duration::from_secs(3);

/// The messages of one connection between the database and its device.
pub(crate) struct Downlink {
    engine: Engine,
    session: Arc<DeviceSession>,
    /// Given to the device, which has not said that it has them.
    open: BTreeSet<i64>,
    /// The device has them; the database does not know yet.
    done: BTreeSet<i64>,
    /// There may be more in the database.
    wanted: bool,
    active: Option<Pin<Box<dyn Future<Output = Step> + Send>>>,
}

/// What the database has done.
enum Step {
    Read(Result<Vec<Message>, EngineError>),
    Removed(Result<Vec<i64>, EngineError>),
}

impl Downlink {
    pub(crate) fn new(engine: Engine, session: Arc<DeviceSession>) -> Self {
        Self { engine, session, open: BTreeSet::new(), done: BTreeSet::new(), wanted: false, active: None }
    }

    /// Messages may be waiting: the device has just begun to listen, or somebody said so.
    pub(crate) fn look(&mut self) {
        self.wanted = true;
    }

    /// The device has this message.
    pub(crate) fn delivered(&mut self, sequence: i64) {
        if self.open.remove(&sequence) {
            self.done.insert(sequence);
        }
    }

    /// Messages to be given to the device now; never resolves while there are none. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> Vec<Message> {
        loop {
            if self.active.is_none() {
                self.active = self.start();
            }
            let Some(active) = &mut self.active else { return std::future::pending().await };
            let step = active.await;
            self.active = None;
            match step {
                Step::Read(Ok(messages)) => {
                    let new = self.choose(messages);
                    if !new.is_empty() {
                        return new;
                    }
                }
                Step::Removed(Ok(sequences)) => self.done.retain(|sequence| !sequences.contains(sequence)),
                Step::Read(Err(error)) => {
                    self.wanted = true;
                    self.pause(&error);
                }
                Step::Removed(Err(error)) => self.pause(&error),
            }
        }
    }

    /// Writes down what the device has, when the connection has ended.
    pub(crate) async fn finish(&mut self) -> Result<(), EngineError> {
        self.active = None;
        if self.done.is_empty() {
            return Ok(());
        }
        let done: Vec<i64> = self.done.iter().copied().collect();
        c2d::delivered(&self.engine, &self.session, &done).await
    }

    fn start(&mut self) -> Option<Pin<Box<dyn Future<Output = Step> + Send>>> {
        let (engine, session) = (self.engine.clone(), self.session.clone());
        if !self.done.is_empty() {
            let done: Vec<i64> = self.done.iter().copied().collect();
            return Some(Box::pin(async move {
                Step::Removed(c2d::delivered(&engine, &session, &done).await.map(|()| done))
            }));
        }
        if !self.wanted || self.open.len() >= WINDOW {
            return None;
        }
        self.wanted = false;
        // Those that the device has open come first in the queue.
        let limit = WINDOW as u32;
        Some(Box::pin(async move { Step::Read(c2d::waiting(&engine, &session, limit).await) }))
    }

    /// Those that the device has not got yet, as far as the window goes.
    fn choose(&mut self, messages: Vec<Message>) -> Vec<Message> {
        // A full page may have more behind it.
        self.wanted |= messages.len() >= WINDOW;
        let given = |sequence| self.open.contains(&sequence) || self.done.contains(&sequence);
        let mut new: Vec<Message> = messages.into_iter().filter(|message| !given(message.sequence)).collect();
        new.truncate(WINDOW.saturating_sub(self.open.len()));
        self.open.extend(new.iter().map(|message| message.sequence));
        new
    }

    fn pause(&mut self, error: &EngineError) {
        tracing::warn!(%error, device.id = %self.session.device_id, "a device's messages wait for the database");
        self.active = Some(Box::pin(async {
            sleep(RETRY).await;
            Step::Removed(Ok(Vec::new()))
        }));
    }
}

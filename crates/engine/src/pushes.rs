//! What other processes push to the devices that this instance holds: those connected to its hub, and those that its
//! simulator plays.

use crate::{Engine, EngineError, hub_auth::DeviceSession};
use bytes::Bytes;
use muster_model::{
    DeviceKey,
    push::{Push, PushAction},
};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// Pushes that may wait for the hub or the simulator.
const BUFFER: usize = 1024;

/// Where pushes go.
pub(crate) struct Pushes {
    state: Mutex<State>,
}

struct State {
    hub: mpsc::Sender<Push>,
    hub_receiver: Option<mpsc::Receiver<Push>>,
    simulator: mpsc::Sender<Push>,
    simulator_receiver: Option<mpsc::Receiver<Push>>,
    /// The devices that the simulator plays here.
    simulated: HashSet<DeviceKey>,
}

impl Pushes {
    pub(crate) fn new() -> Self {
        let (hub, hub_receiver) = mpsc::channel(BUFFER);
        let (simulator, simulator_receiver) = mpsc::channel(BUFFER);
        let state = State {
            hub,
            hub_receiver: Some(hub_receiver),
            simulator,
            simulator_receiver: Some(simulator_receiver),
            simulated: HashSet::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// What is pushed to connected devices; once.
    pub(crate) fn take_hub(&self) -> Option<mpsc::Receiver<Push>> {
        self.lock().hub_receiver.take()
    }

    /// What is pushed to simulated devices; once.
    pub(crate) fn take_simulator(&self) -> Option<mpsc::Receiver<Push>> {
        self.lock().simulator_receiver.take()
    }

    /// The device is played by the simulator here.
    pub(crate) fn simulate(&self, device: DeviceKey) {
        self.lock().simulated.insert(device);
    }

    /// It is not any more.
    pub(crate) fn release(&self, device: DeviceKey) {
        self.lock().simulated.remove(&device);
    }

    /// Carries pushes from the bus until the engine stops.
    pub(crate) async fn start(&self, engine: &Engine) -> Result<(), EngineError> {
        let mut incoming = engine.bus().pushes().await.map_err(|error| EngineError::unavailable("the bus", error))?;
        let engine = engine.clone();
        engine.tasks().clone().spawn(async move {
            loop {
                let body = tokio::select! {
                    () = engine.stop().cancelled() => return,
                    body = incoming.recv() => body,
                };
                let Some(body) = body else { return };
                engine.local_pushes().receive(&engine, &body);
            }
        });
        Ok(())
    }

    fn receive(&self, engine: &Engine, body: &Bytes) {
        match serde_json::from_slice::<Push>(body) {
            Ok(Push { tenant, device, action: PushAction::MethodOutcome { request, outcome }, .. }) => {
                engine.calls().resolve((tenant, device), request, outcome);
            }
            Ok(push) => self.deliver(push),
            Err(error) => tracing::warn!(%error, "a push could not be read"),
        }
    }

    /// Hands a push to whoever holds the device here. A receiver that does not keep up loses it, as a device does that
    /// is away: it reads its twin later.
    pub(crate) fn deliver(&self, push: Push) {
        let state = self.lock();
        let receiver = if state.simulated.contains(&push.device) { &state.simulator } else { &state.hub };
        if let Err(error) = receiver.try_send(push) {
            tracing::warn!(%error, "a push was dropped");
        }
    }

    /// A real device has connected under the id of one that is played here: the simulator lets go of it.
    pub(crate) fn take_from_simulator(&self, session: &DeviceSession) {
        if !self.lock().simulated.contains(&session.device) {
            return;
        }
        let action = PushAction::Disconnect { reason: "the device itself has connected".into() };
        let (tenant, device) = (session.tenant, session.device);
        self.deliver(Push { tenant, device, epoch: session.epoch - 1, action });
    }

    /// The state stays whole whatever panics, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

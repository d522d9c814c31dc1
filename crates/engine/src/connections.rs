//! Which devices this instance holds: connects and disconnects are written in batches, and the instance's lease is
//! kept, so that what it holds is known to be over when it dies.

use crate::{Engine, EngineError, events, hub_auth::DeviceSession, live::LiveEvent};
use bytes::Bytes;
use chrono::Duration;
use muster_bus::{BusError, InstanceId};
use muster_model::{
    Address, DeviceKey, Scope, SystemScope, TenantKey,
    push::{Push, PushAction},
};
use muster_store::{
    StoreError, Tx,
    hub_sessions::{self, EndedSession, Holder, NewHubSession, OpenedSession},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{mpsc, oneshot};

/// Changes written in one transaction.
const BATCH: usize = 256;
/// Changes that may wait; then connecting waits.
const QUEUE: usize = 4_096;
/// How long an instance that says nothing is believed to live …
const LEASE: Duration = Duration::seconds(30);
/// … and how often it says so.
const RENEW_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// How long disconnects are waited for when the engine stops.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(500);

enum Change {
    Open { session: NewHubSession, address: Address, answer: oneshot::Sender<Result<i64, Arc<StoreError>>> },
    Close { tenant: TenantKey, device: DeviceKey, address: Address, epoch: i64 },
}

/// The way to note connects and disconnects.
pub(crate) struct Connections {
    queue: mpsc::Sender<Change>,
    /// What this instance holds, as it was written.
    held: Mutex<HashMap<DeviceKey, (TenantKey, i64)>>,
}

/// The other end of [`Connections`], for [`run`].
pub(crate) struct Changes(mpsc::Receiver<Change>);

impl Connections {
    pub(crate) fn new() -> (Self, Changes) {
        let (queue, changes) = mpsc::channel(QUEUE);
        (Self { queue, held: Mutex::default() }, Changes(changes))
    }

    /// Notes a connect and returns its epoch.
    pub(crate) async fn open(&self, engine: &Engine, session: &DeviceSession) -> Result<i64, EngineError> {
        let (answer, answered) = oneshot::channel();
        let connected_at = engine.clock().now();
        let new = NewHubSession { tenant: session.tenant, device: session.device, connected_at };
        let change = Change::Open { session: new, address: session.address(), answer };
        let stopping = || EngineError::unavailable("the session writer", "it has stopped");
        self.queue.send(change).await.map_err(|_| stopping())?;
        let written = answered.await.map_err(|_| stopping())?;
        written.map_err(|error| EngineError::unavailable("the database", error))
    }

    /// Notes a disconnect.
    pub(crate) async fn close(&self, session: &DeviceSession) {
        let DeviceSession { tenant, device, epoch, .. } = *session;
        let change = Change::Close { tenant, device, address: session.address(), epoch };
        // The writer has ended: so has this process's lease, soon.
        let _ = self.queue.send(change).await;
    }

    fn forget(&self, device: DeviceKey, epoch: i64) {
        let mut held = self.held();
        if held.get(&device).is_some_and(|(_, current)| *current == epoch) {
            held.remove(&device);
        }
    }

    /// The map stays whole whatever panics, so a poisoned lock is still good.
    fn held(&self) -> MutexGuard<'_, HashMap<DeviceKey, (TenantKey, i64)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes changes until the engine stops and no more come: devices are disconnected by the same stop.
pub(crate) async fn run(engine: Engine, changes: Changes) {
    let mut changes = changes.0;
    let mut waiting: Vec<Change> = Vec::new();
    loop {
        if waiting.is_empty() {
            tokio::select! {
                biased;
                count = changes.recv_many(&mut waiting, BATCH) => if count == 0 { return },
                () = engine.stop().cancelled() => {
                    match tokio::time::timeout(LAST_WORDS, changes.recv_many(&mut waiting, BATCH)).await {
                        Ok(1..) => {}
                        Ok(0) | Err(_) => return,
                    }
                }
            }
        }
        waiting = write(&engine, waiting).await;
    }
}

/// Writes one batch; a device's second connect in it is returned for the next one.
async fn write(engine: &Engine, changes: Vec<Change>) -> Vec<Change> {
    let (mut opens, mut closes, mut later) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for change in changes {
        match change {
            Change::Open { ref session, .. } if !seen.insert(session.device) => later.push(change),
            Change::Open { session, address, answer } => opens.push((session, address, answer)),
            Change::Close { tenant, device, address, epoch } => closes.push((tenant, device, address, epoch)),
        }
    }
    match commit(engine, &opens, &closes).await {
        Ok((opened, really_ended)) => {
            for (session, address, answer) in opens {
                // One that was deleted or blocked in the meantime has no session; its connection is refused.
                let Some(of_device) = opened.iter().find(|opened| opened.device == session.device) else { continue };
                engine.connections().held().insert(session.device, (session.tenant, of_device.epoch));
                let _ = answer.send(Ok(of_device.epoch));
                release(engine, session.tenant, of_device).await;
                say(engine, session.tenant, address, true).await;
            }
            for (tenant, device, address, epoch) in closes {
                engine.connections().forget(device, epoch);
                if really_ended.contains(&device) {
                    say(engine, tenant, address, false).await;
                }
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            if !closes.is_empty() {
                tracing::warn!(%error, disconnects = closes.len(), "disconnects could not be noted; they end with the lease");
            }
            for (_, _, answer) in opens {
                let _ = answer.send(Err(Arc::clone(&error)));
            }
        }
    }
    later
}

type Open = (NewHubSession, Address, oneshot::Sender<Result<i64, Arc<StoreError>>>);
type Close = (TenantKey, DeviceKey, Address, i64);

async fn commit(
    engine: &Engine,
    opens: &[Open],
    closes: &[Close],
) -> Result<(Vec<OpenedSession>, HashSet<DeviceKey>), StoreError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    let now = engine.clock().now();
    // Disconnects first: one that stands in the same batch is of an earlier connection.
    let mut ended = HashSet::new();
    if !closes.is_empty() {
        let epochs: Vec<_> = closes.iter().map(|&(_, device, _, epoch)| (device, epoch)).collect();
        let closed = hub_sessions::close(&tx, &SystemScope, &epochs, now).await?;
        ended.extend(closed.into_iter().map(|session| session.device));
        for &(tenant, key, ref address, epoch) in closes.iter().filter(|(_, device, ..)| ended.contains(device)) {
            events::Connection { address, key, epoch, at: now }.ended(&tx, &Scope { tenant });
        }
    }
    let mut opened = Vec::new();
    if !opens.is_empty() {
        let sessions: Vec<NewHubSession> = opens.iter().map(|(session, ..)| *session).collect();
        opened = hub_sessions::open(&tx, &SystemScope, &engine.instance().0, &sessions).await?;
        for (session, address, _) in opens {
            let Some(of_device) = opened.iter().find(|opened| opened.device == session.device) else { continue };
            let (key, epoch) = (session.device, of_device.epoch);
            let connection = events::Connection { address, key, epoch, at: session.connected_at };
            connection.opened(&tx, &Scope { tenant: session.tenant });
        }
    }
    tx.commit().await?;
    Ok((opened, ended))
}

/// Tells the instance that held the device until now; this one sees the takeover by itself.
async fn release(engine: &Engine, tenant: TenantKey, opened: &OpenedSession) {
    let Some(instance) = opened.taken_from.as_ref().filter(|instance| **instance != engine.instance().0) else {
        return;
    };
    let action = PushAction::Disconnect { reason: "the device connected to another instance".into() };
    let push = Push { tenant, device: opened.device, epoch: opened.epoch - 1, action };
    send(engine, &InstanceId(instance.clone()), &push).await;
}

/// Pushes to whichever instance holds the device; nothing is sent where none does.
pub(crate) async fn push(
    engine: &Engine,
    scope: &Scope,
    device: DeviceKey,
    action: PushAction,
) -> Result<(), EngineError> {
    let tx = engine.store().begin_read(scope).await?;
    let holder = holder(&tx, engine, scope, device).await?;
    drop(tx);
    if let Some(holder) = holder {
        push_to(engine, scope.tenant, device, holder, action).await;
    }
    Ok(())
}

/// Who holds the device's connection now.
pub(crate) async fn holder(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    device: DeviceKey,
) -> Result<Option<Holder>, StoreError> {
    hub_sessions::holder(tx, scope, device, engine.clock().now()).await
}

/// Who holds the connections of the device and its modules now.
pub(crate) async fn holders(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    device: DeviceKey,
) -> Result<Vec<(DeviceKey, Holder)>, StoreError> {
    hub_sessions::holders(tx, scope, device, engine.clock().now()).await
}

/// Pushes to the holder of a device's connection.
pub(crate) async fn push_to(engine: &Engine, tenant: TenantKey, device: DeviceKey, holder: Holder, action: PushAction) {
    let push = Push { tenant, device, epoch: holder.epoch, action };
    send(engine, &InstanceId(holder.instance), &push).await;
}

/// Whether the push is in the instance's queue. One that is lost is not lost for the device: it reads its twin and its
/// messages when it connects again.
pub(crate) async fn send(engine: &Engine, instance: &InstanceId, push: &Push) -> bool {
    match serde_json::to_vec(push) {
        Ok(body) => {
            let pushed = engine.bus().push(instance, Bytes::from(body)).await;
            // An instance that is gone holds nothing.
            if let Some(error) = pushed.as_ref().err().filter(|error| !matches!(error, BusError::NoInstance(_))) {
                tracing::warn!(%error, bus.instance = %instance, device.key = %push.device, "a push was not delivered");
            }
            pushed.is_ok()
        }
        Err(error) => {
            tracing::error!(%error, "a push could not be written");
            false
        }
    }
}

/// Tells whoever looks at the device; a module is not looked at.
async fn say(engine: &Engine, tenant: TenantKey, Address { device, module }: Address, connected: bool) {
    if module.is_none() {
        engine.live().publish(tenant, vec![LiveEvent::Device { device, connected }]).await;
    }
}

/// Registers this instance; devices can be held only by one that is registered.
pub(crate) async fn renew(engine: &Engine) -> Result<(), EngineError> {
    let until = engine.clock().now() + LEASE;
    let tx = engine.store().begin_system(&SystemScope).await?;
    hub_sessions::renew_lease(&tx, &SystemScope, &engine.instance().0, until).await?;
    Ok(tx.commit().await?)
}

/// Keeps the lease, and ends the sessions of instances that did not keep theirs.
pub(crate) async fn keep_lease(engine: Engine) {
    let mut every = tokio::time::interval(RENEW_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut kept_at = engine.clock().now();
    loop {
        tokio::select! {
            () = engine.stop().cancelled() => return,
            _ = every.tick() => {}
        }
        match renew(&engine).await {
            Ok(()) => {
                if engine.clock().now() - kept_at >= LEASE {
                    start_over(&engine);
                }
                kept_at = engine.clock().now();
            }
            Err(error) => tracing::warn!(%error, "the instance's lease was not renewed"),
        }
        if let Err(error) = expire(&engine).await {
            tracing::warn!(%error, "sessions of instances that are gone were not ended");
        }
    }
}

/// The lease was over for a while, and others may have ended what this instance holds: pushes would not reach it any
/// more. The devices connect again, and are held again then.
fn start_over(engine: &Engine) {
    let held: Vec<_> = engine.connections().held().drain().collect();
    tracing::warn!(devices = held.len(), "the instance's lease was over: its devices have to connect again");
    for (device, (tenant, epoch)) in held {
        let action = PushAction::Disconnect { reason: "the instance's lease was over".into() };
        engine.local_pushes().deliver(Push { tenant, device, epoch, action });
    }
}

/// Ends the sessions of instances whose lease is over, and tells of it.
pub(crate) async fn expire(engine: &Engine) -> Result<(), EngineError> {
    let tx = engine.store().begin_system(&SystemScope).await?;
    let now = engine.clock().now();
    let ended = hub_sessions::expire(&tx, &SystemScope, now).await?;
    for EndedSession { tenant, device, address, epoch } in &ended {
        let connection = events::Connection { address, key: *device, epoch: *epoch, at: now };
        connection.ended(&tx, &Scope { tenant: *tenant });
    }
    tx.commit().await?;
    if !ended.is_empty() {
        tracing::warn!(sessions = ended.len(), "sessions of instances that are gone were ended");
    }
    Ok(())
}

//! Cloud-to-device messages: sent by a service, kept in the database until the device has them, whatever protocol it
//! fetches them by (`iot-hub-wire.md` §2).
//!
//! A push only tells the device's connection that messages wait; it reads them from the database, so that none is lost
//! with a push, a connection or an instance.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    connections,
    hub_auth::DeviceSession,
};
use chrono::{DateTime, Duration, Utc};
use muster_model::{
    Caller, DeviceId, DeviceKey, Permission, Scope, SystemScope,
    c2d::{DEFAULT_TTL, Envelope, LOCK, MAX_BYTES, MAX_DELIVERIES, MAX_PENDING, MAX_TTL, Outcome},
    push::PushAction,
    wire::{bag::MAX_PROPERTIES, topic},
};
use muster_store::{MAX_PAGE, StoreError, Tx, c2d, devices, hub_sessions::Holder};
use serde_json::{Map, json};
use uuid::Uuid;

pub use muster_store::c2d::{Message, Record};

/// The longest topic that MQTT can carry.
const MAX_TOPIC_BYTES: usize = 65_535;
/// Feedback that is received at once.
const FEEDBACK_BATCH: u32 = 64;
/// How long a receiver of feedback has to say that it has it.
const FEEDBACK_LOCK: Duration = Duration::seconds(60);
/// How long feedback is kept for somebody to receive it.
const FEEDBACK_KEPT: Duration = Duration::hours(48);
/// How often messages that are too late are looked for …
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(15);
/// … and messages that a connected device should have long ago: its push was lost.
const OVERDUE: Duration = Duration::seconds(30);
/// Devices that are told again in one sweep.
const REMINDED: u32 = 200;

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub struct NewMessage {
    /// Its properties; an empty message id is replaced with a new one.
    pub envelope: Envelope,
    /// Its body.
    pub payload: Vec<u8>,
}

/// Why a message is not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// As many messages wait for the device as may.
    #[error("{MAX_PENDING} messages wait for the device already")]
    QueueFull,
    /// The message is too large.
    #[error("the message is larger than {MAX_BYTES} bytes, or its properties than a topic")]
    TooLarge,
    /// As with every use case.
    #[error(transparent)]
    Refused(#[from] EngineError),
}

impl From<StoreError> for SendError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Sends a message to a device; its id.
///
/// # Errors
/// [`SendError`].
pub async fn send(engine: &Engine, caller: &Caller, id: &DeviceId, message: NewMessage) -> Result<String, SendError> {
    caller.require(Permission::DevicesCommand).map_err(EngineError::from)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?.key;
    let queued = enqueue(&tx, engine, caller, (id, device), message).await?;
    tx.commit().await?;
    queued.push(engine, caller).await;
    Ok(queued.message_id)
}

/// A message that waits once its transaction is committed.
pub(crate) struct Queued {
    message_id: String,
    device: DeviceKey,
    holder: Option<Holder>,
}

impl Queued {
    /// Tells the device's connection, once the transaction is committed.
    pub(crate) async fn push(&self, engine: &Engine, caller: &Caller) {
        if let Some(holder) = &self.holder {
            let tenant = caller.scope.tenant;
            connections::push_to(engine, tenant, self.device, holder.clone(), PushAction::Messages).await;
        }
    }
}

/// Puts a message into its device's queue.
pub(crate) async fn enqueue(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    (id, device): (&DeviceId, DeviceKey),
    message: NewMessage,
) -> Result<Queued, SendError> {
    let (scope, now) = (&caller.scope, engine.clock().now());
    let (new, message_id) = checked(id, message, now)?;
    // What is too late must not keep others out.
    let expired = c2d::expire_of(tx, scope, device, now).await?;
    c2d::insert_feedback(tx, scope, &expired, Outcome::Expired, now).await?;
    if c2d::insert(tx, scope, device, new, MAX_PENDING).await?.is_none() {
        return Err(SendError::QueueFull);
    }
    let details = Map::from_iter([("messageId".to_owned(), json!(message_id))]);
    audit::record(tx, engine, caller, Entry::new("messageSent", "device", id).with(details)).await?;
    let holder = connections::holder(tx, engine, scope, device).await?;
    Ok(Queued { message_id, device, holder })
}

/// Takes back every message that waits for a device; how many.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn purge(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<u64, EngineError> {
    caller.require(Permission::DevicesCommand)?;
    let scope = &caller.scope;
    let tx = engine.store().begin(scope).await?;
    let device = devices::get(&tx, scope, id).await?.key;
    let purged = c2d::purge(&tx, scope, device).await?;
    c2d::insert_feedback(&tx, scope, &purged, Outcome::Purged, engine.clock().now()).await?;
    let count = purged.len() as u64;
    let details = Map::from_iter([("messages".to_owned(), json!(count))]);
    audit::record(&tx, engine, caller, Entry::new("messagesPurged", "device", id).with(details)).await?;
    tx.commit().await?;
    Ok(count)
}

/// Feedback that was received, and the token to settle it with.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackBatch {
    /// By which it is completed or abandoned, for a minute.
    pub token: Uuid,
    /// What became of messages, oldest first.
    pub records: Vec<Record>,
}

/// Receives feedback that nobody else is receiving; nothing where there is none.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn receive_feedback(engine: &Engine, caller: &Caller) -> Result<Option<FeedbackBatch>, EngineError> {
    caller.require(Permission::DevicesCommand)?;
    let (token, now) = (Uuid::new_v4(), engine.clock().now());
    let tx = engine.store().begin(&caller.scope).await?;
    let times = (now, now + FEEDBACK_LOCK);
    let records = c2d::lock_feedback(&tx, &caller.scope, token, times, FEEDBACK_BATCH).await?;
    tx.commit().await?;
    Ok((!records.is_empty()).then_some(FeedbackBatch { token, records }))
}

/// Says that the feedback was received, and is not needed any more.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] where the token's time is over.
pub async fn complete_feedback(engine: &Engine, caller: &Caller, token: Uuid) -> Result<(), EngineError> {
    caller.require(Permission::DevicesCommand)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let removed = c2d::delete_feedback(&tx, &caller.scope, token, engine.clock().now()).await?;
    tx.commit().await?;
    if removed == 0 { Err(lock_lost("feedback", token)) } else { Ok(()) }
}

/// Gives received feedback back.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] where the token's time is over.
pub async fn abandon_feedback(engine: &Engine, caller: &Caller, token: Uuid) -> Result<(), EngineError> {
    caller.require(Permission::DevicesCommand)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let unlocked = c2d::unlock_feedback(&tx, &caller.scope, token, engine.clock().now()).await?;
    tx.commit().await?;
    if unlocked == 0 { Err(lock_lost("feedback", token)) } else { Ok(()) }
}

/// The messages that wait for the session's device, first come first: those that a connection may send it.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn waiting(engine: &Engine, session: &DeviceSession, limit: u32) -> Result<Vec<Message>, EngineError> {
    let scope = session.scope();
    let tx = engine.store().begin_read(&scope).await?;
    Ok(c2d::list(&tx, &scope, session.device, engine.clock().now(), limit).await?)
}

/// Notes that the device has these messages. What is not there any more was settled before.
///
/// # Errors
/// [`EngineError::Unavailable`]: the device will get them once more.
pub async fn delivered(engine: &Engine, session: &DeviceSession, sequences: &[i64]) -> Result<(), EngineError> {
    let scope = session.scope();
    let tx = engine.store().begin(&scope).await?;
    let settled = c2d::settle(&tx, &scope, session.device, sequences).await?;
    c2d::insert_feedback(&tx, &scope, &settled, Outcome::Success, engine.clock().now()).await?;
    Ok(tx.commit().await?)
}

/// Takes the first message that waits for the session's device; it is the device's for a minute, by the token.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn take(engine: &Engine, session: &DeviceSession) -> Result<Option<(Uuid, Message)>, EngineError> {
    let scope = session.scope();
    let (token, now) = (Uuid::new_v4(), engine.clock().now());
    let tx = engine.store().begin(&scope).await?;
    let message = c2d::lock_next(&tx, &scope, session.device, token, (now, now + LOCK)).await?;
    tx.commit().await?;
    Ok(message.map(|message| (token, message)))
}

/// What a device does with a message that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// It has it.
    Complete,
    /// It does not want it.
    Reject,
    /// It will take it again.
    Abandon,
}

/// Settles a message that was taken.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] where the token's time is over.
pub async fn settle(engine: &Engine, session: &DeviceSession, token: Uuid, settle: Settle) -> Result<(), EngineError> {
    let (scope, now) = (session.scope(), engine.clock().now());
    let tx = engine.store().begin(&scope).await?;
    let (settled, outcome) = match settle {
        Settle::Complete => (c2d::settle_locked(&tx, &scope, session.device, token, now).await?, Outcome::Success),
        Settle::Reject => (c2d::settle_locked(&tx, &scope, session.device, token, now).await?, Outcome::Rejected),
        Settle::Abandon => return abandon(engine, session, tx, token).await,
    };
    let settled = settled.ok_or_else(|| lock_lost("message", token))?;
    c2d::insert_feedback(&tx, &scope, &[settled], outcome, now).await?;
    Ok(tx.commit().await?)
}

/// Gives a message back; one that comes back too often is given up.
async fn abandon(engine: &Engine, session: &DeviceSession, tx: Tx, token: Uuid) -> Result<(), EngineError> {
    let (scope, now) = (session.scope(), engine.clock().now());
    let unlocked = c2d::unlock(&tx, &scope, session.device, token, now).await?;
    let (sequence, deliveries) = unlocked.ok_or_else(|| lock_lost("message", token))?;
    if deliveries >= MAX_DELIVERIES {
        let given_up = c2d::settle(&tx, &scope, session.device, &[sequence]).await?;
        c2d::insert_feedback(&tx, &scope, &given_up, Outcome::DeliveryCountExceeded, now).await?;
    }
    Ok(tx.commit().await?)
}

/// Removes what is too late, and tells devices again that messages wait; every worker may do it.
pub(crate) async fn run(engine: Engine) {
    let mut every = tokio::time::interval(SWEEP_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = engine.stop().cancelled() => return,
            _ = every.tick() => {}
        }
        if let Err(error) = sweep(&engine).await {
            tracing::warn!(%error, "cloud-to-device messages that are too late were not removed");
        }
    }
}

/// One round of the sweeper; how many messages were too late.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn sweep(engine: &Engine) -> Result<u64, EngineError> {
    let now = engine.clock().now();
    let mut removed = 0;
    loop {
        let tx = engine.store().begin_system(&SystemScope).await?;
        let expired = c2d::expire(&tx, &SystemScope, now).await?;
        c2d::purge_feedback(&tx, &SystemScope, now - FEEDBACK_KEPT).await?;
        tx.commit().await?;
        removed += expired;
        if expired < u64::from(MAX_PAGE) || engine.stop().is_cancelled() {
            break;
        }
    }
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let overdue = c2d::held_since(&tx, &SystemScope, now - OVERDUE, REMINDED).await?;
    drop(tx);
    for (tenant, device) in overdue {
        connections::push(engine, &Scope { tenant }, device, PushAction::Messages).await?;
    }
    Ok(removed)
}

/// The message as it is stored, and its id.
fn checked(
    device: &DeviceId,
    NewMessage { mut envelope, payload }: NewMessage,
    now: DateTime<Utc>,
) -> Result<(c2d::NewMessage, String), SendError> {
    if envelope.message_id.is_empty() {
        envelope.message_id = Uuid::new_v4().to_string();
    }
    if envelope.expires_at.is_some_and(|at| at <= now) {
        return Err(EngineError::invalid("expiry", "the message is too late already").into());
    }
    let bad = |name: &str| name.is_empty() || name.starts_with("$.") || name.contains(char::is_control);
    if envelope.properties.iter().any(|(name, _)| bad(name)) {
        return Err(EngineError::invalid("property", "a property's name is empty or not the application's").into());
    }
    let bag = envelope.bag(device);
    if envelope.properties.len() > MAX_PROPERTIES - 10 {
        return Err(EngineError::invalid("property", "the message has too many properties").into());
    }
    let topic_bytes = topic::devicebound_topic(device, &bag).len();
    if payload.len() + bag.size_bytes() > MAX_BYTES || topic_bytes > MAX_TOPIC_BYTES {
        return Err(SendError::TooLarge);
    }
    let expires_at = envelope.expires_at.unwrap_or(now + DEFAULT_TTL).min(now + MAX_TTL);
    let new = c2d::NewMessage {
        message_id: envelope.message_id.clone(),
        feedback: envelope.feedback,
        bag: bag.encode(),
        payload,
        enqueued_at: now,
        expires_at,
    };
    Ok((new, envelope.message_id))
}

fn lock_lost(kind: &'static str, token: Uuid) -> EngineError {
    EngineError::PreconditionFailed { kind, id: token.to_string() }
}

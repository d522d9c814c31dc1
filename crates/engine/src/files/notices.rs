//! What services hear of finished uploads: one notice at a time, taken, then completed or abandoned.

use crate::{Engine, EngineError};
use chrono::Duration;
use muster_model::{Caller, Permission};
use muster_store::files::{self, Notice};
use uuid::Uuid;

/// How long a receiver has to say that it has a notice.
const LOCK: Duration = Duration::seconds(60);
/// How long a notice is kept for somebody to receive it.
pub(super) const KEPT: Duration = Duration::hours(48);

/// Receives a notice that nobody else is receiving, and the token to settle it with, for a minute; nothing where there
/// is none.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn receive_notice(engine: &Engine, caller: &Caller) -> Result<Option<(Uuid, Notice)>, EngineError> {
    caller.require(Permission::DevicesRawData)?;
    let (token, now) = (Uuid::new_v4(), engine.clock().now());
    let tx = engine.store().begin(&caller.scope).await?;
    let notice = files::lock_notice(&tx, &caller.scope, token, (now, now + LOCK)).await?;
    tx.commit().await?;
    Ok(notice.map(|notice| (token, notice)))
}

/// Says that a notice was received, and is not needed any more.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] where the token's time is over.
pub async fn complete_notice(engine: &Engine, caller: &Caller, token: Uuid) -> Result<(), EngineError> {
    caller.require(Permission::DevicesRawData)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let removed = files::delete_notice(&tx, &caller.scope, token, engine.clock().now()).await?;
    tx.commit().await?;
    settled(removed, token)
}

/// Gives a received notice back.
///
/// # Errors
/// [`EngineError::PreconditionFailed`] where the token's time is over.
pub async fn abandon_notice(engine: &Engine, caller: &Caller, token: Uuid) -> Result<(), EngineError> {
    caller.require(Permission::DevicesRawData)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let unlocked = files::unlock_notice(&tx, &caller.scope, token, engine.clock().now()).await?;
    tx.commit().await?;
    settled(unlocked, token)
}

fn settled(count: u64, token: Uuid) -> Result<(), EngineError> {
    if count > 0 {
        return Ok(());
    }
    Err(EngineError::PreconditionFailed { kind: "file notification", id: token.to_string() })
}

//! Alerts: what people do with them. They are opened and cleared by the worker.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    live::LiveEvent,
    notices::NoticeKind,
};
use muster_model::{AlertId, Caller, Permission, alert::Alert};
use muster_store::alerts;

/// Notes that the caller looks after an alert.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn acknowledge(engine: &Engine, caller: &Caller, id: AlertId) -> Result<Alert, EngineError> {
    caller.require(Permission::AlertsUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = alerts::get(&tx, &caller.scope, id).await?;
    let alert = alerts::acknowledge(&tx, &caller.scope, id, &caller.actor.name, engine.clock().now()).await?;
    if alert != before {
        audit::record(&tx, engine, caller, Entry::new("acknowledged", "alert", id)).await?;
    }
    tx.commit().await?;
    say(engine, caller, &alert).await;
    Ok(alert)
}

/// Clears an alert by hand. Where its condition still holds, the next message opens a new one.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn clear(engine: &Engine, caller: &Caller, id: AlertId) -> Result<Alert, EngineError> {
    caller.require(Permission::AlertsUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = alerts::get(&tx, &caller.scope, id).await?;
    let alert = alerts::clear(&tx, &caller.scope, id, engine.clock().now()).await?;
    if alert != before {
        audit::record(&tx, engine, caller, Entry::new("cleared", "alert", id)).await?;
    }
    tx.commit().await?;
    // The worker keeps the open alerts of its devices in mind.
    engine.notify(caller.scope.tenant, NoticeKind::Device, &alert.device_id).await;
    say(engine, caller, &alert).await;
    Ok(alert)
}

async fn say(engine: &Engine, caller: &Caller, alert: &Alert) {
    let event = LiveEvent::Alert {
        id: alert.id,
        device: alert.device_id.clone(),
        rule_name: alert.rule_name.clone(),
        severity: alert.severity,
        state: alert.state,
    };
    engine.live().publish(caller.scope.tenant, vec![event]).await;
}

//! Connections that stand on a policy's key end with the key.

use crate::Hub;
use muster_engine::{
    notices::{Listener, MAX_STALENESS, NoticeKind},
    policies,
};
use muster_model::TenantKey;
use std::sync::Arc;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Looks after them until the hub stops.
pub(crate) async fn watch(hub: Arc<Hub>) {
    let mut notices = hub.engine.notices().listen();
    // For what a notice did not tell: one was lost, or a device was let in while it was under way.
    let mut every = interval(MAX_STALENESS);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(changed) = hub.stop.run_until_cancelled(next(&mut notices, &mut every)).await {
        let tenants = hub.registry.vouched_tenants();
        for tenant in tenants.into_iter().filter(|tenant| changed.is_none_or(|changed| changed == *tenant)) {
            match policies::standing(&hub.engine, tenant).await {
                Ok(standing) => hub.registry.end_vouched(tenant, &standing),
                Err(error) => tracing::warn!(%error, "a tenant's policies could not be read, will try again"),
            }
        }
    }
}

/// The tenant that has changed; none where it may be any.
async fn next(notices: &mut Listener, every: &mut Interval) -> Option<TenantKey> {
    loop {
        tokio::select! {
            _ = every.tick() => return None,
            notice = notices.next() => match notice {
                Some(notice) if matches!(notice.kind, NoticeKind::Tenant | NoticeKind::All) => return notice.tenant,
                Some(_) => {}
                // The process ends, and this with it.
                None => std::future::pending().await,
            },
        }
    }
}

//! From the bus to the connections of this instance.

use crate::Hub;
use muster_engine::methods;
use muster_model::push::{MethodOutcome, Push};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Hands out pushes until the hub stops or the engine has no more.
pub(crate) async fn deliver(hub: Arc<Hub>, mut pushes: mpsc::Receiver<Push>) {
    while let Some(Some(push)) = hub.stop.run_until_cancelled(pushes.recv()).await {
        let device = (push.tenant, push.device);
        if let Err(call) = hub.registry.deliver(push) {
            methods::answer(&hub.engine, device, &call, MethodOutcome::Unreachable);
        }
    }
}

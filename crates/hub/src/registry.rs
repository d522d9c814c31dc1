//! Which devices are connected here.

use crate::mailbox::{Close, Desired, Mailbox};
use muster_engine::{hub_auth::DeviceSession, policies::KeyMark};
use muster_model::{
    DeviceKey, TenantKey,
    push::{MethodCall, Push, PushAction},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The live connections of this instance, one for each identity.
#[derive(Default)]
pub(crate) struct Registry {
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    connections: HashMap<Identity, Entry>,
    last_generation: u64,
    stopping: bool,
}

/// Who is connected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    tenant: TenantKey,
    device: DeviceKey,
}

struct Entry {
    generation: u64,
    epoch: i64,
    vouched_by: Option<KeyMark>,
    mailbox: Arc<Mailbox>,
}

/// A place in the registry; dropping it gives the place up, unless a newer connection has taken it.
pub(crate) struct Registered {
    registry: Arc<Registry>,
    identity: Identity,
    generation: u64,
}

impl Registry {
    /// Enters a connection; an older one of the same identity is told to end. Where a newer one has been quicker, it
    /// is this one that is told.
    pub(crate) fn enter(self: &Arc<Self>, session: &DeviceSession, mailbox: Arc<Mailbox>) -> Registered {
        let identity = Identity { tenant: session.tenant, device: session.device };
        let mut live = self.lock();
        if live.stopping {
            mailbox.close(Close::Stopping);
        }
        live.last_generation += 1;
        let generation = live.last_generation;
        let older = match live.connections.get(&identity) {
            Some(newer) if newer.epoch > session.epoch => Some(mailbox),
            _ => {
                let entry = Entry { generation, epoch: session.epoch, vouched_by: session.vouched_by, mailbox };
                live.connections.insert(identity.clone(), entry).map(|older| older.mailbox)
            }
        };
        drop(live);
        if let Some(older) = older {
            older.close(Close::TakenOver);
        }
        Registered { registry: self.clone(), identity, generation }
    }

    /// Hands a push to the connection it is meant for. One that is gone needs none: the device reads its twin and its
    /// messages when it comes back. A direct method that can not be handed over comes back.
    pub(crate) fn deliver(&self, push: Push) -> Result<(), MethodCall> {
        let identity = Identity { tenant: push.tenant, device: push.device };
        let live = self.lock();
        let Some(entry) = live.connections.get(&identity) else {
            return match push.action {
                PushAction::Method { call } => Err(call),
                _ => Ok(()),
            };
        };
        match push.action {
            // A connection that is younger than the push has not seen the change either.
            PushAction::Desired { patch, version } if entry.epoch >= push.epoch => {
                entry.mailbox.desired(Desired { patch, version });
            }
            PushAction::Disconnect { reason } if entry.epoch <= push.epoch => {
                entry.mailbox.close(Close::Service(reason));
            }
            PushAction::Messages => entry.mailbox.messages(),
            PushAction::Method { call } => return entry.mailbox.call(call),
            _ => {}
        }
        Ok(())
    }

    /// The tenants that have connections which stand on a policy's key.
    pub(crate) fn vouched_tenants(&self) -> HashSet<TenantKey> {
        let live = self.lock();
        let vouched = live.connections.iter().filter(|(_, entry)| entry.vouched_by.is_some());
        vouched.map(|(identity, _)| identity.tenant).collect()
    }

    /// Ends those connections of the tenant that stand on a policy's key which is none any more.
    pub(crate) fn end_vouched(&self, tenant: TenantKey, standing: &[KeyMark]) {
        for (identity, entry) in &self.lock().connections {
            if identity.tenant == tenant && entry.vouched_by.is_some_and(|mark| !standing.contains(&mark)) {
                entry.mailbox.close(Close::Service("the policy's key was replaced".into()));
            }
        }
    }

    /// Tells all connections, and those that are still to come, that the hub stops.
    pub(crate) fn stop(&self) {
        let mut live = self.lock();
        live.stopping = true;
        for entry in live.connections.values() {
            entry.mailbox.close(Close::Stopping);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut live = self.registry.lock();
        if live.connections.get(&self.identity).is_some_and(|entry| entry.generation == self.generation) {
            live.connections.remove(&self.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{DeviceId, TenantId, batch::Auth};

    fn session(epoch: i64) -> DeviceSession {
        DeviceSession {
            tenant: TenantKey(1),
            tenant_id: TenantId::parse("demo").expect("a tenant id"),
            device: DeviceKey(7),
            device_id: DeviceId::parse("d").expect("a device id"),
            module: None,
            source: DeviceKey(7),
            partition: 0,
            epoch,
            expires_at: None,
            model_id: None,
            auth: Auth::default(),
            vouched_by: None,
        }
    }

    fn push(epoch: i64, action: PushAction) -> Push {
        Push { tenant: TenantKey(1), device: DeviceKey(7), epoch, action }
    }

    #[tokio::test]
    async fn a_newer_connection_closes_the_older_and_keeps_its_place() {
        let registry = Arc::new(Registry::default());
        let (old, new) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
        let first = registry.enter(&session(1), old.clone());
        let _second = registry.enter(&session(2), new.clone());
        assert_eq!(old.take().await.close, Some(Close::TakenOver));
        drop(first);
        registry.deliver(push(2, PushAction::Disconnect { reason: "blocked".into() })).expect("handed over");
        assert_eq!(new.take().await.close, Some(Close::Service("blocked".into())));
    }

    #[tokio::test]
    async fn pushes_reach_the_session_they_are_meant_for() {
        let registry = Arc::new(Registry::default());
        let mailbox = Arc::new(Mailbox::default());
        let _registered = registry.enter(&session(5), mailbox.clone());
        let desired = |version| PushAction::Desired { patch: serde_json::Map::new(), version };
        registry.deliver(push(6, desired(1))).expect("handed over");
        registry.deliver(push(4, PushAction::Disconnect { reason: "taken over".into() })).expect("handed over");
        registry.deliver(push(4, desired(2))).expect("handed over");
        registry.deliver(push(5, desired(3))).expect("handed over");
        let mail = mailbox.take().await;
        assert_eq!(mail.desired.iter().map(|desired| desired.version).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(mail.close, None);
    }

    #[tokio::test]
    async fn a_connection_that_was_overtaken_ends_itself() {
        let registry = Arc::new(Registry::default());
        let (newer, older) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
        let _newer = registry.enter(&session(2), newer.clone());
        drop(registry.enter(&session(1), older.clone()));
        assert_eq!(older.take().await.close, Some(Close::TakenOver));
        registry.deliver(push(2, PushAction::Disconnect { reason: "deleted".into() })).expect("handed over");
        assert_eq!(newer.take().await.close, Some(Close::Service("deleted".into())));
    }

    #[tokio::test]
    async fn a_connection_made_while_stopping_is_told() {
        let registry = Arc::new(Registry::default());
        registry.stop();
        let mailbox = Arc::new(Mailbox::default());
        let _registered = registry.enter(&session(1), mailbox.clone());
        assert_eq!(mailbox.take().await.close, Some(Close::Stopping));
    }

    #[tokio::test]
    async fn a_method_for_a_device_that_is_gone_comes_back() {
        let registry = Arc::new(Registry::default());
        let call = MethodCall {
            request: uuid::Uuid::nil(),
            reply_to: "hub-1".into(),
            name: "reboot".into(),
            payload: "null".into(),
            expires_ms: 0,
        };
        let action = PushAction::Method { call: call.clone() };
        assert_eq!(registry.deliver(push(1, action.clone())), Err(call.clone()));
        let mailbox = Arc::new(Mailbox::default());
        let _registered = registry.enter(&session(1), mailbox.clone());
        assert_eq!(registry.deliver(push(1, action)), Ok(()));
        assert_eq!(mailbox.take().await.calls, [call]);
    }
}

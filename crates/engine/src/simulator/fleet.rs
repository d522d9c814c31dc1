//! The devices that this instance plays.

use super::{
    generic, history,
    profile::{self, Sample},
    signal::Seed,
};
use crate::{
    Engine, EngineError, hub_auth,
    hub_auth::DeviceSession,
    ingest::{Ack, AckSink, IngressError},
    methods,
    notices::Notice,
    templates, twins,
};
use bytes::Bytes;
use muster_model::{
    DeviceKey, Scope, SystemScope, TemplateId, TenantKey,
    batch::{Auth, Inbound, Kind},
    device::Device,
    push::{Push, PushAction},
    template::Template,
    wire::bag::Bag,
};
use muster_store::{
    Paging,
    devices::{self, DeviceFilter},
    templates as stored,
    tenants::{self, Tenant},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// A device sends this often.
const EVERY_MS: i64 = 5_000;
/// Simulated devices of a tenant that are played, as in IoT Central.
const MAX_OF_TENANT: u32 = 100;
/// Devices that an instance plays.
const MAX_PLAYED: usize = 2_000;
const TENANT_PAGE: u32 = 100;

/// The devices that this instance plays.
pub(super) struct Fleet {
    engine: Engine,
    played: HashMap<DeviceKey, Played>,
    templates: HashMap<(TenantKey, TemplateId), Arc<Template>>,
    nobody: Arc<Nobody>,
    stop: CancellationToken,
}

/// A device that is played.
pub(super) struct Played {
    pub(super) session: DeviceSession,
    pub(super) seed: Seed,
    pub(super) script: Script,
    due_ms: i64,
}

/// What a device sends.
#[derive(Clone)]
pub(super) enum Script {
    /// What the demonstration's device does.
    Profile(Sample),
    /// What the template allows.
    Invented(Arc<Template>),
}

/// Nobody waits for a simulated message: one that is lost is followed by the next.
struct Nobody;

impl AckSink for Nobody {
    fn done(&self, _packet: u32, ok: bool) {
        if !ok {
            metrics::counter!("muster_simulated_messages_lost_total").increment(1);
        }
    }
}

impl Fleet {
    pub(super) fn new(engine: Engine, stop: CancellationToken) -> Self {
        Self { engine, played: HashMap::new(), templates: HashMap::new(), nobody: Arc::new(Nobody), stop }
    }

    /// Finds the simulated devices that nobody plays, and those that are none any more.
    pub(super) async fn look(&mut self) {
        if let Err(error) = self.try_look().await {
            tracing::warn!(%error, "simulated devices were not looked for");
        }
    }

    async fn try_look(&mut self) -> Result<(), EngineError> {
        let mut wanted = HashSet::new();
        let mut paging = Paging::first(TENANT_PAGE);
        loop {
            let tx = self.engine.store().begin_system_read(&SystemScope).await?;
            let page = tenants::list(&tx, &SystemScope, paging).await?;
            drop(tx);
            for tenant in &page.items {
                self.look_at(tenant, &mut wanted).await?;
            }
            match page.items.last() {
                Some(last) if page.more => paging = Paging::after(last.id.clone(), TENANT_PAGE),
                _ => break,
            }
        }
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let gone: Vec<DeviceKey> = self.played.keys().filter(|device| !wanted.contains(device)).copied().collect();
        for device in gone {
            self.release(device).await;
        }
        Ok(())
    }

    async fn look_at(&mut self, tenant: &Tenant, wanted: &mut HashSet<DeviceKey>) -> Result<(), EngineError> {
        let scope = Scope { tenant: tenant.key };
        let filter = DeviceFilter { simulated: Some(true), enabled: Some(true), ..DeviceFilter::default() };
        let tx = self.engine.store().begin_read(&scope).await?;
        let found = devices::list(&tx, &scope, &filter, Paging::first(MAX_OF_TENANT)).await?.items;
        drop(tx);
        for device in found {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            wanted.insert(device.key);
            let script = self.script(&scope, &device).await?;
            let Some(script) = script else {
                wanted.remove(&device.key);
                continue;
            };
            if let Some(played) = self.played.get_mut(&device.key) {
                played.script = script;
            } else if !device.connected && self.played.len() < MAX_PLAYED {
                // One that another instance plays is connected.
                self.take_on(tenant, device, script).await?;
            }
        }
        Ok(())
    }

    /// What the device sends; nothing without a template.
    async fn script(&mut self, scope: &Scope, device: &Device) -> Result<Option<Script>, EngineError> {
        let Some(id) = &device.template else { return Ok(None) };
        if let Some(sample) = profile::of(id) {
            return Ok(Some(Script::Profile(sample)));
        }
        let key = (scope.tenant, id.clone());
        if let Some(template) = self.templates.get(&key) {
            return Ok(Some(Script::Invented(Arc::clone(template))));
        }
        let tx = self.engine.store().begin_read(scope).await?;
        let Some(stored) = stored::find(&tx, scope, id).await? else { return Ok(None) };
        let template = Arc::new(templates::load(stored)?);
        self.templates.insert(key, Arc::clone(&template));
        Ok(Some(Script::Invented(template)))
    }

    async fn take_on(&mut self, tenant: &Tenant, device: Device, script: Script) -> Result<(), EngineError> {
        let mut session = DeviceSession {
            tenant: tenant.key,
            tenant_id: tenant.id.clone(),
            device: device.key,
            device_id: device.id.clone(),
            module: None,
            source: device.key,
            partition: hub_auth::partition_of(tenant.key, device.key, self.engine.partitions()),
            epoch: 0,
            expires_at: None,
            model_id: None,
            auth: Auth::default(),
            vouched_by: None,
        };
        self.engine.local_pushes().simulate(device.key);
        session.epoch = match self.engine.connections().open(&self.engine, &session).await {
            Ok(epoch) => epoch,
            Err(error) => {
                self.engine.local_pushes().release(device.key);
                return Err(error);
            }
        };
        if !device.provisioned {
            crate::provisioning::first_contact(&self.engine, &session, None).await?;
        }
        let seed = Seed::of(&format!("{}/{}", tenant.id, device.id));
        let now_ms = self.engine.clock().now_ms();
        // Spread over the interval, so that not all send at once.
        let due_ms = now_ms + (seed.chance(0) * EVERY_MS as f64) as i64;
        let played = Played { session, seed, script, due_ms };
        if matches!(played.script, Script::Profile(_)) {
            self.fill_past(&played, now_ms).await;
        }
        self.acknowledge_pending(&played).await;
        self.played.insert(device.key, played);
        Ok(())
    }

    /// A device without its past is still worth playing.
    async fn fill_past(&self, played: &Played, now_ms: i64) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            filled = history::fill(&self.engine, played, now_ms) => if let Err(error) = filled {
                tracing::warn!(%error, device.id = %played.session.device_id, "a simulated device has no past");
            }
        }
    }

    /// Sends the messages that are due.
    pub(super) async fn play(&mut self) {
        let now_ms = self.engine.clock().now_ms();
        for played in self.played.values_mut().filter(|played| played.due_ms <= now_ms) {
            played.due_ms = now_ms + EVERY_MS;
            for message in played.messages(now_ms) {
                let ack = Ack { sink: Arc::clone(&self.nobody) as Arc<dyn AckSink>, packet: 0 };
                if let Err(IngressError::Closed) =
                    self.engine.ingress().submit(played.session.partition, message, ack).await
                {
                    return;
                }
            }
        }
    }

    /// Does what a device does with a push.
    pub(super) async fn receive(&mut self, push: Push) {
        let Some(played) = self.played.get(&push.device) else { return };
        match push.action {
            PushAction::Desired { patch, version } => self.acknowledge(played, &patch, version).await,
            PushAction::Disconnect { .. } if played.session.epoch <= push.epoch => self.release(push.device).await,
            PushAction::Disconnect { .. } => {}
            PushAction::Method { call } => {
                // A simulated device does whatever it is told, and has nothing to say about it.
                let device = (played.session.tenant, played.session.device);
                methods::answer(&self.engine, device, &call, methods::outcome(200, b""));
            }
            PushAction::MethodOutcome { .. } | PushAction::Messages => {}
        }
    }

    /// Acknowledges what was desired while nobody played the device.
    async fn acknowledge_pending(&self, played: &Played) {
        let Ok(document) = twins::get(&self.engine, &played.session).await else { return };
        let (Some(desired), version) = (document["desired"].as_object(), &document["desired"]["$version"]) else {
            return;
        };
        let reported = &document["reported"];
        let pending = |(name, value): &(&String, &Value)| !name.starts_with('$') && reported[*name]["value"] != **value;
        let pending: Map<String, Value> = desired
            .iter()
            .filter(pending)
            .filter(|(name, value)| value["__t"].is_null() || reported[*name].is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !pending.is_empty() {
            self.acknowledge(played, &pending, version.as_i64().unwrap_or(1)).await;
        }
    }

    async fn acknowledge(&self, played: &Played, patch: &Map<String, Value>, version: i64) {
        let reported = acknowledgement(patch, version);
        let payload = Value::Object(reported).to_string();
        let sent = twins::patch_reported(&self.engine, &played.session, payload.as_bytes()).await;
        if let Err(error) = sent {
            tracing::debug!(%error, device.id = %played.session.device_id, "a simulated device could not report");
        }
    }

    /// Reads templates again that a notice says have changed.
    pub(super) fn forget_templates(&mut self, notice: &Notice) {
        self.templates.retain(|(tenant, _), _| notice.tenant.is_some_and(|changed| changed != *tenant));
    }

    async fn release(&mut self, device: DeviceKey) {
        if let Some(played) = self.played.remove(&device) {
            self.engine.local_pushes().release(device);
            self.engine.connections().close(&played.session).await;
        }
    }

    pub(super) async fn release_all(&mut self) {
        for device in self.played.keys().copied().collect::<Vec<_>>() {
            self.release(device).await;
        }
    }
}

impl Played {
    /// What the device says at this time.
    pub(super) fn messages(&self, at_ms: i64) -> Vec<Inbound> {
        let messages = match &self.script {
            Script::Profile(sample) => vec![(None, sample(self.seed, at_ms))],
            Script::Invented(template) => generic::messages(template, self.seed, at_ms),
        };
        messages.into_iter().map(|(component, body)| self.message(component, body, at_ms)).collect()
    }

    fn message(&self, component: Option<String>, body: Map<String, Value>, at_ms: i64) -> Inbound {
        let mut bag = Bag::default();
        bag.set("$.ct", Some("application/json".into()));
        bag.set("$.ce", Some("utf-8".into()));
        if component.is_some() {
            bag.set("$.sub", component);
        }
        Inbound {
            tenant: self.session.tenant,
            device: self.session.device,
            device_id: self.session.device_id.to_string(),
            model_id: String::new(),
            module: None,
            enqueued_ms: at_ms,
            kind: Kind::Telemetry,
            auth: Auth::default(),
            bag: bag.encode(),
            payload: Bytes::from(Value::Object(body).to_string()),
        }
    }
}

/// What a Plug and Play device reports when it has taken over desired properties.
fn acknowledgement(patch: &Map<String, Value>, version: i64) -> Map<String, Value> {
    let done = |value: &Value| match value {
        Value::Null => Value::Null,
        value => json!({ "value": value, "ac": 200, "av": version, "ad": "done" }),
    };
    let of = |(name, value): (&String, &Value)| match value.as_object() {
        Some(component) if component.contains_key("__t") => {
            let inner = component
                .iter()
                .map(|(inner, value)| (inner.clone(), if inner == "__t" { value.clone() } else { done(value) }));
            (name.clone(), Value::Object(inner.collect()))
        }
        _ => (name.clone(), done(value)),
    };
    patch.iter().filter(|(name, _)| !name.starts_with('$')).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn desired_properties_are_acknowledged_one_by_one() {
        let patch = json!({"target": 20, "old": null, "fan": {"__t": "c", "speed": 3}, "$version": 4});
        let patch = patch.as_object().cloned().expect("an object");
        let done = |value| json!({"value": value, "ac": 200, "av": 4, "ad": "done"});
        let expected = json!({"target": done(20), "old": null, "fan": {"__t": "c", "speed": done(3)}});
        assert_eq!(Value::Object(acknowledgement(&patch, 4)), expected);
    }
}

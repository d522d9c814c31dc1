//! What the worker knows of devices, templates and rules, so that a message costs no query.

use crate::{
    EngineError,
    notices::{MAX_STALENESS, Notice, NoticeKind},
    rules::watching,
    templates::load,
    tenants as settings,
};
use muster_model::{
    DeviceKey, RuleId, Scope, ShapeKey, TemplateId, TenantKey, device::Device, rule::Rule, telemetry::Layout,
    template::Template,
};
use muster_store::{
    MAX_PAGE, Store, alerts, devices, telemetry,
    telemetry::{LatestValue, ShapeSource},
    templates, tenants,
};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

/// Untyped shapes that are remembered before all are forgotten; they are few in a healthy tenant.
const MAX_REMEMBERED_SHAPES: usize = 10_000;

/// What is known of a device.
#[derive(Debug)]
pub struct Known {
    /// Its tenant.
    pub tenant: TenantKey,
    /// The device as it was read.
    pub device: Device,
    /// Its template, with what follows from it.
    pub kind: Arc<Kind>,
    /// Last known values of the telemetry that rules compare.
    pub watched: HashMap<String, Value>,
    /// The rules that are true for it now.
    pub open: HashSet<RuleId>,
}

/// What devices of one template have in common.
#[derive(Debug)]
pub struct Kind {
    /// The template; `None` for devices without one.
    pub template: Option<Template>,
    /// How their messages are read.
    pub layout: Layout,
    /// The shape of their rows; `None` without a template: it depends on the message.
    pub shape: Option<ShapeKey>,
    /// The rules that watch them.
    pub rules: Vec<Arc<Rule>>,
    /// The telemetry that these compare.
    pub watched: HashSet<String>,
    read_at: Instant,
}

/// The devices of the partitions that this worker owns.
#[derive(Debug, Default)]
pub struct Fleet {
    devices: HashMap<DeviceKey, Known>,
    numbers: HashMap<TenantKey, HashMap<String, DeviceKey>>,
    kinds: HashMap<(TenantKey, Option<TemplateId>), Arc<Kind>>,
    shapes: HashMap<(TenantKey, Vec<String>), Option<ShapeKey>>,
    /// Which tenants want their telemetry as events, and when they were asked.
    feeds: HashMap<TenantKey, (bool, Instant)>,
}

impl Fleet {
    /// Forgets what a notice says has changed.
    pub fn hear(&mut self, notice: &Notice) {
        match (notice.kind, notice.tenant) {
            (NoticeKind::Device, Some(tenant)) => {
                if let Some(key) = self.numbers.get_mut(&tenant).and_then(|numbers| numbers.remove(&notice.id)) {
                    self.devices.remove(&key);
                }
            }
            (NoticeKind::Template | NoticeKind::Rule, Some(tenant)) => {
                self.kinds.retain(|(of, _), _| *of != tenant);
                self.devices.retain(|key, _| !self.numbers.get(&tenant).is_some_and(|n| n.values().any(|k| k == key)));
                self.numbers.remove(&tenant);
            }
            (NoticeKind::Tenant, Some(tenant)) => _ = self.feeds.remove(&tenant),
            (NoticeKind::EnrollmentGroup | NoticeKind::Access, _) => {}
            (NoticeKind::All, _) | (_, None) => *self = Self::default(),
        }
    }

    /// Forgets devices whose state is no longer sure, after a transaction that failed.
    pub fn forget(&mut self, keys: impl Iterator<Item = DeviceKey>) {
        for key in keys {
            self.devices.remove(&key);
        }
    }

    /// The device, if it exists; [`Fleet::meet`] must have been asked for it.
    pub fn get(&self, key: DeviceKey) -> Option<&Known> {
        self.devices.get(&key)
    }

    /// The device, to change its state.
    pub fn get_mut(&mut self, key: DeviceKey) -> Option<&mut Known> {
        self.devices.get_mut(&key)
    }

    /// Whether the tenant wants its telemetry as events.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn has_feed(&mut self, store: &Store, tenant: TenantKey) -> Result<bool, EngineError> {
        if let Some((wanted, read_at)) = self.feeds.get(&tenant)
            && read_at.elapsed() < MAX_STALENESS
        {
            return Ok(*wanted);
        }
        let scope = Scope { tenant };
        let tx = store.begin_read(&scope).await?;
        let wanted = settings::has_event_feed(&tenants::get(&tx, &scope).await?);
        self.feeds.insert(tenant, (wanted, Instant::now()));
        Ok(wanted)
    }

    /// Reads devices that are not known yet, or whose kind is older than [`MAX_STALENESS`]: one query for each sort of
    /// thing and tenant.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn meet(&mut self, store: &Store, senders: &HashSet<(TenantKey, DeviceKey)>) -> Result<(), EngineError> {
        let mut new: HashMap<TenantKey, Vec<DeviceKey>> = HashMap::new();
        for &(tenant, device) in senders {
            let fresh = self.devices.get(&device).is_some_and(|known| known.kind.read_at.elapsed() < MAX_STALENESS);
            if !fresh {
                new.entry(tenant).or_default().push(device);
            }
        }
        for (tenant, keys) in new {
            for part in keys.chunks(MAX_PAGE as usize) {
                self.read(store, tenant, part).await?;
            }
        }
        Ok(())
    }

    async fn read(&mut self, store: &Store, tenant: TenantKey, keys: &[DeviceKey]) -> Result<(), EngineError> {
        let scope = Scope { tenant };
        let tx = store.begin_read(&scope).await?;
        let found = devices::list_by_keys(&tx, &scope, keys).await?;
        let mut latest = telemetry::latest(&tx, &scope, keys).await?;
        let open = alerts::open_of_devices(&tx, &scope, keys).await?;
        drop(tx);
        let mut before: HashMap<_, _> = keys.iter().filter_map(|key| Some((*key, self.devices.remove(key)?))).collect();
        for device in found {
            let kind = self.kind(store, &scope, device.template.as_ref()).await?;
            let values = latest.remove(&device.key).unwrap_or_default().values;
            let watched = values.into_iter().filter(|(key, _)| kind.watched.contains(key));
            let mut watched: HashMap<_, _> = watched.map(|(key, LatestValue { value, .. })| (key, value)).collect();
            // What the worker saw itself is newer than what it has written.
            watched.extend(before.remove(&device.key).map(|known| known.watched).into_iter().flatten());
            let open = open.iter().filter(|alert| alert.device == device.key).map(|alert| alert.rule).collect();
            self.numbers.entry(tenant).or_default().insert(device.id.to_string(), device.key);
            self.devices.insert(device.key, Known { tenant, device, kind, watched, open });
        }
        Ok(())
    }

    async fn kind(&mut self, store: &Store, scope: &Scope, id: Option<&TemplateId>) -> Result<Arc<Kind>, EngineError> {
        let name = (scope.tenant, id.cloned());
        if let Some(kind) = self.kinds.get(&name).filter(|kind| kind.read_at.elapsed() < MAX_STALENESS) {
            return Ok(Arc::clone(kind));
        }
        let kind = Arc::new(match id {
            Some(id) => read_kind(store, scope, id).await?,
            None => untyped(),
        });
        self.kinds.insert(name, Arc::clone(&kind));
        Ok(kind)
    }

    /// The shape of a message without a template; `None` where its tenant has too many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn shape(
        &mut self,
        store: &Store,
        tenant: TenantKey,
        keys: &[String],
    ) -> Result<Option<ShapeKey>, EngineError> {
        if let Some(shape) = self.shapes.get(&(tenant, keys.to_vec())) {
            return Ok(*shape);
        }
        let shape = intern(store, &Scope { tenant }, keys, ShapeSource::Message).await?;
        if self.shapes.len() >= MAX_REMEMBERED_SHAPES {
            self.shapes.clear();
        }
        self.shapes.insert((tenant, keys.to_vec()), shape);
        Ok(shape)
    }
}

fn untyped() -> Kind {
    Kind {
        template: None,
        layout: Layout::untyped(),
        shape: None,
        rules: Vec::new(),
        watched: HashSet::new(),
        read_at: Instant::now(),
    }
}

async fn read_kind(store: &Store, scope: &Scope, id: &TemplateId) -> Result<Kind, EngineError> {
    let tx = store.begin_read(scope).await?;
    let stored = templates::find(&tx, scope, id).await?;
    // A template that went away between two reads leaves its devices without one.
    let Some(stored) = stored else { return Ok(untyped()) };
    let template = load(stored)?;
    let rules: Vec<_> = watching(&tx, scope, &template).await?.into_iter().map(Arc::new).collect();
    drop(tx);
    let layout = Layout::of(&template);
    let shape = intern(store, scope, &layout.keys, ShapeSource::Template).await?;
    let watched = rules.iter().flat_map(|rule| &rule.conditions).map(|condition| condition.telemetry.clone()).collect();
    Ok(Kind { template: Some(template), layout, shape, rules, watched, read_at: Instant::now() })
}

async fn intern(
    store: &Store,
    scope: &Scope,
    keys: &[String],
    source: ShapeSource,
) -> Result<Option<ShapeKey>, EngineError> {
    let tx = store.begin(scope).await?;
    let shape = telemetry::intern_shape(&tx, scope, keys, source).await?;
    tx.commit().await?;
    Ok(shape)
}

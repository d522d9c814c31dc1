//! The registry of device identities as services see and change it, and queries over it (`iot-hub-wire.md` §6, §8).

use crate::{
    Engine, EngineError, Problem,
    authentication::{self, Authentication, X509},
    devices,
    devices::{DeviceKeys, DevicePatch, NewDevice},
    precondition::IfMatch,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use muster_model::{
    Caller, DeviceId, DeviceKey, Permission, Scope,
    device::{Device, SymmetricKeys},
    query::{Query, QueryError, Selection, Source},
    registry::{self, Facts, Proof},
};
use muster_store::{MAX_PAGE, Paging, Tx, c2d, devices as stored, devices::DeviceFilter, twins};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Devices that a query that must see all of them may see.
const MAX_SEEN: usize = 200_000;

/// A device's identity to be made or changed; what is absent stays, or is made.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// May it connect?
    pub enabled: Option<bool>,
    /// Why.
    pub status_reason: Option<String>,
    /// How it proves who it is.
    pub authentication: Option<Authentication>,
}

/// How many devices there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// All of them.
    pub total: i64,
    /// Those that may connect.
    pub enabled: i64,
    /// Those that are connected.
    pub connected: i64,
}

/// Makes a device; its identity.
///
/// # Errors
/// [`EngineError::Conflict`] where the id is taken, [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn create(engine: &Engine, caller: &Caller, id: &DeviceId, identity: Identity) -> Result<Value, EngineError> {
    let Identity { enabled, status_reason, authentication } = identity;
    let (enabled, id) = (enabled.unwrap_or(true), id.clone());
    let new = NewDevice { id: id.clone(), display_name: None, template: None, enabled, simulated: false };
    devices::create(engine, caller, new).await?;
    let patch = DevicePatch { status_reason: status_reason.map(Some), ..DevicePatch::default() };
    finish(engine, caller, &id, patch, authentication).await
}

/// Changes a device's identity; the identity after it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    identity: Identity,
    condition: &IfMatch,
) -> Result<Value, EngineError> {
    let Identity { enabled, status_reason, authentication } = identity;
    let before = find(engine, caller, id).await?;
    condition.check("device", id, &before.etag)?;
    let patch = DevicePatch { enabled, status_reason: Some(status_reason), ..DevicePatch::default() };
    finish(engine, caller, id, patch, authentication).await
}

/// The device's identity, keys included.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Value, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let device = stored::get(&tx, &caller.scope, id).await?;
    let facts = facts(&tx, engine, &caller.scope, &[device.key]).await?;
    Ok(registry::identity(&device, facts.of(device.key)))
}

/// Identities in the order of their ids, at most `top` (and 1000).
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, top: u32) -> Result<Vec<Value>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let page = stored::list(&tx, &caller.scope, &DeviceFilter::default(), Paging::first(top.min(MAX_PAGE))).await?;
    let keys: Vec<DeviceKey> = page.items.iter().map(|device| device.key).collect();
    let facts = facts(&tx, engine, &caller.scope, &keys).await?;
    Ok(page.items.iter().map(|device| registry::identity(device, facts.of(device.key))).collect())
}

/// How many devices there are.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn statistics(engine: &Engine, caller: &Caller) -> Result<Statistics, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let all = DeviceFilter::default();
    let enabled = DeviceFilter { enabled: Some(true), ..DeviceFilter::default() };
    let connected = DeviceFilter { connected: Some(true), ..DeviceFilter::default() };
    Ok(Statistics {
        total: stored::count(&tx, &caller.scope, &all).await?,
        enabled: stored::count(&tx, &caller.scope, &enabled).await?,
        connected: stored::count(&tx, &caller.scope, &connected).await?,
    })
}

/// One page of a query's results.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The results.
    pub items: Vec<Value>,
    /// Whether each is a whole document of the source.
    pub whole: bool,
    /// With which the next page is asked for; nothing after the last one.
    pub continuation: Option<String>,
}

/// Answers a query, a page at a time.
///
/// # Errors
/// [`EngineError::Invalid`] for text that is no query or a continuation that is none, [`EngineError::Denied`].
pub async fn query(
    engine: &Engine,
    caller: &Caller,
    text: &str,
    limit: u32,
    continuation: Option<&str>,
) -> Result<Results, EngineError> {
    caller.require(Permission::DevicesView)?;
    let query = Query::parse(text)?;
    let place = continuation.map(Place::read).transpose()?;
    let limit = limit.clamp(1, MAX_PAGE) as usize;
    let whole = query.projection == muster_model::query::Projection::All;
    if query.source != Source::Devices {
        // There are no modules and no jobs yet.
        let items = if query.is_plain() { Vec::new() } else { Selection::new(&query).finish() };
        return Ok(Results { items, whole, continuation: None });
    }
    let (items, continuation) = if query.is_plain() {
        plain(engine, caller, &query, limit, place.unwrap_or_default()).await?
    } else {
        seen(engine, caller, &query, limit, place.unwrap_or_default()).await?
    };
    Ok(Results { items, whole, continuation: continuation.map(|place| place.write()) })
}

/// Where the next page begins.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// The last device that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<DeviceId>,
    /// How many results there were before.
    given: u64,
}

impl Place {
    fn read(text: &str) -> Result<Self, EngineError> {
        let place = BASE64.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
        place.ok_or_else(|| EngineError::invalid("continuation", "the continuation is not one of this hub's"))
    }

    fn write(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Results that come one from each document.
async fn plain(
    engine: &Engine,
    caller: &Caller,
    query: &Query,
    limit: usize,
    mut place: Place,
) -> Result<(Vec<Value>, Option<Place>), EngineError> {
    let mut items = Vec::new();
    loop {
        let Documents { documents, more } = documents(engine, caller, place.after.take()).await?;
        let count = documents.len();
        for (index, (id, document)) in documents.into_iter().enumerate() {
            if query.top.is_some_and(|top| place.given >= top) {
                return Ok((items, None));
            }
            if query.wants(&document) {
                items.push(query.project(document));
                place.given += 1;
            }
            let last = !more && index + 1 == count;
            place.after = Some(id);
            if items.len() == limit {
                return Ok((items, (!last).then_some(place)));
            }
        }
        if !more {
            return Ok((items, None));
        }
    }
}

/// Results that are known only when every document was seen.
async fn seen(
    engine: &Engine,
    caller: &Caller,
    query: &Query,
    limit: usize,
    place: Place,
) -> Result<(Vec<Value>, Option<Place>), EngineError> {
    let mut selection = Selection::new(query);
    let (mut after, mut count) = (None, 0);
    loop {
        let Documents { documents, more } = documents(engine, caller, after.take()).await?;
        count += documents.len();
        if count > MAX_SEEN {
            return Err(EngineError::invalid("query", format!("the query is over more than {MAX_SEEN} devices")));
        }
        after = documents.last().map(|(id, _)| id.clone());
        for (_, document) in documents.into_iter().filter(|(_, document)| query.wants(document)) {
            selection.add(document);
        }
        if !more {
            break;
        }
    }
    let results = selection.finish();
    let (total, before) = (results.len(), usize::try_from(place.given).unwrap_or(usize::MAX));
    let items: Vec<Value> = results.into_iter().skip(before).take(limit).collect();
    let given = before.saturating_add(items.len());
    let next = (given < total).then_some(Place { after: None, given: given as u64 });
    Ok((items, next))
}

/// Twins' documents in the order of their ids.
struct Documents {
    documents: Vec<(DeviceId, Value)>,
    more: bool,
}

async fn documents(engine: &Engine, caller: &Caller, after: Option<DeviceId>) -> Result<Documents, EngineError> {
    let scope = &caller.scope;
    let tx = engine.store().begin_read(scope).await?;
    let page = stored::list(&tx, scope, &DeviceFilter::default(), Paging { after, limit: MAX_PAGE }).await?;
    let keys: Vec<DeviceKey> = page.items.iter().map(|device| device.key).collect();
    let mut twins: HashMap<DeviceKey, _> = twins::list_by_keys(&tx, scope, &keys).await?.into_iter().collect();
    let facts = facts(&tx, engine, scope, &keys).await?;
    let document = |device: Device| {
        // One that was deleted between the two reads is gone.
        let twin = twins.remove(&device.key)?;
        Some((device.id.clone(), registry::twin(&device, &twin, facts.of(device.key))))
    };
    Ok(Documents { documents: page.items.into_iter().filter_map(document).collect(), more: page.more })
}

/// What belongs to devices and stands elsewhere.
pub(crate) struct AllFacts {
    of: HashMap<DeviceKey, Facts>,
    none: Facts,
}

impl AllFacts {
    pub(crate) fn of(&self, device: DeviceKey) -> &Facts {
        self.of.get(&device).unwrap_or(&self.none)
    }
}

/// How devices prove who they are, and how many messages wait for them; at most [`MAX_PAGE`] devices.
pub(crate) async fn facts(
    tx: &Tx,
    engine: &Engine,
    scope: &Scope,
    keys: &[DeviceKey],
) -> Result<AllFacts, EngineError> {
    let mut messages: HashMap<DeviceKey, i64> = c2d::count_by_keys(tx, scope, keys).await?.into_iter().collect();
    let mut of = HashMap::new();
    for (device, sealed) in stored::list_credentials_by_keys(tx, scope, keys).await? {
        let proof = proof(devices::open_keys(engine, device, &sealed)?);
        of.insert(device, Facts { proof, messages: messages.remove(&device).unwrap_or_default() });
    }
    let nothing = SymmetricKeys { primary_key: String::new(), secondary_key: String::new() };
    Ok(AllFacts { of, none: Facts { proof: Proof::Sas(nothing), messages: 0 } })
}

async fn find(engine: &Engine, caller: &Caller, id: &DeviceId) -> Result<Device, EngineError> {
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(stored::get(&tx, &caller.scope, id).await?)
}

/// Makes the rest of a change; the identity after it.
async fn finish(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    patch: DevicePatch,
    authentication: Option<Authentication>,
) -> Result<Value, EngineError> {
    devices::update(engine, caller, id, patch, &IfMatch::Any).await?;
    if let Some(wanted) = authentication
        // Written back as it was read, it ends no connection.
        && authentication::get(engine, caller, id).await.ok().as_ref() != Some(&wanted)
    {
        authentication::set(engine, caller, id, wanted).await?;
    }
    get(engine, caller, id).await
}

fn proof(keys: DeviceKeys) -> Proof {
    match keys.x509 {
        None => Proof::Sas(keys.keys),
        Some(X509::SelfSigned { primary, secondary }) => Proof::SelfSigned { primary, secondary },
        Some(X509::CertificateAuthority) => Proof::CertificateAuthority,
    }
}

impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        Problem::new("query", error.to_string()).into()
    }
}

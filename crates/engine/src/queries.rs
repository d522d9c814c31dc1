//! Queries over the twins of devices and modules, and over what jobs did (`iot-hub-wire.md` §8).

use crate::{Engine, EngineError, Problem, registry_service};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_model::{
    Address, Caller, DeviceId, DeviceKey, JobId, ModuleId, Permission,
    device::Device,
    job::{DeviceOutcome, Realm},
    query::{Projection, Query, QueryError, Selection, Source},
    registry,
};
use muster_store::{
    MAX_PAGE, Paging,
    devices::{self as stored, DeviceFilter},
    jobs::{self, JobDevice},
    modules, twins,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Devices that a query that must see all of them may see.
const MAX_SEEN: usize = 200_000;

/// One page of a query's results.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The results.
    pub items: Vec<Value>,
    /// What they are.
    pub kind: Kind,
    /// With which the next page is asked for; nothing after the last one.
    pub continuation: Option<String>,
}

/// What a query's results are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole twins.
    Twin,
    /// What jobs did to devices.
    DeviceJob,
    /// Parts, or numbers.
    Raw,
}

/// Answers a query, a page at a time.
///
/// # Errors
/// [`EngineError::Invalid`] for text that is no query or a continuation that is none, [`EngineError::Denied`].
pub async fn run(
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
    let kind = match (&query.projection, query.source) {
        (Projection::All, Source::Devices | Source::Modules) => Kind::Twin,
        (Projection::All, Source::Jobs) => Kind::DeviceJob,
        _ => Kind::Raw,
    };
    let (items, continuation) = if query.is_plain() {
        plain(engine, caller, &query, limit, place.unwrap_or_default()).await?
    } else {
        seen(engine, caller, &query, limit, place.unwrap_or_default()).await?
    };
    Ok(Results { items, kind, continuation: continuation.map(|place| place.write()) })
}

/// Where the next page begins.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// The last document that was seen, by its key in the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
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
        let Documents { documents, more } = documents(engine, caller, query.source, place.after.take()).await?;
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
        let Documents { documents, more } = documents(engine, caller, query.source, after.take()).await?;
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

/// Documents of a source in the order of their keys.
pub(crate) struct Documents {
    pub(crate) documents: Vec<(String, Value)>,
    /// Are there more after the last one?
    pub(crate) more: bool,
}

/// The page of documents after this key.
pub(crate) async fn documents(
    engine: &Engine,
    caller: &Caller,
    source: Source,
    after: Option<String>,
) -> Result<Documents, EngineError> {
    let scope = &caller.scope;
    let foreign = |_| EngineError::invalid("continuation", "the continuation is of another query");
    let tx = engine.store().begin_read(scope).await?;
    let identities: (Vec<(Device, Option<ModuleId>)>, bool) = match source {
        Source::Devices => {
            let after = after.map(DeviceId::parse).transpose().map_err(foreign)?;
            let page = stored::list(&tx, scope, &DeviceFilter::default(), Paging { after, limit: MAX_PAGE }).await?;
            (page.items.into_iter().map(|device| (device, None)).collect(), page.more)
        }
        Source::Modules => {
            let after = after.map(Address::try_from).transpose().map_err(foreign)?;
            let page = modules::list(&tx, scope, Paging { after, limit: MAX_PAGE }).await?;
            (page.items.into_iter().map(|module| (module.identity, Some(module.id))).collect(), page.more)
        }
        Source::Jobs => {
            let after = after.map(|text| job_key(&text)).transpose()?;
            let page = jobs::list_devices(&tx, scope, Realm::Hub, Paging { after, limit: MAX_PAGE }).await?;
            let document = |device: JobDevice| (format!("{}/{}", device.job, device.device), job_document(device));
            return Ok(Documents { documents: page.items.into_iter().map(document).collect(), more: page.more });
        }
    };
    let (identities, more) = identities;
    let keys: Vec<DeviceKey> = identities.iter().map(|(device, _)| device.key).collect();
    let mut twins: HashMap<DeviceKey, _> = twins::list_by_keys(&tx, scope, &keys).await?.into_iter().collect();
    let facts = registry_service::facts(&tx, engine, scope, &keys).await?;
    let document = |(device, module): (Device, Option<ModuleId>)| {
        // One that was deleted between the two reads is gone.
        let twin = twins.remove(&device.key)?;
        let document = registry::twin(&device, module.as_ref(), &twin, facts.of(device.key));
        Some((Address { device: device.id, module }.to_string(), document))
    };
    Ok(Documents { documents: identities.into_iter().filter_map(document).collect(), more })
}

/// No id has a slash.
fn job_key(text: &str) -> Result<(JobId, DeviceId), EngineError> {
    let foreign = || EngineError::invalid("continuation", "the continuation is of another query");
    let (job, device) = text.split_once('/').ok_or_else(foreign)?;
    Ok((job.parse().map_err(|_| foreign())?, device.parse().map_err(|_| foreign())?))
}

/// What became of a device in a job.
fn job_document(device: JobDevice) -> Value {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut document = json!({
        "deviceId": device.device,
        "jobId": device.job,
        "jobType": device.kind,
        "status": device.outcome.name(),
        "createdDateTimeUtc": time(device.created_at),
        "lastUpdatedDateTimeUtc": time(device.changed_at),
    });
    let result = if device.outcome == DeviceOutcome::Failed { "error" } else { "outcome" };
    let parts = [
        ("startTimeUtc", device.started_at.map(|at| time(at).into())),
        ("endTimeUtc", device.ended_at.map(|at| time(at).into())),
        (result, device.result),
    ];
    for (name, value) in parts {
        if let Some(value) = value {
            document[name] = value;
        }
    }
    document
}

impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        Problem::new("query", error.to_string()).into()
    }
}

//! Devices move to another template, as a job, and back.

use super::load;
use crate::{
    Engine, EngineError, Page, Paging, Problem,
    audit::{self, Entry},
    jobs::{self as work, MAX_SECONDS, Progress},
    notices::NoticeKind,
    rules,
};
use muster_model::{
    Caller, DeviceId, JobId, Permission, TemplateId,
    job::{Job, JobStatus, Order, Realm, Work},
    template::{Kind, Template},
};
use muster_store::{
    MAX_PAGE, Tx,
    devices::{self, DeviceFilter},
    jobs::{self, JobDevice, JobFilter},
    telemetry, templates, twins,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Devices that one request may name.
pub const MAX_NAMED: usize = 1000;

/// Moves devices from one template to another, all that have it where none are named. Each keeps the data that it has
/// sent, and rules and dashboards go on where what they name is untouched.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`] for devices without the template or a template that cannot be
/// had, [`EngineError::TooMany`], [`EngineError::Denied`].
pub async fn migrate(
    engine: &Engine,
    caller: &Caller,
    (from, to): (&TemplateId, &TemplateId),
    named: Option<Vec<DeviceId>>,
) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    templates::get(&tx, &caller.scope, from).await?;
    check_target(&tx, caller, (from, to)).await?;
    let job = insert(&tx, engine, caller, Work::MigrateTemplate { from: from.clone(), to: to.clone(), undoes: None });
    let job = job.await?;
    match named {
        Some(named) => {
            check_named(&tx, caller, from, &named).await?;
            add(&tx, engine, caller, &job.id, &named).await?;
        }
        None => {
            let filter = DeviceFilter { template: Some(from.clone()), ..DeviceFilter::default() };
            let mut paging = Paging::first(MAX_PAGE);
            loop {
                let page = devices::list(&tx, &caller.scope, &filter, paging).await?;
                let ids: Vec<DeviceId> = page.items.into_iter().map(|device| device.id).collect();
                add(&tx, engine, caller, &job.id, &ids).await?;
                match ids.last() {
                    Some(last) if page.more => paging = Paging::after(last.clone(), MAX_PAGE),
                    _ => break,
                }
            }
        }
    }
    made(tx, caller, job).await
}

/// Moves the devices of a migration that is over back to the template that they had. One that has got another
/// template since then stays.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Conflict`] while it still runs, [`EngineError::Invalid`],
/// [`EngineError::Denied`].
pub async fn undo(
    engine: &Engine,
    caller: &Caller,
    template: &TemplateId,
    id: &JobId,
) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let (job, from, to) = find(&tx, caller, template, id).await?;
    if !job.status.is_over() {
        return Err(EngineError::conflict("migration", id, "still runs: end it first"));
    }
    check_target(&tx, caller, (&to, &from)).await?;
    let back = Work::MigrateTemplate { from: to, to: from, undoes: Some(id.clone()) };
    let job = insert(&tx, engine, caller, back).await?;
    jobs::add_completed_of(&tx, &caller.scope, (Realm::Templates, &job.id), id, engine.clock().now()).await?;
    made(tx, caller, job).await
}

async fn made(tx: Tx, caller: &Caller, job: Job) -> Result<Progress, EngineError> {
    let counts = jobs::counts(&tx, &caller.scope, Realm::Templates, &job.id).await?;
    tx.commit().await?;
    Ok(Progress { job, counts })
}

/// Ends a migration: devices whose turn has not come stay.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn cancel(
    engine: &Engine,
    caller: &Caller,
    template: &TemplateId,
    id: &JobId,
) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesUpdate)?;
    let tx = engine.store().begin(&caller.scope).await?;
    find(&tx, caller, template, id).await?;
    if jobs::end(&tx, &caller.scope, (Realm::Templates, id), (JobStatus::Cancelled, None), engine.clock().now()).await?
    {
        audit::record(&tx, engine, caller, Entry::new("cancelled", "migration", id)).await?;
    }
    let (job, ..) = find(&tx, caller, template, id).await?;
    made(tx, caller, job).await
}

/// A migration from or to a template.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn get(engine: &Engine, caller: &Caller, template: &TemplateId, id: &JobId) -> Result<Progress, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let (job, ..) = find(&tx, caller, template, id).await?;
    made(tx, caller, job).await
}

/// The migrations from and to a template of the last 30 days, newest first.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller, template: &TemplateId) -> Result<Vec<Progress>, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    templates::get(&tx, &caller.scope, template).await?;
    let all = JobFilter::default();
    let jobs = jobs::list(&tx, &caller.scope, Realm::Templates, &all, Paging::first(MAX_PAGE)).await?;
    let mut found = Vec::new();
    for job in jobs.items.into_iter().filter(|job| is_of(job, template)) {
        let counts = jobs::counts(&tx, &caller.scope, Realm::Templates, &job.id).await?;
        found.push(Progress { job, counts });
    }
    // Their ids grow with time.
    found.reverse();
    Ok(found)
}

/// What became of each device of a migration.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn report(
    engine: &Engine,
    caller: &Caller,
    (template, id): (&TemplateId, &JobId),
    paging: Paging<DeviceId>,
) -> Result<Page<JobDevice>, EngineError> {
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    find(&tx, caller, template, id).await?;
    Ok(jobs::list_devices_of(&tx, &caller.scope, (Realm::Templates, id), paging).await?)
}

fn is_of(job: &Job, template: &TemplateId) -> bool {
    matches!(&job.order.work, Work::MigrateTemplate { from, to, .. } if from == template || to == template)
}

async fn find(
    tx: &Tx,
    caller: &Caller,
    template: &TemplateId,
    id: &JobId,
) -> Result<(Job, TemplateId, TemplateId), EngineError> {
    let job = jobs::get(tx, &caller.scope, Realm::Templates, id).await?;
    match &job.order.work {
        Work::MigrateTemplate { from, to, .. } if from == template || to == template => {
            let (from, to) = (from.clone(), to.clone());
            Ok((job, from, to))
        }
        _ => Err(EngineError::not_found("migration", id)),
    }
}

async fn insert(tx: &Tx, engine: &Engine, caller: &Caller, work: Work) -> Result<Job, EngineError> {
    let open = jobs::count_open(tx, &caller.scope, Realm::Templates).await?;
    if open >= work::MAX_OPEN {
        return Err(EngineError::TooMany { retry_after: std::time::Duration::from_secs(60) });
    }
    let now = engine.clock().now();
    let id: JobId = Uuid::now_v7().to_string().parse()?;
    let job = Job {
        id,
        order: Order { condition: String::new(), max_seconds: MAX_SECONDS, work },
        status: JobStatus::Scheduled,
        failure: None,
        created_at: now,
        starts_at: now,
        started_at: None,
        ended_at: None,
    };
    jobs::insert(tx, &caller.scope, Realm::Templates, &job).await?;
    let details = serde_json::to_value(&job.order.work).ok().and_then(|work| work.as_object().cloned());
    let entry = Entry::new("created", "migration", &job.id).with(details.unwrap_or_default());
    audit::record(tx, engine, caller, entry).await?;
    Ok(job)
}

async fn add(tx: &Tx, engine: &Engine, caller: &Caller, id: &JobId, ids: &[DeviceId]) -> Result<(), EngineError> {
    let now = engine.clock().now();
    Ok(jobs::add_devices(tx, &caller.scope, (Realm::Templates, id), (ids, None), now).await?)
}

async fn check_target(tx: &Tx, caller: &Caller, (from, to): (&TemplateId, &TemplateId)) -> Result<(), EngineError> {
    let (code, what) = match templates::find(tx, &caller.scope, to).await? {
        _ if from == to => ("sameTemplate", "is the one that they have"),
        Some(template) if template.published => return Ok(()),
        Some(_) => ("unpublishedTemplate", "is a draft: publish it first"),
        None => ("unknownTemplate", "does not exist"),
    };
    Err(Problem::at(code, "/to", format!("device template '{to}' {what}")).into())
}

async fn check_named(tx: &Tx, caller: &Caller, from: &TemplateId, named: &[DeviceId]) -> Result<(), EngineError> {
    if named.is_empty() || named.len() > MAX_NAMED {
        return Err(Problem::at("deviceCount", "/devices", format!("name 1 to {MAX_NAMED} devices")).into());
    }
    let found = devices::list_by_ids(tx, &caller.scope, named).await?;
    let has: BTreeSet<&DeviceId> =
        found.iter().filter(|device| device.template.as_ref() == Some(from)).map(|device| &device.id).collect();
    let problems: Vec<Problem> = named
        .iter()
        .enumerate()
        .filter(|(_, id)| !has.contains(id))
        .map(|(index, id)| {
            let message = format!("there is no device '{id}' of this template");
            Problem::at("unknownDevice", format!("/devices/{index}"), message)
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(EngineError::Invalid { problems }) }
}

/// Moves one device; what of it the new template does not know. Moving it twice is moving it once.
pub(crate) async fn move_device(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceId,
    (from, to): (&TemplateId, &TemplateId),
) -> Result<Value, EngineError> {
    let tx = engine.store().begin(&caller.scope).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let moved = device.template.as_ref() == Some(to);
    if !moved && device.template.as_ref() != Some(from) {
        return Err(EngineError::invalid("otherTemplate", format!("device '{id}' has another template by now")));
    }
    let before = templates::find(&tx, &caller.scope, from).await?.map(load).transpose()?;
    let after = load(templates::get(&tx, &caller.scope, to).await?)?;
    let key = device.key;
    let latest = telemetry::latest(&tx, &caller.scope, &[key]).await?.remove(&key).unwrap_or_default();
    let was = |path: &&String| before.as_ref().is_none_or(|before| before.telemetry(path).is_some());
    let lost: Vec<&String> = latest.values.keys().filter(was).filter(|path| after.telemetry(path).is_none()).collect();
    let twin = twins::get(&tx, &caller.scope, key).await?;
    let properties = [&twin.reported, &twin.desired].into_iter().flat_map(property_keys).collect::<BTreeSet<_>>();
    let known = |template: &Template, key: &str| {
        template.capability(key).is_some_and(|capability| matches!(capability.kind, Kind::Property { .. }))
    };
    let was = |key: &&String| before.as_ref().is_none_or(|before| known(before, key));
    let unknown: Vec<&String> = properties.iter().filter(was).filter(|key| !known(&after, key)).collect();
    let report = json!({"telemetry": lost, "properties": unknown});
    if moved {
        return Ok(report);
    }
    let now = engine.clock().now();
    rules::clear_unwatched(&tx, &caller.scope, key, Some(&after), now).await?;
    let device = muster_model::device::Device { template: Some(to.clone()), ..device };
    devices::update(&tx, &caller.scope, &device).await?;
    let details = Map::from_iter([("template".to_owned(), json!(to)), ("before".to_owned(), json!(from))]);
    audit::record(&tx, engine, caller, Entry::new("migrated", "device", id).with(details)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Device, id).await;
    Ok(report)
}

/// The keys of a section of a twin: `target`, `thermostat1.maxTemp`.
fn property_keys(section: &Map<String, Value>) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in section.iter().filter(|(name, _)| !name.starts_with('$')) {
        match value.as_object().filter(|members| members.get("__t").is_some_and(|mark| mark == "c")) {
            Some(members) => {
                keys.extend(members.keys().filter(|member| *member != "__t").map(|member| format!("{name}.{member}")));
            }
            None => keys.push(name.clone()),
        }
    }
    keys
}

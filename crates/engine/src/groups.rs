//! Device groups: make, change, delete, and who is in one.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    devices::check_name,
    precondition::IfMatch,
    templates::{self, etag},
};
use muster_model::{
    Caller, DeviceGroupId, DeviceId, DeviceKey, Permission, TemplateId,
    device::{Device, Twin},
    group::{DeviceGroup, GroupQuery, GroupQueryError},
    template::{Reference, Template},
};
use muster_store::{
    MAX_PAGE, Paging, Tx,
    devices::{self, DeviceFilter},
    groups, templates as stored, twins,
};
use serde_json::{Map, json};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Groups of a tenant (`iot-central.md` §8), beside those that come with templates.
pub const MAX_GROUPS: u64 = 500;
/// Devices that one page of members looks at; a group of few among many comes in pages that are short.
const MAX_SEEN: usize = 10_000;
const MAX_DESCRIPTION_CHARS: usize = 1_024;

/// What a group is to be.
#[derive(Debug, Clone)]
pub struct NewGroup {
    /// The name shown to people.
    pub display_name: String,
    /// What it is for.
    pub description: String,
    /// Its query.
    pub filter: String,
}

/// What is to change of a group.
#[derive(Debug, Clone, Default)]
pub struct GroupPatch {
    /// A new name.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Another query.
    pub filter: Option<String>,
}

/// Makes a group or replaces it.
///
/// # Errors
/// [`EngineError::Invalid`] for a query that cannot be read or names what the template does not have,
/// [`EngineError::Conflict`] beyond [`MAX_GROUPS`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn put(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceGroupId,
    new: NewGroup,
    condition: &IfMatch,
) -> Result<DeviceGroup, EngineError> {
    caller.require(Permission::GroupsManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    if let Some(before) = groups::find(&tx, &caller.scope, id).await? {
        condition.check("device group", id, &etag(before.version))?;
        let NewGroup { display_name, description, filter } = new;
        return change(engine, caller, tx, DeviceGroup { display_name, description, filter, ..before }).await;
    }
    if *condition != IfMatch::Any {
        return Err(EngineError::PreconditionFailed { kind: "device group", id: id.to_string() });
    }
    if groups::count_made(&tx, &caller.scope).await? >= MAX_GROUPS {
        let reason = format!("would be more than {MAX_GROUPS} groups");
        return Err(EngineError::conflict("device group", id, reason));
    }
    let group = new_group(engine, id.clone(), new, None);
    let references = checked(&tx, caller, &group).await?;
    groups::insert(&tx, &caller.scope, &group, &references).await?;
    record(&tx, engine, caller, "created", &group).await?;
    tx.commit().await?;
    Ok(group)
}

/// Changes parts of a group.
///
/// # Errors
/// [`EngineError::NotFound`], and as [`put`].
pub async fn patch(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceGroupId,
    patch: GroupPatch,
    condition: &IfMatch,
) -> Result<DeviceGroup, EngineError> {
    caller.require(Permission::GroupsManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = groups::get(&tx, &caller.scope, id).await?;
    condition.check("device group", id, &etag(before.version))?;
    let after = DeviceGroup {
        display_name: patch.display_name.unwrap_or_else(|| before.display_name.clone()),
        description: patch.description.unwrap_or_else(|| before.description.clone()),
        filter: patch.filter.unwrap_or_else(|| before.filter.clone()),
        ..before
    };
    change(engine, caller, tx, after).await
}

async fn change(engine: &Engine, caller: &Caller, tx: Tx, mut group: DeviceGroup) -> Result<DeviceGroup, EngineError> {
    // With a query of its own, it is no longer what came with the template.
    group.automatic_of = group.automatic_of.filter(|template| GroupQuery::of_template(template) == group.filter);
    group.updated_at = engine.clock().now();
    let references = checked(&tx, caller, &group).await?;
    group.version = groups::update(&tx, &caller.scope, &group, &references).await?;
    record(&tx, engine, caller, "updated", &group).await?;
    tx.commit().await?;
    Ok(group)
}

/// Deletes a group; its devices stay.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceGroupId,
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::GroupsManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let group = groups::get(&tx, &caller.scope, id).await?;
    condition.check("device group", id, &etag(group.version))?;
    groups::delete(&tx, &caller.scope, id).await?;
    record(&tx, engine, caller, "deleted", &group).await?;
    Ok(tx.commit().await?)
}

/// Gives a template the group of all its devices.
pub(crate) async fn add_automatic(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    template: &Template,
) -> Result<(), EngineError> {
    let id = DeviceGroupId::parse(Uuid::now_v7().to_string())?;
    let new = NewGroup {
        display_name: format!("{}: all devices", template.display_name),
        description: String::new(),
        filter: GroupQuery::of_template(&template.id),
    };
    let group = new_group(engine, id, new, Some(template.id.clone()));
    groups::insert(tx, &caller.scope, &group, &BTreeSet::new()).await?;
    record(tx, engine, caller, "created", &group).await
}

fn new_group(engine: &Engine, id: DeviceGroupId, new: NewGroup, automatic_of: Option<TemplateId>) -> DeviceGroup {
    let NewGroup { display_name, description, filter } = new;
    let now = engine.clock().now();
    DeviceGroup { id, display_name, description, filter, automatic_of, version: 1, created_at: now, updated_at: now }
}

/// Checks a group and returns what it names; what came with a template goes with it, and holds it by nothing.
async fn checked(tx: &Tx, caller: &Caller, group: &DeviceGroup) -> Result<BTreeSet<Reference>, EngineError> {
    check_name(&group.display_name)?;
    if group.description.chars().count() > MAX_DESCRIPTION_CHARS {
        let message = format!("the description is longer than {MAX_DESCRIPTION_CHARS} characters");
        return Err(Problem::at("tooLong", "/description", message).into());
    }
    let (query, _) = read(tx, caller, &group.filter).await?;
    Ok(if group.automatic_of.is_some() { BTreeSet::new() } else { query.references() })
}

/// Reads a query, and the template that it names.
async fn read(tx: &Tx, caller: &Caller, filter: &str) -> Result<(GroupQuery, Option<Template>), EngineError> {
    let query = GroupQuery::parse(filter).map_err(refused)?;
    let Some(id) = query.template() else { return Ok((query, None)) };
    let Some(template) = stored::find(tx, &caller.scope, &id).await? else {
        return Err(Problem::at("unknownTemplate", "/filter", format!("there is no device template '{id}'")).into());
    };
    let template = templates::load(template)?;
    query.check(&template).map_err(refused)?;
    Ok((query, Some(template)))
}

fn refused(error: GroupQueryError) -> EngineError {
    Problem::at("filter", "/filter", error.to_string()).into()
}

async fn record(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    action: &'static str,
    group: &DeviceGroup,
) -> Result<(), EngineError> {
    let details = Map::from_iter([
        ("displayName".to_owned(), json!(group.display_name)),
        ("filter".to_owned(), json!(group.filter)),
    ]);
    audit::record(tx, engine, caller, Entry::new(action, "deviceGroup", &group.id).with(details)).await
}

/// A page of a group's devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Members {
    /// The devices, in the order of their ids; fewer than asked for where few of many are in the group.
    pub devices: Vec<Device>,
    /// After which device the next page begins; none after the last page.
    pub next: Option<DeviceId>,
}

/// Who is in a group.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`] where the query's template is gone, [`EngineError::Denied`].
pub async fn members(
    engine: &Engine,
    caller: &Caller,
    id: &DeviceGroupId,
    paging: Paging<DeviceId>,
) -> Result<Members, EngineError> {
    caller.require(Permission::GroupsView)?;
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let group = groups::get(&tx, &caller.scope, id).await?;
    matching(&tx, caller, &group.filter, paging).await
}

/// Who would be in a group of this query.
///
/// # Errors
/// As [`members`] and [`put`].
pub async fn preview(
    engine: &Engine,
    caller: &Caller,
    filter: &str,
    paging: Paging<DeviceId>,
) -> Result<Members, EngineError> {
    caller.require(Permission::GroupsView)?;
    caller.require(Permission::DevicesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    matching(&tx, caller, filter, paging).await
}

async fn matching(tx: &Tx, caller: &Caller, filter: &str, paging: Paging<DeviceId>) -> Result<Members, EngineError> {
    let (query, template) = read(tx, caller, filter).await?;
    // What the query demands of every device is the database's to find.
    let demanded = DeviceFilter {
        template: query.template(),
        simulated: query.truth("$simulated"),
        enabled: query.truth("$enabled"),
        ..DeviceFilter::default()
    };
    let wanted = paging.limit as usize;
    let (mut after, mut found, mut seen) = (paging.after, Vec::new(), 0);
    loop {
        let page = devices::list(tx, &caller.scope, &demanded, Paging { after, limit: MAX_PAGE }).await?;
        let keys: Vec<DeviceKey> = page.items.iter().map(|device| device.key).collect();
        let twins: HashMap<DeviceKey, Twin> =
            twins::list_by_keys(tx, &caller.scope, &keys).await?.into_iter().collect();
        seen += page.items.len();
        let last = page.items.last().map(|device| device.id.clone());
        for device in page.items {
            let in_group = twins.get(&device.key).is_some_and(|twin| query.wants(&device, twin, template.as_ref()));
            if !in_group {
                continue;
            }
            if found.len() == wanted {
                let next = found.last().map(|last: &Device| last.id.clone());
                return Ok(Members { devices: found, next });
            }
            found.push(device);
        }
        if !page.more {
            return Ok(Members { devices: found, next: None });
        }
        if seen >= MAX_SEEN {
            return Ok(Members { devices: found, next: last });
        }
        after = last;
    }
}

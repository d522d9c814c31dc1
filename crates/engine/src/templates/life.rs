//! The life of a template: draft, published, next version; and what a change or a delete would break.

use super::{etag, insert, invalid, load, note_publication, record, refuse_breaking, views};
use crate::{
    Engine, EngineError,
    audit::{self, Entry},
    groups,
    notices::NoticeKind,
    precondition::IfMatch,
};
use muster_model::{
    Caller, Permission, TemplateId,
    template::{Change, Template, carries, compare},
};
use muster_store::{
    Tx,
    devices::{self, DeviceFilter},
    references::{self, Uses},
    templates::{self, Publication, StoredTemplate},
};

/// Publications of a version that are told.
const MAX_PUBLICATIONS: u32 = 100;

/// Saves a draft, which no device sees until it is published. A template that does not exist yet is made by it.
///
/// # Errors
/// [`EngineError::Invalid`] with every problem, [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn save_draft(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    text: &str,
    condition: &IfMatch,
) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let mut template = Template::import_text(text, Some(id.clone())).map_err(invalid)?;
    template.published = false;
    let tx = engine.store().begin(&caller.scope).await?;
    match templates::find(&tx, &caller.scope, id).await? {
        None if *condition != IfMatch::Any => {
            return Err(EngineError::PreconditionFailed { kind: "device template", id: id.to_string() });
        }
        None => insert(&tx, engine, caller, &template, Vec::new()).await?,
        Some(existing) => {
            condition.check("device template", id, &etag(existing.version))?;
            let row = match existing.published {
                true => StoredTemplate { draft: Some(template.document.clone()), ..existing },
                false => StoredTemplate {
                    document: template.document.clone(),
                    display_name: template.display_name.clone(),
                    ..existing
                },
            };
            let row = StoredTemplate { updated_at: engine.clock().now(), ..row };
            template.version = templates::update(&tx, &caller.scope, &row).await?;
            record(&tx, engine, caller, "draftSaved", &template).await?;
        }
    }
    template.draft = true;
    tx.commit().await?;
    Ok(template)
}

/// The draft of a template.
///
/// # Errors
/// [`EngineError::NotFound`] without one, [`EngineError::Denied`].
pub async fn draft(engine: &Engine, caller: &Caller, id: &TemplateId) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    of_draft(templates::get(&tx, &caller.scope, id).await?)
}

fn of_draft(stored: StoredTemplate) -> Result<Template, EngineError> {
    let document = match stored.draft.clone() {
        Some(draft) => draft,
        None if !stored.published => stored.document.clone(),
        None => return Err(EngineError::not_found("draft of device template", &stored.id)),
    };
    let template = load(StoredTemplate { document, ..stored })?;
    Ok(Template { published: false, draft: true, ..template })
}

/// Throws the draft of a published template away. A template that was never published is deleted instead.
///
/// # Errors
/// [`EngineError::NotFound`] without a draft, [`EngineError::Conflict`] for one that was never published,
/// [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn discard_draft(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let stored = templates::get(&tx, &caller.scope, id).await?;
    condition.check("device template", id, &etag(stored.version))?;
    if !stored.published {
        return Err(EngineError::conflict("device template", id, "was never published: delete it"));
    }
    if stored.draft.is_none() {
        return Err(EngineError::not_found("draft of device template", id));
    }
    let row = StoredTemplate { draft: None, updated_at: engine.clock().now(), ..stored };
    templates::update(&tx, &caller.scope, &row).await?;
    audit::record(&tx, engine, caller, Entry::new("draftDiscarded", "deviceTemplate", id)).await?;
    Ok(tx.commit().await?)
}

/// Publishes the draft: every device of the template has it at once.
///
/// # Errors
/// [`EngineError::NotFound`] without a draft, [`EngineError::Blocked`] with what it would break,
/// [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn publish(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    condition: &IfMatch,
) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let stored = templates::get(&tx, &caller.scope, id).await?;
    condition.check("device template", id, &etag(stored.version))?;
    let mut template = of_draft(stored.clone())?;
    let first = !stored.published;
    let before = match stored.published {
        true => Some(load(stored.clone())?),
        false => source(&tx, caller, id).await?,
    };
    let changes = before.map(|before| compare(&before, &template)).unwrap_or_default();
    if stored.published {
        refuse_breaking(id, &changes)?;
    }
    let row = StoredTemplate {
        display_name: template.display_name.clone(),
        document: template.document.clone(),
        published: true,
        draft: None,
        updated_at: engine.clock().now(),
        ..stored
    };
    template.version = templates::update(&tx, &caller.scope, &row).await?;
    if first {
        groups::add_automatic(&tx, engine, caller, &template).await?;
    }
    (template.published, template.draft) = (true, false);
    note_publication(&tx, engine, caller, (id, template.version), changes).await?;
    record(&tx, engine, caller, "published", &template).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, id).await;
    Ok(template)
}

/// The version before this one, where there is one.
async fn source(tx: &Tx, caller: &Caller, id: &TemplateId) -> Result<Option<Template>, EngineError> {
    let family = templates::list_family(tx, &caller.scope, id).await?;
    let older = family.into_iter().filter(|other| other.published && other.id.number() < id.number());
    older.max_by_key(|other| other.id.number()).map(load).transpose()
}

/// What a new version is made from.
#[derive(Debug, Clone, Copy)]
pub enum VersionFrom<'a> {
    /// The draft, or what is published where there is none. The draft leaves the old version.
    Draft,
    /// This text, in any form that [`super::put`] takes.
    Text(&'a str),
}

/// What a new version is at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Devices can have it.
    Published,
    /// A draft.
    Draft,
}

/// Makes the next version of a template: a template of its own, to which nothing is attached.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`], [`EngineError::Conflict`] where there are too many versions,
/// [`EngineError::Denied`].
pub async fn new_version(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    from: VersionFrom<'_>,
    lifecycle: Lifecycle,
) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let stored = templates::get(&tx, &caller.scope, id).await?;
    let before = load(stored.clone())?;
    let proposed = match from {
        VersionFrom::Text(text) => Template::import_text(text, Some(id.clone())).map_err(invalid)?,
        VersionFrom::Draft if stored.draft.is_some() => of_draft(stored.clone())?,
        VersionFrom::Draft => before.clone(),
    };
    let family = templates::list_family(&tx, &caller.scope, id).await?;
    if family.len() as u64 >= templates::MAX_FAMILY {
        let reason = format!("has {} versions already: delete one", templates::MAX_FAMILY);
        return Err(EngineError::conflict("device template", id, reason));
    }
    let family = family.into_iter().map(load).collect::<Result<Vec<_>, _>>()?;
    let mut next = before.next_version(&proposed, &family).map_err(invalid)?;
    next.published = lifecycle == Lifecycle::Published;
    next.draft = !next.published;
    insert(&tx, engine, caller, &next, capability_changes(&before, &next)).await?;
    views::carry(&tx, engine, caller, (&before, &next)).await?;
    if matches!(from, VersionFrom::Draft) && stored.published && stored.draft.is_some() {
        templates::update(&tx, &caller.scope, &StoredTemplate { draft: None, ..stored }).await?;
    }
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, &next.id).await;
    Ok(next)
}

/// What changes but for the ids, which a new version has by its nature.
fn capability_changes(before: &Template, after: &Template) -> Vec<Change> {
    let changes = compare(before, after).into_iter();
    changes.filter(|change| !change.path.is_empty()).collect()
}

/// What is to be done with a template.
#[derive(Debug, Clone, Copy)]
pub enum Proposal<'a> {
    /// This text is to be its document, in any form that [`super::put`] takes.
    Text(&'a str),
    /// Its draft is to be published.
    Draft,
}

/// What a change would do, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Impact {
    /// What changes.
    pub changes: Vec<Change>,
    /// What uses the template.
    pub uses: Uses,
    /// The newer versions of the template.
    pub newer: Vec<TemplateId>,
}

/// What a new document of a template would change, and what uses it.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`], [`EngineError::Denied`].
pub async fn impact(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    proposal: Proposal<'_>,
) -> Result<Impact, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let stored = templates::get(&tx, &caller.scope, id).await?;
    let after = match proposal {
        Proposal::Text(text) => Template::import_text(text, Some(id.clone())).map_err(invalid)?,
        Proposal::Draft => of_draft(stored.clone())?,
    };
    let before = load(stored)?;
    let changes = if before.published { compare(&before, &after) } else { Vec::new() };
    of_changes(&tx, caller, id, changes).await
}

/// What a delete of a template would do: every capability goes, and what uses it stands in the way.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn delete_impact(engine: &Engine, caller: &Caller, id: &TemplateId) -> Result<Impact, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let before = load(templates::get(&tx, &caller.scope, id).await?)?;
    let after = Template { capabilities: Vec::new(), ..before.clone() };
    of_changes(&tx, caller, id, compare(&before, &after)).await
}

async fn of_changes(tx: &Tx, caller: &Caller, id: &TemplateId, changes: Vec<Change>) -> Result<Impact, EngineError> {
    let uses = references::of_template(tx, &caller.scope, id).await?;
    let family = templates::list_family(tx, &caller.scope, id).await?;
    let newer = family.into_iter().map(|other| other.id).filter(|other| other.number() > id.number()).collect();
    Ok(Impact { changes, uses, newer })
}

/// One version of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// The template.
    pub template: Template,
    /// How many devices have it.
    pub devices: i64,
    /// What was published of it, newest first.
    pub publications: Vec<Publication>,
}

/// Every version of a template, newest first.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn versions(engine: &Engine, caller: &Caller, id: &TemplateId) -> Result<Vec<Version>, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    templates::get(&tx, &caller.scope, id).await?;
    let mut versions = Vec::new();
    // A family is short.
    for stored in templates::list_family(&tx, &caller.scope, id).await? {
        let filter = DeviceFilter { template: Some(stored.id.clone()), ..DeviceFilter::default() };
        let devices = devices::count(&tx, &caller.scope, &filter).await?;
        let publications = templates::list_publications(&tx, &caller.scope, &stored.id, MAX_PUBLICATIONS).await?;
        versions.push(Version { template: load(stored)?, devices, publications });
    }
    versions.sort_by_key(|version| std::cmp::Reverse(version.template.id.number()));
    Ok(versions)
}

/// The templates whose devices a tile or rule of `id` also means: `id` itself, and newer versions in which every path
/// means the same.
///
/// # Errors
/// Where the database does not answer.
pub async fn carried_to(
    tx: &Tx,
    caller: &Caller,
    id: &TemplateId,
    paths: &[String],
) -> Result<Vec<TemplateId>, EngineError> {
    let mut found = vec![id.clone()];
    let Some(before) = templates::find(tx, &caller.scope, id).await? else { return Ok(found) };
    let before = load(before)?;
    for stored in templates::list_family(tx, &caller.scope, id).await? {
        if stored.published && stored.id.number() > id.number() {
            let after = load(stored)?;
            if paths.iter().all(|path| carries(&before, &after, path)) {
                found.push(after.id);
            }
        }
    }
    Ok(found)
}

//! Device templates: import, change, delete; drafts and versions are in `life`.

mod life;
pub mod migration;
mod views;

pub use life::{
    Impact, Lifecycle, Proposal, Version, VersionFrom, carried_to, delete_impact, discard_draft, draft, impact,
    new_version, publish, save_draft, versions,
};
pub use views::{delete_view, generate_views, list_views, put_view, view};

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    groups,
    notices::NoticeKind,
    precondition::IfMatch,
};
use muster_model::{
    Caller, Permission, Scope, TemplateId,
    template::{Change, ReferrerKind, Template, compare, find_in_catalogue},
};
use muster_store::{
    Paging, Tx, references,
    templates::{self, Publication, StoredTemplate},
};
use serde_json::{Map, Value, json};

/// Documents read at once while a model is looked for.
const PAGE: u32 = 100;

/// Makes or replaces a template from text, and publishes it: a DTDL interface, a list of interfaces, or IoT Central's
/// template JSON.
///
/// # Errors
/// [`EngineError::Invalid`] with every problem and its place in the text, [`EngineError::Blocked`] with what it would
/// break of what is published, [`EngineError::PreconditionFailed`].
pub async fn put(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    text: &str,
    condition: &IfMatch,
) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let template = Template::import_text(text, Some(id.clone())).map_err(invalid)?;
    save(engine, caller, template, condition).await
}

/// Makes or replaces a template from text that names its id itself.
///
/// # Errors
/// As [`put`].
pub async fn import(engine: &Engine, caller: &Caller, text: &str) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let template = Template::import_text(text, None).map_err(invalid)?;
    save(engine, caller, template, &IfMatch::Any).await
}

/// Is this what is published under its id?
///
/// # Errors
/// [`EngineError::Denied`], [`EngineError::Unavailable`].
pub async fn is_published_as(engine: &Engine, caller: &Caller, template: &Template) -> Result<bool, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let stored = templates::find(&tx, &caller.scope, &template.id).await?;
    Ok(stored.is_some_and(|stored| stored.published && stored.document == template.document))
}

/// Changes parts of a template by a JSON merge patch, and publishes it.
///
/// # Errors
/// [`EngineError::NotFound`], and as [`put`].
pub async fn patch(
    engine: &Engine,
    caller: &Caller,
    id: &TemplateId,
    patch: &Map<String, Value>,
    condition: &IfMatch,
) -> Result<Template, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    let stored = templates::get(&tx, &caller.scope, id).await?;
    drop(tx);
    let mut document = stored.document;
    merge_patch(&mut document, &Value::Object(patch.clone()));
    let template = Template::import(&document, Some(id.clone())).map_err(invalid)?;
    // What was read is what is replaced, or somebody else's change would be lost.
    let condition = match condition {
        IfMatch::Any => IfMatch::OneOf(vec![etag(stored.version)]),
        given => given.clone(),
    };
    save(engine, caller, template, &condition).await
}

async fn save(
    engine: &Engine,
    caller: &Caller,
    mut template: Template,
    condition: &IfMatch,
) -> Result<Template, EngineError> {
    let tx = engine.store().begin(&caller.scope).await?;
    template.version = write(&tx, engine, caller, &template, condition).await?;
    template.draft = templates::get(&tx, &caller.scope, &template.id).await?.draft.is_some();
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, &template.id).await;
    Ok(template)
}

/// Writes the template as published and returns its version. What is published already only grows: devices, rules and
/// dashboards rely on it.
pub(crate) async fn write(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    template: &Template,
    condition: &IfMatch,
) -> Result<i64, EngineError> {
    let existing = templates::find(tx, &caller.scope, &template.id).await?;
    let Some(existing) = existing else {
        if *condition != IfMatch::Any {
            return Err(EngineError::PreconditionFailed { kind: "device template", id: template.id.to_string() });
        }
        insert(tx, engine, caller, template, Vec::new()).await?;
        return Ok(1);
    };
    condition.check("device template", &template.id, &etag(existing.version))?;
    let changes = if existing.published { compare(&load(existing.clone())?, template) } else { Vec::new() };
    refuse_breaking(&template.id, &changes)?;
    let was_published = existing.published;
    let row = StoredTemplate {
        display_name: template.display_name.clone(),
        document: template.document.clone(),
        published: true,
        updated_at: engine.clock().now(),
        ..existing
    };
    let version = templates::update(tx, &caller.scope, &row).await?;
    if !was_published || !changes.is_empty() {
        note_publication(tx, engine, caller, (&template.id, version), changes).await?;
    }
    if !was_published {
        groups::add_automatic(tx, engine, caller, template).await?;
    }
    record(tx, engine, caller, "updated", template).await?;
    Ok(version)
}

/// Stores a new template as it is; a published one with what it changes against what it was made from.
async fn insert(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    template: &Template,
    changes: Vec<Change>,
) -> Result<(), EngineError> {
    templates::insert(tx, &caller.scope, &new_row(engine, template)).await?;
    note_insert(tx, engine, caller, template, changes).await
}

fn new_row(engine: &Engine, template: &Template) -> StoredTemplate {
    let now = engine.clock().now();
    StoredTemplate {
        id: template.id.clone(),
        display_name: template.display_name.clone(),
        document: template.document.clone(),
        published: template.published,
        draft: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

async fn note_insert(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    template: &Template,
    changes: Vec<Change>,
) -> Result<(), EngineError> {
    if template.published {
        note_publication(tx, engine, caller, (&template.id, 1), changes).await?;
        groups::add_automatic(tx, engine, caller, template).await?;
    }
    record(tx, engine, caller, "created", template).await
}

async fn note_publication(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    (id, version): (&TemplateId, i64),
    changes: Vec<Change>,
) -> Result<(), EngineError> {
    let publication = Publication {
        template: id.clone(),
        version,
        published_at: engine.clock().now(),
        published_by: caller.actor.name.clone(),
        changes,
    };
    Ok(templates::insert_publication(tx, &caller.scope, &publication).await?)
}

async fn record(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    action: &'static str,
    template: &Template,
) -> Result<(), EngineError> {
    let details = Map::from_iter([
        ("displayName".to_owned(), json!(template.display_name)),
        ("published".to_owned(), json!(template.published)),
    ]);
    audit::record(tx, engine, caller, Entry::new(action, "deviceTemplate", &template.id).with(details)).await
}

fn refuse_breaking(id: &TemplateId, changes: &[Change]) -> Result<(), EngineError> {
    let breaking = changes.iter().filter(|change| change.breaking);
    let problems: Vec<_> = breaking.map(|change| Problem::new("breaking", change.text.clone())).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let reason = "is published, and the change would break what relies on it: make a new version".to_owned();
    Err(EngineError::Blocked { kind: "device template", id: id.to_string(), reason, problems })
}

/// Deletes a template that nothing uses.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Blocked`] with what uses it.
pub async fn delete(engine: &Engine, caller: &Caller, id: &TemplateId, condition: &IfMatch) -> Result<(), EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let template = templates::get(&tx, &caller.scope, id).await?;
    condition.check("device template", id, &etag(template.version))?;
    let mut uses = references::of_template(&tx, &caller.scope, id).await?;
    // Its own views go with it.
    uses.referrers.retain(|referrer, _| referrer.kind != ReferrerKind::View);
    if !uses.is_empty() {
        let uses = told(&uses);
        let reason = format!("is used by {}", uses.join(", "));
        let problems = uses.into_iter().map(|text| Problem::new("inUse", text)).collect();
        return Err(EngineError::Blocked { kind: "device template", id: id.to_string(), reason, problems });
    }
    views::clear(&tx, caller, id).await?;
    templates::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "deviceTemplate", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, id).await;
    Ok(())
}

/// What uses a template, for people: `3 devices`, `rule 'Too hot'`, `dashboard 'Plant'`.
fn told(uses: &references::Uses) -> Vec<String> {
    let devices = match uses.devices {
        0 => None,
        1 => Some("1 device".to_owned()),
        count => Some(format!("{count} devices")),
    };
    let named = uses.referrers.keys().map(|referrer| format!("{} '{}'", referrer.kind.name(), referrer.name));
    devices.into_iter().chain(named).collect()
}

/// The template that a device of this model gets: the tenant's own, or one of the catalogue, which becomes the tenant's.
pub(crate) async fn of_model(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    model: &str,
) -> Result<Option<TemplateId>, EngineError> {
    if let Some(own) = find_by_model(tx, &caller.scope, model).await? {
        return Ok(Some(own));
    }
    let Some(known) = TemplateId::parse(model).ok().and_then(|id| find_in_catalogue(&id)) else { return Ok(None) };
    if templates::insert_if_absent(tx, &caller.scope, &new_row(engine, known)).await? {
        note_insert(tx, engine, caller, known, Vec::new()).await?;
        return Ok(Some(known.id.clone()));
    }
    // There is one by now, or it is a draft that nobody has published.
    find_by_model(tx, &caller.scope, model).await
}

/// The template of the tenant's that has this id, or the first whose interface has it.
async fn find_by_model(tx: &Tx, scope: &Scope, model: &str) -> Result<Option<TemplateId>, EngineError> {
    let Ok(id) = TemplateId::parse(model) else { return Ok(None) };
    if templates::find(tx, scope, &id).await?.is_some_and(|template| template.published) {
        return Ok(Some(id));
    }
    let mut paging = Paging::first(PAGE);
    loop {
        let page = templates::list(tx, scope, paging).await?;
        let of_model = |template: &&StoredTemplate| {
            template.published && template.document["capabilityModel"]["@id"].as_str() == Some(model)
        };
        if let Some(found) = page.items.iter().find(of_model) {
            return Ok(Some(found.id.clone()));
        }
        match page.items.last() {
            Some(last) if page.more => paging = Paging::after(last.id.clone(), PAGE),
            _ => return Ok(None),
        }
    }
}

/// A stored template as the model reads it.
///
/// # Errors
/// [`EngineError::Corrupt`] where this release cannot read it.
pub fn load(stored: StoredTemplate) -> Result<Template, EngineError> {
    let StoredTemplate { id, document, version, published, draft, .. } = stored;
    let template = Template::load(document, version);
    let template = template.map_err(|error| EngineError::corrupt("device template", id, error))?;
    Ok(Template { published, draft: draft.is_some(), ..template })
}

/// The etag of a version.
pub fn etag(version: i64) -> String {
    format!("{version:x}")
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge_patch(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn invalid(problems: Vec<muster_model::template::Problem>) -> EngineError {
    EngineError::Invalid { problems: problems.into_iter().map(Problem::from).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patch_follows_its_specification() {
        for (target, patch, merged) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [1]}), json!({"a": 1}), json!({"a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut result = target.clone();
            merge_patch(&mut result, &patch);
            assert_eq!(result, merged, "{target} {patch}");
        }
    }
}

//! Device templates: import, change, delete.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    notices::NoticeKind,
    precondition::IfMatch,
};
use muster_model::{
    Caller, Permission, Scope, TemplateId,
    dashboard::{Dashboard, TileConfiguration},
    template::Template,
};
use muster_store::{
    Paging, Tx, dashboards,
    devices::{self, DeviceFilter},
    rules,
    templates::{self, StoredTemplate},
};
use serde_json::{Map, Value, json};

/// Documents read at once while a model is looked for.
const PAGE: u32 = 100;

/// Makes or replaces a template from text: a DTDL interface, a list of interfaces, or IoT Central's template JSON.
///
/// # Errors
/// [`EngineError::Invalid`] with every problem and its place in the text, [`EngineError::PreconditionFailed`].
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

/// Changes parts of a template by a JSON merge patch.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`], [`EngineError::PreconditionFailed`].
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
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, &template.id).await;
    Ok(template)
}

/// Writes the template and returns its version.
pub(crate) async fn write(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    template: &Template,
    condition: &IfMatch,
) -> Result<i64, EngineError> {
    let now = engine.clock().now();
    let existing = templates::find(tx, &caller.scope, &template.id).await?;
    let row = StoredTemplate {
        id: template.id.clone(),
        display_name: template.display_name.clone(),
        document: template.document.clone(),
        version: existing.as_ref().map_or(1, |existing| existing.version),
        created_at: existing.as_ref().map_or(now, |existing| existing.created_at),
        updated_at: now,
    };
    let (version, action) = match existing {
        Some(existing) => {
            condition.check("device template", &template.id, &etag(existing.version))?;
            (templates::update(tx, &caller.scope, &row).await?, "updated")
        }
        None if *condition != IfMatch::Any => {
            return Err(EngineError::PreconditionFailed { kind: "device template", id: template.id.to_string() });
        }
        None => {
            templates::insert(tx, &caller.scope, &row).await?;
            (1, "created")
        }
    };
    let details = Map::from_iter([("displayName".to_owned(), json!(template.display_name))]);
    audit::record(tx, engine, caller, Entry::new(action, "deviceTemplate", &template.id).with(details)).await?;
    Ok(version)
}

/// Deletes a template that nothing uses.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Conflict`] with what uses it.
pub async fn delete(engine: &Engine, caller: &Caller, id: &TemplateId, condition: &IfMatch) -> Result<(), EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let template = templates::get(&tx, &caller.scope, id).await?;
    condition.check("device template", id, &etag(template.version))?;
    let uses = uses(&tx, &caller.scope, id).await?;
    if !uses.is_empty() {
        return Err(EngineError::conflict("device template", id, format!("is used by {}", uses.join(", "))));
    }
    templates::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "deviceTemplate", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Template, id).await;
    Ok(())
}

/// What uses a template, for people: `3 devices`, `1 rule`, `dashboard 'Plant'`.
async fn uses(tx: &Tx, scope: &Scope, id: &TemplateId) -> Result<Vec<String>, EngineError> {
    let filter = DeviceFilter { template: Some(id.clone()), ..DeviceFilter::default() };
    let counts = [
        (devices::count(tx, scope, &filter).await?, "device"),
        (rules::count_of_template(tx, scope, id).await?, "rule"),
    ];
    let counted = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut uses: Vec<String> = counted.map(|(count, what)| plural(count, what)).collect();
    let mut paging = Paging::first(PAGE);
    loop {
        let page = dashboards::list(tx, scope, paging).await?;
        let showing = page.items.iter().filter(|dashboard| shows(dashboard, id));
        uses.extend(showing.map(|dashboard| format!("dashboard '{}'", dashboard.display_name)));
        match page.items.last() {
            Some(last) if page.more => paging = Paging::after(last.id.clone(), PAGE),
            _ => return Ok(uses),
        }
    }
}

fn plural(count: i64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn shows(dashboard: &Dashboard, id: &TemplateId) -> bool {
    use TileConfiguration as Tile;
    dashboard.tiles.iter().any(|tile| match &tile.configuration {
        Tile::LineChart { source, .. }
        | Tile::Kpi { source, .. }
        | Tile::Lkv { source, .. }
        | Tile::MapTelemetry { source } => source.template == *id,
        Tile::DeviceCount { template } => template.as_ref() == Some(id),
        Tile::Markdown { .. } => false,
    })
}

/// The template that a device of this model gets: the one of that id, or the first whose interface has it.
pub(crate) async fn find_by_model(tx: &Tx, scope: &Scope, model: &str) -> Result<Option<TemplateId>, EngineError> {
    let Ok(id) = TemplateId::parse(model) else { return Ok(None) };
    if templates::find(tx, scope, &id).await?.is_some() {
        return Ok(Some(id));
    }
    let mut paging = Paging::first(PAGE);
    loop {
        let page = templates::list(tx, scope, paging).await?;
        let of_model = |template: &&StoredTemplate| template.document["capabilityModel"]["@id"].as_str() == Some(model);
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
    let id = stored.id;
    Template::load(stored.document, stored.version).map_err(|error| EngineError::corrupt("device template", id, error))
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

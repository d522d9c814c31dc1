//! Views of a template: how its devices are shown, and forms for their properties.

use super::{etag, load};
use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    precondition::IfMatch,
};
use muster_model::{
    Caller, Permission, TemplateId, ViewId,
    template::{MAX_VIEWS, Template, View, default_views},
};
use muster_store::{Tx, template_views as rows, templates};
use serde_json::{Map, json};

/// The views of a template, in their order.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn list_views(engine: &Engine, caller: &Caller, template: &TemplateId) -> Result<Vec<View>, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    templates::get(&tx, &caller.scope, template).await?;
    Ok(rows::list(&tx, &caller.scope, template).await?)
}

/// A view of a template.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn view(engine: &Engine, caller: &Caller, template: &TemplateId, id: &ViewId) -> Result<View, EngineError> {
    caller.require(Permission::TemplatesView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(rows::get(&tx, &caller.scope, template, id).await?)
}

/// Makes a view or replaces it.
///
/// # Errors
/// [`EngineError::NotFound`] without the template, [`EngineError::Invalid`] with every capability that it does not have or
/// that cannot be shown so, [`EngineError::Conflict`] beyond [`MAX_VIEWS`], [`EngineError::PreconditionFailed`],
/// [`EngineError::Denied`].
pub async fn put_view(
    engine: &Engine,
    caller: &Caller,
    template: &TemplateId,
    mut view: View,
    condition: &IfMatch,
) -> Result<View, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let known = load(templates::get(&tx, &caller.scope, template).await?)?;
    let existing = rows::find(&tx, &caller.scope, template, &view.id).await?;
    match &existing {
        Some(existing) => condition.check("view", &view.id, &etag(existing.version))?,
        None if *condition != IfMatch::Any => {
            return Err(EngineError::PreconditionFailed { kind: "view", id: view.id.to_string() });
        }
        None if rows::list(&tx, &caller.scope, template).await?.len() >= MAX_VIEWS => {
            let reason = format!("has {MAX_VIEWS} views already: delete one");
            return Err(EngineError::conflict("device template", template, reason));
        }
        None => {}
    }
    view.version = write(&tx, engine, caller, (&known, existing), &view).await?;
    tx.commit().await?;
    Ok(view)
}

/// Makes the views that a template has by default; those of the same ids are replaced, others stay.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Conflict`] beyond [`MAX_VIEWS`], [`EngineError::Denied`].
pub async fn generate_views(engine: &Engine, caller: &Caller, template: &TemplateId) -> Result<Vec<View>, EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let known = load(templates::get(&tx, &caller.scope, template).await?)?;
    for view in default_views(&known) {
        let existing = rows::find(&tx, &caller.scope, template, &view.id).await?;
        write(&tx, engine, caller, (&known, existing), &view).await?;
    }
    let views = rows::list(&tx, &caller.scope, template).await?;
    if views.len() > MAX_VIEWS {
        let reason = format!("would have more than {MAX_VIEWS} views: delete some");
        return Err(EngineError::conflict("device template", template, reason));
    }
    tx.commit().await?;
    Ok(views)
}

/// Deletes a view.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`], [`EngineError::Denied`].
pub async fn delete_view(
    engine: &Engine,
    caller: &Caller,
    (template, id): (&TemplateId, &ViewId),
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::TemplatesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let view = rows::get(&tx, &caller.scope, template, id).await?;
    condition.check("view", id, &etag(view.version))?;
    rows::delete(&tx, &caller.scope, template, id).await?;
    record(&tx, engine, caller, ("deleted", template), &view).await?;
    Ok(tx.commit().await?)
}

/// Gives the next version of a template the views of the one before, as far as they mean the same.
pub(super) async fn carry(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    (before, after): (&Template, &Template),
) -> Result<(), EngineError> {
    for view in rows::list(tx, &caller.scope, &before.id).await? {
        if let Some(view) = view.carried(before, after) {
            rows::insert(tx, &caller.scope, &after.id, &view).await?;
            record(tx, engine, caller, ("created", &after.id), &view).await?;
        }
    }
    Ok(())
}

/// Removes the views of a template that is deleted, and what they name.
pub(super) async fn clear(tx: &Tx, caller: &Caller, template: &TemplateId) -> Result<(), EngineError> {
    for view in rows::list(tx, &caller.scope, template).await? {
        rows::delete(tx, &caller.scope, template, &view.id).await?;
    }
    Ok(())
}

async fn write(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    (template, existing): (&Template, Option<View>),
    view: &View,
) -> Result<i64, EngineError> {
    let problems = view.problems(template).into_iter();
    let problems: Vec<_> = problems.map(|problem| Problem::at("view", problem.pointer, problem.message)).collect();
    if !problems.is_empty() {
        return Err(EngineError::Invalid { problems });
    }
    let (version, action) = match existing {
        Some(existing) => {
            let view = View { version: existing.version, ..view.clone() };
            (rows::update(tx, &caller.scope, &template.id, &view).await?, "updated")
        }
        None => {
            rows::insert(tx, &caller.scope, &template.id, view).await?;
            (1, "created")
        }
    };
    record(tx, engine, caller, (action, &template.id), view).await?;
    Ok(version)
}

async fn record(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    (action, template): (&'static str, &TemplateId),
    view: &View,
) -> Result<(), EngineError> {
    let details = Map::from_iter([
        ("template".to_owned(), json!(template)),
        ("displayName".to_owned(), json!(view.display_name)),
    ]);
    audit::record(tx, engine, caller, Entry::new(action, "templateView", &view.id).with(details)).await
}

//! Rules: make, change, delete.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    notices::NoticeKind,
    precondition::IfMatch,
    templates::{self, etag, merge_patch},
};
use muster_model::{
    Caller, Permission, RuleId,
    rule::{self, Rule},
};
use muster_store::{StoreError, Tx, alerts, rules, templates as stored};
use serde_json::{Map, Value, json};

/// Makes a rule or replaces it.
///
/// # Errors
/// [`EngineError::Invalid`] with every problem, [`EngineError::PreconditionFailed`].
pub async fn put(engine: &Engine, caller: &Caller, rule: Rule, condition: &IfMatch) -> Result<Rule, EngineError> {
    caller.require(Permission::RulesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let existing = match rules::get(&tx, &caller.scope, rule.id).await {
        Ok(existing) => Some(existing),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match &existing {
        Some(existing) => condition.check("rule", rule.id, &etag(existing.version))?,
        None if *condition != IfMatch::Any => {
            return Err(EngineError::PreconditionFailed { kind: "rule", id: rule.id.to_string() });
        }
        None => {}
    }
    let rule = write(&tx, engine, caller, rule, existing).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Rule, rule.id).await;
    Ok(rule)
}

/// Changes parts of a rule by a JSON merge patch.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`], [`EngineError::PreconditionFailed`].
pub async fn patch(
    engine: &Engine,
    caller: &Caller,
    id: RuleId,
    patch: &Map<String, Value>,
    condition: &IfMatch,
) -> Result<Rule, EngineError> {
    caller.require(Permission::RulesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = rules::get(&tx, &caller.scope, id).await?;
    condition.check("rule", id, &etag(before.version))?;
    let mut document = serde_json::to_value(&before).map_err(|error| EngineError::corrupt("rule", id, error))?;
    merge_patch(&mut document, &Value::Object(patch.clone()));
    let mut after: Rule = serde_json::from_value(document)
        .map_err(|error| EngineError::invalid("rule", format!("the rule cannot be read: {error}")))?;
    after.id = id;
    let rule = write(&tx, engine, caller, after, Some(before)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Rule, id).await;
    Ok(rule)
}

/// Deletes a rule and clears its open alerts.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`].
pub async fn delete(engine: &Engine, caller: &Caller, id: RuleId, condition: &IfMatch) -> Result<(), EngineError> {
    caller.require(Permission::RulesManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let rule = rules::get(&tx, &caller.scope, id).await?;
    condition.check("rule", id, &etag(rule.version))?;
    alerts::clear_of_rule(&tx, &caller.scope, id, engine.clock().now()).await?;
    rules::delete(&tx, &caller.scope, id).await?;
    let details = Map::from_iter([("displayName".to_owned(), json!(rule.display_name))]);
    audit::record(&tx, engine, caller, Entry::new("deleted", "rule", id).with(details)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Rule, id).await;
    Ok(())
}

/// Checks the rule against its template and writes it. One that is switched off, or watches other devices from now
/// on, leaves no alert open behind it.
pub(crate) async fn write(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    mut rule: Rule,
    before: Option<Rule>,
) -> Result<Rule, EngineError> {
    check(tx, caller, &rule).await?;
    let now = engine.clock().now();
    let action = match before {
        Some(before) => {
            rule.version = before.version;
            rule.version = rules::update(tx, &caller.scope, &rule, now).await?;
            if !rule.enabled || rule.template != before.template {
                alerts::clear_of_rule(tx, &caller.scope, rule.id, now).await?;
            }
            "updated"
        }
        None => {
            rule.version = 1;
            rules::insert(tx, &caller.scope, &rule, now).await?;
            "created"
        }
    };
    let details = Map::from_iter([
        ("displayName".to_owned(), json!(rule.display_name)),
        ("enabled".to_owned(), json!(rule.enabled)),
    ]);
    audit::record(tx, engine, caller, Entry::new(action, "rule", rule.id).with(details)).await?;
    Ok(rule)
}

async fn check(tx: &Tx, caller: &Caller, rule: &Rule) -> Result<(), EngineError> {
    let Some(stored) = stored::find(tx, &caller.scope, &rule.template).await? else {
        let message = format!("device template '{}' does not exist", rule.template);
        return Err(Problem::at("unknownTemplate", "/template", message).into());
    };
    let template = templates::load(stored)?;
    if !template.published {
        let message = format!("device template '{}' is a draft: publish it first", rule.template);
        return Err(Problem::at("unpublishedTemplate", "/template", message).into());
    }
    rule::validate(rule, &template)
        .map_err(|problems| EngineError::Invalid { problems: problems.into_iter().map(Problem::from).collect() })
}

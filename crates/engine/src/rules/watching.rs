//! Which rules watch the devices of a template: its own, and those of its earlier versions that mean the same with it.

use crate::{EngineError, templates::load};
use chrono::{DateTime, Utc};
use muster_model::{
    DeviceKey, Scope, TemplateId,
    rule::Rule,
    template::{Template, carries},
};
use muster_store::{Tx, alerts, rules, templates};
use std::collections::HashMap;

/// The enabled rules that watch devices of `template`.
pub(crate) async fn watching(tx: &Tx, scope: &Scope, template: &Template) -> Result<Vec<Rule>, EngineError> {
    let mut watching = rules::list_enabled(tx, scope, &template.id).await?;
    let mut before: HashMap<TemplateId, Option<Template>> = HashMap::new();
    for rule in rules::list_enabled_before(tx, scope, &template.id).await? {
        if !before.contains_key(&rule.template) {
            let older = templates::find(tx, scope, &rule.template).await?.map(load).transpose()?;
            before.insert(rule.template.clone(), older);
        }
        let Some(Some(older)) = before.get(&rule.template) else { continue };
        if rule.conditions.iter().all(|condition| carries(older, template, &condition.telemetry)) {
            watching.push(rule);
        }
    }
    Ok(watching)
}

/// Clears the open alerts of a device that has another template now, where nothing would ever clear them.
pub(crate) async fn clear_unwatched(
    tx: &Tx,
    scope: &Scope,
    device: DeviceKey,
    template: Option<&Template>,
    now: DateTime<Utc>,
) -> Result<(), EngineError> {
    let open = alerts::open_of_devices(tx, scope, &[device]).await?;
    if open.is_empty() {
        return Ok(());
    }
    let watching = match template {
        Some(template) => watching(tx, scope, template).await?,
        None => Vec::new(),
    };
    for alert in open {
        if !watching.iter().any(|rule| rule.id == alert.rule) {
            alerts::clear(tx, scope, alert.id, now).await?;
        }
    }
    Ok(())
}

//! Dashboards: make, change, delete.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    devices::check_name,
    precondition::IfMatch,
    templates::{etag, merge_patch},
};
use muster_model::{
    Caller, DashboardId, Permission,
    dashboard::{Dashboard, Tile, TileConfiguration},
};
use muster_store::{Tx, dashboards};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use uuid::Uuid;

const MAX_TILES: usize = 100;
const MAX_POSITION: u16 = 100;
const MAX_SPAN: u16 = 12;
const MAX_CAPABILITIES: usize = 20;
const MAX_DEVICES: usize = 100;
const MAX_TEXT_CHARS: usize = 10_000;

/// Makes a dashboard or replaces it.
///
/// # Errors
/// [`EngineError::Invalid`], [`EngineError::PreconditionFailed`].
pub async fn put(
    engine: &Engine,
    caller: &Caller,
    mut dashboard: Dashboard,
    condition: &IfMatch,
) -> Result<Dashboard, EngineError> {
    caller.require(Permission::DashboardsManage)?;
    complete(&mut dashboard)?;
    let tx = engine.store().begin(&caller.scope).await?;
    dashboard.version = write(&tx, engine, caller, &dashboard, condition).await?;
    tx.commit().await?;
    Ok(dashboard)
}

/// Changes parts of a dashboard by a JSON merge patch.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Invalid`], [`EngineError::PreconditionFailed`].
pub async fn patch(
    engine: &Engine,
    caller: &Caller,
    id: &DashboardId,
    patch: &Map<String, Value>,
    condition: &IfMatch,
) -> Result<Dashboard, EngineError> {
    caller.require(Permission::DashboardsManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let before = dashboards::get(&tx, &caller.scope, id).await?;
    condition.check("dashboard", id, &etag(before.version))?;
    let mut document = serde_json::to_value(&before).map_err(|error| EngineError::corrupt("dashboard", id, error))?;
    merge_patch(&mut document, &Value::Object(patch.clone()));
    let mut after: Dashboard = serde_json::from_value(document)
        .map_err(|error| EngineError::invalid("dashboard", format!("the dashboard cannot be read: {error}")))?;
    after.id = before.id;
    after.version = before.version;
    complete(&mut after)?;
    after.version = write(&tx, engine, caller, &after, &IfMatch::Any).await?;
    tx.commit().await?;
    Ok(after)
}

/// Deletes a dashboard.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::PreconditionFailed`].
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    id: &DashboardId,
    condition: &IfMatch,
) -> Result<(), EngineError> {
    caller.require(Permission::DashboardsManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    let dashboard = dashboards::get(&tx, &caller.scope, id).await?;
    condition.check("dashboard", id, &etag(dashboard.version))?;
    dashboards::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "dashboard", id)).await?;
    Ok(tx.commit().await?)
}

/// Writes the dashboard and returns its version.
pub(crate) async fn write(
    tx: &Tx,
    engine: &Engine,
    caller: &Caller,
    dashboard: &Dashboard,
    condition: &IfMatch,
) -> Result<i64, EngineError> {
    let existing = dashboards::find(tx, &caller.scope, &dashboard.id).await?;
    let (version, action) = match existing {
        Some(existing) => {
            condition.check("dashboard", &dashboard.id, &etag(existing.version))?;
            let row = Dashboard { version: existing.version, ..dashboard.clone() };
            (dashboards::update(tx, &caller.scope, &row).await?, "updated")
        }
        None if *condition != IfMatch::Any => {
            return Err(EngineError::PreconditionFailed { kind: "dashboard", id: dashboard.id.to_string() });
        }
        None => {
            dashboards::insert(tx, &caller.scope, dashboard).await?;
            (1, "created")
        }
    };
    let details = Map::from_iter([("displayName".to_owned(), json!(dashboard.display_name))]);
    audit::record(tx, engine, caller, Entry::new(action, "dashboard", &dashboard.id).with(details)).await?;
    Ok(version)
}

/// Checks the dashboard and gives an id to tiles that have none.
pub(crate) fn complete(dashboard: &mut Dashboard) -> Result<(), EngineError> {
    check_name(&dashboard.display_name)?;
    let mut problems = Vec::new();
    if dashboard.tiles.len() > MAX_TILES {
        problems.push(Problem::at("tooManyTiles", "/tiles", format!("a dashboard has at most {MAX_TILES} tiles")));
    }
    let mut seen = HashSet::new();
    for (index, tile) in dashboard.tiles.iter_mut().enumerate().take(MAX_TILES) {
        if tile.id.is_empty() {
            tile.id = Uuid::now_v7().to_string();
        }
        if !seen.insert(tile.id.clone()) {
            problems.push(Problem::at("tileId", format!("/tiles/{index}/id"), "two tiles have the same id"));
        }
        check_tile(tile, &format!("/tiles/{index}"), &mut problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(EngineError::Invalid { problems }) }
}

fn check_tile(tile: &Tile, pointer: &str, problems: &mut Vec<Problem>) {
    let mut refuse =
        |field: &str, message: String| problems.push(Problem::at("tile", format!("{pointer}/{field}"), message));
    if tile.display_name.chars().count() > MAX_TEXT_CHARS {
        refuse("displayName", "the title is too long".into());
    }
    if tile.x > MAX_POSITION || tile.y > MAX_POSITION {
        refuse("x", format!("a tile stands at column and row 0 to {MAX_POSITION}"));
    }
    if !(1..=MAX_SPAN).contains(&tile.width) || !(1..=MAX_SPAN).contains(&tile.height) {
        refuse("width", format!("a tile is 1 to {MAX_SPAN} columns wide and 1 to {MAX_SPAN} rows high"));
    }
    use TileConfiguration as Configuration;
    match &tile.configuration {
        Configuration::LineChart { source, .. }
        | Configuration::Kpi { source, .. }
        | Configuration::Lkv { source, .. }
        | Configuration::MapTelemetry { source } => {
            if source.capabilities.is_empty() || source.capabilities.len() > MAX_CAPABILITIES {
                refuse(
                    "configuration/source/capabilities",
                    format!("a tile draws 1 to {MAX_CAPABILITIES} capabilities"),
                );
            }
            if source.devices.len() > MAX_DEVICES {
                refuse("configuration/source/devices", format!("a tile names at most {MAX_DEVICES} devices"));
            }
        }
        Configuration::Markdown { text } if text.chars().count() > MAX_TEXT_CHARS => {
            refuse("configuration/text", format!("the text has at most {MAX_TEXT_CHARS} characters"));
        }
        Configuration::Markdown { .. } | Configuration::DeviceCount { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(tiles: Value) -> Dashboard {
        serde_json::from_value(json!({ "id": "plant", "displayName": "Plant", "tiles": tiles })).expect("a dashboard")
    }

    fn tile(width: u16, capabilities: Value) -> Value {
        json!({
            "displayName": "Heat", "x": 0, "y": 0, "width": width, "height": 2,
            "configuration": {
                "type": "lineChart", "range": "PT1H",
                "source": { "template": "dtmi:a;1", "capabilities": capabilities },
            },
        })
    }

    #[test]
    fn tiles_get_ids_and_bad_ones_are_named() {
        let mut good = dashboard(json!([tile(4, json!(["temperature"])), tile(4, json!(["temperature"]))]));
        complete(&mut good).expect("valid");
        assert!(good.tiles.iter().all(|tile| !tile.id.is_empty()));
        let mut bad = dashboard(json!([tile(13, json!(["temperature"])), tile(4, json!([]))]));
        let Err(EngineError::Invalid { problems }) = complete(&mut bad) else { panic!("it is not valid") };
        let pointers: Vec<_> = problems.iter().filter_map(|problem| problem.pointer.as_deref()).collect();
        assert_eq!(pointers, ["/tiles/0/width", "/tiles/1/configuration/source/capabilities"]);
    }
}

//! `/alerts` (ours)

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, Paged},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use muster_contract::{alert::Alert, error::ErrorBody, page::Page};
use muster_engine::alerts as engine;
use muster_model::{AlertId, DeviceId, Permission, alert::AlertState};
use muster_store::{
    alerts::{self, AlertFilter},
    devices,
};
use serde::Deserialize;

/// The routes of alerts.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/alerts").get(list_alerts))
        .service(web::resource("/alerts/{alertId}").get(get_alert))
        .service(web::resource("/alerts/{alertId}/acknowledge").post(acknowledge_alert))
        .service(web::resource("/alerts/{alertId}/clear").post(clear_alert));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertPath {
    alert_id: AlertId,
}

/// The tenant's alerts, newest first
#[utoipa::path(get, path = "/api/alerts", tag = "alerts",
    params(
        ("state" = Option<Vec<String>>, Query, description = "only in these states: open, acknowledged, cleared"),
        ("device" = Option<String>, Query, description = "only of this device"),
        ("rule" = Option<String>, Query, description = "only of this rule")),
    responses((status = 200, body = Page<Alert>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_alerts(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
    paged: Paged,
) -> Result<Json<Page<Alert>>, ApiError> {
    caller.require(Permission::RulesView)?;
    let tx = api.read(&caller).await?;
    let device = match filters.get::<DeviceId>("device")? {
        Some(id) => Some(devices::get(&tx, &caller.scope, &id).await?.key),
        None => None,
    };
    let filter = AlertFilter { states: states(&filters)?, device, rule: filters.get("rule")? };
    let page = alerts::list(&tx, &caller.scope, &filter, paged.after()?).await?;
    Ok(Json(paged.page(page, |alert| alert.id, Alert::from)))
}

fn states(filters: &Filters) -> Result<Vec<AlertState>, ApiError> {
    let named: Vec<String> = filters.list("state", 3)?;
    named
        .into_iter()
        .map(|name| match name.as_str() {
            "open" => Ok(AlertState::Open),
            "acknowledged" => Ok(AlertState::Acknowledged),
            "cleared" => Ok(AlertState::Cleared),
            _ => Err(ApiError::malformed("invalidQuery", "'state': expected open, acknowledged or cleared")),
        })
        .collect()
}

/// An alert
#[utoipa::path(get, path = "/api/alerts/{alertId}", tag = "alerts",
    responses((status = 200, body = Alert), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_alert(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AlertPath>,
) -> Result<Json<Alert>, ApiError> {
    caller.require(Permission::RulesView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(alerts::get(&tx, &caller.scope, path.alert_id).await?.into()))
}

/// Say that somebody looks after an alert
#[utoipa::path(post, path = "/api/alerts/{alertId}/acknowledge", tag = "alerts",
    responses((status = 200, body = Alert), (status = "default", body = ErrorBody)))]
pub(crate) async fn acknowledge_alert(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AlertPath>,
) -> Result<Json<Alert>, ApiError> {
    Ok(Json(engine::acknowledge(api.engine(), &caller, path.alert_id).await?.into()))
}

/// Say that an alert is over
#[utoipa::path(post, path = "/api/alerts/{alertId}/clear", tag = "alerts",
    responses((status = 200, body = Alert), (status = "default", body = ErrorBody)))]
pub(crate) async fn clear_alert(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AlertPath>,
) -> Result<Json<Alert>, ApiError> {
    Ok(Json(engine::clear(api.engine(), &caller, path.alert_id).await?.into()))
}

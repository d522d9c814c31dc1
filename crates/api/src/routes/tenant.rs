//! `/tenant`, `/statistics` and `/ledger` (ours)

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, Object},
    routes::devices::device_filter,
};
use actix_web::web::{self, Data, Json, ServiceConfig};
use muster_contract::{
    error::ErrorBody,
    statistics::{AlertCounts, Ledger, Statistics},
    tenant::{TenantInfo, TenantPatch},
};
use muster_engine::tenants as engine;
use muster_model::{Permission, rule::Severity};
use muster_store::{
    alerts,
    counters::{self, Counts},
    devices::{self, DeviceFilter},
    tenants::{self, Tenant},
};

/// The routes of the tenant itself.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/tenant").get(get_tenant).patch(patch_tenant))
        .service(web::resource("/statistics").get(get_statistics))
        .service(web::resource("/ledger").get(get_ledger));
}

/// The tenant, and where its devices connect
#[utoipa::path(get, path = "/api/tenant", tag = "tenant",
    responses((status = 200, body = TenantInfo), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_tenant(api: Data<Api>, caller: Authenticated) -> Result<Json<TenantInfo>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(info(&api, tenants::get(&tx, &caller.scope).await?)))
}

/// Change the tenant's settings by a merge patch
#[utoipa::path(patch, path = "/api/tenant", tag = "tenant", request_body = TenantPatch,
    responses((status = 200, body = TenantInfo), (status = "default", body = ErrorBody)))]
pub(crate) async fn patch_tenant(
    api: Data<Api>,
    caller: Authenticated,
    body: Json<Object<TenantPatch>>,
) -> Result<Json<TenantInfo>, ApiError> {
    caller.require(Permission::TenantManage)?;
    let tenant = match body.into_inner().0.event_feed {
        Some(on) => engine::set_event_feed(api.engine(), &caller, on).await?,
        None => tenants::get(&api.read(&caller).await?, &caller.scope).await?,
    };
    Ok(Json(info(&api, tenant)))
}

fn info(api: &Api, tenant: Tenant) -> TenantInfo {
    TenantInfo {
        event_feed: engine::has_event_feed(&tenant),
        hub_host: api.engine().config().host_of(&tenant.id),
        id: tenant.id,
        display_name: tenant.name,
        id_scope: tenant.id_scope,
        mqtt_port: api.parts().config.mqtt_port,
    }
}

/// How many devices and alerts there are
#[utoipa::path(get, path = "/api/statistics", tag = "tenant",
    params(("template" = Option<String>, Query, description = "devices only of this device template")),
    responses((status = 200, body = Statistics), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_statistics(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
) -> Result<Json<Statistics>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let filter = device_filter(&filters)?;
    let tx = api.read(&caller).await?;
    let devices = devices::count(&tx, &caller.scope, &filter).await?;
    let connected = DeviceFilter { connected: Some(true), ..filter };
    let connected = devices::count(&tx, &caller.scope, &connected).await?;
    let alerts = alert_counts(&alerts::count_open(&tx, &caller.scope).await?);
    Ok(Json(Statistics { devices: count(devices), connected: count(connected), alerts }))
}

/// What became of every message: received = stored + rejected + dead-lettered + in flight
#[utoipa::path(get, path = "/api/ledger", tag = "tenant",
    responses((status = 200, body = Ledger), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_ledger(api: Data<Api>, caller: Authenticated) -> Result<Json<Ledger>, ApiError> {
    caller.require(Permission::TenantView)?;
    let tx = api.read(&caller).await?;
    Ok(Json(ledger(counters::get(&tx, &caller.scope).await?)))
}

fn ledger(counts: Counts) -> Ledger {
    let done = counts.stored + counts.rejected.values().sum::<i64>() + counts.dead_lettered;
    Ledger {
        received: count(counts.received),
        stored: count(counts.stored),
        rejected: counts.rejected.into_iter().map(|(reason, messages)| (reason, count(messages))).collect(),
        dead_lettered: count(counts.dead_lettered),
        in_flight: count(counts.received - done),
    }
}

fn alert_counts(counts: &[(Severity, i64)]) -> AlertCounts {
    let of = |severity| counts.iter().filter(|(of, _)| *of == severity).map(|(_, alerts)| count(*alerts)).sum();
    AlertCounts {
        information: of(Severity::Information),
        warning: of(Severity::Warning),
        critical: of(Severity::Critical),
    }
}

/// A number of things is never negative.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_adds_up() {
        let rejected = [("notJson".to_owned(), 2), ("tooDeep".to_owned(), 1)].into();
        let ledger = ledger(Counts { received: 10, stored: 5, rejected, dead_lettered: 1 });
        assert_eq!(ledger.in_flight, 1);
        let accounted = ledger.stored + ledger.rejected.values().sum::<u64>() + ledger.dead_lettered + ledger.in_flight;
        assert_eq!(accounted, ledger.received);
    }
}

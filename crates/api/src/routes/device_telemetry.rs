//! Last known values: of one name of a device as IoT Central gives it, and of many devices at once (ours).

use super::{devices::DevicePath, templates::find_template};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use chrono::{DateTime, Utc};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    telemetry::{LatestValues, TelemetryValue},
};
use muster_engine::templates::carried_to;
use muster_model::{Caller, DeviceId, Permission, device::Device};
use muster_store::{
    MAX_PAGE, Paging, Tx,
    devices::{self, DeviceFilter},
    telemetry::{self, LatestValue},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Devices whose last values are given at once.
const MAX_DEVICES: usize = 1000;
const MAX_KEYS: usize = 100;

/// The routes of last values.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let of_component = "/devices/{deviceId}/components/{componentName}/telemetry/{telemetryName}";
    service
        .service(web::resource("/devices/{deviceId}/telemetry/{telemetryName}").get(get_telemetry_value))
        .service(web::resource(of_component).get(get_component_telemetry_value))
        .service(web::resource("/telemetry-latest").get(list_latest_values));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TelemetryPath {
    telemetry_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentTelemetryPath {
    component_name: String,
    telemetry_name: String,
}

/// The last known value of a telemetry
#[utoipa::path(get, path = "/api/devices/{deviceId}/telemetry/{telemetryName}", tag = "telemetry",
    responses((status = 200, body = TelemetryValue), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_telemetry_value(
    api: Data<Api>,
    caller: Authenticated,
    device: Path<DevicePath>,
    path: Path<TelemetryPath>,
) -> Result<Json<TelemetryValue>, ApiError> {
    last_value(&api, &caller, &device.device_id, &path.telemetry_name).await
}

/// The last known value of a component's telemetry
#[utoipa::path(get, path = "/api/devices/{deviceId}/components/{componentName}/telemetry/{telemetryName}",
    tag = "telemetry", responses((status = 200, body = TelemetryValue), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_component_telemetry_value(
    api: Data<Api>,
    caller: Authenticated,
    device: Path<DevicePath>,
    path: Path<ComponentTelemetryPath>,
) -> Result<Json<TelemetryValue>, ApiError> {
    let key = format!("{}.{}", path.component_name, path.telemetry_name);
    last_value(&api, &caller, &device.device_id, &key).await
}

async fn last_value(api: &Api, caller: &Caller, id: &DeviceId, key: &str) -> Result<Json<TelemetryValue>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let tx = api.read(caller).await?;
    let device = devices::get(&tx, &caller.scope, id).await?;
    let latest = telemetry::latest(&tx, &caller.scope, &[device.key]).await?;
    if let Some(value) = latest.get(&device.key).and_then(|latest| nested(&latest.values, key)) {
        return Ok(Json(value));
    }
    let template = find_template(&tx, caller, device.template.as_ref()).await?;
    if template.is_some_and(|template| template.capability(key).is_none()) {
        return Err(ApiError::not_found("telemetry", key));
    }
    Ok(Json(TelemetryValue { value: None, timestamp: None }))
}

/// The value under a key, or the object put together from the values below it (`location` from `location.lat`, …).
fn nested(values: &BTreeMap<String, LatestValue>, key: &str) -> Option<TelemetryValue> {
    if let Some(latest) = values.get(key) {
        return Some(wire(latest));
    }
    let prefix = format!("{key}.");
    let mut object = Map::new();
    let mut newest = None;
    let below = values.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
    for (path, latest) in below {
        place(&mut object, &path[prefix.len()..], latest.value.clone());
        newest = newest.max(Some(latest.ts_ms));
    }
    let timestamp = time(newest?);
    Some(TelemetryValue { value: Some(Value::Object(object)), timestamp })
}

fn place(object: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((name, rest)) = path.split_once('.') else {
        object.insert(path.to_owned(), value);
        return;
    };
    let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        place(inner, rest, value);
    }
}

/// The last known values of devices (ours)
#[utoipa::path(get, path = "/api/telemetry-latest", tag = "telemetry",
    params(
        ("devices" = Option<Vec<String>>, Query, description = "the devices; where absent those of the template"),
        ("template" = Option<String>, Query, description = "the device template; at most 1000 of its devices"),
        ("keys" = Option<Vec<String>>, Query, description = "only these telemetry keys, and what is below them")),
    responses((status = 200, body = Page<LatestValues>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_latest_values(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
) -> Result<Json<Page<LatestValues>>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let keys: Vec<String> = filters.list("keys", MAX_KEYS)?;
    let tx = api.read(&caller).await?;
    let devices = named_devices(&tx, &caller, &filters, MAX_DEVICES).await?;
    let numbers: Vec<_> = devices.iter().map(|device| device.key).collect();
    let mut latest = telemetry::latest(&tx, &caller.scope, &numbers).await?;
    let of_device = |device: Device| LatestValues {
        values: latest.remove(&device.key).map(|latest| wanted(&latest.values, &keys)).unwrap_or_default(),
        device: device.id,
        display_name: device.display_name,
    };
    Ok(Json(Page::whole(devices.into_iter().map(of_device).collect())))
}

/// The devices that a query names, or the first of its template, in the order of their ids.
pub(crate) async fn named_devices(
    tx: &Tx,
    caller: &Caller,
    filters: &Filters,
    limit: usize,
) -> Result<Vec<Device>, ApiError> {
    let ids: Vec<DeviceId> = filters.list("devices", limit)?;
    if !ids.is_empty() {
        let mut found = devices::list_by_ids(tx, &caller.scope, &ids).await?;
        found.sort_by(|one, other| one.id.cmp(&other.id));
        return Ok(found);
    }
    let filter = of_template(tx, caller, filters).await?;
    let limit = u32::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
    Ok(devices::list(tx, &caller.scope, &filter, Paging::first(limit)).await?.items)
}

/// The devices of a query's template, and of its newer versions where they have all that is asked for.
pub(crate) async fn of_template(tx: &Tx, caller: &Caller, filters: &Filters) -> Result<DeviceFilter, ApiError> {
    let Some(template) = filters.get("template")? else {
        return Err(ApiError::malformed("invalidQuery", "name 'devices' or a 'template'"));
    };
    let keys: Vec<String> = filters.list("keys", MAX_KEYS)?;
    let templates = carried_to(tx, caller, &template, &keys).await?;
    Ok(DeviceFilter { templates, ..DeviceFilter::default() })
}

fn wanted(values: &BTreeMap<String, LatestValue>, keys: &[String]) -> BTreeMap<String, TelemetryValue> {
    let is_wanted = |path: &str| {
        keys.is_empty()
            || keys
                .iter()
                .any(|key| path.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    values.iter().filter(|(path, _)| is_wanted(path)).map(|(path, latest)| (path.clone(), wire(latest))).collect()
}

fn wire(latest: &LatestValue) -> TelemetryValue {
    TelemetryValue { value: Some(latest.value.clone()), timestamp: time(latest.ts_ms) }
}

fn time(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values() -> BTreeMap<String, LatestValue> {
        let values = [
            ("location.lat", 1, json!(52.5)),
            ("location.lon", 2, json!(13.4)),
            ("locationName", 3, json!("Berlin")),
            ("axis.x.raw", 4, json!(7)),
            ("temperature", 5, json!(21)),
        ];
        values.into_iter().map(|(key, ts_ms, value)| (key.to_owned(), LatestValue { ts_ms, value })).collect()
    }

    #[test]
    fn an_object_is_put_together_from_its_parts() {
        let location = nested(&values(), "location").unwrap();
        assert_eq!(location.value, Some(json!({"lat": 52.5, "lon": 13.4})));
        assert_eq!(location.timestamp.unwrap().timestamp_millis(), 2);
        assert_eq!(nested(&values(), "axis").unwrap().value, Some(json!({"x": {"raw": 7}})));
        assert_eq!(nested(&values(), "temperature").unwrap().value, Some(json!(21)));
        assert!(nested(&values(), "loc").is_none());
    }

    #[test]
    fn keys_choose_what_is_below_them() {
        let keys = ["location".to_owned(), "temperature".to_owned()];
        let chosen: Vec<String> = wanted(&values(), &keys).into_keys().collect();
        assert_eq!(chosen, ["location.lat", "location.lon", "temperature"]);
        assert_eq!(wanted(&values(), &[]).len(), 5);
    }
}

//! Telemetry over time (ours): of one device, or of the devices of a tile.

use super::{
    device_telemetry::{named_devices, of_template},
    devices::DevicePath,
    templates::find_template,
};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, instant_ms},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use chrono::DateTime;
use muster_contract::{
    error::ErrorBody,
    telemetry::{Point, Series, TelemetryHistory},
};
use muster_model::{
    Caller, Permission, TemplateId,
    device::Device,
    template::{Kind, Template},
};
use muster_store::{
    Tx, devices,
    telemetry::{self, HistoryQuery, MAX_BUCKETS, MAX_HISTORY_KEYS},
};
use std::collections::HashMap;

/// Devices that are drawn at once; more lines cannot be told apart.
const MAX_DEVICES: usize = 20;
const DEFAULT_BUCKETS: u32 = 300;
/// What is asked for where the query names no times: the last hour.
const DEFAULT_RANGE_MS: i64 = 3_600_000;

/// The routes of histories.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/telemetry-history").get(get_telemetry_history))
        .service(web::resource("/devices/{deviceId}/telemetry-history").get(get_device_telemetry_history));
}

/// When, how fine, and of what.
struct Question {
    from_ms: i64,
    to_ms: i64,
    buckets: u32,
    keys: Vec<String>,
}

/// Telemetry of devices over time
#[utoipa::path(get, path = "/api/telemetry-history", tag = "telemetry",
    params(
        ("devices" = Option<Vec<String>>, Query, description = "the devices, at most 20; where absent those of the template"),
        ("template" = Option<String>, Query, description = "the device template"),
        ("keys" = Option<Vec<String>>, Query, description = "telemetry keys, at most 32; all numbers where absent"),
        ("from" = Option<String>, Query, description = "milliseconds since 1970 or RFC 3339; an hour before the end where absent"),
        ("to" = Option<String>, Query, description = "the end; now where absent"),
        ("buckets" = Option<u32>, Query, description = "1 to 2000")),
    responses((status = 200, body = TelemetryHistory), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_telemetry_history(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
) -> Result<Json<TelemetryHistory>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let question = question(&filters, api.engine().clock().now_ms())?;
    let tx = api.read(&caller).await?;
    let devices = named_devices(&tx, &caller, &filters, MAX_DEVICES).await?;
    let left_out = left_out(&tx, &caller, &filters, devices.len()).await?;
    answer(&tx, &caller, devices, question, left_out).await
}

/// Telemetry of a device over time
#[utoipa::path(get, path = "/api/devices/{deviceId}/telemetry-history", tag = "telemetry",
    params(
        ("keys" = Option<Vec<String>>, Query, description = "telemetry keys, at most 32; all numbers where absent"),
        ("from" = Option<String>, Query, description = "milliseconds since 1970 or RFC 3339; an hour before the end where absent"),
        ("to" = Option<String>, Query, description = "the end; now where absent"),
        ("buckets" = Option<u32>, Query, description = "1 to 2000")),
    responses((status = 200, body = TelemetryHistory), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_device_telemetry_history(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    filters: Filters,
) -> Result<Json<TelemetryHistory>, ApiError> {
    caller.require(Permission::DevicesView)?;
    let question = question(&filters, api.engine().clock().now_ms())?;
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    answer(&tx, &caller, vec![device], question, 0).await
}

fn question(filters: &Filters, now_ms: i64) -> Result<Question, ApiError> {
    let to_ms = instant_ms(filters, "to")?.unwrap_or(now_ms);
    let from_ms = instant_ms(filters, "from")?.unwrap_or(to_ms - DEFAULT_RANGE_MS);
    let buckets = filters.get("buckets")?.unwrap_or(DEFAULT_BUCKETS);
    if !(1..=MAX_BUCKETS).contains(&buckets) {
        return Err(ApiError::malformed("invalidQuery", format!("'buckets' must be 1 to {MAX_BUCKETS}")));
    }
    if from_ms >= to_ms {
        return Err(ApiError::malformed("invalidQuery", "'from' must be before 'to'"));
    }
    Ok(Question { from_ms, to_ms, buckets, keys: filters.list("keys", MAX_HISTORY_KEYS)? })
}

/// How many devices of the template are not drawn.
async fn left_out(tx: &Tx, caller: &Caller, filters: &Filters, drawn: usize) -> Result<u32, ApiError> {
    if drawn < MAX_DEVICES || filters.text("devices").is_some() {
        return Ok(0);
    }
    let filter = of_template(tx, caller, filters).await?;
    let all = devices::count(tx, &caller.scope, &filter).await?;
    Ok(u32::try_from(all - drawn as i64).unwrap_or_default())
}

async fn answer(
    tx: &Tx,
    caller: &Caller,
    devices: Vec<Device>,
    question: Question,
    devices_left_out: u32,
) -> Result<Json<TelemetryHistory>, ApiError> {
    let templates = templates_of(tx, caller, &devices).await?;
    let mut series = Vec::new();
    // One question for each of at most 20 devices: each reads its own stretch of the index, together they would not.
    for device in &devices {
        let template = device.template.as_ref().and_then(|id| templates.get(id));
        let keys = keys_of(tx, caller, &question, device, template).await?;
        if keys.is_empty() {
            continue;
        }
        let Question { from_ms, to_ms, buckets, .. } = question;
        let query = HistoryQuery { device: device.key, keys, from_ms, to_ms, buckets };
        let found = telemetry::history(tx, &caller.scope, &query).await?;
        series.extend(found.into_iter().map(|found| wire(device, template, found)));
    }
    Ok(Json(TelemetryHistory {
        from: DateTime::from_timestamp_millis(question.from_ms).unwrap_or_default(),
        to: DateTime::from_timestamp_millis(question.to_ms).unwrap_or_default(),
        bucket_seconds: (question.to_ms - question.from_ms) as f64 / 1000.0 / f64::from(question.buckets),
        series,
        devices_left_out,
    }))
}

/// Each template once: the devices of a tile share one.
async fn templates_of(tx: &Tx, caller: &Caller, devices: &[Device]) -> Result<HashMap<TemplateId, Template>, ApiError> {
    let mut templates = HashMap::new();
    for id in devices.iter().filter_map(|device| device.template.as_ref()) {
        if !templates.contains_key(id)
            && let Some(template) = find_template(tx, caller, Some(id)).await?
        {
            templates.insert(id.clone(), template);
        }
    }
    Ok(templates)
}

/// The keys asked for, or every number that the device sends.
async fn keys_of(
    tx: &Tx,
    caller: &Caller,
    question: &Question,
    device: &Device,
    template: Option<&Template>,
) -> Result<Vec<String>, ApiError> {
    if !question.keys.is_empty() {
        return Ok(question.keys.clone());
    }
    let mut keys: Vec<String> = match template {
        Some(template) => numeric_keys(template),
        None => {
            let mut latest = telemetry::latest(tx, &caller.scope, &[device.key]).await?;
            let values = latest.remove(&device.key).map(|latest| latest.values).unwrap_or_default();
            values.into_iter().filter(|(_, latest)| latest.value.is_number()).map(|(key, _)| key).collect()
        }
    };
    keys.truncate(MAX_HISTORY_KEYS);
    Ok(keys)
}

fn numeric_keys(template: &Template) -> Vec<String> {
    let telemetry = template.capabilities.iter().filter(|capability| capability.kind == Kind::Telemetry);
    telemetry.filter(|capability| capability.schema.is_numeric()).map(|capability| capability.key.clone()).collect()
}

fn wire(device: &Device, template: Option<&Template>, found: telemetry::Series) -> Series {
    let capability = template.and_then(|template| template.telemetry(&found.key)).map(|(capability, _)| capability);
    let display_name = capability.map(|capability| match found.key.strip_prefix(capability.key.as_str()) {
        // A part of a value is named after both: `Position lat`.
        Some(part) if !part.is_empty() => format!("{} {}", capability.display_name, part.trim_start_matches('.')),
        _ => capability.display_name.clone(),
    });
    Series {
        device: device.id.clone(),
        device_name: device.display_name.clone(),
        display_name: display_name.unwrap_or_else(|| found.key.clone()),
        unit: capability.and_then(|capability| capability.unit.clone()),
        key: found.key,
        width_ms: found.width_ms,
        points: found.points.iter().map(point).collect(),
    }
}

fn point(point: &telemetry::Point) -> Point {
    Point {
        t: point.ts_ms,
        avg: point.avg,
        min: point.min,
        max: point.max,
        count: u32::try_from(point.count).unwrap_or(u32::MAX),
    }
}

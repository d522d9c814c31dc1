//! `/health/series` (ours): what IoT Central shows in Azure Monitor (`iot-central.md` §19).

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, instant_ms},
};
use actix_web::web::{self, Data, Json, ServiceConfig};
use chrono::{DateTime, Utc};
use muster_contract::{
    error::ErrorBody,
    health::{HealthSeries, MetricPoint, MetricSeries},
};
use muster_model::Permission;
use muster_store::{
    MAX_PAGE,
    health::{self, Sample},
};
use std::collections::{BTreeMap, BTreeSet};

/// The intervals that IoT Central's metrics come in, in minutes.
const INTERVALS: [(&str, i64); 8] = [
    ("PT1M", 1),
    ("PT5M", 5),
    ("PT15M", 15),
    ("PT30M", 30),
    ("PT1H", 60),
    ("PT6H", 360),
    ("PT12H", 720),
    ("P1D", 1440),
];
const DEFAULT_INTERVAL: &str = "PT5M";
const MINUTE_MS: i64 = 60_000;
/// What is shown where nobody asks for a time.
const DEFAULT_SPAN_MS: i64 = 24 * 60 * MINUTE_MS;

/// Metrics that are a state; all others count what came.
const STATES: [&str; 2] = ["connectedDeviceCount", "provisionedDeviceCount"];

/// The routes of the tenant's health.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service.service(web::resource("/health/series").get(get_health_series));
}

/// The tenant's health over time: devices, messages, commands, failures
#[utoipa::path(get, path = "/api/health/series", tag = "tenant",
    params(
        ("from" = Option<String>, Query, description = "RFC 3339 or milliseconds since 1970; a day before the end"),
        ("to" = Option<String>, Query, description = "not included; now"),
        ("interval" = Option<String>, Query, description = "PT1M, PT5M, PT15M, PT30M, PT1H, PT6H, PT12H or P1D")),
    responses((status = 200, body = HealthSeries), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_health_series(
    api: Data<Api>,
    caller: Authenticated,
    filters: Filters,
) -> Result<Json<HealthSeries>, ApiError> {
    caller.require(Permission::TenantView)?;
    let (interval, minutes) = interval(&filters)?;
    let every_ms = minutes * MINUTE_MS;
    let to = instant_ms(&filters, "to")?.unwrap_or_else(|| api.engine().clock().now_ms() + 1);
    let from = instant_ms(&filters, "from")?.unwrap_or(to.saturating_sub(DEFAULT_SPAN_MS));
    let intervals = to.saturating_sub(from) / every_ms;
    if !(0..i64::from(MAX_PAGE) - 2).contains(&intervals) {
        let message = format!("'from' and 'to' hold 0 to {} intervals of {interval}", MAX_PAGE - 3);
        return Err(ApiError::malformed("invalidQuery", message));
    }
    let tx = api.read(&caller).await?;
    // What came within an interval is told by the sample before it.
    let samples = health::list(&tx, &caller.scope, (time(from.saturating_sub(every_ms)), time(to)), every_ms).await?;
    Ok(Json(HealthSeries { interval: interval.to_owned(), series: series(&samples, time(from)) }))
}

fn interval(filters: &Filters) -> Result<(&'static str, i64), ApiError> {
    let wanted = filters.text("interval").unwrap_or(DEFAULT_INTERVAL);
    let known = INTERVALS.into_iter().find(|(name, _)| *name == wanted);
    known.ok_or_else(|| {
        let names = INTERVALS.map(|(name, _)| name).join(", ");
        ApiError::malformed("invalidQuery", format!("'interval': expected one of {names}"))
    })
}

fn series(samples: &[Sample], from: DateTime<Utc>) -> Vec<MetricSeries> {
    let samples: Vec<(DateTime<Utc>, BTreeMap<String, i64>)> =
        samples.iter().map(|sample| (sample.at, metrics(sample))).collect();
    let names: BTreeSet<&String> = samples.iter().flat_map(|(_, values)| values.keys()).collect();
    let series = names.into_iter().map(|name| {
        let value = |values: &BTreeMap<String, i64>| values.get(name).copied().unwrap_or_default();
        let points = if STATES.contains(&name.as_str()) {
            let points = samples.iter().map(|(at, values)| MetricPoint { timestamp: *at, value: value(values) });
            points.filter(|point| point.timestamp >= from).collect()
        } else {
            let pairs = samples.windows(2).filter_map(|pair| match pair {
                [(_, before), (at, now)] => Some(MetricPoint { timestamp: *at, value: value(now) - value(before) }),
                _ => None,
            });
            pairs.filter(|point| point.timestamp >= from).collect()
        };
        MetricSeries { metric: name.clone(), points }
    });
    series.collect()
}

/// A sample by the names of metrics.
fn metrics(sample: &Sample) -> BTreeMap<String, i64> {
    let mut metrics = BTreeMap::new();
    for (name, value) in &sample.values {
        let metric = match name.as_str() {
            "received" => "d2c.telemetry.ingress.allProtocol",
            "stored" => "d2c.telemetry.ingress.success",
            "deadLettered" => "d2c.telemetry.ingress.deadLettered",
            rejected if rejected.starts_with("rejected:") => "d2c.telemetry.ingress.rejected",
            other => other,
        };
        *metrics.entry(metric.to_owned()).or_default() += value.as_i64().unwrap_or_default();
    }
    for state in STATES {
        metrics.entry(state.to_owned()).or_default();
    }
    metrics
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_are_what_came_and_states_are_what_is() {
        let sample = |minute: i64, values: serde_json::Value| Sample {
            at: time(minute * MINUTE_MS),
            values: values.as_object().cloned().unwrap_or_default(),
        };
        let samples = [
            sample(1, json!({"received": 5, "provisionedDeviceCount": 2})),
            sample(2, json!({"received": 9, "rejected:notJson": 1, "rejected:tooDeep": 2, "connectedDeviceCount": 1})),
        ];
        let series = series(&samples, time(2 * MINUTE_MS));
        let found: Vec<_> = series
            .iter()
            .map(|one| (one.metric.as_str(), one.points.iter().map(|point| point.value).collect::<Vec<_>>()))
            .collect();
        let expected = [
            ("connectedDeviceCount", vec![1]),
            ("d2c.telemetry.ingress.allProtocol", vec![4]),
            ("d2c.telemetry.ingress.rejected", vec![3]),
            ("provisionedDeviceCount", vec![0]),
        ];
        assert_eq!(found, expected);
    }
}

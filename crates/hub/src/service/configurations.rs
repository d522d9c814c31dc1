//! Configurations: what is wanted of many twins.

use super::{Service, reply};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{self, Bytes, Path, Query, ServiceConfig},
};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_engine::{
    configurations::{self, MAX_CONFIGURATIONS},
    policies::Right,
    precondition::IfMatch,
};
use muster_model::{
    ConfigurationId,
    configuration::{Configuration, Content, Document},
    query::Source,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/configurations", web::get().to(list_configurations))
        .route("/configurations/testQueries", web::post().to(test_queries))
        .route("/configurations/{id}", web::get().to(get_configuration))
        .route("/configurations/{id}", web::put().to(put_configuration))
        .route("/configurations/{id}", web::delete().to(delete_configuration))
        .route("/devices/{id}/applyConfigurationContent", web::post().to(apply_content));
}

/// A configuration as clients write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigurationBody {
    id: Option<String>,
    labels: Option<Map<String, Value>>,
    content: Option<Content>,
    target_condition: Option<String>,
    priority: Option<i64>,
    metrics: Option<Metrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metrics {
    queries: Option<BTreeMap<String, String>>,
}

impl ConfigurationBody {
    fn read(self, id: &str) -> Result<Document, Fault> {
        if self.id.is_some_and(|named| named != id) {
            return Err(Fault::new(400, 400_004, "the body is of another configuration"));
        }
        Ok(Document {
            labels: self.labels.unwrap_or_default(),
            content: self.content.unwrap_or_default(),
            target_condition: self.target_condition.unwrap_or_default(),
            priority: self.priority.unwrap_or_default(),
            metrics: self.metrics.and_then(|metrics| metrics.queries).unwrap_or_default(),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Top {
    top: Option<u32>,
}

async fn list_configurations(service: Service, top: Query<Top>) -> HttpResponse {
    let list = async {
        let caller = service.may(Right::RegistryRead)?;
        let top = top.top.filter(|top| *top > 0).unwrap_or(MAX_CONFIGURATIONS);
        let found = configurations::list(service.engine(), &caller, top).await?;
        Ok(HttpResponse::Ok().json(found.iter().map(document).collect::<Vec<Value>>()))
    };
    service.answer(list.await)
}

async fn get_configuration(service: Service, id: Path<String>) -> HttpResponse {
    let get = async {
        let caller = service.may(Right::RegistryRead)?;
        let found = configurations::get(service.engine(), &caller, &configuration(&id)?).await?;
        Ok(reply::document(&document(&found), "etag"))
    };
    service.answer(get.await)
}

/// Without `If-Match` the configuration is made (201), with it it is changed.
async fn put_configuration(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let put = async {
        let caller = service.may(Right::RegistryWrite)?;
        let wanted = reply::body::<ConfigurationBody>(&body)?.read(&id)?;
        let (engine, id) = (service.engine(), configuration(&id)?);
        match service.if_match() {
            None => {
                let made = configurations::create(engine, &caller, &id, wanted).await?;
                let mut made = reply::document(&document(&made), "etag");
                *made.status_mut() = StatusCode::CREATED;
                Ok(made)
            }
            Some(condition) => {
                let changed = configurations::update(engine, &caller, &id, wanted, &condition).await?;
                Ok(reply::document(&document(&changed), "etag"))
            }
        }
    };
    service.answer(put.await)
}

async fn delete_configuration(service: Service, id: Path<String>) -> HttpResponse {
    let delete = async {
        let caller = service.may(Right::RegistryWrite)?;
        let condition = service.if_match().unwrap_or(IfMatch::Any);
        configurations::delete(service.engine(), &caller, &configuration(&id)?, &condition).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(delete.await)
}

/// Queries to be checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Queries {
    target_condition: Option<String>,
    custom_metric_queries: Option<BTreeMap<String, String>>,
}

async fn test_queries(service: Service, body: Bytes) -> HttpResponse {
    let test = async {
        let caller = service.may(Right::RegistryRead)?;
        let queries: Queries = reply::body(&body)?;
        let target = queries.target_condition.unwrap_or_default();
        let metrics = queries.custom_metric_queries.unwrap_or_default();
        let problems = configurations::check_queries(&caller, &target, &metrics)?;
        let answer = json!({"targetConditionError": problems.target, "customMetricQueryErrors": problems.metrics});
        Ok(HttpResponse::Ok().json(answer))
    };
    service.answer(test.await)
}

async fn apply_content(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let apply = async {
        let caller = service.may(Right::RegistryWrite)?;
        let content: Content = reply::body(&body)?;
        configurations::apply_content(service.engine(), &caller, &reply::device(&id)?, &content).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    service.answer(apply.await)
}

fn configuration(id: &str) -> Result<ConfigurationId, Fault> {
    ConfigurationId::parse(id).map_err(|error| Fault::new(400, 400_004, error.to_string()))
}

fn document(found: &Configuration) -> Value {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let Document { labels, content, target_condition, priority, metrics } = &found.document;
    let applied = format!("configurations.[[{}]].status = 'Applied'", found.id);
    let target = muster_model::configuration::Target::parse(target_condition).map(|target| target.source);
    let (from, condition) = match target {
        Ok(Source::Modules) => ("deviceId, moduleId", target_condition.trim().to_owned()),
        _ => ("deviceId", format!("FROM devices WHERE {target_condition}")),
    };
    let condition = condition.trim_end_matches(" WHERE *");
    let source = if from == "deviceId" { "devices" } else { "devices.modules" };
    json!({
        "id": found.id,
        "schemaVersion": "1.0",
        "labels": labels,
        "content": content,
        "targetCondition": target_condition,
        "createdTimeUtc": time(found.created_at),
        "lastUpdatedTimeUtc": time(found.updated_at),
        "priority": priority,
        "systemMetrics": {
            "results": {"targetedCount": found.results.targeted, "appliedCount": found.results.applied},
            "queries": {
                "targetedCount": format!("SELECT {from} {condition}"),
                "appliedCount": format!("SELECT {from} FROM {source} WHERE {applied}"),
            },
        },
        "metrics": {"results": found.results.metrics, "queries": metrics},
        "etag": found.etag(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_read_as_clients_write_them() {
        let read = |body: Value| reply::body::<ConfigurationBody>(body.to_string().as_bytes())?.read("c");
        let wanted = read(json!({
            "id": "c", "schemaVersion": "1.0", "labels": null, "priority": 10, "targetCondition": "tags.a = 1",
            "content": {"deviceContent": {"properties.desired.a": 1}, "modulesContent": null},
            "metrics": {"queries": {"m": "SELECT deviceId FROM devices"}, "results": {"m": 5}},
        }));
        let wanted = wanted.expect("a configuration");
        assert_eq!((wanted.priority, wanted.metrics.len(), wanted.check()), (10, 1, Ok(())));
        for bad in [json!({"id": "d"}), json!({"labels": 5}), json!(5), json!({"priority": "high"})] {
            assert_eq!(read(bad.clone()).err().map(|fault| fault.code), Some(400_004), "{bad}");
        }
    }
}

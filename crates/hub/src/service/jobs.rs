//! Jobs: twins changed and methods invoked on many devices.

use super::{
    Service,
    methods::{self, Call},
    reply,
    twins::TwinBody,
};
use crate::fault::Fault;
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Path, Query, ServiceConfig},
};
use chrono::{DateTime, SecondsFormat, Utc};
use muster_engine::{
    Paging,
    jobs::{self, JobFilter, Progress},
    methods::DEFAULT_RESPONSE_TIMEOUT,
    policies::Right,
};
use muster_model::{
    JobId,
    job::{DeviceOutcome, JobStatus, Order, Realm, Work},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Jobs in one answer.
const PAGE: u32 = 100;

pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .route("/jobs/v2/query", web::get().to(list_jobs))
        .route("/jobs/v2/{id}", web::put().to(put_job))
        .route("/jobs/v2/{id}", web::get().to(get_job))
        .route("/jobs/v2/{id}/cancel", web::post().to(cancel_job));
}

/// A job as clients write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobBody {
    #[serde(default)]
    job_id: Option<String>,
    r#type: String,
    #[serde(default)]
    cloud_to_device_method: Option<Call>,
    #[serde(default)]
    update_twin: Option<TwinUpdate>,
    #[serde(default)]
    query_condition: Option<String>,
    #[serde(default)]
    start_time: Option<String>,
    #[serde(default, deserialize_with = "methods::seconds")]
    max_execution_time_in_seconds: Option<Duration>,
}

#[derive(Debug, Deserialize)]
struct TwinUpdate {
    #[serde(default)]
    etag: Option<String>,
    #[serde(flatten)]
    twin: TwinBody,
}

impl JobBody {
    fn read(self, id: &str) -> Result<(Order, Option<DateTime<Utc>>), Fault> {
        let bad = |message: &str| Fault::new(400, 400_004, message);
        if self.job_id.is_some_and(|named| named != id) {
            return Err(bad("the body is of another job"));
        }
        let work = match (self.r#type.as_str(), self.cloud_to_device_method, self.update_twin) {
            ("scheduleDeviceMethod", Some(call), _) => Work::Method {
                name: call.method_name,
                payload: call.payload,
                response_seconds: call.response_timeout_in_seconds.unwrap_or(DEFAULT_RESPONSE_TIMEOUT).as_secs(),
                connect_seconds: call.connect_timeout_in_seconds.unwrap_or_default().as_secs(),
            },
            ("scheduleUpdateTwin", _, Some(update)) => {
                let change = update.twin.merge();
                Work::UpdateTwin { tags: change.tags, desired: change.desired, etag: update.etag }
            }
            _ => return Err(bad("a job is scheduleDeviceMethod with its method, or scheduleUpdateTwin with its twin")),
        };
        let starts_at = self.start_time.filter(|text| !text.is_empty());
        let starts_at = starts_at.map(|text| DateTime::parse_from_rfc3339(&text)).transpose();
        let starts_at = starts_at.map_err(|_| bad("startTime is no time"))?.map(|time| time.to_utc());
        // 0 is what a client sends that was not told.
        let seconds = self.max_execution_time_in_seconds.map(|time| time.as_secs()).filter(|seconds| *seconds > 0);
        let order = Order {
            condition: self.query_condition.unwrap_or_default(),
            max_seconds: seconds.unwrap_or(jobs::MAX_SECONDS),
            work,
        };
        Ok((order, starts_at))
    }
}

async fn put_job(service: Service, id: Path<String>, body: Bytes) -> HttpResponse {
    let put = async {
        let caller = service.may(Right::ServiceConnect)?;
        let (order, starts_at) = reply::body::<JobBody>(&body)?.read(&id)?;
        let made = jobs::create(service.engine(), &caller, (Realm::Hub, &job(&id)?), order, starts_at).await?;
        Ok(HttpResponse::Ok().json(document(&made)))
    };
    service.answer(put.await)
}

async fn get_job(service: Service, id: Path<String>) -> HttpResponse {
    let get = async {
        let caller = service.may(Right::ServiceConnect)?;
        let found = jobs::get(service.engine(), &caller, (Realm::Hub, &job(&id)?)).await?;
        Ok(HttpResponse::Ok().json(document(&found)))
    };
    service.answer(get.await)
}

async fn cancel_job(service: Service, id: Path<String>) -> HttpResponse {
    let cancel = async {
        let caller = service.may(Right::ServiceConnect)?;
        let ended = jobs::cancel(service.engine(), &caller, (Realm::Hub, &job(&id)?)).await?;
        Ok(HttpResponse::Ok().json(document(&ended)))
    };
    service.answer(cancel.await)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    job_type: Option<String>,
    job_status: Option<String>,
    page_size: Option<u32>,
    continuation_token: Option<String>,
}

/// Clients give page and continuation by parameters or by headers.
async fn list_jobs(service: Service, wanted: Query<Wanted>) -> HttpResponse {
    let list = async {
        let caller = service.may(Right::ServiceConnect)?;
        let bad = |message: &str| Fault::new(400, 400_004, message);
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let status = given(&wanted.job_status);
        let status = status.map(|name| JobStatus::from_name(&name).ok_or_else(|| bad("jobStatus is not known")));
        let filter = JobFilter { kind: given(&wanted.job_type), status: status.transpose()? };
        let size = service.header("x-ms-max-item-count").and_then(|count| count.trim().parse().ok());
        let limit = wanted.page_size.or(size).filter(|limit| *limit > 0).unwrap_or(PAGE).min(PAGE);
        let after = given(&wanted.continuation_token);
        let after = after.or_else(|| given(&service.header("x-ms-continuation").map(str::to_owned)));
        let after = after.map(|text| job(&text)).transpose()?;
        let page = jobs::list(service.engine(), &caller, Realm::Hub, &filter, Paging { after, limit }).await?;
        let mut response = HttpResponse::Ok();
        response.insert_header(("x-ms-item-type", "JobResponse"));
        if let Some(last) = page.items.last().filter(|_| page.more) {
            response.insert_header(("x-ms-continuation", last.job.id.as_str()));
        }
        let items: Vec<Value> = page.items.iter().map(document).collect();
        Ok(match service.header("user-agent").is_some_and(reads_an_object) {
            true => response.json(json!({"type": "jobResponse", "items": items})),
            false => response.json(items),
        })
    };
    service.answer(list.await)
}

/// Whether the client is Microsoft's service SDK for Python, which finds the list of jobs only inside an object; az CLI is
/// made from the same description but reads the array, as Node and .NET do.
fn reads_an_object(user_agent: &str) -> bool {
    user_agent.contains("iothubgatewayserviceapis/") && !user_agent.contains("IoTPlatformCliExtension/")
}

fn job(id: &str) -> Result<JobId, Fault> {
    JobId::parse(id).map_err(|error| Fault::new(400, 400_004, error.to_string()))
}

fn document(Progress { job, counts }: &Progress) -> Value {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let count = |outcome: DeviceOutcome| counts.get(&outcome).copied().unwrap_or_default();
    let mut document = json!({
        "jobId": job.id,
        "type": job.order.work.kind(),
        "queryCondition": job.order.condition,
        "createdTime": time(job.created_at),
        "startTime": time(job.started_at.unwrap_or(job.starts_at)),
        "maxExecutionTimeInSeconds": job.order.max_seconds,
        "status": job.status.name(),
        "deviceJobStatistics": {
            "deviceCount": counts.values().sum::<i64>(),
            "failedCount": count(DeviceOutcome::Failed),
            "succeededCount": count(DeviceOutcome::Completed),
            "runningCount": count(DeviceOutcome::Running),
            "pendingCount": count(DeviceOutcome::Pending),
        },
    });
    let (name, order) = match &job.order.work {
        Work::UpdateTwin { tags, desired, etag } => {
            ("updateTwin", json!({"tags": tags, "properties": {"desired": desired}, "etag": etag}))
        }
        // No job of the hub's own.
        Work::MigrateTemplate { .. } => ("deviceTemplate", json!({})),
        Work::Method { name, payload, response_seconds, connect_seconds } => (
            "cloudToDeviceMethod",
            json!({
                "methodName": name, "payload": payload,
                "responseTimeoutInSeconds": response_seconds, "connectTimeoutInSeconds": connect_seconds,
            }),
        ),
    };
    document[name] = order;
    if let Some(at) = job.ended_at {
        document["endTime"] = time(at).into();
    }
    if let Some(failure) = &job.failure {
        document["failureReason"] = failure.as_str().into();
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<(Order, Option<DateTime<Utc>>), Fault> {
        reply::body::<JobBody>(body.to_string().as_bytes())?.read("j")
    }

    #[test]
    fn each_client_gets_the_list_that_it_reads() {
        assert!(reads_an_object("python/3.11.2 (Linux) msrest/0.7.1 iothubgatewayserviceapis/2021-04-12"));
        for other in ["IoTPlatformCliExtension/0.25.0 iothubgatewayserviceapis/2021-04-12", "azure-iothub/1.16.6", ""] {
            assert!(!reads_an_object(other), "{other}");
        }
    }

    #[test]
    fn jobs_are_read_as_clients_write_them() {
        let (order, starts_at) = read(json!({
            "jobId": "j", "type": "scheduleDeviceMethod", "queryCondition": "tags.a = 1",
            "cloudToDeviceMethod": {"methodName": "reboot", "payload": {"a": 1}, "responseTimeoutInSeconds": "5"},
            "startTime": "2026-11-23T00:00:00.000Z", "maxExecutionTimeInSeconds": 60,
        }))
        .expect("a job");
        assert_eq!((order.max_seconds, order.condition.as_str()), (60, "tags.a = 1"));
        assert!(matches!(order.work, Work::Method { response_seconds: 5, connect_seconds: 0, .. }));
        assert!(starts_at.is_some());
        let (order, starts_at) = read(json!({
            "type": "scheduleUpdateTwin", "maxExecutionTimeInSeconds": 0,
            "updateTwin": {"etag": "*", "tags": {"a": 1}, "properties": {"desired": {"b": null}}},
        }))
        .expect("a job");
        assert_eq!((order.max_seconds, starts_at), (jobs::MAX_SECONDS, None));
        assert!(matches!(order.work, Work::UpdateTwin { etag: Some(etag), .. } if etag == "*"));
        for bad in [
            json!({}),
            json!({"type": "export"}),
            json!({"type": "scheduleDeviceMethod", "updateTwin": {}}),
            json!({"type": "scheduleUpdateTwin", "updateTwin": {"tags": 5}}),
            json!({"jobId": "k", "type": "scheduleUpdateTwin", "updateTwin": {}}),
            json!({"type": "scheduleUpdateTwin", "updateTwin": {}, "startTime": "soon"}),
        ] {
            assert_eq!(read(bad.clone()).err().map(|fault| fault.code), Some(400_004), "{bad}");
        }
    }
}

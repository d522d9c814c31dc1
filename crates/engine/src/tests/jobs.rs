//! Jobs over many devices.

use super::{devices::new, *};
use crate::{
    EngineError, devices,
    jobs::{self, JobFilter, MAX_SECONDS, Progress},
    precondition::IfMatch,
    queries, twins_service as twins,
};
use muster_model::{
    JobId,
    job::{DeviceOutcome, JobStatus, Order, Realm, Work},
    wire::twin::ServiceChange,
};
use muster_store::Paging;
use serde_json::{Map, Value, json};

fn job(id: &str) -> JobId {
    JobId::parse(id).expect("a job id")
}

fn object(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

fn order(condition: &str, etag: Option<&str>) -> Order {
    let work = Work::UpdateTwin {
        tags: object(json!({"done": true})),
        desired: object(json!({"speed": 3})),
        etag: etag.map(str::to_owned),
    };
    Order { condition: condition.into(), max_seconds: 60, work }
}

async fn fleet(home: &Home, tenant: &Tenant) {
    for number in 0..5 {
        let id = device(&format!("d-{number}"));
        devices::create(&home.engine, &tenant.admin, new(id.as_str())).await.expect("a device");
        let tags = object(json!({"even": number % 2 == 0}));
        let change = ServiceChange { tags, ..ServiceChange::default() };
        twins::change(&home.engine, &tenant.admin, &id.into(), change, &IfMatch::Any).await.expect("changed");
    }
}

async fn progress(home: &Home, tenant: &Tenant, id: &str) -> Progress {
    jobs::get(&home.engine, &tenant.admin, (Realm::Hub, &job(id))).await.expect("a job")
}

fn counted(progress: &Progress) -> Vec<(DeviceOutcome, i64)> {
    progress.counts.iter().map(|(outcome, count)| (*outcome, *count)).collect()
}

#[tokio::test]
async fn a_job_changes_the_twins_that_its_condition_holds_for() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let (engine, admin) = (&home.engine, &tenant.admin);
    fleet(&home, &tenant).await;
    let later = home.engine.clock().now() + Duration::hours(1);
    let id = job("j-1");
    let made = jobs::create(engine, admin, (Realm::Hub, &id), order("tags.even = true", None), Some(later)).await;
    assert_eq!(made.expect("a job").job.status, JobStatus::Scheduled);
    let twice = jobs::create(engine, admin, (Realm::Hub, &id), order("", None), None).await;
    assert!(matches!(twice, Err(EngineError::Conflict { kind: "job", .. })), "{twice:?}");
    assert_eq!(jobs::run_due(engine).await.expect("ran"), 0, "its time has not come");
    home.advance(Duration::hours(1));
    assert_eq!(jobs::run_due(engine).await.expect("ran"), 1);
    let ended = progress(&home, &tenant, "j-1").await;
    assert_eq!(ended.job.status, JobStatus::Completed);
    assert_eq!(counted(&ended), [(DeviceOutcome::Completed, 3)]);
    let twin = twins::get(engine, admin, &device("d-2").into()).await.expect("a twin");
    assert_eq!((&twin["tags"]["done"], &twin["properties"]["desired"]["speed"]), (&json!(true), &json!(3)));
    let other = twins::get(engine, admin, &device("d-1").into()).await.expect("a twin");
    assert_eq!(other["tags"], json!({"even": false}));

    let text = "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j-1' AND devices.jobs.status = 'completed'";
    let first = queries::run(engine, admin, text, 2, None).await.expect("answered");
    let rest = queries::run(engine, admin, text, 2, first.continuation.as_deref()).await.expect("answered");
    let ids: Vec<&Value> = first.items.iter().chain(&rest.items).map(|item| &item["deviceId"]).collect();
    assert_eq!(ids, ["d-0", "d-2", "d-4"]);
    assert_eq!(first.items[0]["jobType"], "scheduleUpdateTwin");
    home.end().await;
}

#[tokio::test]
async fn what_fails_is_told_for_each_device() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let (engine, admin) = (&home.engine, &tenant.admin);
    fleet(&home, &tenant).await;
    let method = |name: &str| Order {
        condition: "deviceId IN ['d-0', 'd-1']".into(),
        max_seconds: 60,
        work: Work::Method { name: name.into(), payload: Value::Null, response_seconds: 1, connect_seconds: 0 },
    };
    jobs::create(engine, admin, (Realm::Hub, &job("call")), method("reboot"), None).await.expect("a job");
    jobs::create(engine, admin, (Realm::Hub, &job("etag")), order("deviceId = 'd-0'", Some("stale")), None)
        .await
        .expect("a job");
    assert_eq!(jobs::run_due(engine).await.expect("ran"), 2);
    assert_eq!(counted(&progress(&home, &tenant, "call").await), [(DeviceOutcome::Failed, 2)]);
    let text = "SELECT * FROM devices.jobs WHERE deviceId = 'd-0'";
    let told = queries::run(engine, admin, text, 9, None).await.expect("answered").items;
    let codes: Vec<&Value> = told.iter().map(|item| &item["error"]["code"]).collect();
    assert_eq!(codes, ["404103", "412002"]);

    let bad = |order: Order| async move {
        let refused = jobs::create(engine, admin, (Realm::Hub, &job("bad")), order, None).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
    };
    bad(order("tags.a =", None)).await;
    bad(method("a/b")).await;
    bad(Order { max_seconds: MAX_SECONDS + 1, ..order("", None) }).await;
    let work = Work::UpdateTwin { tags: object(json!({"a.b": 1})), desired: None, etag: None };
    bad(Order { work, ..order("", None) }).await;
    home.end().await;
}

#[tokio::test]
async fn a_job_can_be_ended_and_runs_out_of_time() {
    let home = Home::new().await;
    let (tenant, stranger) = (home.tenant("plant").await, home.tenant("other").await);
    let (engine, admin) = (&home.engine, &tenant.admin);
    fleet(&home, &tenant).await;
    let later = home.engine.clock().now() + Duration::minutes(1);
    jobs::create(engine, admin, (Realm::Hub, &job("ended")), order("", None), Some(later)).await.expect("a job");
    let foreign = jobs::cancel(engine, &stranger.admin, (Realm::Hub, &job("ended"))).await;
    assert!(matches!(foreign, Err(EngineError::NotFound { kind: "job", .. })), "{foreign:?}");
    let ended = jobs::cancel(engine, admin, (Realm::Hub, &job("ended"))).await.expect("ended");
    assert_eq!(ended.job.status, JobStatus::Cancelled);
    home.advance(Duration::minutes(2));
    assert_eq!(jobs::run_due(engine).await.expect("ran"), 0, "it is over");
    let filter = JobFilter { status: Some(JobStatus::Cancelled), ..JobFilter::default() };
    let listed = jobs::list(engine, admin, Realm::Hub, &filter, Paging::first(9)).await.expect("listed");
    assert_eq!(listed.items.iter().map(|one| one.job.id.as_str()).collect::<Vec<_>>(), ["ended"]);
    let filter = JobFilter { kind: Some("scheduleDeviceMethod".into()), ..JobFilter::default() };
    let listed = jobs::list(engine, admin, Realm::Hub, &filter, Paging::first(9)).await.expect("listed");
    assert!(listed.items.is_empty() && !listed.more);
    home.end().await;
}

/// A worker dies in the middle: what it was at is done again by the next one, what was done is not.
#[tokio::test]
async fn a_job_goes_on_where_a_worker_died() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let (engine, admin) = (&home.engine, &tenant.admin);
    fleet(&home, &tenant).await;
    let id = job("j-1");
    let long = Order { max_seconds: 600, ..order("", None) };
    jobs::create(engine, admin, (Realm::Hub, &id), long, None).await.expect("a job");
    jobs::create(engine, admin, (Realm::Hub, &job("short")), order("", None), None).await.expect("a job");
    let (scope, now) = (&admin.scope, home.engine.clock().now());
    let system = muster_model::SystemScope;
    let tx = engine.store().begin_system(&system).await.expect("begun");
    let lease = now + Duration::seconds(60);
    let claimed = muster_store::jobs::claim_due(&tx, &system, now, lease, 9).await.expect("claimed");
    tx.commit().await.expect("committed");
    assert_eq!(claimed.len(), 2);
    let tx = engine.store().begin(scope).await.expect("begun");
    let key = (Realm::Hub, &id);
    muster_store::jobs::start(&tx, scope, key, now).await.expect("started");
    muster_store::jobs::start(&tx, scope, (Realm::Hub, &job("short")), now).await.expect("started");
    let all: Vec<DeviceId> = (0..5).map(|number| device(&format!("d-{number}"))).collect();
    muster_store::jobs::add_devices(&tx, scope, key, (&all, None), now).await.expect("added");
    let done = (DeviceOutcome::Completed, None);
    muster_store::jobs::set_outcome(&tx, scope, (Realm::Hub, &id, &all[0]), done, now).await.expect("noted");
    let begun = (DeviceOutcome::Running, None);
    muster_store::jobs::set_outcome(&tx, scope, (Realm::Hub, &id, &all[1]), begun, now).await.expect("noted");
    tx.commit().await.expect("committed");

    assert_eq!(jobs::run_due(engine).await.expect("ran"), 0, "it is another worker's");
    home.advance(Duration::seconds(61));
    assert_eq!(jobs::run_due(engine).await.expect("ran"), 2);
    let ended = progress(&home, &tenant, "j-1").await;
    assert_eq!((ended.job.status, counted(&ended)), (JobStatus::Completed, vec![(DeviceOutcome::Completed, 5)]));
    let first = twins::get(engine, admin, &device("d-0").into()).await.expect("a twin");
    assert_eq!(first["tags"].get("done"), None, "its turn was over");
    let late = progress(&home, &tenant, "short").await;
    assert_eq!((late.job.status, counted(&late)), (JobStatus::Failed, vec![(DeviceOutcome::Canceled, 5)]));
    home.end().await;
}

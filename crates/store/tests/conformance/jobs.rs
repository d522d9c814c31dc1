//! Modules, jobs and what became of devices in them.

use crate::harness::{Db, at, id};
use muster_model::{
    Address, JobId, SystemScope,
    job::{DeviceOutcome, Job, JobStatus, Order, Realm, Work},
};
use muster_store::{
    Paging, StoreError, devices, hub_sessions,
    jobs::{self, JobFilter},
    modules::{self, NewModule},
    twins,
};
use serde_json::json;

crate::on_both!(modules_stand_beside_their_device, jobs_are_claimed_once, a_jobs_devices_have_outcomes);

const SYSTEM: &SystemScope = &SystemScope;

fn new_module(name: &str) -> NewModule {
    NewModule { id: id(name), managed_by: Some("ops".into()), created_at: at(0), generation: "g".into() }
}

async fn modules_stand_beside_their_device(db: Db) {
    let (device, other) = (db.device("pump-1").await, db.device("pump-10").await);
    let address: Address = id("pump-1/motor");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for (of, name) in [(&device, "motor"), (&device, "valve"), (&other, "motor")] {
        modules::insert(&tx, &db.scope, of, new_module(name)).await.expect("inserts");
    }
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let taken = modules::insert(&tx, &db.scope, &device, new_module("motor")).await;
    assert!(matches!(taken, Err(StoreError::Conflict { kind: "module", .. })), "{taken:?}");
    let mut motor = modules::get(&tx, &db.scope, &address).await.expect("gets");
    assert_eq!((&motor.identity.id, motor.managed_by.as_deref()), (&device.id, Some("ops")));
    assert_eq!(modules::resolve(&tx, &db.scope, &address).await.expect("resolves"), motor.identity);
    assert_eq!(modules::resolve(&tx, &db.scope, &device.id.clone().into()).await.expect("resolves"), device);
    assert_eq!(twins::get(&tx, &db.scope, motor.identity.key).await.expect("a twin").version, 2);
    let names = |listed: Vec<muster_model::device::Module>| -> Vec<String> {
        listed.into_iter().map(|one| format!("{}/{}", one.identity.id, one.id)).collect()
    };
    let of = modules::list_of(&tx, &db.scope, device.key).await.expect("lists");
    assert_eq!(names(of), ["pump-1/motor", "pump-1/valve"]);
    let page = modules::list(&tx, &db.scope, Paging::after(address.clone(), 1)).await.expect("lists");
    assert!(page.more);
    assert_eq!(names(page.items), ["pump-1/valve"]);
    assert_eq!(devices::count(&tx, &db.scope, &devices::DeviceFilter::default()).await.expect("counts"), 2);
    motor.managed_by = None;
    modules::update(&tx, &db.scope, &motor).await.expect("updates");
    let stale = modules::update(&tx, &db.scope, &motor).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");

    let blocked = muster_model::device::Device { enabled: false, ..device.clone() };
    devices::update(&tx, &db.scope, &blocked).await.expect("updates");
    assert!(!modules::get(&tx, &db.scope, &address).await.expect("gets").identity.enabled, "with its device");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system_read(SYSTEM).await.expect("begins");
    let found = devices::candidates(&tx, SYSTEM, &address, (None, 9)).await.expect("runs");
    let found: Vec<_> = found.iter().map(|one| (&one.address, one.parent, one.enabled)).collect();
    assert_eq!(found, [(&address, Some(device.key), false)]);
    drop(tx);

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    hub_sessions::renew_lease(&tx, SYSTEM, "hub-1", at(1000)).await.expect("registers");
    let valve = {
        let read = db.store.begin_read(&db.scope).await.expect("begins");
        modules::get(&read, &db.scope, &id("pump-10/motor")).await.expect("gets").identity.key
    };
    let session = hub_sessions::NewHubSession { tenant: db.scope.tenant, device: valve, connected_at: at(1) };
    assert_eq!(hub_sessions::open(&tx, SYSTEM, "hub-1", &[session]).await.expect("opens").len(), 1);
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let held = hub_sessions::holders(&tx, &db.scope, other.key, at(2)).await.expect("reads");
    assert_eq!(held.iter().map(|(device, _)| *device).collect::<Vec<_>>(), [valve], "its module's connection");
    devices::delete(&tx, &db.scope, &other.id, at(3)).await.expect("deletes");
    let gone = modules::get(&tx, &db.scope, &id("pump-10/motor")).await;
    assert!(matches!(gone, Err(StoreError::NotFound { kind: "module", .. })), "{gone:?}");
    modules::delete(&tx, &db.scope, motor.identity.key).await.expect("deletes");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_read(&db.stranger).await.expect("begins");
    assert!(modules::list(&tx, &db.stranger, Paging::first(9)).await.expect("lists").items.is_empty());
}

pub fn new_job(name: &str, starts: i64) -> Job {
    let work = Work::UpdateTwin { tags: None, desired: json!({"a": 1}).as_object().cloned(), etag: None };
    Job {
        id: id(name),
        order: Order { condition: "tags.a = 1".into(), max_seconds: 60, work },
        status: JobStatus::Scheduled,
        failure: None,
        created_at: at(0),
        starts_at: at(starts),
        started_at: None,
        ended_at: None,
    }
}

async fn jobs_are_claimed_once(db: Db) {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for (name, starts) in [("now", 0), ("later", 100)] {
        jobs::insert(&tx, &db.scope, Realm::Hub, &new_job(name, starts)).await.expect("inserts");
    }
    let taken = jobs::insert(&tx, &db.scope, Realm::Hub, &new_job("now", 0)).await;
    assert!(matches!(taken, Err(StoreError::Conflict { kind: "job", .. })), "{taken:?}");
    let now: JobId = id("now");
    assert_eq!(jobs::get(&tx, &db.scope, Realm::Hub, &now).await.expect("gets"), new_job("now", 0));
    assert_eq!(jobs::count_open(&tx, &db.scope, Realm::Hub).await.expect("counts"), 2);
    tx.commit().await.expect("commits");
    let claim = async |seconds: i64| {
        let tx = db.store.begin_system(SYSTEM).await.expect("begins");
        let claimed = jobs::claim_due(&tx, SYSTEM, at(seconds), at(seconds + 60), 9).await.expect("claims");
        tx.commit().await.expect("commits");
        claimed.into_iter().map(|claimed| claimed.job.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(claim(1).await, ["now"]);
    assert!(claim(2).await.is_empty(), "it is taken");
    assert_eq!(claim(61).await, ["now"], "its worker died");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    jobs::renew(&tx, &db.scope, (Realm::Hub, &now), at(90)).await.expect("renews");
    jobs::start(&tx, &db.scope, (Realm::Hub, &now), at(62)).await.expect("starts");
    let failed = (JobStatus::Failed, Some("why"));
    assert!(jobs::end(&tx, &db.scope, (Realm::Hub, &now), failed, at(63)).await.expect("ends"));
    assert!(!jobs::end(&tx, &db.scope, (Realm::Hub, &now), failed, at(64)).await.expect("runs"), "it is over");
    jobs::renew(&tx, &db.scope, (Realm::Hub, &now), at(90)).await.expect("runs");
    let ended = jobs::get(&tx, &db.scope, Realm::Hub, &now).await.expect("gets");
    assert_eq!((ended.status, ended.failure.as_deref()), (JobStatus::Failed, Some("why")));
    assert_eq!((ended.started_at, ended.ended_at), (Some(at(62)), Some(at(63))));
    for (filter, expected) in [
        (JobFilter::default(), vec!["later", "now"]),
        (JobFilter { status: Some(JobStatus::Failed), ..JobFilter::default() }, vec!["now"]),
        (JobFilter { kind: Some("scheduleDeviceMethod".into()), ..JobFilter::default() }, vec![]),
    ] {
        let page = jobs::list(&tx, &db.scope, Realm::Hub, &filter, Paging::first(9)).await.expect("lists");
        assert_eq!(page.items.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), expected);
    }
    tx.commit().await.expect("commits");
    let tx = db.store.begin_read(&db.stranger).await.expect("begins");
    let foreign = jobs::get(&tx, &db.stranger, Realm::Hub, &now).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
    drop(tx);
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    assert_eq!(jobs::purge(&tx, SYSTEM, at(63)).await.expect("purges"), 0);
    assert_eq!(jobs::purge(&tx, SYSTEM, at(64)).await.expect("purges"), 1);
}

async fn a_jobs_devices_have_outcomes(db: Db) {
    let (job, devices) = (id::<JobId>("j"), ["a", "b", "c"].map(id));
    let key = (Realm::Hub, &job);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    jobs::insert(&tx, &db.scope, Realm::Hub, &new_job("j", 0)).await.expect("inserts");
    jobs::add_devices(&tx, &db.scope, key, (&devices[..2], Some(&devices[1])), at(1)).await.expect("adds");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let claimed = jobs::claim_due(&tx, SYSTEM, at(1), at(2), 9).await.expect("claims").remove(0);
    assert_eq!((claimed.listed, claimed.listed_after.as_ref()), (false, Some(&devices[1])));
    drop(tx);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    jobs::add_devices(&tx, &db.scope, key, (&devices, None), at(2)).await.expect("adds those that are new");
    assert_eq!(jobs::pending(&tx, &db.scope, key, 9).await.expect("reads"), devices);
    let turn = |device| (Realm::Hub, &job, device);
    let answer = json!({"status": 200});
    let set = async |device, outcome, result: Option<&serde_json::Value>| {
        jobs::set_outcome(&tx, &db.scope, turn(device), (outcome, result), at(5)).await.expect("notes")
    };
    assert!(set(&devices[0], DeviceOutcome::Running, None).await);
    assert!(set(&devices[0], DeviceOutcome::Completed, Some(&answer)).await);
    assert!(!set(&devices[0], DeviceOutcome::Failed, None).await, "its turn is over");
    assert!(set(&devices[1], DeviceOutcome::Running, None).await);
    jobs::resume_devices(&tx, &db.scope, key).await.expect("resumes");
    assert_eq!(jobs::pending(&tx, &db.scope, key, 9).await.expect("reads"), devices[1..]);
    let page = jobs::list_devices(&tx, &db.scope, Realm::Hub, Paging::first(2)).await.expect("lists");
    assert!(page.more);
    let first = &page.items[0];
    assert_eq!(
        (&first.device, first.outcome, first.result.as_ref()),
        (&devices[0], DeviceOutcome::Completed, Some(&answer))
    );
    assert_eq!(
        (first.started_at, first.ended_at, first.kind.as_str()),
        (Some(at(5)), Some(at(5)), "scheduleUpdateTwin")
    );
    let after = Paging::after((job.clone(), devices[1].clone()), 9);
    let rest = jobs::list_devices(&tx, &db.scope, Realm::Hub, after).await.expect("lists");
    assert_eq!(rest.items.iter().map(|one| &one.device).collect::<Vec<_>>(), [&devices[2]]);
    jobs::end(&tx, &db.scope, key, (JobStatus::Cancelled, None), at(6)).await.expect("ends");
    let counts = jobs::counts(&tx, &db.scope, Realm::Hub, &job).await.expect("counts");
    assert_eq!(Vec::from_iter(counts), [(DeviceOutcome::Completed, 1), (DeviceOutcome::Canceled, 2)]);
}

//! Events: numbers that no reader skips, what is kept how long, failures that fold, and a tenant's health.

use crate::harness::{Db, at, id};
use muster_model::{
    DeviceId, Scope, SystemScope, TenantKey,
    event::{DeviceEvent, FailureCode, Operation},
};
use muster_store::{
    FeedBatch, Page, Paging,
    events::{self, Entry, Place, Row},
    failures::{self, NewFailure},
    health, hub_sessions,
    modules::{self, NewModule},
};
use serde_json::json;
use std::collections::BTreeMap;

crate::on_both!(
    four_writers_and_a_reader_that_skips_nothing,
    events_come_back_as_they_were,
    an_event_of_a_transaction_that_failed_never_was,
    a_tenant_reads_its_own_events,
    old_events_are_forgotten_and_numbers_are_not,
    a_history_comes_in_pages,
    failures_fold,
    unknown_ids_are_bounded,
    health_is_sampled_once_a_minute,
);

/// Transactions of each writer.
const ROUNDS: i64 = 20;

pub fn event(device: &str, seconds: i64, operation: Operation) -> DeviceEvent {
    DeviceEvent {
        at: at(seconds),
        device: id::<DeviceId>(device),
        module: None,
        operation,
        body: json!({"n": seconds}),
    }
}

pub fn batch(tenant: TenantKey, messages: u32) -> FeedBatch {
    FeedBatch { tenant, messages, at_ms: at(0).timestamp_millis(), batch: vec![0, 255, messages as u8] }
}

async fn append(db: &Db, scope: &Scope, event: DeviceEvent) {
    let tx = db.store.begin(scope).await.expect("begins");
    events::append(&tx, scope, event);
    tx.commit().await.expect("commits");
}

async fn read(db: &Db, scope: &Scope, after: i64) -> Vec<Row> {
    let tx = db.store.begin_read(scope).await.expect("begins");
    events::read(&tx, scope, after, 1000).await.expect("reads")
}

/// The numbers of a row's messages.
fn numbers(row: &Row) -> Vec<i64> {
    match row {
        Row::Event { seq, .. } => vec![*seq],
        Row::Telemetry { first_seq, batch } => (*first_seq..first_seq + i64::from(batch[2])).collect(),
    }
}

async fn four_writers_and_a_reader_that_skips_nothing(db: Db) {
    db.store.fix_partitions(2).await.expect("fixes");
    let writers = [
        tokio::spawn(send(db.clone(), 0)),
        tokio::spawn(send(db.clone(), 1)),
        tokio::spawn(change(db.clone(), "pump-1")),
        tokio::spawn(change(db.clone(), "pump-2")),
    ];
    let (mut seen, mut after) = (Vec::new(), -1);
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        for row in read(&db, &db.scope, after).await {
            seen.extend(numbers(&row));
            after = *seen.last().expect("a number");
        }
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("writes");
    }
    let all: Vec<i64> = read(&db, &db.scope, -1).await.iter().flat_map(numbers).collect();
    assert_eq!(all.len() as i64, 2 * ROUNDS * 5 + 2 * ROUNDS * 2);
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    assert_eq!(seen, all, "the reader has seen every one, in order");
}

/// A worker that stores telemetry.
async fn send(db: Db, partition: u16) {
    let epoch = db.store.claim_partition(partition, "worker").await.expect("claims");
    for _ in 0..ROUNDS {
        let mut tx = db.store.begin_ingest(partition, epoch).await.expect("begins");
        let batches = [batch(db.stranger.tenant, 1), batch(db.scope.tenant, 3), batch(db.scope.tenant, 2)];
        tx.append_telemetry(&batches).await.expect("appends");
        // Others want numbers before these last.
        tokio::task::yield_now().await;
        tx.commit().await.expect("commits");
    }
}

/// Somebody who changes a device.
async fn change(db: Db, device: &'static str) {
    for round in 0..ROUNDS {
        let tx = db.store.begin(&db.scope).await.expect("begins");
        events::append(&tx, &db.scope, event(device, round, Operation::UpdateTwin));
        tokio::task::yield_now().await;
        events::append(&tx, &db.scope, event(device, round, Operation::ReplaceTwin));
        tx.commit().await.expect("commits");
    }
}

async fn events_come_back_as_they_were(db: Db) {
    let mut odd = event("pump-1", 7, Operation::DeviceConnected);
    odd.module = Some(id("camera"));
    odd.body = json!({"text": "ä\u{0}\\u0000\n", "null": null});
    append(&db, &db.scope, odd.clone()).await;
    db.store.fix_partitions(1).await.expect("fixes");
    let epoch = db.store.claim_partition(0, "worker").await.expect("claims");
    let mut tx = db.store.begin_ingest(0, epoch).await.expect("begins");
    tx.append_telemetry(&[]).await.expect("appends nothing");
    tx.append_telemetry(&[batch(db.scope.tenant, 3)]).await.expect("appends");
    tx.commit().await.expect("commits");
    let telemetry = Row::Telemetry { first_seq: 2, batch: vec![0, 255, 3] };
    assert_eq!(read(&db, &db.scope, -1).await, [Row::Event { seq: 1, event: odd }, telemetry.clone()]);
    for inside in 1..4 {
        assert_eq!(read(&db, &db.scope, inside).await, std::slice::from_ref(&telemetry), "after {inside}");
    }
    assert_eq!(read(&db, &db.scope, 4).await, []);
}

async fn an_event_of_a_transaction_that_failed_never_was(db: Db) {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    events::append(&tx, &db.scope, event("pump-1", 1, Operation::UpdateTwin));
    drop(tx);
    assert_eq!(read(&db, &db.scope, -1).await, []);
    append(&db, &db.scope, event("pump-1", 2, Operation::UpdateTwin)).await;
    assert_eq!(read(&db, &db.scope, -1).await.len(), 1);
}

async fn a_tenant_reads_its_own_events(db: Db) {
    append(&db, &db.scope, event("pump-1", 1, Operation::UpdateTwin)).await;
    assert_eq!(read(&db, &db.stranger, -1).await, []);
    // A transaction over all tenants numbers each by itself.
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    for (scope, device) in [(&db.stranger, "a"), (&db.scope, "b"), (&db.stranger, "c")] {
        events::append(&tx, scope, event(device, 2, Operation::DeviceDisconnected));
    }
    tx.commit().await.expect("commits");
    let found: Vec<_> = read(&db, &db.stranger, -1).await.iter().flat_map(numbers).collect();
    assert_eq!(found, [1, 2]);
    let found: Vec<_> = read(&db, &db.scope, -1).await.iter().flat_map(numbers).collect();
    assert_eq!(found, [1, 2]);
}

async fn old_events_are_forgotten_and_numbers_are_not(db: Db) {
    append(&db, &db.scope, event("pump-1", 1, Operation::UpdateTwin)).await;
    append(&db, &db.scope, event("pump-1", 2, Operation::UpdateTwin)).await;
    let purge = async |before| {
        let tx = db.store.begin_system(&SystemScope).await.expect("begins");
        let purged = events::purge(&tx, &SystemScope, at(before)).await.expect("purges");
        tx.commit().await.expect("commits");
        purged
    };
    assert_eq!((purge(1).await, purge(2).await), (0, 1));
    assert_eq!(read(&db, &db.scope, -1).await.iter().flat_map(numbers).collect::<Vec<_>>(), [2]);
    assert_eq!(purge(9).await, 1);
    append(&db, &db.scope, event("pump-1", 3, Operation::UpdateTwin)).await;
    assert_eq!(read(&db, &db.scope, -1).await.iter().flat_map(numbers).collect::<Vec<_>>(), [3]);
}

async fn history(db: &Db, scope: &Scope, device: Option<&str>, paging: Paging<Place>) -> Page<Entry> {
    let tx = db.store.begin_read(scope).await.expect("begins");
    let device = device.map(id::<DeviceId>);
    events::list(&tx, scope, device.as_ref(), paging).await.expect("lists")
}

async fn a_history_comes_in_pages(db: Db) {
    for (device, seconds) in [("a", 1), ("b", 1), ("a", 3), ("a", 1)] {
        append(&db, &db.scope, event(device, seconds, Operation::UpdateTwin)).await;
    }
    fail(&db, &[failure(&db, "a", FailureCode::WrongKey, 1, (0, 2))]).await;
    let told = |page: &Page<Entry>| {
        let told = page.items.iter().map(|entry| match entry {
            Entry::Event { seq, event } => format!("{}{seq}", event.device),
            Entry::Failure(failure) => format!("{}!", failure.device),
        });
        told.collect::<Vec<_>>().join(" ")
    };
    let first = history(&db, &db.scope, None, Paging::first(2)).await;
    assert_eq!((told(&first).as_str(), first.more), ("a3 a!", true));
    let place: Place = first.items[1].place().to_string().parse().expect("a place");
    let second = history(&db, &db.scope, None, Paging::after(place, 2)).await;
    assert_eq!((told(&second).as_str(), second.more), ("a4 b2", true));
    let third = history(&db, &db.scope, None, Paging::after(second.items[1].place(), 2)).await;
    assert_eq!((told(&third).as_str(), third.more), ("a1", false));
    assert_eq!(told(&history(&db, &db.scope, Some("b"), Paging::first(9)).await), "b2");
    assert_eq!(told(&history(&db, &db.stranger, None, Paging::first(9)).await), "");
    assert!("1".parse::<Place>().is_err() && "1.x".parse::<Place>().is_err());
}

pub fn failure(db: &Db, device: &str, code: FailureCode, count: i64, (first, last): (i64, i64)) -> NewFailure {
    let (tenant, device) = (db.scope.tenant, id(device));
    NewFailure { tenant, device, code, count, first_at: at(first), last_at: at(last) }
}

async fn fail(db: &Db, all: &[NewFailure]) -> u64 {
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    let written = failures::add(&tx, &SystemScope, all).await.expect("adds");
    tx.commit().await.expect("commits");
    written
}

async fn failures_fold(db: Db) {
    const DAY: i64 = 86_400;
    let wrong_key = FailureCode::WrongKey;
    let first = [failure(&db, "a", wrong_key, 2, (1, 5)), failure(&db, "a", FailureCode::Throttled, 1, (2, 2))];
    assert_eq!(fail(&db, &first).await, 2);
    fail(&db, &[failure(&db, "a", wrong_key, 3, (8, 9))]).await;
    let shown = async || {
        let page = history(&db, &db.scope, Some("a"), Paging::first(9)).await;
        let failures = page.items.into_iter().filter_map(|entry| match entry {
            Entry::Failure(failure) => Some((failure.code, failure.count, failure.first_at, failure.last_at)),
            Entry::Event { .. } => None,
        });
        failures.collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [(wrong_key, 5, at(1), at(9)), (FailureCode::Throttled, 1, at(2), at(2))]);
    fail(&db, &[failure(&db, "a", wrong_key, 1, (DAY + 10, DAY + 10))]).await;
    assert_eq!(shown().await[0], (wrong_key, 1, at(DAY + 10), at(DAY + 10)), "after a quiet day it begins anew");
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(failures::purge(&tx, &SystemScope, at(DAY)).await.expect("purges"), 1);
}

async fn unknown_ids_are_bounded(db: Db) {
    let unknown = |from: i64, to: i64| {
        (from..to).map(|number| failure(&db, &format!("x{number}"), FailureCode::ProvisioningRefused, 1, (1, 1)))
    };
    assert_eq!(fail(&db, &unknown(0, failures::MAX_UNKNOWN).collect::<Vec<_>>()).await as i64, failures::MAX_UNKNOWN);
    db.device("pump-1").await;
    let more =
        [failure(&db, "y", FailureCode::WrongKey, 1, (1, 1)), failure(&db, "pump-1", FailureCode::WrongKey, 1, (1, 1))];
    assert_eq!(fail(&db, &more).await, 1, "only that of the device");
    assert_eq!(history(&db, &db.scope, Some("pump-1"), Paging::first(9)).await.items.len(), 1);
}

async fn health_is_sampled_once_a_minute(db: Db) {
    let device = db.device("pump-1").await;
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    hub_sessions::renew_lease(&tx, &SystemScope, "hub-1", at(1000)).await.expect("registers");
    // A module is no device more.
    let motor = NewModule { id: id("motor"), managed_by: None, created_at: at(0), generation: "1".into() };
    let motor = modules::insert(&tx, &db.scope, &device, motor).await.expect("inserts");
    let tenant = db.scope.tenant;
    let sessions =
        [device.key, motor].map(|device| hub_sessions::NewHubSession { tenant, device, connected_at: at(0) });
    hub_sessions::open(&tx, &SystemScope, "hub-1", &sessions).await.expect("opens");
    let counts = BTreeMap::from([((db.scope.tenant, "deviceDataUsage"), 7)]);
    health::add(&tx, &SystemScope, &counts).await.expect("adds");
    health::sample(&tx, &SystemScope, at(0)).await.expect("samples");
    health::add(&tx, &SystemScope, &counts).await.expect("adds");
    health::sample(&tx, &SystemScope, at(0)).await.expect("was sampled");
    health::sample(&tx, &SystemScope, at(60)).await.expect("samples");
    tx.commit().await.expect("commits");
    let list = async |scope: &Scope, every_ms| {
        let tx = db.store.begin_read(scope).await.expect("begins");
        health::list(&tx, scope, (at(0), at(120)), every_ms).await.expect("lists")
    };
    let samples = list(&db.scope, 60_000).await;
    assert_eq!(samples.iter().map(|sample| sample.at).collect::<Vec<_>>(), [at(0), at(60)]);
    let expected = json!({"provisionedDeviceCount": 1, "connectedDeviceCount": 1, "deviceDataUsage": 14});
    assert_eq!(serde_json::Value::Object(samples[1].values.clone()), expected);
    assert_eq!(samples[0].values["deviceDataUsage"], 7);
    assert_eq!(list(&db.scope, 3_600_000).await.len(), 1, "the last one of the hour");
    assert_eq!(list(&db.stranger, 60_000).await[0].values["provisionedDeviceCount"], 0);
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(health::purge(&tx, &SystemScope, at(60)).await.expect("purges"), 2, "one of each tenant");
}

//! Cloud-to-device messages and the feedback on them.

use crate::harness::{Db, at};
use muster_model::{
    DeviceKey, SystemScope,
    c2d::{Feedback, Outcome},
};
use muster_store::{
    Tx,
    c2d::{self, NewMessage, Settled},
    devices, hub_sessions,
};
use uuid::Uuid;

crate::on_both!(
    messages_wait_in_order_up_to_a_limit,
    a_taken_message_is_its_takers_for_a_time,
    what_is_too_late_is_removed_and_told,
    feedback_is_received_once_unless_it_is_given_back,
    messages_go_with_their_device,
    devices_with_old_messages_are_found_while_they_are_connected,
);

fn new(id: &str, feedback: Feedback) -> NewMessage {
    NewMessage {
        message_id: id.into(),
        feedback,
        bag: format!("%24.mid={id}"),
        payload: vec![0, 255, 1],
        enqueued_at: at(0),
        expires_at: at(100),
    }
}

async fn fill(db: &Db, device: DeviceKey, ids: &[&str]) -> Vec<i64> {
    let mut sequences = Vec::new();
    for id in ids {
        let tx = db.store.begin(&db.scope).await.expect("begins");
        let inserted = c2d::insert(&tx, &db.scope, device, new(id, Feedback::Full), 3).await.expect("inserts");
        sequences.push(inserted.expect("room"));
        tx.commit().await.expect("commits");
    }
    sequences
}

fn ids(settled: &[Settled]) -> Vec<&str> {
    settled.iter().map(|message| message.message_id.as_str()).collect()
}

async fn waiting(tx: &Tx, db: &Db, device: DeviceKey, now: i64) -> Vec<i64> {
    let messages = c2d::list(tx, &db.scope, device, at(now), 10).await.expect("lists");
    messages.iter().map(|message| message.sequence).collect()
}

async fn messages_wait_in_order_up_to_a_limit(db: Db) {
    let device = db.device("pump-1").await.key;
    let other = db.device("pump-2").await.key;
    let sequences = fill(&db, device, &["a", "b", "c"]).await;
    assert!(sequences.is_sorted());
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(c2d::insert(&tx, &db.scope, device, new("d", Feedback::None), 3).await.expect("runs"), None);
    drop(tx);
    fill(&db, other, &["x"]).await;

    let tx = db.store.begin(&db.scope).await.expect("begins");
    let first = &c2d::list(&tx, &db.scope, device, at(1), 1).await.expect("lists")[0];
    assert_eq!((first.bag.as_str(), first.payload.as_slice(), first.deliveries), ("%24.mid=a", &[0, 255, 1][..], 0));
    assert_eq!((first.enqueued_at, first.expires_at), (at(0), at(100)));
    assert_eq!(waiting(&tx, &db, device, 1).await, sequences);
    assert!(waiting(&tx, &db, device, 100).await.is_empty(), "at its time it is too late");
    let settled = c2d::settle(&tx, &db.scope, device, &[sequences[1], sequences[0], 99]).await.expect("settles");
    assert_eq!(ids(&settled), ["a", "b"]);
    assert_eq!(c2d::count(&tx, &db.scope, device).await.expect("counts"), 1);
    let mut counts = c2d::count_by_keys(&tx, &db.scope, &[device, other]).await.expect("counts");
    counts.sort();
    assert_eq!(counts, [(device, 1), (other, 1)]);
    assert_eq!(ids(&c2d::purge(&tx, &db.scope, device).await.expect("purges")), ["c"]);
    let next = c2d::insert(&tx, &db.scope, device, new("e", Feedback::None), 3).await.expect("inserts");
    assert!(next > sequences.last().copied(), "numbers are not used again: {next:?}");
    tx.commit().await.expect("commits");
}

async fn a_taken_message_is_its_takers_for_a_time(db: Db) {
    let device = db.device("pump-1").await.key;
    let sequences = fill(&db, device, &["a", "b"]).await;
    let (first, second, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let take = async |token, from, until| {
        let taken = c2d::lock_next(&tx, &db.scope, device, token, (at(from), at(until))).await.expect("runs");
        taken.map(|message| message.sequence)
    };
    assert_eq!(take(first, 0, 60).await, Some(sequences[0]));
    assert_eq!(take(second, 1, 61).await, Some(sequences[1]));
    assert_eq!(take(third, 2, 62).await, None);
    assert_eq!(c2d::unlock(&tx, &db.scope, device, first, at(3)).await.expect("runs"), Some((sequences[0], 1)));
    assert_eq!(c2d::unlock(&tx, &db.scope, device, first, at(3)).await.expect("runs"), None);
    assert_eq!(take(third, 4, 64).await, Some(sequences[0]));
    let late = c2d::settle_locked(&tx, &db.scope, device, second, at(61)).await.expect("runs");
    assert_eq!(late, None);
    let settled = c2d::settle_locked(&tx, &db.scope, device, third, at(5)).await.expect("runs").expect("a message");
    assert_eq!(settled.message_id, "a");
    assert_eq!(take(first, 62, 99).await, Some(sequences[1]), "its first taker's time is over");
    tx.commit().await.expect("commits");
}

async fn what_is_too_late_is_removed_and_told(db: Db) {
    let device = db.device("pump-1").await;
    fill(&db, device.key, &["a", "b"]).await;
    let stranger = db.device_of(&db.stranger, "pump-1").await;
    let tx = db.store.begin(&db.stranger).await.expect("begins");
    c2d::insert(&tx, &db.stranger, stranger.key, new("s", Feedback::Positive), 3).await.expect("inserts");
    tx.commit().await.expect("commits");

    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(c2d::expire(&tx, &SystemScope, at(99)).await.expect("runs"), 0);
    assert_eq!(c2d::expire(&tx, &SystemScope, at(100)).await.expect("runs"), 3);
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let times = (at(101), at(160));
    let records = c2d::lock_feedback(&tx, &db.scope, Uuid::from_u128(1), times, 9).await.expect("locks");
    let told: Vec<_> = records.iter().map(|record| (record.message_id.as_str(), record.outcome, record.at)).collect();
    assert_eq!(told, [("a", Outcome::Expired, at(100)), ("b", Outcome::Expired, at(100))]);
    assert_eq!((records[0].device_id.as_str(), records[0].generation.as_str()), ("pump-1", "g1"));
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.stranger).await.expect("begins");
    let records = c2d::lock_feedback(&tx, &db.stranger, Uuid::from_u128(2), times, 9).await.expect("locks");
    assert_eq!(records, [], "its sender wants to hear of success only");
    let sequence = c2d::insert(&tx, &db.stranger, stranger.key, new("t", Feedback::None), 3).await.expect("inserts");
    assert!(sequence.is_some());
    let expired = c2d::expire_of(&tx, &db.stranger, stranger.key, at(100)).await.expect("runs");
    assert_eq!(ids(&expired), ["t"]);
}

async fn feedback_is_received_once_unless_it_is_given_back(db: Db) {
    let device = db.device("pump-1").await.key;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let settled = |id: &str, feedback| Settled { device, message_id: id.into(), feedback };
    let messages = [settled("a", Feedback::Full), settled("b", Feedback::Negative), settled("c", Feedback::Positive)];
    c2d::insert_feedback(&tx, &db.scope, &messages, Outcome::Success, at(5)).await.expect("inserts");
    assert!(c2d::insert_feedback(&tx, &db.stranger, &messages, Outcome::Success, at(5)).await.is_err());
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    let take = async |token: u128, from: i64, limit| {
        let token = Uuid::from_u128(token);
        let records = c2d::lock_feedback(&tx, &db.scope, token, (at(from), at(from + 60)), limit).await.expect("runs");
        records.into_iter().map(|record| record.message_id).collect::<Vec<_>>()
    };
    assert_eq!(take(1, 10, 1).await, ["a"]);
    assert_eq!(take(2, 10, 9).await, ["c"]);
    assert_eq!(take(3, 10, 9).await, [""; 0]);
    assert_eq!(c2d::unlock_feedback(&tx, &db.scope, Uuid::from_u128(1), at(11)).await.expect("runs"), 1);
    assert_eq!(c2d::delete_feedback(&tx, &db.scope, Uuid::from_u128(2), at(11)).await.expect("runs"), 1);
    assert_eq!(c2d::delete_feedback(&tx, &db.scope, Uuid::from_u128(2), at(11)).await.expect("runs"), 0);
    assert_eq!(take(4, 12, 9).await, ["a"]);
    assert_eq!(c2d::delete_feedback(&tx, &db.scope, Uuid::from_u128(4), at(72)).await.expect("runs"), 0, "too late");
    assert_eq!(take(5, 72, 9).await, ["a"]);
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(c2d::purge_feedback(&tx, &SystemScope, at(5)).await.expect("purges"), 0);
    assert_eq!(c2d::purge_feedback(&tx, &SystemScope, at(6)).await.expect("purges"), 1);
}

async fn messages_go_with_their_device(db: Db) {
    let device = db.device("pump-1").await;
    fill(&db, device.key, &["a"]).await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    devices::delete(&tx, &db.scope, &device.id, at(1)).await.expect("deletes");
    assert_eq!(c2d::count(&tx, &db.scope, device.key).await.expect("counts"), 0);
}

async fn devices_with_old_messages_are_found_while_they_are_connected(db: Db) {
    let device = db.device("pump-1").await.key;
    fill(&db, device, &["a", "b"]).await;
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(c2d::held_since(&tx, &SystemScope, at(1), 9).await.expect("runs"), []);
    hub_sessions::renew_lease(&tx, &SystemScope, "hub-1", at(1000)).await.expect("registers");
    let session = hub_sessions::NewHubSession { tenant: db.scope.tenant, device, connected_at: at(0) };
    hub_sessions::open(&tx, &SystemScope, "hub-1", &[session]).await.expect("opens");
    assert_eq!(c2d::held_since(&tx, &SystemScope, at(1), 9).await.expect("runs"), [(db.scope.tenant, device)]);
    assert_eq!(c2d::held_since(&tx, &SystemScope, at(0), 9).await.expect("runs"), []);
}

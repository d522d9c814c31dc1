//! The worker's transaction: exactly once, fenced, all or nothing.

use crate::{
    devices::rule,
    harness::{Db, at, id},
};
use chrono::{DateTime, Utc};
use muster_model::{
    AlertId, BatchId, DeviceKey, ShapeKey, SystemScope, TenantKey, WorkId,
    alert::{Alert, AlertState},
    device::Device,
    rule::Severity,
};
use muster_store::{
    AlertClear, Paging, StoreError, TelemetryRow,
    alerts::{self, AlertFilter},
    counters::{self, Counts, RejectedMessage},
    outbox::{self, NewWork, WorkState},
    telemetry::{self, ShapeSource},
};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

crate::on_both!(
    a_batch_is_stored_once,
    a_batch_rolled_back_never_was,
    a_stale_epoch_is_fenced,
    partitions_are_fixed_once,
    an_alert_is_opened_once_and_cleared_once,
    people_handle_alerts,
    rejected_messages_and_counts_add_up,
    a_nul_character_stops_no_batch,
);

/// A device's shape, made before the worker's transaction begins.
pub async fn shape(db: &Db, keys: &[&str]) -> ShapeKey {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let shape = telemetry::intern_shape(&tx, &db.scope, &keys, ShapeSource::Template).await.expect("interns");
    tx.commit().await.expect("commits");
    shape.expect("a shape")
}

pub fn row(device: DeviceKey, shape: ShapeKey, ts_ms: i64, vals: &[Option<f64>]) -> TelemetryRow {
    TelemetryRow { device, ts_ms, shape, vals: vals.to_vec(), extra: None }
}

/// The right to write a partition.
pub async fn owner(db: &Db) -> i64 {
    db.store.fix_partitions(2).await.expect("fixes");
    db.store.claim_partition(1, "worker-1").await.expect("claims")
}

pub async fn write(db: &Db, rows: &[TelemetryRow]) {
    let epoch = owner(db).await;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    tx.write_rows(rows).await.expect("writes");
    tx.commit().await.expect("commits");
}

async fn stored(db: &Db, device: &Device) -> usize {
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    telemetry::raw(&tx, &db.scope, device.key, i64::MAX, 1000).await.expect("reads").len()
}

fn batch(number: u128) -> BatchId {
    BatchId(Uuid::from_u128(number))
}

async fn a_batch_is_stored_once(db: Db) {
    let device = db.device("pump-1").await;
    let shape = shape(&db, &["t"]).await;
    let epoch = owner(&db).await;
    for (delivered, fresh) in [(vec![1, 2], vec![1, 2]), (vec![2, 3], vec![3]), (vec![1, 2, 3], vec![])] {
        let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
        let batches: Vec<_> = delivered.into_iter().map(batch).collect();
        let claimed = tx.claim(&batches).await.expect("claims");
        assert_eq!(claimed, fresh.into_iter().map(batch).collect::<HashSet<_>>());
        let rows: Vec<_> = claimed.iter().map(|b| row(device.key, shape, b.0.as_u128() as i64, &[Some(1.0)])).collect();
        tx.write_rows(&rows).await.expect("writes");
        tx.commit().await.expect("commits");
    }
    assert_eq!(stored(&db, &device).await, 3);
    let tx = db.store.begin_system(&SystemScope).await.expect("begins");
    assert_eq!(counters::purge_ledger(&tx, &SystemScope, DateTime::UNIX_EPOCH).await.expect("purges"), 0);
    assert_eq!(counters::purge_ledger(&tx, &SystemScope, DateTime::<Utc>::MAX_UTC).await.expect("purges"), 3);
}

async fn a_batch_rolled_back_never_was(db: Db) {
    let device = db.device("pump-1").await;
    let shape = shape(&db, &["t"]).await;
    let epoch = owner(&db).await;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    assert_eq!(tx.claim(&[batch(1)]).await.expect("claims").len(), 1);
    tx.write_rows(&[row(device.key, shape, 1, &[Some(1.0)])]).await.expect("writes");
    drop(tx);
    assert_eq!(stored(&db, &device).await, 0);
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    assert_eq!(tx.claim(&[batch(1)]).await.expect("claims").len(), 1, "the batch is new again");
}

async fn a_stale_epoch_is_fenced(db: Db) {
    let old = owner(&db).await;
    let new = db.store.claim_partition(1, "worker-2").await.expect("claims");
    assert!(new > old);
    let fenced = db.store.begin_ingest(1, old).await.err();
    assert!(matches!(fenced, Some(StoreError::Fenced { partition: 1 })), "{fenced:?}");
    drop(db.store.begin_ingest(1, new).await.expect("begins"));
    let absent = db.store.begin_ingest(7, 1).await.err();
    assert!(matches!(absent, Some(StoreError::NotFound { .. })), "{absent:?}");
    let absent = db.store.claim_partition(7, "worker-2").await.err();
    assert!(matches!(absent, Some(StoreError::NotFound { .. })), "{absent:?}");
}

async fn partitions_are_fixed_once(db: Db) {
    assert_eq!(db.store.partitions().await.expect("reads"), None);
    assert_eq!(db.store.fix_partitions(2).await.expect("fixes"), 2);
    assert_eq!(db.store.fix_partitions(8).await.expect("fixes"), 2);
    assert_eq!(db.store.partitions().await.expect("reads"), Some(2));
}

fn alert(number: u128, device: &Device) -> Alert {
    Alert {
        id: AlertId(Uuid::from_u128(number)),
        rule: rule(1, true).id,
        rule_name: "Too hot".into(),
        device: device.key,
        device_id: device.id.clone(),
        device_name: device.display_name.clone(),
        severity: Severity::Critical,
        state: AlertState::Open,
        opened_at: at(1),
        cleared_at: None,
        acknowledged_by: None,
        acknowledged_at: None,
        values: json!({"temperature": 31.5}).as_object().cloned().expect("an object"),
        reason: "temperature > 30".into(),
    }
}

async fn an_alert_is_opened_once_and_cleared_once(db: Db) {
    let device = db.device("pump-1").await;
    let epoch = owner(&db).await;
    let tenant = db.scope.tenant;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    let opened = tx.open_alerts(&[(tenant, alert(1, &device))]).await.expect("opens");
    assert_eq!(opened, HashSet::from([alert(1, &device).id]));
    let again = tx.open_alerts(&[(tenant, alert(1, &device)), (tenant, alert(2, &device))]).await.expect("runs");
    assert!(again.is_empty(), "one is open already");
    let work = NewWork {
        id: WorkId(Uuid::from_u128(9)),
        tenant,
        kind: "email".into(),
        payload: json!({"to": "ada@example.com"}),
        due_at: at(1),
    };
    tx.insert_work(&[work.clone(), work], at(1)).await.expect("inserts");
    tx.commit().await.expect("commits");

    let read = db.store.begin_read(&db.scope).await.expect("begins");
    assert_eq!(alerts::get(&read, &db.scope, alert(1, &device).id).await.expect("gets"), alert(1, &device));
    let open = alerts::open_of_devices(&read, &db.scope, &[device.key]).await.expect("lists");
    assert_eq!(open.len(), 1);
    let pending = outbox::list(&read, &db.scope, WorkState::Pending, Paging::first(10)).await.expect("lists");
    assert_eq!(pending.items.len(), 1);
    assert_eq!(pending.items[0].payload, json!({"to": "ada@example.com"}));
    drop(read);

    let clear = AlertClear { rule: rule(1, true).id, device: device.key, at: at(2) };
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    assert_eq!(tx.clear_alerts(&[clear]).await.expect("clears"), open);
    assert_eq!(tx.clear_alerts(&[clear]).await.expect("runs"), []);
    let opened = tx.open_alerts(&[(tenant, alert(3, &device))]).await.expect("opens");
    assert_eq!(opened.len(), 1, "after clearing, it may open again");
    tx.commit().await.expect("commits");
}

async fn people_handle_alerts(db: Db) {
    let (pump, fan) = (db.device("pump-1").await, db.device("fan-1").await);
    let epoch = owner(&db).await;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    let both = [(db.scope.tenant, alert(1, &pump)), (db.scope.tenant, alert(2, &fan))];
    assert_eq!(tx.open_alerts(&both).await.expect("opens").len(), 2);
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    let count = alerts::count_open(&tx, &db.scope).await.expect("counts");
    assert_eq!(count, [(Severity::Critical, 2)]);
    let seen = alerts::acknowledge(&tx, &db.scope, both[0].1.id, "Ada", at(5)).await.expect("acknowledges");
    assert_eq!((seen.state, seen.acknowledged_by.as_deref()), (AlertState::Acknowledged, Some("Ada")));
    let kept = alerts::acknowledge(&tx, &db.scope, both[0].1.id, "Bob", at(6)).await.expect("runs");
    assert_eq!(kept.acknowledged_by.as_deref(), Some("Ada"));
    let cleared = alerts::clear(&tx, &db.scope, both[0].1.id, at(7)).await.expect("clears");
    assert_eq!((cleared.state, cleared.cleared_at), (AlertState::Cleared, Some(at(7))));
    let open = AlertFilter { states: vec![AlertState::Open, AlertState::Acknowledged], ..Default::default() };
    let page = alerts::list(&tx, &db.scope, &open, Paging::first(10)).await.expect("lists");
    assert_eq!(page.items, [both[1].1.clone()]);
    let of_pump = AlertFilter { device: Some(pump.key), rule: Some(both[0].1.rule), ..Default::default() };
    let page = alerts::list(&tx, &db.scope, &of_pump, Paging::first(10)).await.expect("lists");
    assert_eq!(page.items, [cleared]);
    let newest = alerts::list(&tx, &db.scope, &AlertFilter::default(), Paging::first(1)).await.expect("lists");
    assert_eq!((newest.items[0].id, newest.more), (both[1].1.id, true));
    let ended = alerts::clear_of_rule(&tx, &db.scope, both[1].1.rule, at(8)).await.expect("clears");
    assert_eq!(ended.iter().map(|alert| alert.id).collect::<Vec<_>>(), [both[1].1.id]);
}

fn rejected(number: u128, device: &Device) -> RejectedMessage {
    RejectedMessage {
        id: Uuid::from_u128(number),
        device: device.key,
        at: at(number as i64),
        reason: "notJson".into(),
        bag: "$.ct=text".into(),
        payload: vec![0, 0xff, b'{'],
    }
}

async fn rejected_messages_and_counts_add_up(db: Db) {
    let device = db.device("pump-1").await;
    let epoch = owner(&db).await;
    let counts = Counts {
        received: 10,
        stored: 7,
        rejected: BTreeMap::from([("notJson".to_owned(), 2), ("tooDeep".to_owned(), 1)]),
        dead_lettered: 0,
    };
    for first in [1, 3] {
        let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
        let messages = [first, first + 1].map(|number| (db.scope.tenant, rejected(number, &device)));
        tx.write_rejected(&messages).await.expect("writes");
        let stranger = Counts { received: 1, ..Counts::default() };
        let all = BTreeMap::from([(db.scope.tenant, counts.clone()), (db.stranger.tenant, stranger)]);
        tx.add_counts(&all).await.expect("adds");
        tx.commit().await.expect("commits");
    }
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let twice = Counts {
        received: 20,
        stored: 14,
        rejected: BTreeMap::from([("notJson".to_owned(), 4), ("tooDeep".to_owned(), 2)]),
        dead_lettered: 0,
    };
    assert_eq!(counters::get(&tx, &db.scope).await.expect("reads"), twice);
    let paging = Paging::after(Uuid::from_u128(4), 2);
    let page = counters::list_rejected(&tx, &db.scope, Some(device.key), paging).await.expect("lists");
    assert_eq!((page.items, page.more), (vec![rejected(3, &device), rejected(2, &device)], true));
}

async fn a_nul_character_stops_no_batch(db: Db) {
    let device = db.device("pump-1").await;
    let shape = shape(&db, &["t"]).await;
    let epoch = owner(&db).await;
    let mut tx = db.store.begin_ingest(1, epoch).await.expect("begins");
    let extra = Some(r#"{"v":{"text":"a\u0000b"}}"#.to_owned());
    tx.write_rows(&[TelemetryRow { extra, ..row(device.key, shape, 1, &[None]) }]).await.expect("writes");
    let mut bad = alert(1, &device);
    bad.values = json!({"text": "a\u{0}b"}).as_object().cloned().expect("an object");
    tx.open_alerts(&[(TenantKey(db.scope.tenant.0), bad)]).await.expect("opens");
    tx.commit().await.expect("commits");
    assert_eq!(stored(&db, &device).await, 1);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let refused = muster_store::templates::insert(
        &tx,
        &db.scope,
        &muster_store::templates::StoredTemplate {
            id: id("dtmi:muster:nul;1"),
            display_name: "a\u{0}b".into(),
            document: json!({}),
            published: true,
            draft: None,
            version: 1,
            created_at: at(0),
            updated_at: at(0),
        },
    )
    .await;
    assert!(matches!(refused, Ok(()) | Err(StoreError::Nul(_))), "{refused:?}");
}

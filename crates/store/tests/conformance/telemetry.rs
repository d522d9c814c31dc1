//! Shapes, history, raw messages, last known values.

use crate::{
    harness::{Db, at},
    ingest::{row, shape, write},
};
use muster_model::{DeviceKey, SystemScope};
use muster_store::{
    TelemetryRow, devices,
    telemetry::{self, HistoryQuery, LatestValue, LatestValues, MAX_UNTYPED_SHAPES, Point, ShapeSource},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

crate::on_both!(
    a_shape_is_interned_once,
    history_is_cut_into_buckets,
    history_finer_than_the_data_is_raw,
    history_joins_shapes_and_extra,
    every_bit_of_a_number_comes_back,
    raw_pages_lose_nothing,
    last_values_merge_by_key,
);

async fn a_shape_is_interned_once(db: Db) {
    let first = shape(&db, &["a", "b"]).await;
    assert_eq!(shape(&db, &["a", "b"]).await, first);
    assert_ne!(shape(&db, &["ab"]).await, first, "a key's end counts");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let intern = async |key: i64, source| {
        telemetry::intern_shape(&tx, &db.scope, &[format!("k{key}")], source).await.expect("interns")
    };
    for key in 0..MAX_UNTYPED_SHAPES {
        assert!(intern(key, ShapeSource::Message).await.is_some());
    }
    assert!(intern(MAX_UNTYPED_SHAPES, ShapeSource::Message).await.is_none(), "one too many");
    assert!(intern(0, ShapeSource::Message).await.is_some(), "a known one is no more");
    assert!(intern(MAX_UNTYPED_SHAPES, ShapeSource::Template).await.is_some(), "templates do not count");
}

fn query(device: DeviceKey, keys: &[&str], to_ms: i64, buckets: u32) -> HistoryQuery {
    HistoryQuery { device, keys: keys.iter().map(ToString::to_string).collect(), from_ms: 1000, to_ms, buckets }
}

async fn history(db: &Db, query: HistoryQuery) -> Vec<Vec<Point>> {
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let series = telemetry::history(&tx, &db.scope, &query).await.expect("reads");
    assert_eq!(series.iter().map(|series| &series.key).collect::<Vec<_>>(), query.keys.iter().collect::<Vec<_>>());
    series.into_iter().map(|series| series.points).collect()
}

fn single(ts_ms: i64, value: f64) -> Point {
    Point { ts_ms, count: 1, min: value, max: value, avg: value }
}

async fn history_is_cut_into_buckets(db: Db) {
    let (device, other) = (db.device("pump-1").await.key, db.device("pump-2").await.key);
    let shape = shape(&db, &["t", "h"]).await;
    let mut rows = vec![row(device, shape, 999, &[Some(99.0), None]), row(device, shape, 1400, &[Some(99.0), None])];
    // Buckets of 100 ms: the first with three, the second empty, the third with one, the last with two.
    for (ts_ms, t, h) in [(1000, 1.0, None), (1050, 2.0, Some(50.0)), (1099, 6.0, None), (1250, 7.5, None)] {
        rows.push(row(device, shape, ts_ms, &[Some(t), h]));
    }
    rows.extend([row(device, shape, 1300, &[Some(-1.0), None]), row(device, shape, 1399, &[Some(1.0), None])]);
    rows.push(row(other, shape, 1010, &[Some(1000.0), Some(1000.0)]));
    write(&db, &rows).await;
    let series = history(&db, query(device, &["h", "t", "unknown"], 1400, 4)).await;
    assert_eq!(series[0], [single(1050, 50.0)]);
    assert_eq!(
        series[1],
        [
            Point { ts_ms: 1000, count: 3, min: 1.0, max: 6.0, avg: 3.0 },
            single(1250, 7.5),
            Point { ts_ms: 1300, count: 2, min: -1.0, max: 1.0, avg: 0.0 },
        ]
    );
    assert_eq!(series[2], []);
}

async fn history_finer_than_the_data_is_raw(db: Db) {
    let device = db.device("pump-1").await.key;
    let shape = shape(&db, &["t"]).await;
    write(&db, &[row(device, shape, 1003, &[Some(1.5)]), row(device, shape, 1907, &[Some(2.5)])]).await;
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let series = telemetry::history(&tx, &db.scope, &query(device, &["t"], 2000, 300)).await.expect("reads");
    assert!(series[0].is_raw());
    assert_eq!((series[0].width_ms, &series[0].points[..]), (4, &[single(1003, 1.5), single(1907, 2.5)][..]));
    let empty = telemetry::history(&tx, &db.scope, &query(device, &["t"], 1000, 300)).await.expect("reads");
    assert_eq!(empty[0].points, []);
}

async fn history_joins_shapes_and_extra(db: Db) {
    let device = db.device("pump-1").await.key;
    let (one, two) = (shape(&db, &["t"]).await, shape(&db, &["h", "t"]).await);
    let with_extra =
        |ts_ms, extra: &str| TelemetryRow { extra: Some(extra.to_owned()), ..row(device, one, ts_ms, &[None]) };
    let rows = [
        row(device, one, 1001, &[Some(1.0)]),
        row(device, two, 1002, &[Some(50.0), Some(2.0)]),
        with_extra(1003, r#"{"u":{"t":3,"odd \"key\"":4.5},"v":{"s":"text","n":9007199254740993}}"#),
        with_extra(1004, r#"{"v":{"t":"text","s":null},"p":{"t":7},"c":"t"}"#),
        with_extra(1005, r#"{"c":"x"}"#),
    ];
    write(&db, &rows).await;
    let series = history(&db, query(device, &["t", "odd \"key\"", "s", "n", "h"], 1100, 100)).await;
    assert_eq!(series[0], [single(1001, 1.0), single(1002, 2.0), single(1003, 3.0)]);
    assert_eq!(series[1], [single(1003, 4.5)]);
    assert_eq!(series[2], []);
    assert_eq!(series[3], [single(1003, 9_007_199_254_740_992.0)]);
    assert_eq!(series[4], [single(1002, 50.0)]);
}

async fn every_bit_of_a_number_comes_back(db: Db) {
    let device = db.device("pump-1").await.key;
    let numbers = [0.1 + 0.2, -0.0, 5e-324, f64::MAX, f64::MIN_POSITIVE, 21.299999237060547, 1.0 / 3.0, -1e21, 123.0];
    let keys: Vec<String> = (0..numbers.len()).map(|key| format!("k{key}")).collect();
    let shape = shape(&db, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let vals: Vec<_> = numbers.iter().map(|&number| Some(number)).collect();
    let extra = Some(r#"{"v": {"s": "ä \"quoted\""}, "p": {"": "x"}}"#.to_owned());
    write(&db, &[TelemetryRow { extra, ..row(device, shape, 1000, &vals) }]).await;
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let raw = telemetry::raw(&tx, &db.scope, device, 2000, 1).await.expect("reads");
    let bits: Vec<_> = raw[0].vals.iter().map(|val| val.map(f64::to_bits)).collect();
    assert_eq!(bits, numbers.map(|number| Some(number.to_bits())));
    assert_eq!((&raw[0].keys[..], raw[0].ts_ms), (&keys[..], 1000));
    assert_eq!(raw[0].extra, Some(json!({"v": {"s": "ä \"quoted\""}, "p": {"": "x"}})));
}

async fn raw_pages_lose_nothing(db: Db) {
    let device = db.device("pump-1").await.key;
    let shape = shape(&db, &["n"]).await;
    let times = [1, 2, 2, 2, 3, 4, 4, 5];
    let rows: Vec<_> =
        times.iter().enumerate().map(|(n, &ts_ms)| row(device, shape, ts_ms, &[Some(n as f64), None][..1])).collect();
    write(&db, &rows).await;
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let (mut before, mut pages) = (i64::MAX, Vec::new());
    loop {
        let page = telemetry::raw(&tx, &db.scope, device, before, 2).await.expect("reads");
        let Some(last) = page.last() else { break };
        before = last.ts_ms;
        pages.push(page.iter().map(|message| message.ts_ms).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![5, 4, 4], vec![3, 2, 2, 2], vec![1]]);
}

fn values(seen_ms: i64, values: &[(&str, i64, Value)]) -> LatestValues {
    let values = values
        .iter()
        .map(|(key, ts_ms, value)| ((*key).to_owned(), LatestValue { ts_ms: *ts_ms, value: value.clone() }));
    LatestValues { seen_ms, values: values.collect::<BTreeMap<_, _>>() }
}

async fn last_values_merge_by_key(db: Db) {
    let device = db.device("pump-1").await;
    let gone = DeviceKey(device.key.0 + 1000);
    let system = &SystemScope;
    let first =
        values(10, &[("t", 10, json!(1.5)), ("s", 10, json!({"deep": {"a": 1, "b": 2}})), ("on", 9, json!(true))]);
    let second = values(20, &[("t", 20, json!(2)), ("s", 20, json!({"deep": {"a": null}})), ("x", 20, Value::Null)]);
    for flushed in [first, second, values(15, &[])] {
        let tx = db.store.begin_system(system).await.expect("begins");
        telemetry::flush_latest(&tx, system, &[(device.key, flushed.clone()), (gone, flushed)]).await.expect("flushes");
        tx.commit().await.expect("commits");
    }
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let latest = telemetry::latest(&tx, &db.scope, &[device.key, gone]).await.expect("reads");
    let merged = values(
        20,
        &[("t", 20, json!(2)), ("s", 20, json!({"deep": {"a": null}})), ("on", 9, json!(true)), ("x", 20, Value::Null)],
    );
    assert_eq!(latest.get(&device.key), Some(&merged));
    assert_eq!(latest.len(), 1, "a device that is gone gets no values");
    let seen = devices::get(&tx, &db.scope, &device.id).await.expect("gets").last_seen;
    assert_eq!(seen.map(|seen| seen.timestamp_millis()), Some(20));
    devices::delete(&tx, &db.scope, &device.id, at(1)).await.expect("deletes");
    assert!(telemetry::latest(&tx, &db.scope, &[device.key]).await.expect("reads").is_empty());
}

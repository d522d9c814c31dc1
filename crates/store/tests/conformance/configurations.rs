//! Configurations and when they are applied.

use crate::harness::{Db, at, id};
use muster_model::{
    ConfigurationId, SystemScope,
    configuration::{Configuration, Content, Document, Results},
};
use muster_store::{StoreError, configurations};
use serde_json::{Map, json};
use std::collections::BTreeMap;

crate::on_both!(configurations_have_versions, a_round_is_claimed_once);

const SYSTEM: &SystemScope = &SystemScope;

pub fn document(priority: i64) -> Document {
    let content = json!({"properties.desired.a": 1}).as_object().cloned();
    Document {
        labels: Map::new(),
        content: Content { device_content: content, ..Content::default() },
        target_condition: "*".into(),
        priority,
        metrics: BTreeMap::new(),
    }
}

async fn configurations_have_versions(db: Db) {
    let one: ConfigurationId = id("one");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    configurations::insert(&tx, &db.scope, (&one, &document(1)), at(0)).await.expect("inserts");
    configurations::insert(&tx, &db.scope, (&id("two"), &document(2)), at(0)).await.expect("inserts");
    let taken = configurations::insert(&tx, &db.scope, (&one, &document(1)), at(0)).await;
    assert!(matches!(taken, Err(StoreError::Conflict { kind: "configuration", .. })), "{taken:?}");
    let found = configurations::get(&tx, &db.scope, &one).await.expect("gets");
    assert_eq!((found.document.clone(), found.version, found.created_at), (document(1), 1, at(0)));
    let changed = Configuration { document: document(5), ..found };
    configurations::update(&tx, &db.scope, &changed, at(1)).await.expect("updates");
    let stale = configurations::update(&tx, &db.scope, &changed, at(2)).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    let results = Results { targeted: 3, applied: 2, metrics: BTreeMap::from([("m".into(), 1)]) };
    configurations::set_results(&tx, &db.scope, &one, &results).await.expect("sets");
    let found = configurations::get(&tx, &db.scope, &one).await.expect("gets");
    assert_eq!((found.version, found.results, found.updated_at), (2, results, at(1)), "counting is no change");
    let listed = configurations::list(&tx, &db.scope, 1).await.expect("lists");
    assert_eq!(listed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["one"]);
    tx.commit().await.expect("commits");
    let tx = db.store.begin(&db.stranger).await.expect("begins");
    assert!(configurations::list(&tx, &db.stranger, 9).await.expect("lists").is_empty());
    let foreign = configurations::delete(&tx, &db.stranger, &one).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
    drop(tx);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    configurations::delete(&tx, &db.scope, &one).await.expect("deletes");
    assert!(configurations::find(&tx, &db.scope, &one).await.expect("runs").is_none());
}

async fn a_round_is_claimed_once(db: Db) {
    let due = async |seconds: i64| {
        let tx = db.store.begin(&db.scope).await.expect("begins");
        configurations::set_due(&tx, &db.scope, at(seconds)).await.expect("sets");
        tx.commit().await.expect("commits");
    };
    let claim = async |seconds: i64| {
        let tx = db.store.begin_system(SYSTEM).await.expect("begins");
        let claimed = configurations::claim_due(&tx, SYSTEM, at(seconds), at(seconds + 60), 9).await.expect("claims");
        tx.commit().await.expect("commits");
        claimed
    };
    let finish = async |lease: i64, next: Option<i64>| {
        let tx = db.store.begin(&db.scope).await.expect("begins");
        configurations::finish_round(&tx, &db.scope, at(lease), next.map(at)).await.expect("finishes");
        tx.commit().await.expect("commits");
    };
    due(0).await;
    assert_eq!(claim(1).await, [db.scope.tenant]);
    assert!(claim(2).await.is_empty(), "it is taken");
    finish(61, Some(100)).await;
    assert!(claim(99).await.is_empty());
    assert_eq!(claim(100).await, [db.scope.tenant]);
    due(101).await;
    finish(160, None).await;
    assert_eq!(claim(101).await, [db.scope.tenant], "it was asked for meanwhile");
    finish(161, None).await;
    assert!(claim(1_000).await.is_empty(), "there is nothing to apply");
}

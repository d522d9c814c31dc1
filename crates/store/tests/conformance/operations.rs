//! Outgoing work and hub sessions.

use crate::harness::{Db, at, id};
use muster_model::{ModuleId, SystemScope, WorkId};
use muster_store::{
    Paging, devices,
    hub_sessions::{self, NewHubSession},
    outbox::{self, NewWork, WorkState},
};
use serde_json::json;
use uuid::Uuid;

crate::on_both!(
    work_is_done_retried_or_buried,
    a_session_moves_between_hubs,
    a_dead_hub_lets_go,
    subscriptions_are_kept
);

const SYSTEM: &SystemScope = &SystemScope;

async fn work_is_done_retried_or_buried(db: Db) {
    let work = |number: u128| NewWork {
        id: WorkId(Uuid::from_u128(number)),
        tenant: db.scope.tenant,
        kind: "webhook".into(),
        payload: json!({"url": "https://example.com"}),
        due_at: at(number as i64),
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for number in [1, 2, 3, 50, 1] {
        outbox::insert(&tx, &db.scope, &work(number), at(0)).await.expect("inserts");
    }
    tx.commit().await.expect("commits");

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    assert_eq!(outbox::next_due(&tx, SYSTEM).await.expect("reads"), Some(at(1)));
    let claimed = outbox::claim_due(&tx, SYSTEM, at(10), at(40), 10).await.expect("claims");
    let ids: Vec<_> = claimed.iter().map(|work| (work.id.0.as_u128(), work.attempts)).collect();
    assert_eq!(ids, [(1, 1), (2, 1), (3, 1)]);
    assert!(outbox::claim_due(&tx, SYSTEM, at(10), at(40), 10).await.expect("claims").is_empty(), "they are taken");
    outbox::complete(&tx, SYSTEM, claimed[0].id).await.expect("completes");
    outbox::retry(&tx, SYSTEM, claimed[1].id, at(20), "refused").await.expect("puts back");
    outbox::bury(&tx, SYSTEM, claimed[2].id, "gone").await.expect("buries");
    outbox::retry(&tx, SYSTEM, claimed[2].id, at(20), "late").await.expect("changes nothing");
    let again = outbox::claim_due(&tx, SYSTEM, at(20), at(60), 10).await.expect("claims");
    assert_eq!((again.len(), again[0].id, again[0].attempts), (1, claimed[1].id, 2));
    assert_eq!(again[0].last_error.as_deref(), Some("refused"));
    let lease_over = outbox::claim_due(&tx, SYSTEM, at(60), at(90), 1).await.expect("claims");
    assert_eq!((lease_over.len(), lease_over[0].state), (1, WorkState::Pending));
    assert_eq!(outbox::purge_done(&tx, SYSTEM, at(1000)).await.expect("purges"), 1);
    tx.commit().await.expect("commits");

    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    let dead = outbox::list(&tx, &db.scope, WorkState::Dead, Paging::first(10)).await.expect("lists");
    assert_eq!((dead.items.len(), dead.items[0].last_error.as_deref()), (1, Some("gone")));
}

async fn a_session_moves_between_hubs(db: Db) {
    let device = db.device("pump-1").await;
    let gone = muster_model::DeviceKey(device.key.0 + 1000);
    let new = |device| NewHubSession { tenant: db.scope.tenant, device, connected_at: at(5) };
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    for instance in ["hub-1", "hub-2"] {
        hub_sessions::renew_lease(&tx, SYSTEM, instance, at(30)).await.expect("registers");
    }
    let first = hub_sessions::open(&tx, SYSTEM, "hub-1", &[new(device.key), new(gone)]).await.expect("opens");
    assert_eq!((first.len(), first[0].device, first[0].taken_from.as_deref()), (1, device.key, None));
    let same = hub_sessions::open(&tx, SYSTEM, "hub-1", &[new(device.key)]).await.expect("opens");
    assert_eq!((same[0].epoch, same[0].taken_from.as_deref()), (first[0].epoch + 1, None));
    let other = hub_sessions::open(&tx, SYSTEM, "hub-2", &[new(device.key)]).await.expect("opens");
    assert_eq!((other[0].epoch, other[0].taken_from.as_deref()), (first[0].epoch + 2, Some("hub-1")));
    let late = hub_sessions::close(&tx, SYSTEM, &[(device.key, same[0].epoch)], at(6)).await.expect("runs");
    assert_eq!(late, [], "an older session's end changes nothing");
    tx.commit().await.expect("commits");

    let read = db.store.begin_read(&db.scope).await.expect("begins");
    let holder = hub_sessions::holder(&read, &db.scope, device.key, at(29)).await.expect("reads").expect("a holder");
    assert_eq!((holder.instance.as_str(), holder.epoch, holder.connected_at), ("hub-2", other[0].epoch, at(5)));
    assert_eq!(hub_sessions::holder(&read, &db.scope, device.key, at(30)).await.expect("reads"), None);
    let connected = devices::get(&read, &db.scope, &device.id).await.expect("gets");
    assert_eq!((connected.connected, connected.last_seen), (true, Some(at(5))));
    drop(read);

    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    let ended = hub_sessions::close(&tx, SYSTEM, &[(device.key, other[0].epoch)], at(7)).await.expect("closes");
    assert_eq!((ended.len(), ended[0].tenant, ended[0].epoch), (1, db.scope.tenant, other[0].epoch));
    let back = hub_sessions::open(&tx, SYSTEM, "hub-1", &[new(device.key)]).await.expect("opens");
    assert_eq!((back[0].epoch, back[0].taken_from.as_deref()), (other[0].epoch + 1, None), "epochs only grow");
    tx.commit().await.expect("commits");

    let tx = db.store.begin(&db.scope).await.expect("begins");
    let mut blocked = devices::get(&tx, &db.scope, &device.id).await.expect("gets");
    blocked.enabled = false;
    devices::update(&tx, &db.scope, &blocked).await.expect("updates");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    assert_eq!(hub_sessions::open(&tx, SYSTEM, "hub-1", &[new(device.key)]).await.expect("runs"), [], "it is blocked");
}

async fn a_dead_hub_lets_go(db: Db) {
    let (pump, fan, odd) = (db.device("pump-1").await, db.device("fan-1").await, db.device("odd-1").await);
    let new = |device| NewHubSession { tenant: db.scope.tenant, device, connected_at: at(5) };
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    hub_sessions::renew_lease(&tx, SYSTEM, "dead", at(30)).await.expect("registers");
    hub_sessions::renew_lease(&tx, SYSTEM, "alive", at(60)).await.expect("registers");
    hub_sessions::open(&tx, SYSTEM, "dead", &[new(pump.key)]).await.expect("opens");
    hub_sessions::open(&tx, SYSTEM, "alive", &[new(fan.key)]).await.expect("opens");
    hub_sessions::open(&tx, SYSTEM, "unknown", &[new(odd.key)]).await.expect("opens");
    let ended = hub_sessions::expire(&tx, SYSTEM, at(40)).await.expect("expires");
    let mut devices: Vec<_> = ended.iter().map(|session| session.device).collect();
    devices.sort();
    assert_eq!(devices, [pump.key, odd.key]);
    assert_eq!(hub_sessions::expire(&tx, SYSTEM, at(40)).await.expect("expires"), []);
}

async fn subscriptions_are_kept(db: Db) {
    let device = db.device("pump-1").await;
    let module: ModuleId = id("camera");
    let subscribed =
        |expiry_seconds| hub_sessions::Subscribed { filters: vec!["$iothub/twin/res/#".into()], expiry_seconds };
    let nothing = hub_sessions::Subscribed::default();
    let tx = db.store.begin(&db.scope).await.expect("begins");
    hub_sessions::save_subscriptions(&tx, &db.scope, device.key, None, &subscribed(None)).await.expect("saves");
    let of_device = hub_sessions::subscriptions(&tx, &db.scope, device.key, None, at(0)).await.expect("reads");
    let of_module = hub_sessions::subscriptions(&tx, &db.scope, device.key, Some(&module), at(0)).await.expect("reads");
    assert_eq!((of_device, of_module), (subscribed(None), nothing.clone()));
    hub_sessions::save_subscriptions(&tx, &db.scope, device.key, None, &subscribed(Some(60))).await.expect("saves");
    tx.commit().await.expect("commits");

    // Its time is counted from the end of the connection.
    let tx = db.store.begin_system(SYSTEM).await.expect("begins");
    hub_sessions::renew_lease(&tx, SYSTEM, "hub", at(30)).await.expect("registers");
    let session = NewHubSession { tenant: db.scope.tenant, device: device.key, connected_at: at(0) };
    hub_sessions::open(&tx, SYSTEM, "hub", &[session]).await.expect("opens");
    let kept = hub_sessions::subscriptions(&tx, &db.scope, device.key, None, at(1_000)).await.expect("reads");
    assert_eq!(kept, subscribed(Some(60)), "it is connected");
    hub_sessions::expire(&tx, SYSTEM, at(40)).await.expect("expires");
    for (seconds, kept) in [(99, subscribed(Some(60))), (100, nothing.clone())] {
        let found = hub_sessions::subscriptions(&tx, &db.scope, device.key, None, at(seconds)).await.expect("reads");
        assert_eq!(found, kept, "{seconds}");
    }
    hub_sessions::save_subscriptions(&tx, &db.scope, device.key, None, &nothing).await.expect("forgets");
    let none = hub_sessions::subscriptions(&tx, &db.scope, device.key, None, at(0)).await.expect("reads");
    assert_eq!(none, nothing);
}

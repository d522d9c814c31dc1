//! Devices, twins, enrollment, templates, rules, dashboards.

use crate::harness::{Db, at, id, new_device};
use muster_model::{
    DashboardId, DeviceId, EnrollmentGroupId, RuleId, SystemScope, TemplateId,
    dashboard::Dashboard,
    rule::{Condition, Match, Operator, Rule, Severity},
};
use muster_store::{
    Page, Paging, StoreError, dashboards,
    devices::{self, DeviceFilter, NewDevice},
    enrollment::{self, Attestation, EnrollmentGroup, EnrollmentKind},
    references,
    registrations::{self, Registration},
    rules,
    templates::{self, StoredTemplate},
    twins,
};
use serde_json::json;
use uuid::Uuid;

crate::on_both!(
    a_device_lives,
    numbers_are_never_used_again,
    devices_are_listed_by_key,
    credentials_and_candidates,
    a_twin_is_written_whole,
    groups_and_registrations,
    templates_have_versions,
    rules_have_versions,
    dashboards_have_versions,
    paging_is_stable,
);

async fn a_device_lives(db: Db) {
    let device = db.device("pump-1").await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    assert_eq!(devices::get(&tx, &db.scope, &device.id).await.expect("gets"), device);
    let mut changed = device.clone();
    changed.display_name = "Pump".into();
    changed.template = Some(id("dtmi:muster:pump;1"));
    changed.provisioned = true;
    let changed = devices::update(&tx, &db.scope, &changed).await.expect("updates");
    assert_ne!(changed.etag, device.etag);
    assert_eq!(devices::get(&tx, &db.scope, &device.id).await.expect("gets"), changed);
    let stale = devices::update(&tx, &db.scope, &device).await;
    assert!(matches!(stale, Err(StoreError::Stale { .. })), "{stale:?}");
    devices::delete(&tx, &db.scope, &device.id, at(9)).await.expect("deletes");
    assert!(devices::find(&tx, &db.scope, &device.id).await.expect("runs").is_none());
    assert!(matches!(twins::get(&tx, &db.scope, device.key).await, Err(StoreError::NotFound { .. })));
    let gone = devices::update(&tx, &db.scope, &changed).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
}

async fn numbers_are_never_used_again(db: Db) {
    let first = db.device("pump-1").await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let taken = devices::insert(&tx, &db.scope, new_device("pump-1")).await;
    assert!(matches!(taken, Err(StoreError::Conflict { kind: "device", .. })), "{taken:?}");
    drop(tx);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    devices::delete(&tx, &db.scope, &first.id, at(1)).await.expect("deletes");
    tx.commit().await.expect("commits");
    let second = db.device("pump-1").await;
    assert!(second.key > first.key);
    let elsewhere = db.device_of(&db.stranger, "pump-1").await;
    assert_eq!(elsewhere.key.0 >> 32, i64::from(db.stranger.tenant.0));
}

async fn devices_are_listed_by_key(db: Db) {
    let template: TemplateId = id("dtmi:muster:pump;1");
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for name in ["b", "A", "a", "100%"] {
        let template = (name != "b").then(|| template.clone());
        let new = NewDevice { template, simulated: name == "A", ..new_device(name) };
        devices::insert(&tx, &db.scope, new).await.expect("inserts");
    }
    let ids = |page: Page<muster_model::device::Device>| -> Vec<String> {
        page.items.into_iter().map(|device| device.id.to_string()).collect()
    };
    let all = devices::list(&tx, &db.scope, &DeviceFilter::default(), Paging::first(10)).await.expect("lists");
    let keys: Vec<_> = all.items.iter().map(|device| device.key).collect();
    assert_eq!(ids(all), ["100%", "A", "a", "b"], "ids sort by their bytes");
    assert_eq!(devices::list_by_keys(&tx, &db.scope, &keys[..2]).await.expect("lists").len(), 2);
    assert_eq!(devices::list_by_ids(&tx, &db.scope, &[id("a"), id("nobody")]).await.expect("lists").len(), 1);
    for (filter, expected) in [
        (DeviceFilter { template: Some(template), ..Default::default() }, vec!["100%", "A", "a"]),
        (DeviceFilter { search: Some("THE A".into()), ..Default::default() }, vec!["A", "a"]),
        (DeviceFilter { search: Some("0%".into()), ..Default::default() }, vec!["100%"]),
        (DeviceFilter { search: Some("_".into()), ..Default::default() }, vec![]),
        (DeviceFilter { simulated: Some(true), enabled: Some(true), ..Default::default() }, vec!["A"]),
        (DeviceFilter { connected: Some(true), ..Default::default() }, vec![]),
    ] {
        let count = devices::count(&tx, &db.scope, &filter).await.expect("counts");
        let listed = ids(devices::list(&tx, &db.scope, &filter, Paging::first(10)).await.expect("lists"));
        assert_eq!((listed, count), (expected.iter().map(ToString::to_string).collect(), expected.len() as i64));
    }
}

async fn credentials_and_candidates(db: Db) {
    let (here, there) = (db.device("pump-1").await, db.device_of(&db.stranger, "pump-1").await);
    let tx = db.store.begin(&db.scope).await.expect("begins");
    devices::set_credentials(&tx, &db.scope, here.key, b"old").await.expect("sets");
    devices::set_credentials(&tx, &db.scope, here.key, b"keys").await.expect("sets again");
    let keys = devices::find_credentials(&tx, &db.scope, here.key).await.expect("runs");
    assert_eq!(keys.as_deref(), Some(&b"keys"[..]));
    tx.commit().await.expect("commits");
    let tx = db.store.begin_system_read(&SystemScope).await.expect("begins");
    let candidates = devices::candidates(&tx, &SystemScope, &here.id.clone().into(), (None, 16)).await.expect("runs");
    let found: Vec<_> = candidates.iter().map(|c| (c.device, c.tenant_id.as_str(), c.credentials.is_some())).collect();
    assert_eq!(found, [(here.key, "demo", true), (there.key, "stranger", false)]);
    let own = (Some(db.stranger.tenant), 16);
    let own = devices::candidates(&tx, &SystemScope, &here.id.into(), own).await.expect("runs");
    assert_eq!(own.iter().map(|one| one.device).collect::<Vec<_>>(), [there.key]);
}

async fn a_twin_is_written_whole(db: Db) {
    let device = db.device("pump-1").await;
    let tx = db.store.begin(&db.scope).await.expect("begins");
    let mut twin = twins::lock(&tx, &db.scope, device.key).await.expect("locks");
    assert_eq!((twin.version, twin.desired_version, twin.reported_version, twin.service_version), (2, 1, 1, 1));
    twin.desired = json!({"speed": 3, "nested": {"ä": [1, null]}}).as_object().cloned().expect("an object");
    twin.desired_version = 2;
    twin.tags = json!({"site": "north"}).as_object().cloned().expect("an object");
    twin.model_id = Some("dtmi:muster:pump;1".into());
    twin.version = 3;
    twin.service_version = 2;
    twins::update(&tx, &db.scope, device.key, &twin).await.expect("updates");
    tx.commit().await.expect("commits");
    let tx = db.store.begin_read(&db.scope).await.expect("begins");
    assert_eq!(twins::get(&tx, &db.scope, device.key).await.expect("gets"), twin);
    assert_eq!(twins::list_by_keys(&tx, &db.scope, &[device.key]).await.expect("lists"), [(device.key, twin)]);
}

async fn groups_and_registrations(db: Db) {
    let mut group = EnrollmentGroup {
        id: id("SAS-IoT-Devices"),
        display_name: "Default".into(),
        enabled: true,
        kind: EnrollmentKind::Iot,
        attestation: Attestation::SymmetricKey { encrypted: b"keys".to_vec() },
        settings: serde_json::Map::new(),
        created_at: at(0),
        updated_at: at(0),
        version: 1,
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    enrollment::insert(&tx, &db.scope, &group).await.expect("inserts");
    group.enabled = false;
    assert_eq!(enrollment::update(&tx, &db.scope, &group).await.expect("updates"), 2);
    assert!(matches!(enrollment::update(&tx, &db.scope, &group).await, Err(StoreError::Stale { .. })));
    let stored = enrollment::get(&tx, &db.scope, &group.id).await.expect("gets");
    assert!(!stored.enabled && stored.version == 2 && stored.attestation == group.attestation);
    let page = enrollment::list(&tx, &db.scope, Paging::<EnrollmentGroupId>::first(10)).await.expect("lists");
    assert_eq!(page.items.len(), 1);

    let mut registration = Registration {
        id: id("pump-1"),
        device: id("pump-1"),
        group: Some(group.id.clone()),
        payload: Some(json!({"modelId": "dtmi:muster:pump;1"})),
        created_at: at(1),
        updated_at: at(1),
    };
    registrations::put(&tx, &db.scope, &registration).await.expect("puts");
    registration.payload = None;
    registration.updated_at = at(2);
    registrations::put(&tx, &db.scope, &Registration { created_at: at(2), ..registration.clone() })
        .await
        .expect("puts");
    let found = registrations::find(&tx, &db.scope, &registration.id).await.expect("runs");
    assert_eq!(found, Some(registration.clone()), "the first registration's time stays");
    registrations::delete(&tx, &db.scope, &registration.id).await.expect("deletes");
    assert_eq!(registrations::find(&tx, &db.scope, &registration.id).await.expect("runs"), None);
    enrollment::delete(&tx, &db.scope, &group.id).await.expect("deletes");
    assert!(enrollment::find(&tx, &db.scope, &group.id).await.expect("runs").is_none());
}

async fn templates_have_versions(db: Db) {
    let template = StoredTemplate {
        id: id("dtmi:muster:pump;1"),
        display_name: "Pump".into(),
        document: json!({"@id": "dtmi:muster:pump;1", "capabilityModel": {"contents": []}}),
        published: true,
        draft: None,
        version: 1,
        created_at: at(0),
        updated_at: at(0),
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    templates::insert(&tx, &db.scope, &template).await.expect("inserts");
    assert_eq!(templates::get(&tx, &db.scope, &template.id).await.expect("gets"), template);
    let changed = StoredTemplate { display_name: "Big pump".into(), updated_at: at(5), ..template.clone() };
    assert_eq!(templates::update(&tx, &db.scope, &changed).await.expect("updates"), 2);
    assert!(matches!(templates::update(&tx, &db.scope, &changed).await, Err(StoreError::Stale { .. })));
    let page = templates::list(&tx, &db.scope, Paging::first(10)).await.expect("lists");
    assert_eq!(page.items, [StoredTemplate { version: 2, ..changed }]);
    templates::delete(&tx, &db.scope, &template.id).await.expect("deletes");
    assert!(templates::find(&tx, &db.scope, &template.id).await.expect("runs").is_none());
}

pub fn rule(number: u128, enabled: bool) -> Rule {
    Rule {
        id: RuleId(Uuid::from_u128(number)),
        display_name: "Too hot".into(),
        enabled,
        template: id("dtmi:muster:pump;1"),
        matching: Match::All,
        conditions: vec![Condition {
            telemetry: "temperature".into(),
            operator: Operator::GreaterThan,
            value: json!(30),
        }],
        severity: Severity::Critical,
        actions: Vec::new(),
        version: 1,
    }
}

async fn rules_have_versions(db: Db) {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for number in 1..=3 {
        rules::insert(&tx, &db.scope, &rule(number, number != 2), at(0)).await.expect("inserts");
    }
    let template: TemplateId = id("dtmi:muster:pump;1");
    let enabled = rules::list_enabled(&tx, &db.scope, &template).await.expect("lists");
    assert_eq!(enabled, [rule(1, true), rule(3, true)]);
    let uses = references::of_template(&tx, &db.scope, &template).await.expect("lists");
    assert_eq!(uses.referrers.len(), 3);
    let off = Rule { enabled: false, ..rule(1, true) };
    assert_eq!(rules::update(&tx, &db.scope, &off, at(1)).await.expect("updates"), 2);
    assert!(matches!(rules::update(&tx, &db.scope, &off, at(1)).await, Err(StoreError::Stale { .. })));
    assert_eq!(rules::get(&tx, &db.scope, off.id).await.expect("gets"), Rule { version: 2, ..off.clone() });
    let page = rules::list(&tx, &db.scope, Paging::after(off.id, 1)).await.expect("lists");
    assert_eq!((page.items, page.more), (vec![rule(2, false)], true));
    rules::delete(&tx, &db.scope, off.id).await.expect("deletes");
    assert!(matches!(rules::get(&tx, &db.scope, off.id).await, Err(StoreError::NotFound { .. })));
}

async fn dashboards_have_versions(db: Db) {
    let dashboard = |name: &str| Dashboard {
        id: id::<DashboardId>(name),
        display_name: name.into(),
        tiles: Vec::new(),
        favorite: false,
        version: 1,
    };
    let tx = db.store.begin(&db.scope).await.expect("begins");
    dashboards::insert(&tx, &db.scope, &dashboard("b")).await.expect("inserts");
    dashboards::insert(&tx, &db.scope, &dashboard("a")).await.expect("inserts");
    let page = dashboards::list(&tx, &db.scope, Paging::first(10)).await.expect("lists");
    assert_eq!(page.items, [dashboard("a"), dashboard("b")]);
    let favorite = Dashboard { favorite: true, ..dashboard("a") };
    assert_eq!(dashboards::update(&tx, &db.scope, &favorite).await.expect("updates"), 2);
    assert!(matches!(dashboards::update(&tx, &db.scope, &favorite).await, Err(StoreError::Stale { .. })));
    assert!(dashboards::get(&tx, &db.scope, &favorite.id).await.expect("gets").favorite);
    dashboards::delete(&tx, &db.scope, &favorite.id).await.expect("deletes");
    assert!(dashboards::find(&tx, &db.scope, &favorite.id).await.expect("runs").is_none());
}

/// Walking through a list shows each thing that stood all the while once, whatever comes and goes meanwhile.
async fn paging_is_stable(db: Db) {
    let tx = db.store.begin(&db.scope).await.expect("begins");
    for number in 0..10 {
        devices::insert(&tx, &db.scope, new_device(&format!("d{number}"))).await.expect("inserts");
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let paging = Paging::<DeviceId> { after: after.clone(), limit: 3 };
        let page = devices::list(&tx, &db.scope, &DeviceFilter::default(), paging).await.expect("lists");
        seen.extend(page.items.iter().map(|device| device.id.to_string()));
        after = page.items.last().map(|device| device.id.clone());
        if !page.more {
            break;
        }
        if seen.len() == 3 {
            devices::delete(&tx, &db.scope, &id("d1"), at(1)).await.expect("deletes");
            devices::insert(&tx, &db.scope, new_device("d00")).await.expect("inserts");
            devices::insert(&tx, &db.scope, new_device("d55")).await.expect("inserts");
        }
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d5", "d55", "d6", "d7", "d8", "d9"]);
    let page = devices::list(&tx, &db.scope, &DeviceFilter::default(), Paging::first(0)).await.expect("lists");
    assert_eq!((page.items.len(), page.more), (1, true), "a limit of nothing is one");
}

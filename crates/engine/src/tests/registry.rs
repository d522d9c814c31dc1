//! The registry, twins and queries as services see them.

use super::{twins::session, *};
use crate::{
    EngineError,
    authentication::Authentication,
    precondition::IfMatch,
    queries,
    registry_service::{self as registry, Identity, Statistics},
    twins_service as twins,
};
use muster_model::{device::SymmetricKeys, push::PushAction, wire::twin::ServiceChange};
use serde_json::{Map, Value, json};

fn object(value: Value) -> Option<Map<String, Value>> {
    value.as_object().cloned()
}

#[tokio::test]
async fn identities_are_made_changed_and_counted() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let (engine, admin, id) = (&home.engine, &tenant.admin, device("pump-1"));
    let made = registry::create(engine, admin, &id, Identity::default()).await.expect("made");
    assert_eq!((&made["status"], &made["connectionState"]), (&json!("enabled"), &json!("Disconnected")));
    let key = made["authentication"]["symmetricKey"]["primaryKey"].as_str().expect("a key");
    assert!(key.len() > 40, "{key}");
    let twice = registry::create(engine, admin, &id, Identity::default()).await;
    assert!(matches!(twice, Err(EngineError::Conflict { .. })), "{twice:?}");

    let keys = SymmetricKeys { primary_key: "a".repeat(44), secondary_key: "b".repeat(44) };
    let identity = Identity {
        enabled: Some(false),
        status_reason: Some("broken".into()),
        authentication: Some(Authentication::Sas(keys)),
    };
    let stale = registry::update(engine, admin, &id, identity.clone(), &IfMatch::parse(Some("\"77\""))).await;
    assert!(matches!(stale, Err(EngineError::PreconditionFailed { .. })), "{stale:?}");
    let changed = registry::update(engine, admin, &id, identity, &IfMatch::Any).await.expect("changed");
    assert_eq!((&changed["status"], &changed["statusReason"]), (&json!("disabled"), &json!("broken")));
    assert_eq!(changed["authentication"]["symmetricKey"]["secondaryKey"], "b".repeat(44));
    assert_ne!(changed["statusUpdatedTime"], made["statusUpdatedTime"]);
    registry::create(engine, admin, &device("pump-2"), Identity::default()).await.expect("made");
    let counted = registry::statistics(engine, admin).await.expect("counted");
    assert_eq!(counted, Statistics { total: 2, enabled: 1, connected: 0 });
    assert_eq!(registry::list(engine, admin, 1).await.expect("listed").len(), 1);
    home.end().await;
}

#[tokio::test]
async fn a_service_changes_a_twin_under_its_etag() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let session = session(&home, &tenant, "pump-1").await;
    let mut pushes = home.engine.pushes().await.expect("pushes");
    let (engine, admin, id) = (&home.engine, &tenant.admin, device("pump-1").into());
    let before = twins::get(engine, admin, &id).await.expect("a twin");
    assert_eq!((&before["version"], &before["etag"]), (&json!(2), &json!("AAAAAAAAAAE=")));
    let etag = |document: &Value| IfMatch::parse(Some(&format!("\"{}\"", document["etag"].as_str().expect("an etag"))));
    let patch = ServiceChange {
        tags: object(json!({"site": "north"})),
        desired: object(json!({"target": 20, "old": null, "$version": 7, "$metadata": {}})),
        replace: false,
    };
    let after = twins::change(engine, admin, &id, patch.clone(), &etag(&before)).await.expect("changed");
    assert_eq!((&after["version"], &after["tags"]), (&json!(3), &json!({"site": "north"})));
    assert_eq!(after["properties"]["desired"]["$version"], 2);
    let told = object(json!({"target": 20, "old": null})).expect("an object");
    let push = pushes.recv().await.expect("a push");
    assert_eq!((push.epoch, push.action), (session.epoch, PushAction::Desired { patch: told, version: 2 }));
    let stale = twins::change(engine, admin, &id, patch, &etag(&before)).await;
    assert!(matches!(stale, Err(EngineError::PreconditionFailed { .. })), "{stale:?}");
    crate::twins::patch_reported(engine, &session, b"{\"t\":1}").await.expect("reported");
    let whole = ServiceChange { tags: object(json!({})), desired: object(json!({"mode": "eco"})), replace: true };
    let after =
        twins::change(engine, admin, &id, whole, &etag(&after)).await.expect("what is reported changes no etag");
    assert_eq!((&after["tags"], &after["properties"]["desired"]["mode"]), (&json!({}), &json!("eco")));
    assert_eq!(after["properties"]["desired"].get("target"), None);
    assert_eq!(after["properties"]["reported"]["t"], 1);
    home.end().await;
}

#[tokio::test]
async fn queries_come_in_pages() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    let (engine, admin) = (&home.engine, &tenant.admin);
    for number in 0..7 {
        let id = device(&format!("d-{number}"));
        registry::create(engine, admin, &id, Identity::default()).await.expect("made");
        let tags = object(json!({"even": number % 2 == 0, "n": number}));
        let change = ServiceChange { tags, ..ServiceChange::default() };
        twins::change(engine, admin, &id.into(), change, &IfMatch::Any).await.expect("changed");
    }
    let all = async |text: &str, limit| {
        let (mut pages, mut continuation) = (Vec::new(), None);
        loop {
            let page = queries::run(engine, admin, text, limit, continuation.as_deref()).await.expect("answered");
            pages.push(Value::Array(page.items));
            continuation = page.continuation;
            if continuation.is_none() {
                return pages;
            }
        }
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| json!({"deviceId": id})).collect::<Value>();
    let text = "SELECT deviceId FROM devices WHERE tags.even = true";
    assert_eq!(all(text, 3).await, [ids(&["d-0", "d-2", "d-4"]), ids(&["d-6"])]);
    assert_eq!(all("SELECT TOP 3 deviceId FROM devices", 2).await, [ids(&["d-0", "d-1"]), ids(&["d-2"])]);
    let text = "SELECT deviceId FROM devices ORDER BY tags.n DESC";
    assert_eq!(all(text, 4).await, [ids(&["d-6", "d-5", "d-4", "d-3"]), ids(&["d-2", "d-1", "d-0"])]);
    assert_eq!(all("SELECT COUNT() AS n FROM devices WHERE status = 'enabled'", 9).await, [json!([{"n": 7}])]);
    let whole = &all("SELECT * FROM devices WHERE deviceId = 'd-3'", 9).await[0][0];
    assert_eq!((&whole["authenticationType"], &whole["tags"]["n"]), (&json!("sas"), &json!(3)));
    for (text, continuation) in [("SELECT", None), ("SELECT * FROM devices", Some("nonsense"))] {
        let refused = queries::run(engine, admin, text, 9, continuation).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
    }
    home.end().await;
}

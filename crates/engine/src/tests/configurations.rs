//! Configurations and their rounds.

use super::{devices::new, *};
use crate::{
    EngineError,
    configurations::{self, MAX_CONFIGURATIONS},
    devices,
    modules::{self, ModuleIdentity},
    precondition::IfMatch,
    twins_service as twins,
};
use muster_model::{
    Address, ConfigurationId, ModuleId,
    configuration::{Content, Document},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn id(text: &str) -> ConfigurationId {
    ConfigurationId::parse(text).expect("an id")
}

fn document(condition: &str, priority: i64, desired: Value) -> Document {
    let content = json!({"properties.desired": desired}).as_object().cloned();
    let content = if condition.starts_with("FROM") {
        Content { module_content: content, ..Content::default() }
    } else {
        Content { device_content: content, ..Content::default() }
    };
    Document {
        labels: Map::new(),
        content,
        target_condition: condition.into(),
        priority,
        metrics: BTreeMap::from([("all".into(), "SELECT deviceId FROM devices".into())]),
    }
}

async fn rounds(home: &Home) -> usize {
    let mut count = 0;
    while configurations::apply_due(&home.engine).await.expect("applied") {
        count += 1;
        assert!(count < 10, "rounds come to an end");
    }
    count
}

#[tokio::test]
async fn what_is_wanted_is_merged_by_priority_and_applied_until_it_is_there() {
    let home = Home::new().await;
    let (tenant, stranger) = (home.tenant("plant").await, home.tenant("other").await);
    let (engine, admin) = (&home.engine, &tenant.admin);
    for name in ["d-1", "d-2"] {
        devices::create(engine, admin, new(name)).await.expect("a device");
    }
    devices::create(engine, &stranger.admin, new("d-1")).await.expect("a device");
    let motor = Address::from((device("d-1"), ModuleId::parse("motor").expect("an id")));
    let place = (&motor.device, motor.module.as_ref().expect("a module"));
    modules::create(engine, admin, place, ModuleIdentity::default()).await.expect("a module");
    let low = document("*", 1, json!({"a": 1, "b": {"x": 1, "y": 1}}));
    configurations::create(engine, admin, &id("low"), low.clone()).await.expect("made");
    let high = document("deviceId = 'd-1'", 9, json!({"b": {"x": 2}}));
    configurations::create(engine, admin, &id("high"), high).await.expect("made");
    let of_modules = document("FROM devices.modules WHERE moduleId = 'motor'", 1, json!({"m": 1}));
    configurations::create(engine, admin, &id("modules"), of_modules).await.expect("made");
    assert_eq!(rounds(&home).await, 2, "the second one counts what the first has done");
    let desired = async |caller: &Caller, address: Address| {
        let twin = twins::get(engine, caller, &address).await.expect("a twin");
        let mut desired = twin["properties"]["desired"].as_object().cloned().expect("a section");
        desired.retain(|name, _| !name.starts_with('$'));
        Value::Object(desired)
    };
    assert_eq!(desired(admin, device("d-1").into()).await, json!({"a": 1, "b": {"x": 2, "y": 1}}));
    assert_eq!(desired(admin, device("d-2").into()).await, json!({"a": 1, "b": {"x": 1, "y": 1}}));
    assert_eq!(desired(admin, motor.clone()).await, json!({"m": 1}));
    assert_eq!(desired(&stranger.admin, device("d-1").into()).await, json!({}));
    let seen = configurations::get(engine, admin, &id("low")).await.expect("there");
    assert_eq!((seen.results.targeted, seen.results.applied, seen.results.metrics["all"]), (2, 2, 2));

    // A device that comes later is found by a later round.
    devices::create(engine, admin, new("d-3")).await.expect("a device");
    assert_eq!(rounds(&home).await, 0);
    home.advance(Duration::minutes(5));
    assert_eq!(rounds(&home).await, 2);
    assert_eq!(desired(admin, device("d-3").into()).await["a"], 1);

    let other = document("*", 1, json!({"a": 7}));
    let refused = configurations::update(engine, admin, &id("low"), other, &IfMatch::Any).await;
    assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{refused:?}");
    for name in ["low", "high", "modules"] {
        configurations::delete(engine, admin, &id(name), &IfMatch::Any).await.expect("deleted");
    }
    rounds(&home).await;
    home.advance(Duration::hours(1));
    assert_eq!(rounds(&home).await, 0, "there is nothing to apply any more");
    let twin = twins::get(engine, admin, &device("d-1").into()).await.expect("a twin");
    assert_eq!((twin.get("configurations"), &twin["properties"]["desired"]["a"]), (None, &json!(1)));
    home.end().await;
}

#[tokio::test]
async fn a_tenant_has_so_many_configurations() {
    let home = Home::new().await;
    let tenant = home.tenant("plant").await;
    for number in 0..MAX_CONFIGURATIONS {
        let (id, document) = (id(&format!("c-{number}")), document("", 1, json!({"a": 1})));
        configurations::create(&home.engine, &tenant.admin, &id, document).await.expect("made");
    }
    let full = configurations::create(&home.engine, &tenant.admin, &id("more"), document("", 1, json!({}))).await;
    assert!(matches!(full, Err(EngineError::Invalid { .. })), "{full:?}");
    home.end().await;
}

//! Templates, rules, dashboards.

use super::{devices::new, *};
use crate::{EngineError, dashboards, devices, precondition::IfMatch, rules, templates};
use muster_model::{
    DashboardId, RuleId, TemplateId,
    rule::{Condition, Match, Operator, Rule, Severity},
};
use serde_json::{Value, json};

const ROOM: &str = include_str!("../demo/documents/room.json");
const OFFICE: &str = include_str!("../demo/documents/dashboard-office.json");

fn rule(template: &TemplateId, telemetry: &str) -> Rule {
    Rule {
        id: RuleId(uuid::Uuid::now_v7()),
        display_name: "Too warm".into(),
        enabled: true,
        template: template.clone(),
        matching: Match::All,
        conditions: vec![Condition { telemetry: telemetry.into(), operator: Operator::GreaterThan, value: json!(30) }],
        severity: Severity::Warning,
        actions: Vec::new(),
        version: 0,
    }
}

#[tokio::test]
async fn a_template_in_use_stays() {
    let home = Home::new().await;
    let Tenant { admin, .. } = home.tenant("plant").await;
    let engine = &home.engine;
    let id = TemplateId::parse("dtmi:muster:demo:room;1").expect("an id");
    let made = templates::put(engine, &admin, &id, ROOM, &IfMatch::Any).await.expect("a template");
    assert_eq!(made.version, 1);
    let room = devices::NewDevice { template: Some(id.clone()), ..new("room-1") };
    devices::create(engine, &admin, room).await.expect("a device");
    let warm = rules::put(engine, &admin, rule(&id, "temperature"), &IfMatch::Any).await.expect("a rule");
    let office = serde_json::from_str(OFFICE).expect("a dashboard");
    let office = dashboards::put(engine, &admin, office, &IfMatch::Any).await.expect("a dashboard");
    let refused = templates::delete(engine, &admin, &id, &IfMatch::Any).await.expect_err("in use").to_string();
    for use_ in ["1 device", "rule 'Too warm'", "dashboard 'Office building'"] {
        assert!(refused.contains(use_), "{refused}");
    }
    devices::delete(engine, &admin, &device("room-1"), &IfMatch::Any).await.expect("deleted");
    rules::delete(engine, &admin, warm.id, &IfMatch::Any).await.expect("deleted");
    dashboards::delete(engine, &admin, &office.id, &IfMatch::Any).await.expect("deleted");
    templates::delete(engine, &admin, &id, &IfMatch::Any).await.expect("deleted");
    home.end().await;
}

#[tokio::test]
async fn a_malformed_template_is_refused_with_places() {
    let home = Home::new().await;
    let Tenant { admin, .. } = home.tenant("plant").await;
    let id = TemplateId::parse("dtmi:a:b;1").expect("an id");
    for text in ["{", "[]", "7", "{\"@type\":\"Interface\"}"] {
        let refused = templates::put(&home.engine, &admin, &id, text, &IfMatch::Any).await;
        assert!(matches!(refused, Err(EngineError::Invalid { .. })), "{text}");
    }
    let Err(EngineError::Invalid { problems }) = templates::import(&home.engine, &admin, "{\n \"a\": }").await else {
        panic!("it is no JSON")
    };
    assert_eq!(problems[0].line, Some(2));
    home.end().await;
}

#[tokio::test]
async fn patches_change_parts_and_notice_others() {
    let home = Home::new().await;
    let Tenant { admin, .. } = home.tenant("plant").await;
    let engine = &home.engine;
    let template = templates::import(engine, &admin, ROOM).await.expect("a template");
    let patch = |value: Value| value.as_object().cloned().expect("an object");
    let named = patch(json!({"displayName": "Meeting room"}));
    let changed = templates::patch(engine, &admin, &template.id, &named, &IfMatch::Any).await.expect("patched");
    assert_eq!((changed.display_name.as_str(), changed.version), ("Meeting room", 2));
    let stale = IfMatch::parse(Some("1"));
    let refused = templates::patch(engine, &admin, &template.id, &named, &stale).await;
    assert!(matches!(refused, Err(EngineError::PreconditionFailed { .. })));

    let warm = rules::put(engine, &admin, rule(&template.id, "temperature"), &IfMatch::Any).await.expect("a rule");
    let off = rules::patch(engine, &admin, warm.id, &patch(json!({"enabled": false})), &IfMatch::Any).await;
    assert!(!off.expect("patched").enabled);
    let bad = rules::patch(engine, &admin, warm.id, &patch(json!({"conditions": "x"})), &IfMatch::Any).await;
    assert!(matches!(bad, Err(EngineError::Invalid { .. })));
    let bad = rules::put(engine, &admin, rule(&template.id, "nothing"), &IfMatch::Any).await;
    assert!(matches!(bad, Err(EngineError::Invalid { .. })));

    let office = serde_json::from_str(OFFICE).expect("a dashboard");
    let office = dashboards::put(engine, &admin, office, &IfMatch::Any).await.expect("a dashboard");
    let renamed = patch(json!({"displayName": "Office"}));
    let renamed = dashboards::patch(engine, &admin, &office.id, &renamed, &IfMatch::Any).await.expect("patched");
    assert_eq!((renamed.display_name.as_str(), renamed.tiles.len()), ("Office", office.tiles.len()));
    let nowhere = DashboardId::parse("nowhere").expect("an id");
    let refused = dashboards::delete(engine, &admin, &nowhere, &IfMatch::Any).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })));
    home.end().await;
}

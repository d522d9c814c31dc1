//! The demonstration and its devices.

use super::*;
use crate::{
    demo,
    identity::{SignIn, sign_in},
};
use muster_model::{Scope, SystemScope};
use muster_store::{Paging, alerts, dashboards, devices as stored, rules, telemetry, tenants as rows};

async fn demo_scope(home: &Home) -> Scope {
    let tx = home.engine.store().begin_system_read(&SystemScope).await.expect("a transaction");
    let id = TenantId::parse("demo").expect("an id");
    let tenant = rows::find_by_id(&tx, &SystemScope, &id).await.expect("read").expect("a tenant");
    Scope { tenant: tenant.key }
}

#[tokio::test]
async fn the_demonstration_is_made_once_and_can_be_entered() {
    let home = Home::new().await;
    let demo = demo::seed(&home.engine).await.expect("made");
    assert_eq!(demo::seed(&home.engine).await.expect("found"), demo);
    let signed_in = sign_in(
        &home.engine,
        SignIn {
            email: demo.email.into(),
            password: demo.password.into(),
            peer: std::net::IpAddr::from([127, 0, 0, 1]),
            user_agent: String::new(),
        },
    );
    assert_eq!(signed_in.await.expect("signed in").account.tenancies[0].tenant.as_str(), demo.tenant);
    let scope = demo_scope(&home).await;
    let tx = home.engine.store().begin_read(&scope).await.expect("a transaction");
    assert_eq!(stored::count(&tx, &scope, &Default::default()).await.expect("a count"), 12);
    assert_eq!(dashboards::list(&tx, &scope, Paging::first(10)).await.expect("a list").items.len(), 3);
    assert_eq!(rules::list(&tx, &scope, Paging::first(10)).await.expect("a list").items.len(), 5);
    drop(tx);
    home.end().await;
}

#[tokio::test]
async fn simulated_devices_connect_have_a_past_and_raise_alerts() {
    let home = Home::with_roles(Roles::ALL).await;
    demo::seed(&home.engine).await.expect("made");
    let scope = demo_scope(&home).await;
    crate::ingest::start_worker(&home.engine, &home.stop, &home.tasks);
    // Everything that is waited for happens by itself; the deadline only ends a test that fails.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let devices = loop {
        let tx = home.engine.store().begin_read(&scope).await.expect("a transaction");
        let devices = stored::list(&tx, &scope, &Default::default(), Paging::first(100)).await.expect("a list").items;
        drop(tx);
        let keys: Vec<_> = devices.iter().map(|device| device.key).collect();
        let tx = home.engine.store().begin_read(&scope).await.expect("a transaction");
        let latest = telemetry::latest(&tx, &scope, &keys).await.expect("values");
        drop(tx);
        if devices.iter().all(|device| device.connected && latest.contains_key(&device.key)) {
            break devices;
        }
        assert!(std::time::Instant::now() < deadline, "not all are played: {latest:?}");
        tokio::task::yield_now().await;
    };
    let tx = home.engine.store().begin_read(&scope).await.expect("a transaction");
    let now_ms = home.engine.clock().now_ms();
    let machine = devices.iter().find(|device| device.id.as_str() == "machine-1").expect("a machine");
    let query = telemetry::HistoryQuery {
        device: machine.key,
        keys: vec!["motorTemperature".into()],
        from_ms: now_ms - 24 * 3_600_000,
        to_ms: now_ms + 1,
        buckets: 100,
    };
    let history = telemetry::history(&tx, &scope, &query).await.expect("history");
    assert!(history[0].points.len() >= 99, "{}", history[0].points.len());
    let fired = alerts::list(&tx, &scope, &Default::default(), Paging::first(100)).await.expect("alerts");
    assert!(!fired.items.is_empty(), "rules fire on what is simulated");
    drop(tx);
    home.end().await;
}

//! What goes wrong with devices, as it is gathered; events of registrations.

use super::{HOST, Home, Tenant, device, hub_token};
use crate::{
    Engine, devices,
    events::{
        failures,
        feed::{self, Wanted},
    },
    hub_auth::{self, Connect},
    provisioning::{self, DpsConnect},
};
use muster_model::{Caller, DeviceId, IdScope, ModuleId, RegistrationId, event::FailureCode};
use muster_store::{
    Paging,
    events::{self, Entry},
};
use std::time::Duration;

/// Failures as they are stored, once there are so many of them.
async fn stored(engine: &Engine, caller: &Caller, wanted: usize) -> Vec<(String, FailureCode, i64)> {
    for _ in 0..10_000 {
        failures::flush(engine).await;
        let tx = engine.store().begin_read(&caller.scope).await.expect("begins");
        let page = events::list(&tx, &caller.scope, None, Paging::first(1000)).await.expect("lists");
        drop(tx);
        let failures = page.items.into_iter().filter_map(|entry| match entry {
            Entry::Failure(failure) => Some((failure.device.to_string(), failure.code, failure.count)),
            Entry::Event { .. } => None,
        });
        let mut failures: Vec<_> = failures.collect();
        if failures.len() >= wanted {
            failures.sort();
            return failures;
        }
        tokio::task::yield_now().await;
    }
    panic!("there are no {wanted} failures")
}

fn new(id: &str) -> devices::NewDevice {
    devices::NewDevice { id: device(id), display_name: None, template: None, enabled: true, simulated: false }
}

async fn connect(home: &Home, id: &str, module: Option<&str>, password: Option<&str>) {
    let module = module.map(|id| ModuleId::parse(id).expect("a module id"));
    let connect = Connect {
        host: HOST,
        device: &device(id),
        module: module.as_ref(),
        password,
        model_id: None,
        client_type: None,
        peer: std::net::IpAddr::from([192, 0, 2, 1]),
        chain: &[],
    };
    hub_auth::authenticate(&home.engine, connect).await.expect_err("refused");
}

#[tokio::test]
async fn a_refusal_is_noted_where_one_tenant_alone_has_the_device() {
    let home = Home::new().await;
    let Tenant { admin, made } = home.tenant("plant").await;
    let other = home.tenant("other").await.admin;
    devices::create(&home.engine, &admin, new("a")).await.expect("a device");
    for caller in [&admin, &other] {
        devices::create(&home.engine, caller, new("both")).await.expect("a device");
    }
    let wrong = hub_token(&home, "a", &made.keys.primary_key);
    for password in [Some(wrong.as_str()), Some(&wrong), None, Some("nonsense")] {
        connect(&home, "a", None, password).await;
    }
    connect(&home, "both", None, None).await;
    connect(&home, "nobody", None, None).await;
    let token = hub_token(&home, "a/modules/motor", &made.keys.primary_key);
    connect(&home, "a", Some("motor"), Some(&token)).await;
    let token = hub_token(&home, "nobody/modules/motor", &made.keys.primary_key);
    connect(&home, "nobody", Some("motor"), Some(&token)).await;
    let (nowhere, registration) = (IdScope::parse("0neNOWHERE").expect("a scope"), "b".parse().expect("an id"));
    for id_scope in [&nowhere, &made.id_scope] {
        let registration: &RegistrationId = &registration;
        let connect = DpsConnect { id_scope, registration, password: None, chain: &[] };
        provisioning::authenticate(&home.engine, connect).await.expect_err("refused");
    }
    let expected = [
        ("a".to_owned(), FailureCode::NoCredential, 1),
        ("a".to_owned(), FailureCode::BadToken, 1),
        ("a".to_owned(), FailureCode::WrongKey, 2),
        ("a".to_owned(), FailureCode::UnknownModule, 1),
        ("b".to_owned(), FailureCode::ProvisioningRefused, 1),
    ];
    assert_eq!(stored(&home.engine, &admin, 5).await, expected);
    assert_eq!(stored(&home.engine, &other, 0).await, []);
    home.end().await;
}

#[tokio::test]
async fn a_flood_of_failures_is_bounded_by_tenant() {
    let home = Home::new().await;
    let (plant, other) = (home.tenant("plant").await.admin, home.tenant("other").await.admin);
    devices::create(&home.engine, &other, new("a")).await.expect("a device");
    for number in 0..10_000 {
        let id = DeviceId::parse(format!("x{number}")).expect("an id");
        failures::note(&home.engine, plant.scope.tenant, &id, FailureCode::ProvisioningRefused);
        failures::note(&home.engine, other.scope.tenant, &device("a"), FailureCode::Throttled);
    }
    let throttled = stored(&home.engine, &other, 1).await;
    assert!(throttled.len() == 1 && throttled[0].2 > 0, "{throttled:?}");
    assert!(stored(&home.engine, &plant, 1).await.len() <= 600);
    home.end().await;
}

#[tokio::test]
async fn a_reader_ends_with_the_engine_and_keeps_to_the_limits() {
    let home = Home::new().await;
    let admin = home.tenant("plant").await.admin;
    let wanted = |max, wait| Wanted { after: -1, max, wait: Duration::from_secs(wait) };
    for bad in [wanted(0, 0), wanted(1001, 0), wanted(1, 61)] {
        assert!(feed::read(&home.engine, &admin, bad).await.is_err(), "{bad:?}");
    }
    let (engine, caller) = (home.engine.clone(), admin.clone());
    let reader = tokio::spawn(async move { feed::read(&engine, &caller, wanted(1, 60)).await });
    tokio::task::yield_now().await;
    home.end().await;
    assert_eq!(reader.await.expect("ends").ok(), Some(Vec::new()));
}

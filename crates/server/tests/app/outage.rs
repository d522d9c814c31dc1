//! A database that is not there at the start, or goes away later: the product says so and waits, and what was
//! acknowledged is stored.

use crate::with_device;
use muster_engine::Roles;
use muster_testkit::{Backend, Client, Gate, Servers, TestApp, eventually, own_address, servers};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_loses_nothing_that_was_acknowledged() {
    if !Backend::Servers.available("outage::a_database_that_goes_away_loses_nothing_that_was_acknowledged") {
        return;
    }
    let (servers, gate) = gated().await;
    gate.open();
    let app = TestApp::start_on(servers, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    let topic = "devices/machine-1/messages/events/";
    device.send(topic, b"{\"number\":0}").await.unwrap();

    gate.shut();
    for number in 1..=20 {
        // The broker has it: that is safe enough.
        device.send(topic, json!({ "number": number }).to_string().as_bytes()).await.unwrap();
    }
    let unready = eventually("the process is not ready", || async {
        Some(tenant.admin.get("/health/ready").await).filter(|reply| reply.status == 503)
    });
    assert!(!unready.await.text.contains("://"), "no address is told");

    gate.open();
    let stored = eventually("all are stored", || async {
        let reply = tenant.admin.get("/api/devices/machine-1/messages?maxpagesize=100").await;
        let messages = reply.json["value"].as_array().cloned().unwrap_or_default();
        (messages.len() >= 21).then_some(messages)
    })
    .await;
    let numbers: BTreeSet<i64> = stored.iter().filter_map(|message| message["unmodeled"]["number"].as_i64()).collect();
    assert_eq!((stored.len(), numbers), (21, (0..=20).collect()), "{stored:?}");
    eventually("the process is ready", || async {
        (tenant.admin.get("/health/ready").await.status == 200).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    if !Backend::Servers.available("outage::a_database_that_is_away_at_the_start_is_waited_for") {
        return;
    }
    let (servers, gate) = gated().await;
    let web = format!("{}:8080", own_address());
    let somebody = Client::new(format!("http://{web}"), None);
    let starting = tokio::spawn(async move { TestApp::start_on(servers, &[("http.bind", &web)]).await });
    let ready = || async {
        let reply = somebody.http().get(somebody.url("/health/ready")).send().await.ok()?;
        Some((reply.status().as_u16(), reply.text().await.ok()?))
    };
    let reason = eventually("a reason to wait", || async {
        ready().await.filter(|(status, text)| *status == 503 && text.contains("waiting for the database"))
    });
    reason.await;
    assert!(!starting.is_finished());
    gate.open();
    let app = starting.await.unwrap();
    assert_eq!(app.app().engine().config().roles, Roles::ALL);
    eventually("the process is ready", || async { ready().await.filter(|(status, _)| *status == 200) }).await;
    app.stop().await;
}

/// Servers whose database is behind a gate, shut at first.
async fn gated() -> (Servers, Gate) {
    let mut servers = servers().await;
    let (_, url) = servers.settings.iter_mut().find(|(key, _)| *key == "database.url").unwrap();
    let (user, rest) = url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let gate = Gate::before(server).await;
    *url = format!("{user}@{}/{database}", gate.address());
    (servers, gate)
}

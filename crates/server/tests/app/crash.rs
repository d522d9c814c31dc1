//! Three processes, and one of them, or the broker between them, killed as a power cut would: what was acknowledged is
//! stored, once.

use muster_model::wire::sas;
use muster_testkit::{Backend, Broker, Client, Device, DeviceError, Process, Processes, eventually};
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_worker_loses_and_doubles_nothing() {
    kill_under_load("worker").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_hub_loses_nothing_that_was_acknowledged() {
    kill_under_load("hub").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_rabbitmq_loses_and_doubles_nothing() {
    let name = "crash::rabbitmq";
    if !Backend::Servers.available(name) {
        return;
    }
    let Some(mut broker) = Broker::prepare(name) else { return };
    broker.start().await;
    let split = split(Some(broker.url())).await;
    let (hub, _worker, api) = (split.start("hub").await, split.start("worker").await, split.start("api").await);
    let tenant = split.bootstrap("api").await;
    let admin = admin(&api, &tenant).await;
    let mut device = connect(&hub, &tenant).await;
    let mut acknowledged = HashSet::new();
    for round in 0..3_u32 {
        let sent = send(&mut device, round * ROUND).await;
        if round == 1 {
            broker.kill();
            broker.start().await;
        }
        for (id, number) in sent {
            patiently_acked(&mut device, id).await;
            acknowledged.insert(number);
        }
    }
    assert_eq!(acknowledged.len(), 3 * ROUND as usize, "the connection outlives the broker");
    all_stored_once(&admin, &acknowledged).await;
}

/// A broker that has just started takes its time on a busy machine.
async fn patiently_acked(device: &mut Device, id: u16) {
    for _ in 0..3 {
        match device.acked(id).await {
            Err(DeviceError::Silent) => {}
            answer => return answer.unwrap(),
        }
    }
    panic!("message {id} is not acknowledged");
}

/// Messages of a round.
const ROUND: u32 = 200;

/// A product on PostgreSQL and RabbitMQ: the tests' own, or the test's own.
async fn split(broker: Option<String>) -> Processes {
    let overrides: Vec<_> = broker.map(|url| ("bus.url", url)).into_iter().collect();
    Processes::new(env!("CARGO_BIN_EXE_muster"), Backend::Servers, &overrides).await
}

/// Calls the API, and has made the device `d1`.
async fn admin(api: &Process, tenant: &Value) -> Client {
    let admin = api.client(tenant);
    admin.put("/api/devices/d1", json!({})).await.ok();
    admin
}

async fn kill_under_load(victim: &str) {
    if !Backend::Servers.available(&format!("crash::{victim}")) {
        return;
    }
    let split = split(None).await;
    let (mut hub, mut worker, api) = (split.start("hub").await, split.start("worker").await, split.start("api").await);
    let tenant = split.bootstrap("api").await;
    let admin = admin(&api, &tenant).await;
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let mut device = connect(&hub, &tenant).await;
        let sent = send(&mut device, round * ROUND).await;
        if round == 1 {
            let role = if victim == "hub" { &mut hub } else { &mut worker };
            role.kill().await;
        }
        for (id, number) in sent {
            // After the hub was killed, what it had not acknowledged is the device's to send again.
            if victim == "hub" && round == 1 && device.acked(id).await.is_err() {
                break;
            }
            if !(victim == "hub" && round == 1) {
                device.acked(id).await.unwrap();
            }
            acknowledged.insert(number);
        }
        if round == 1 {
            *(if victim == "hub" { &mut hub } else { &mut worker }) = split.start(victim).await;
        }
    }

    all_stored_once(&admin, &acknowledged).await;
    assert!(acknowledged.len() >= 2 * ROUND as usize, "{} were acknowledged", acknowledged.len());
}

async fn all_stored_once(admin: &Client, acknowledged: &HashSet<u32>) {
    let stored = eventually("every acknowledged message is stored", || async {
        let stored = numbers(admin, "d1").await;
        acknowledged.iter().all(|number| stored.contains(number)).then_some(stored)
    })
    .await;
    let distinct: HashSet<_> = stored.iter().copied().collect();
    assert_eq!(distinct.len(), stored.len(), "a message is stored twice");
}

/// Publishes a round's messages without waiting; their packet ids.
async fn send(device: &mut Device, first: u32) -> Vec<(u16, u32)> {
    let mut sent = Vec::new();
    for number in first..first + ROUND {
        let body = json!({ "number": number }).to_string();
        let Ok(id) = device.publish("devices/d1/messages/events/", body.as_bytes()).await else { break };
        sent.push((id, number));
    }
    sent
}

async fn connect(hub: &Process, tenant: &Value) -> Device {
    let host = tenant["hubHost"].as_str().unwrap();
    let key = sas::derive_key(tenant["enrollmentGroup"]["primaryKey"].as_str().unwrap(), "d1").unwrap();
    let password = sas::sign(&format!("{host}/devices/d1"), &key, 4_102_444_800, None).unwrap();
    let user = format!("{host}/d1/?api-version=2021-04-12");
    eventually("the device connects", || async {
        Device::connect(hub.address("mqtt"), "d1", &user, &password).await.ok()
    })
    .await
}

/// The number in every stored message of a device, however often.
pub(crate) async fn numbers(admin: &Client, device: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut next = Some(format!("/api/devices/{device}/messages?maxpagesize=100"));
    while let Some(path) = next {
        let page = admin.get(&path).await.ok();
        for message in page["value"].as_array().unwrap() {
            let number = message["telemetry"].get("number").or(message["unmodeled"].get("number"));
            numbers.extend(number.map(|number| number.as_u64().unwrap() as u32));
        }
        next = page["nextLink"].as_str().map(|link| link[link.find("/api").unwrap()..].to_owned());
    }
    numbers
}

//! Bad input at every door: a clear answer, no crash, and the next good request works.

use crate::{on_both, with_device};
use muster_testkit::{Backend, Device, DeviceError, TestApp};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

on_both! {
    hostile_bytes_close_the_connection_and_nothing_else
    a_bad_signature_is_refused_with_connack_5
    a_foreign_topic_and_a_huge_message_close_the_connection
    bad_requests_get_the_error_body
}

async fn hostile_bytes_close_the_connection_and_nothing_else(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let address = app.app().addresses().mqtt.unwrap();
    let hostile: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x10, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x30, 0x05, 0, 1, b'a', b'x', b'y'],
        &[0x10, 0x0c, 0, 4, b'M', b'Q', b'T', b'T', 3, 2, 0, 0, 0, 0],
        &[0xff; 64],
    ];
    for bytes in hostile {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = socket.write_all(bytes).await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let reading = socket.read_to_end(&mut rest);
        let closed = tokio::time::timeout(std::time::Duration::from_secs(20), reading).await;
        assert!(closed.is_ok(), "the server keeps a socket open after {bytes:?}");
    }
    let mut device = app.device(&tenant, "machine-1").await.unwrap();
    device.send("devices/machine-1/messages/events/", b"{\"temperature\":1}").await.unwrap();
    app.stop().await;
}

async fn a_bad_signature_is_refused_with_connack_5(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    let address = app.app().addresses().mqtt.unwrap();
    let host = &tenant.tenant.hub_host;
    let user = format!("{host}/machine-1/?api-version=2021-04-12");
    let good_key = &tenant.tenant.keys.primary_key;
    let uri = format!("{host}/devices/machine-1");
    let of_group = muster_model::wire::sas::sign(&uri, good_key, 4_102_444_800, None).unwrap();
    let derived = muster_model::wire::sas::derive_key(good_key, "machine-1").unwrap();
    let expired = muster_model::wire::sas::sign(&uri, &derived, 1_000_000_000, None).unwrap();
    let other =
        muster_model::wire::sas::sign(&format!("{host}/devices/machine-2"), &derived, 4_102_444_800, None).unwrap();
    for password in [of_group, expired, other, "nonsense".into(), String::new()] {
        let refused = Device::connect(address, "machine-1", &user, &password).await.unwrap_err();
        let DeviceError::Refused(reason) = refused else { panic!("{password}: {refused:?}") };
        assert_eq!(reason as u8, 5, "{password}");
    }
    app.stop().await;
}

async fn a_foreign_topic_and_a_huge_message_close_the_connection(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    with_device(&tenant, "machine-1").await;
    with_device(&tenant, "machine-2").await;
    let huge = vec![b' '; 300 * 1024];
    let cases: [(&str, &[u8]); 3] = [
        ("devices/machine-2/messages/events/", b"{}"),
        ("somewhere/else", b"{}"),
        ("devices/machine-1/messages/events/", &huge),
    ];
    for (topic, payload) in cases {
        let mut device = app.device(&tenant, "machine-1").await.unwrap();
        let _ = device.publish(topic, payload).await;
        device.closed().await.unwrap();
    }
    let ledger = tenant.admin.get("/api/ledger").await.ok();
    assert_eq!(ledger["received"], 0, "{ledger}");
    app.stop().await;
}

async fn bad_requests_get_the_error_body(backend: Backend) {
    let app = TestApp::start(backend, &[]).await;
    let tenant = app.bootstrap("contoso").await;
    let admin = &tenant.admin;
    let raw = |method: reqwest::Method, path: &str, body: Vec<u8>| {
        admin.http().request(method, admin.url(path)).header("content-type", "application/json").body(body)
    };
    let large = json!({ "displayName": "x".repeat(1_100_000) }).to_string().into_bytes();
    let cases = [
        (admin.send(raw(reqwest::Method::PUT, "/api/devices/d1", b"{".to_vec())).await, 400),
        (admin.send(raw(reqwest::Method::PUT, "/api/devices/d1", b"7".to_vec())).await, 400),
        (admin.send(raw(reqwest::Method::PUT, "/api/devices/d1", b"[]".to_vec())).await, 400),
        (admin.send(raw(reqwest::Method::PUT, "/api/devices/d1", large)).await, 413),
        (admin.put("/api/devices/d1", json!({ "template": "dtmi:no:such;1" })).await, 422),
        (admin.put("/api/devices/a%2Fb", json!({})).await, 400),
        (admin.get("/api/devices/none").await, 404),
        (admin.get("/api/nonsense").await, 404),
        (admin.get("/api/devices?api-version=1999-01-01").await, 400),
        (
            admin.put("/api/deviceTemplates/dtmi:a:b;1", json!({ "capabilityModel": { "@type": "Interface" } })).await,
            422,
        ),
        (admin.put(&format!("/api/rules/{}", uuid::Uuid::now_v7()), json!({ "displayName": "x" })).await, 400),
    ];
    for (index, (reply, status)) in cases.into_iter().enumerate() {
        assert_eq!(reply.status, status, "case {index}: {}", reply.text);
        assert!(!reply.code().is_empty() && reply.json["error"]["message"].is_string(), "case {index}: {}", reply.text);
    }
    app.stop().await;
}

//! Who is let in, and what ends a connection (`iot-hub-wire.md` §1).

use crate::{
    client::Client,
    support::{HOST, TestHub, sign},
};
use bytes::Bytes;
use muster_hub::HubConfig;
use muster_model::push::{Push, PushAction};
use rmqtt_codec::v3::{ConnectAckReason, Packet};
use std::time::Duration;

#[tokio::test]
async fn every_form_of_user_name_is_accepted() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    for username in [
        login.username.clone(),
        format!("{HOST}/d-1"),
        format!("{}/d-1/?api-version=2021-04-12&DeviceClientType=x", HOST.to_uppercase()),
        format!("{HOST}/d-1/api-version=2016-11-14"),
    ] {
        let mut connect = login.connect();
        connect.username = Some(username.into());
        let (mut client, _) = Client::accepted(hub.address, connect).await;
        client.ping().await;
    }
}

#[tokio::test]
async fn a_bad_credential_is_refused_with_code_5() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let good = login.password.clone().expect("a token");
    let far = hub.expiry(3600);
    let other_key = "bm90IHRoZSBrZXkgb2YgdGhlIGRldmljZSE=";
    let cases = [
        ("forged", Some(sign(&format!("{HOST}/devices/d-1"), other_key, far))),
        ("expired", Some(hub.token("d-1", hub.expiry(-3600)).await)),
        ("for another device", Some(sign(&format!("{HOST}/devices/d-2"), &hub.key("d-1").await, far))),
        ("no token", Some("secret".to_owned())),
        ("absent", None),
        ("changed", Some(good.replace("sig=", "sig=A"))),
    ];
    for (name, password) in cases {
        let mut connect = login.connect();
        connect.password = password.map(Bytes::from);
        assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::NotAuthorized, "{name}");
    }
    let not_text = Bytes::from_static(b"\xff\xfe");
    let connect = rmqtt_codec::v3::Connect { password: Some(not_text), ..login.connect() };
    assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::NotAuthorized);
}

#[tokio::test]
async fn a_bad_identity_is_refused() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    for (client_id, username, code) in [
        ("d-2", login.username.as_str(), ConnectAckReason::IdentifierRejected),
        ("D-1", login.username.as_str(), ConnectAckReason::IdentifierRejected),
        ("d-1/m", login.username.as_str(), ConnectAckReason::IdentifierRejected),
        ("d-1", "other.example/d-1/?api-version=1", ConnectAckReason::NotAuthorized),
        ("unknown", "localhost/unknown/?api-version=1", ConnectAckReason::NotAuthorized),
        ("d-1/m", "localhost/d-1/m/?api-version=1", ConnectAckReason::NotAuthorized),
        ("d-1", "", ConnectAckReason::NotAuthorized),
        ("d-1", "no slash", ConnectAckReason::NotAuthorized),
    ] {
        let mut connect = login.connect();
        connect.client_id = client_id.into();
        connect.username = Some(username.into());
        assert_eq!(Client::refused(hub.address, connect).await, code, "{client_id} {username}");
    }
    let connect = rmqtt_codec::v3::Connect { username: None, password: None, ..login.connect() };
    assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::NotAuthorized);
}

#[tokio::test]
async fn other_protocol_levels_are_refused_with_code_1() {
    let hub = TestHub::start().await;
    let levels: [&[u8]; 2] =
        [b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01d", b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01d"];
    for connect in levels {
        let mut client = Client::open(hub.address).await;
        client.raw(connect).await;
        assert_eq!(client.packet().await, Some(refusal(ConnectAckReason::UnacceptableProtocolVersion)));
        client.closed().await;
    }
}

#[tokio::test]
async fn an_empty_client_id_is_refused_with_code_2() {
    let hub = TestHub::start().await;
    let mut client = Client::open(hub.address).await;
    client.raw(b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00").await;
    assert_eq!(client.packet().await, Some(refusal(ConnectAckReason::IdentifierRejected)));
}

#[tokio::test]
async fn a_newer_connection_takes_over() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut older, _) = Client::accepted(hub.address, login.connect()).await;
    let (mut newer, _) = Client::accepted(hub.address, login.connect()).await;
    older.closed().await;
    newer.ping().await;
    let (mut newest, _) = Client::accepted(hub.address, login.connect()).await;
    newer.closed().await;
    newest.ping().await;
}

#[tokio::test]
async fn a_refused_connection_takes_nothing_over() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let connect = rmqtt_codec::v3::Connect { password: Some(Bytes::from_static(b"x")), ..login.connect() };
    assert_eq!(Client::refused(hub.address, connect).await, ConnectAckReason::NotAuthorized);
    client.ping().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let hub = TestHub::start().await;
    let mut login = hub.device("d-1").await;
    login.password = Some(hub.token("d-1", hub.expiry(2)).await);
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    client.ping().await;
    client.closed().await;
}

#[tokio::test]
async fn a_silent_device_is_dropped_after_its_keep_alive() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let connect = rmqtt_codec::v3::Connect { keep_alive: 1, ..login.connect() };
    let (mut client, _) = Client::accepted(hub.address, connect).await;
    client.closed().await;
}

#[tokio::test]
async fn who_sends_no_connect_is_dropped() {
    let config = HubConfig { connect_timeout: Duration::from_millis(100), ..HubConfig::default() };
    let hub = TestHub::start_with(config).await;
    let mut client = Client::open(hub.address).await;
    client.closed().await;
    let mut client = Client::open(hub.address).await;
    client.raw(b"\x10").await;
    client.closed().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let hub = TestHub::start_with(HubConfig { max_connections: 1, ..HubConfig::default() }).await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    Client::open(hub.address).await.closed().await;
    client.ping().await;
}

#[tokio::test]
async fn the_service_can_end_a_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, _) = Client::accepted(hub.address, login.connect()).await;
    let (tenant, device) = hub.keys_of("d-1").await;
    let action = PushAction::Disconnect { reason: "blocked".into() };
    hub.push(&Push { tenant, device, epoch: i64::MAX, action }).await;
    client.closed().await;
}

fn refusal(return_code: ConnectAckReason) -> Packet {
    Packet::ConnectAck(rmqtt_codec::v3::ConnectAck { return_code, session_present: false })
}

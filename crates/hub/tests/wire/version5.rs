//! MQTT 5 for plain clients, on the same ports as MQTT 3.1.1.

use crate::{client::Login, support::TestHub};
use bytes::{Bytes, BytesMut};
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{
        Codec, Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, Packet, PublishProperties,
        Subscribe, SubscribeAckReason, SubscriptionOptions, Unsubscribe, UnsubscribeAckReason,
    },
};
use std::{net::SocketAddr, num::NonZeroU16, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::codec::{Decoder, Encoder};

const PATIENCE: Duration = Duration::from_secs(20);

struct Client {
    io: TcpStream,
    codec: Codec,
    read: BytesMut,
}

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not zero")
}

fn connect(login: &Login) -> Connect {
    Connect {
        client_id: login.client_id.clone().into(),
        username: Some(login.username.clone().into()),
        password: login.password.clone().map(Bytes::from),
        keep_alive: 60,
        ..Connect::default()
    }
}

fn message(topic: &str, qos: QoS, properties: PublishProperties) -> Publish {
    Publish {
        dup: false,
        retain: false,
        qos,
        topic: topic.to_owned().into(),
        packet_id: (qos != QoS::AtMostOnce).then(|| number(1)),
        payload: Bytes::from_static(b"{}"),
        properties: Some(properties),
    }
}

impl Client {
    /// Says this CONNECT and hears its answer.
    async fn connect(address: SocketAddr, connect: Connect) -> (Self, ConnectAck) {
        let io = TcpStream::connect(address).await.expect("a connection");
        let mut client = Self { io, codec: Codec::new(0, 0), read: BytesMut::new() };
        client.send(Packet::Connect(Box::new(connect))).await;
        match client.packet().await {
            Some(Packet::ConnectAck(ack)) => (client, *ack),
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    async fn accepted(address: SocketAddr, connect: Connect) -> Self {
        let (client, ack) = Self::connect(address, connect).await;
        assert_eq!(ack.reason_code, ConnectAckReason::Success);
        client
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes).expect("a packet");
        // A peer that has closed is for the test to notice when it reads.
        let _ = self.io.write_all(&bytes).await;
    }

    async fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, _)) = self.codec.decode(&mut self.read).expect("a packet") {
                return Some(packet);
            }
            match timeout(PATIENCE, self.io.read_buf(&mut self.read)).await.expect("an answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn publish(&mut self, message: Publish) {
        self.send(Packet::Publish(Box::new(message))).await;
        match self.packet().await {
            Some(Packet::PublishAck(ack)) => assert_eq!(ack.packet_id, number(1)),
            other => panic!("expected PUBACK, got {other:?}"),
        }
    }

    async fn subscribe(&mut self, filters: &[(&'static str, QoS)]) -> Vec<SubscribeAckReason> {
        let options = |qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let subscribe = Subscribe {
            packet_id: number(7),
            id: None,
            user_properties: Vec::new(),
            topic_filters: filters.iter().map(|(filter, qos)| ((*filter).into(), options(*qos))).collect(),
        };
        self.send(Packet::Subscribe(subscribe)).await;
        match self.packet().await {
            Some(Packet::SubscribeAck(ack)) => ack.status,
            other => panic!("expected SUBACK, got {other:?}"),
        }
    }

    /// The hub says why it ends the connection, and closes.
    async fn dismissed(&mut self) -> DisconnectReasonCode {
        match self.packet().await {
            Some(Packet::Disconnect(goodbye)) => {
                assert_eq!(self.packet().await, None);
                goodbye.reason_code
            }
            other => panic!("expected DISCONNECT, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_limits_are_said_and_reasons_given() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let (mut client, ack) = Client::connect(hub.address, connect(&login)).await;
    assert_eq!((ack.reason_code, ack.max_qos), (ConnectAckReason::Success, QoS::AtLeastOnce));
    assert!(ack.topic_alias_max > 0 && !ack.shared_subscription_available && !ack.session_present);
    let granted = client.subscribe(&[("$iothub/twin/res/#", QoS::ExactlyOnce), ("#", QoS::AtMostOnce)]).await;
    assert_eq!(granted, [SubscribeAckReason::GrantedQos1, SubscribeAckReason::TopicFilterInvalid]);
    client
        .send(Packet::Publish(Box::new(message(
            "$iothub/twin/GET/?$rid=1",
            QoS::AtMostOnce,
            PublishProperties::default(),
        ))))
        .await;
    match client.packet().await {
        Some(Packet::Publish(publish)) => assert_eq!(&*publish.topic, "$iothub/twin/res/200/?$rid=1"),
        other => panic!("expected the twin, got {other:?}"),
    }
    let filters = ["$iothub/twin/res/#", "other"].map(Into::into).to_vec();
    let unsubscribe = Unsubscribe { packet_id: number(8), user_properties: Vec::new(), topic_filters: filters };
    client.send(Packet::Unsubscribe(unsubscribe)).await;
    match client.packet().await {
        Some(Packet::UnsubscribeAck(ack)) => assert_eq!(ack.status, [UnsubscribeAckReason::Success; 2]),
        other => panic!("expected UNSUBACK, got {other:?}"),
    }
    client.send(Packet::PingRequest).await;
    assert_eq!(client.packet().await, Some(Packet::PingResponse));

    let nobody = Login { password: Some("nonsense".into()), ..login.clone() };
    assert_eq!(Client::connect(hub.address, connect(&nobody)).await.1.reason_code, ConnectAckReason::NotAuthorized);
    let other = Connect { client_id: "other".into(), ..connect(&login) };
    let refused = Client::connect(hub.address, other).await.1.reason_code;
    assert_eq!(refused, ConnectAckReason::ClientIdentifierNotValid);
    let patient = Connect { keep_alive: 60_000, ..connect(&login) };
    assert_eq!(Client::connect(hub.address, patient).await.1.server_keepalive_sec, Some(1177));
}

#[tokio::test]
async fn properties_become_the_messages_own() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let mut client = Client::accepted(hub.address, connect(&login)).await;
    let properties = PublishProperties {
        topic_alias: Some(number(3)),
        content_type: Some("application/json".into()),
        user_properties: vec![("site".into(), "north & south".into())],
        ..PublishProperties::default()
    };
    client.publish(message("devices/d-1/messages/events/a=1", QoS::AtLeastOnce, properties)).await;
    assert_eq!(hub.message().await.bag, "a=1&%24.ct=application%2Fjson&site=north%20%26%20south");
    let by_alias = PublishProperties { topic_alias: Some(number(3)), ..PublishProperties::default() };
    client.publish(message("", QoS::AtLeastOnce, by_alias)).await;
    assert_eq!(hub.message().await.bag, "a=1");
    client.publish(message("devices/d-1/messages/events", QoS::AtLeastOnce, PublishProperties::default())).await;
    assert_eq!(hub.message().await.bag, "");
}

#[tokio::test]
async fn the_hub_says_why_it_ends_a_connection() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let alias = |alias| PublishProperties { topic_alias: Some(number(alias)), ..PublishProperties::default() };
    for (message, expected) in [
        (
            message("devices/d-1/messages/events/", QoS::ExactlyOnce, PublishProperties::default()),
            DisconnectReasonCode::QosNotSupported,
        ),
        (
            message("devices/d-2/messages/events/", QoS::AtMostOnce, PublishProperties::default()),
            DisconnectReasonCode::TopicNameInvalid,
        ),
        (message("", QoS::AtMostOnce, alias(1)), DisconnectReasonCode::TopicAliasInvalid),
        (message("devices/d-1/messages/events/", QoS::AtMostOnce, alias(99)), DisconnectReasonCode::TopicAliasInvalid),
    ] {
        let mut client = Client::accepted(hub.address, connect(&login)).await;
        client.send(Packet::Publish(Box::new(message))).await;
        assert_eq!(client.dismissed().await, expected);
    }
    let mut first = Client::accepted(hub.address, connect(&login)).await;
    let _second = Client::accepted(hub.address, connect(&login)).await;
    assert_eq!(first.dismissed().await, DisconnectReasonCode::SessionTakenOver);
}

#[tokio::test]
async fn a_session_is_kept_when_it_is_asked_for() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let goodbye = || {
        Packet::Disconnect(Disconnect {
            reason_code: DisconnectReasonCode::NormalDisconnection,
            session_expiry_interval_secs: None,
            server_reference: None,
            reason_string: None,
            user_properties: Vec::new(),
        })
    };
    for (clean_start, expiry, present) in
        [(true, 3600, false), (false, 3600, true), (true, 3600, false), (false, 3600, true), (false, 0, false)]
    {
        let connect = Connect { clean_start, session_expiry_interval_secs: expiry, ..connect(&login) };
        let (mut client, ack) = Client::connect(hub.address, connect).await;
        assert_eq!(ack.session_present, present, "{clean_start} {expiry}");
        client.subscribe(&[("$iothub/twin/res/#", QoS::AtMostOnce)]).await;
        client.send(goodbye()).await;
        assert_eq!(client.packet().await, None);
    }
}

#[tokio::test]
async fn a_goodbye_may_shorten_how_long_a_session_is_kept() {
    let hub = TestHub::start().await;
    let login = hub.device("d-1").await;
    let goodbye = |seconds| {
        Packet::Disconnect(Disconnect {
            reason_code: DisconnectReasonCode::NormalDisconnection,
            session_expiry_interval_secs: Some(seconds),
            server_reference: None,
            reason_string: None,
            user_properties: Vec::new(),
        })
    };
    let asks = |expiry| Connect { clean_start: false, session_expiry_interval_secs: expiry, ..connect(&login) };
    for (asked, said, present) in [(3600, 1800, false), (3600, 0, true), (3600, 60, false)] {
        let (mut client, ack) = Client::connect(hub.address, asks(asked)).await;
        assert_eq!(ack.session_present, present, "{asked} {said}");
        client.subscribe(&[("$iothub/twin/res/#", QoS::AtMostOnce)]).await;
        client.send(goodbye(said)).await;
        assert_eq!(client.packet().await, None);
    }
    let mut client = Client::accepted(hub.address, asks(0)).await;
    client.send(goodbye(60)).await;
    assert_eq!(client.dismissed().await, DisconnectReasonCode::ProtocolError);
}

#[tokio::test]
async fn devices_provision_themselves_with_version_5() {
    let hub = TestHub::start().await;
    let mut client = Client::accepted(hub.address, connect(&hub.registration("sn-5").await)).await;
    client.subscribe(&[("$dps/registrations/res/#", QoS::AtLeastOnce)]).await;
    let topic = "$dps/registrations/PUT/iotdps-register/?$rid=1";
    client.send(Packet::Publish(Box::new(message(topic, QoS::AtMostOnce, PublishProperties::default())))).await;
    match client.packet().await {
        Some(Packet::Publish(publish)) => assert_eq!(&*publish.topic, "$dps/registrations/res/200/?$rid=1"),
        other => panic!("expected the registration, got {other:?}"),
    }
}

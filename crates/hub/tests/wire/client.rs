//! A device of few manners: it says what the test says, and hears packet by packet.

use crate::support::HOST;
use actix_http::ws;
use bytes::{Bytes, BytesMut};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::{Codec, Connect, ConnectAckReason, Packet, SubscribeReturnCode},
};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::codec::{Decoder, Encoder};

/// No answer takes longer, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who connects, and how.
#[derive(Debug, Clone)]
pub struct Login {
    pub client_id: String,
    pub username: String,
    pub password: Option<String>,
}

impl Login {
    /// The CONNECT that SDKs send.
    pub fn connect(&self) -> Connect {
        Connect {
            clean_session: false,
            keep_alive: 60,
            client_id: self.client_id.clone().into(),
            username: Some(self.username.clone().into()),
            password: self.password.clone().map(Bytes::from),
            ..Connect::default()
        }
    }
}

/// A socket, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Client {
    io: Box<dyn Stream>,
    codec: Codec,
    read: BytesMut,
}

impl Client {
    /// Opens the socket and says nothing.
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Opens the socket with TLS and says nothing more.
    pub async fn open_tls(address: SocketAddr, tls: ClientConfig) -> std::io::Result<Self> {
        let io = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from(HOST).expect("a name");
        Ok(Self::over(TlsConnector::from(Arc::new(tls)).connect(name, io).await?))
    }

    /// Opens a WebSocket and says nothing more, or gets the head of another answer.
    pub async fn open_websocket(
        address: SocketAddr,
        tls: ClientConfig,
        path: &str,
        protocol: Option<&str>,
    ) -> Result<Self, String> {
        let io = TcpStream::connect(address).await.expect("a connection");
        let name = ServerName::try_from(HOST).expect("a name");
        let mut io = TlsConnector::from(Arc::new(tls)).connect(name, io).await.expect("a handshake");
        let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}:443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{protocol}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        io.write_all(request.as_bytes()).await.expect("a server that reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, io.read_u8()).await.expect("an answer in time").expect("an answer"));
        }
        let head = String::from_utf8(head).expect("text");
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        assert!(head.to_lowercase().contains("sec-websocket-protocol: mqtt\r\n"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(frame(io, far));
        Ok(Self::over(near))
    }

    fn over(io: impl Stream + 'static) -> Self {
        Self { io: Box::new(io), codec: Codec::new(0), read: BytesMut::new() }
    }

    /// Connects and is accepted; also says whether the hub remembered its session.
    pub async fn accepted(address: SocketAddr, connect: Connect) -> (Self, bool) {
        let mut client = Self::open(address).await;
        let present = client.log_in(connect).await;
        (client, present)
    }

    /// Is accepted over this socket; says whether the hub remembered its session.
    pub async fn log_in(&mut self, connect: Connect) -> bool {
        self.send(connect.into()).await;
        match self.packet().await {
            Some(Packet::ConnectAck(ack)) => {
                assert_eq!(ack.return_code, ConnectAckReason::ConnectionAccepted);
                ack.session_present
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// Connects and is refused with this code, and closed.
    pub async fn refused(address: SocketAddr, connect: Connect) -> ConnectAckReason {
        let mut client = Self::open(address).await;
        client.send(connect.into()).await;
        match client.packet().await {
            Some(Packet::ConnectAck(ack)) => {
                client.closed().await;
                ack.return_code
            }
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// Sends bytes; a peer that has closed is for the test to notice when it reads.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }

    pub async fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes).expect("a packet");
        self.raw(&bytes).await;
    }

    /// The next packet; `None` when the hub has closed.
    pub async fn packet(&mut self) -> Option<Packet> {
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

    /// All that comes until the hub closes.
    pub async fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, self.io.read_to_end(&mut bytes)).await.expect("an end in time");
        bytes
    }

    /// The hub closes, and says nothing before.
    pub async fn closed(&mut self) {
        let packet = self.packet().await;
        assert!(packet.is_none(), "expected the end of the connection, got {packet:?}");
    }

    pub async fn publish(&mut self, topic: &str, payload: impl Into<Bytes>, packet_id: u16) {
        self.send(message(topic, payload, packet_id)).await;
    }

    pub async fn acked(&mut self, packet_id: u16) {
        match self.packet().await {
            Some(Packet::PublishAck { packet_id: acked }) => assert_eq!(acked.get(), packet_id),
            other => panic!("expected PUBACK {packet_id}, got {other:?}"),
        }
    }

    /// A ping is answered, and by nothing else before.
    pub async fn ping(&mut self) {
        self.send(Packet::PingRequest).await;
        assert_eq!(self.packet().await, Some(Packet::PingResponse));
    }

    pub async fn subscribe(&mut self, filters: &[(&'static str, QoS)]) -> Vec<SubscribeReturnCode> {
        let packet_id = NonZeroU16::MAX;
        let topic_filters = filters.iter().map(|(filter, qos)| ((*filter).into(), *qos)).collect();
        self.send(Packet::Subscribe { packet_id, topic_filters }).await;
        match self.packet().await {
            Some(Packet::SubscribeAck { packet_id: acked, status }) if acked == packet_id => status,
            other => panic!("expected SUBACK, got {other:?}"),
        }
    }

    /// The next message from the hub: its topic and its JSON.
    pub async fn message(&mut self) -> (String, serde_json::Value) {
        match self.packet().await {
            Some(Packet::Publish(publish)) => {
                let body = match &*publish.payload {
                    [] => serde_json::Value::Null,
                    payload => serde_json::from_slice(payload).expect("JSON"),
                };
                (publish.topic.to_string(), body)
            }
            other => panic!("expected a message, got {other:?}"),
        }
    }
}

/// Wraps what the test says into frames of few bytes each, and unwraps what it hears.
async fn frame(io: impl Stream + 'static, test: tokio::io::DuplexStream) {
    let (mut from_hub, mut to_hub) = tokio::io::split(io);
    let (mut from_test, mut to_test) = tokio::io::split(test);
    let saying = async move {
        let mut codec = ws::Codec::new().client_mode();
        let mut bytes = BytesMut::with_capacity(4096);
        while from_test.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
            while !bytes.is_empty() {
                let part = bytes.split_to(bytes.len().min(1000)).freeze();
                let mut out = BytesMut::new();
                codec.encode(ws::Message::Ping(Bytes::from_static(b"?")), &mut out).expect("a frame");
                codec.encode(ws::Message::Binary(part), &mut out).expect("a frame");
                if to_hub.write_all(&out).await.is_err() || to_hub.flush().await.is_err() {
                    return;
                }
            }
        }
        let _ = to_hub.shutdown().await;
    };
    let hearing = async move {
        let mut codec = ws::Codec::new().client_mode().max_size(1024 * 1024);
        let mut bytes = BytesMut::new();
        loop {
            while let Some(frame) = codec.decode(&mut bytes).expect("a frame") {
                match frame {
                    ws::Frame::Binary(data) => to_test.write_all(&data).await.expect("a test that listens"),
                    ws::Frame::Pong(data) => assert_eq!(data, "?"),
                    ws::Frame::Close(_) => return,
                    other => panic!("expected bytes, got {other:?}"),
                }
            }
            if !from_hub.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                return;
            }
        }
    };
    // Whoever ends first ends both: the test hears it.
    tokio::select! { () = saying => {}, () = hearing => {} }
}

/// A message with QoS 1, or QoS 0 where the packet id is 0.
pub fn message(topic: &str, payload: impl Into<Bytes>, packet_id: u16) -> Packet {
    let packet_id = NonZeroU16::new(packet_id);
    Packet::from(Publish {
        dup: false,
        retain: false,
        qos: if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
        topic: topic.to_owned().into(),
        packet_id,
        payload: payload.into(),
        properties: None,
    })
}

//! One MQTT connection, seen from the device.

use crate::{
    endpoint::{Endpoint, Stream},
    fleet::DeviceLogin,
};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use rmqtt_codec::v3::{Codec, Connect, ConnectAckReason, Packet};
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep_until,
};
use tokio_util::codec::{Decoder, Encoder};

/// Seconds after which a server may give a silent device up; pings come well before.
const KEEP_ALIVE_SECONDS: u16 = 240;
/// How long an answer of the server is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest packet taken from a server.
const MAX_PACKET_BYTES: u32 = 1024 * 1024;

/// A device that is silent for so long sends a ping.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(60);

/// The server does not want this device.
#[derive(Debug)]
pub(crate) struct SignInRefused(&'static str);

impl fmt::Display for SignInRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sign-in refused: {}", self.0)
    }
}

impl std::error::Error for SignInRefused {}

/// A connection that the server has accepted.
pub(crate) struct Connection {
    stream: Stream,
    codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Connection {
    /// Connects and signs in.
    pub(crate) async fn open(endpoint: &Endpoint, index: usize, login: &DeviceLogin) -> Result<Self> {
        let stream = endpoint.connect(index).await?;
        let codec = Codec::new(MAX_PACKET_BYTES);
        let mut connection = Self { stream, codec, incoming: BytesMut::new(), outgoing: BytesMut::new() };
        let connect = Connect {
            clean_session: true,
            keep_alive: KEEP_ALIVE_SECONDS,
            username: login.username.clone().map(Into::into),
            password: login.password.clone().map(Into::into),
            client_id: login.client_id.clone().into(),
            ..Default::default()
        };
        connection.queue(connect.into())?;
        connection.flush().await?;
        match connection.answer().await? {
            Packet::ConnectAck(ack) if ack.return_code == ConnectAckReason::ConnectionAccepted => Ok(connection),
            Packet::ConnectAck(ack) => Err(SignInRefused(ack.return_code.reason()).into()),
            _ => bail!("sign-in answered by another packet"),
        }
    }

    /// Adds a packet to those that [`Connection::flush`] writes.
    pub(crate) fn queue(&mut self, packet: Packet) -> Result<()> {
        self.codec.encode(packet, &mut self.outgoing).context("encode")
    }

    /// Writes what is queued.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.outgoing.is_empty() {
            self.stream.write_all_buf(&mut self.outgoing).await.context("write")?;
            self.stream.flush().await.context("write")?;
        }
        Ok(())
    }

    /// Reads what there is, at least one byte; [`Connection::packet`] then takes it apart. May be dropped at any time.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.incoming).await.context("read")? {
            0 => bail!("connection closed by the server"),
            _ => Ok(()),
        }
    }

    /// The next packet that has come whole.
    pub(crate) fn packet(&mut self) -> Result<Option<Packet>> {
        let packet = self.codec.decode(&mut self.incoming).context("decode")?;
        Ok(packet.map(|(packet, _)| packet))
    }

    /// Waits for a packet.
    pub(crate) async fn answer(&mut self) -> Result<Packet> {
        let reading = async {
            loop {
                if let Some(packet) = self.packet()? {
                    return Ok(packet);
                }
                self.fill().await?;
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, reading).await.context("no answer in time")?
    }

    /// Holds the connection until `end`, with pings; nothing where it breaks before.
    pub(crate) async fn held(mut self, end: Instant) -> Option<Self> {
        let mut ping = Instant::now() + PING_EVERY;
        while Instant::now() < end {
            tokio::select! {
                filled = self.fill() => {
                    filled.ok()?;
                    while self.packet().ok()?.is_some() {}
                }
                () = sleep_until(ping.min(end).into()) => {
                    ping = Instant::now() + PING_EVERY;
                    self.queue(Packet::PingRequest).ok()?;
                    self.flush().await.ok()?;
                }
            }
        }
        Some(self)
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.queue(Packet::Disconnect)?;
        self.flush().await?;
        self.stream.shutdown().await.context("close")
    }
}

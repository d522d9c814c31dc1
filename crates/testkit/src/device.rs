//! A device that speaks MQTT 3.1.1 as Microsoft's SDKs do.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::{Codec, Connect, ConnectAckReason, Packet},
};
use std::{collections::VecDeque, net::SocketAddr, num::NonZeroU16, time::Duration};
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

const PATIENCE: Duration = Duration::from_secs(20);

/// Why a device did not get what it wanted.
#[derive(Debug)]
pub enum DeviceError {
    /// CONNACK with a refusal.
    Refused(ConnectAckReason),
    /// The server closed the connection.
    Closed,
    /// No answer in time.
    Silent,
}

/// A connected device.
#[derive(Debug)]
pub struct Device {
    stream: Framed<TcpStream, Codec>,
    next_id: u16,
    inbox: VecDeque<Publish>,
    acked: Vec<u16>,
}

impl Device {
    /// Connects over plain MQTT.
    ///
    /// # Errors
    /// [`DeviceError::Refused`] with the server's reason, or that it closed or stayed silent.
    pub async fn connect(
        address: SocketAddr,
        client_id: &str,
        username: &str,
        password: &str,
    ) -> Result<Self, DeviceError> {
        let connect = Connect {
            clean_session: false,
            keep_alive: 60,
            client_id: client_id.into(),
            username: Some(username.into()),
            password: Some(Bytes::copy_from_slice(password.as_bytes())),
            ..Connect::default()
        };
        Self::connect_with(address, connect).await
    }

    /// Connects with any CONNECT packet.
    ///
    /// # Errors
    /// As [`Device::connect`].
    pub async fn connect_with(address: SocketAddr, connect: Connect) -> Result<Self, DeviceError> {
        let socket = TcpStream::connect(address).await.map_err(|_| DeviceError::Closed)?;
        let mut device =
            Self { stream: Framed::new(socket, Codec::new(0)), next_id: 1, inbox: VecDeque::new(), acked: Vec::new() };
        device.write(connect.into()).await?;
        match device.read().await? {
            Packet::ConnectAck(ack) if ack.return_code == ConnectAckReason::ConnectionAccepted => Ok(device),
            Packet::ConnectAck(ack) => Err(DeviceError::Refused(ack.return_code)),
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// Publishes with QoS 1 and waits for nothing; the packet's id.
    ///
    /// # Errors
    /// Where the server closed the connection.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<u16, DeviceError> {
        let id = self.take_id();
        let publish = Publish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.into(),
            packet_id: NonZeroU16::new(id),
            payload: Bytes::copy_from_slice(payload),
            properties: None,
        };
        self.write(publish.into()).await?;
        Ok(id)
    }

    /// Waits until packet `id` is acknowledged.
    ///
    /// # Errors
    /// Where the server closed the connection or stays silent.
    pub async fn acked(&mut self, id: u16) -> Result<(), DeviceError> {
        while !self.acked.contains(&id) {
            let packet = self.read().await?;
            self.keep(packet);
        }
        self.acked.retain(|&acked| acked != id);
        Ok(())
    }

    /// Publishes and waits for the acknowledgement.
    ///
    /// # Errors
    /// As [`Device::acked`].
    pub async fn send(&mut self, topic: &str, payload: &[u8]) -> Result<(), DeviceError> {
        let id = self.publish(topic, payload).await?;
        self.acked(id).await
    }

    /// Subscribes with QoS 1 and waits for the answer.
    ///
    /// # Errors
    /// As [`Device::acked`].
    pub async fn subscribe(&mut self, filter: &str) -> Result<(), DeviceError> {
        let id = self.take_id();
        let packet_id = NonZeroU16::new(id).expect("ids start at 1");
        self.write(Packet::Subscribe { packet_id, topic_filters: vec![(filter.into(), QoS::AtLeastOnce)] }).await?;
        loop {
            match self.read().await? {
                Packet::SubscribeAck { packet_id: acked, .. } if acked == packet_id => return Ok(()),
                other => self.keep(other),
            }
        }
    }

    /// The next message from the server.
    ///
    /// # Errors
    /// As [`Device::acked`].
    pub async fn message(&mut self) -> Result<(String, Bytes), DeviceError> {
        let publish = self.publish_of_server().await?;
        Ok((publish.topic.to_string(), publish.payload))
    }

    /// The next message from the server, acknowledged.
    ///
    /// # Errors
    /// As [`Device::acked`].
    pub async fn message_acknowledged(&mut self) -> Result<(String, Bytes), DeviceError> {
        let publish = self.publish_of_server().await?;
        if let Some(packet_id) = publish.packet_id {
            self.write(Packet::PublishAck { packet_id }).await?;
        }
        Ok((publish.topic.to_string(), publish.payload))
    }

    async fn publish_of_server(&mut self) -> Result<Publish, DeviceError> {
        loop {
            if let Some(publish) = self.inbox.pop_front() {
                return Ok(publish);
            }
            let packet = self.read().await?;
            self.keep(packet);
        }
    }

    /// Waits until the server closes the connection.
    ///
    /// # Errors
    /// [`DeviceError::Silent`] where it does not.
    pub async fn closed(&mut self) -> Result<(), DeviceError> {
        loop {
            match self.read().await {
                Ok(packet) => self.keep(packet),
                Err(DeviceError::Closed) => return Ok(()),
                Err(other) => return Err(other),
            }
        }
    }

    /// Sends any packet.
    ///
    /// # Errors
    /// Where the server closed the connection.
    pub async fn write(&mut self, packet: Packet) -> Result<(), DeviceError> {
        self.stream.send(packet).await.map_err(|_| DeviceError::Closed)
    }

    /// Reads any packet.
    ///
    /// # Errors
    /// Where the server closed the connection or stays silent.
    pub async fn read(&mut self) -> Result<Packet, DeviceError> {
        match tokio::time::timeout(PATIENCE, self.stream.next()).await {
            Err(_) => Err(DeviceError::Silent),
            Ok(Some(Ok((packet, _)))) => Ok(packet),
            Ok(_) => Err(DeviceError::Closed),
        }
    }

    fn keep(&mut self, packet: Packet) {
        match packet {
            Packet::PublishAck { packet_id } => self.acked.push(packet_id.get()),
            Packet::Publish(publish) => self.inbox.push_back(*publish),
            _ => {}
        }
    }

    fn take_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        id
    }
}

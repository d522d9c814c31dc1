//! Packets over a byte stream, with buffers that an idle connection does not keep.

use super::{end::End, version5::Version5};
use bytes::{Bytes, BytesMut};
use rmqtt_codec::{
    types::{MQTT_LEVEL_5, Publish, QoS},
    v3::{Codec, Packet},
};
use std::{future::poll_fn, io, mem::MaybeUninit, num::NonZeroU16, pin::Pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_util::codec::{Decoder, Encoder};

/// The first byte of a CONNECT.
const CONNECT: u8 = 0x10;
/// The largest CONNECT: all its fields are short but the will's payload.
const MAX_CONNECT_BYTES: u32 = 80 * 1024;
/// The largest packet after it: a message of the largest size with the longest topic.
const MAX_PACKET_BYTES: u32 = crate::telemetry::MAX_MESSAGE_BYTES as u32 + 2 + u16::MAX as u32 + 2;
/// What is taken from the socket at one time.
const READ_BYTES: usize = 16 * 1024;
/// Write buffers larger than this are freed when they are empty.
const KEPT_BYTES: usize = 256;
/// A device that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for the last bytes of a connection.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that speaks MQTT 3.1.1 or 5; whoever uses it sees packets of 3.1.1.
pub(super) struct Wire<S> {
    io: S,
    version: Version,
    read: BytesMut,
    write: BytesMut,
}

/// Which version the client speaks; its CONNECT says so.
enum Version {
    Unknown,
    Three(Codec),
    Five(Box<Version5>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, version: Version::Unknown, read: BytesMut::new(), write: BytesMut::new() }
    }

    /// The CONNECT was accepted: packets may be larger now.
    pub(super) fn accept_messages(&mut self) {
        match &mut self.version {
            Version::Unknown => {}
            Version::Three(codec) => codec.set_max_size(MAX_PACKET_BYTES),
            Version::Five(version5) => version5.set_max_size(MAX_PACKET_BYTES),
        }
    }

    /// Whether the client wants to begin anew, and what it does from now on to be kept.
    pub(super) fn starts_clean(&self) -> bool {
        matches!(&self.version, Version::Five(version5) if version5.starts_clean())
    }

    /// Seconds after its end that the session is kept, as the client says; none = for ever.
    pub(super) fn session_expiry(&self) -> Option<u32> {
        match &self.version {
            Version::Five(version5) => version5.session_expiry(),
            Version::Unknown | Version::Three(_) => None,
        }
    }

    /// Whether what has arrived can be a CONNECT; strangers mostly show with their first byte.
    pub(super) fn may_be_connect(&self) -> bool {
        // Where the version is known, the codec may have taken the first byte already.
        !matches!(self.version, Version::Unknown) || self.read.first().is_none_or(|byte| *byte == CONNECT)
    }

    /// The next packet that has arrived whole.
    pub(super) fn decode(&mut self) -> Result<Option<Packet>, End> {
        if self.read.is_empty() {
            return Ok(None);
        }
        if matches!(self.version, Version::Unknown) {
            self.version = match version(&self.read) {
                None => return Ok(None),
                Some(MQTT_LEVEL_5) => Version::Five(Box::new(Version5::new(MAX_CONNECT_BYTES))),
                Some(_) => Version::Three(Codec::new(MAX_CONNECT_BYTES)),
            };
        }
        let packet = match &mut self.version {
            Version::Unknown => None,
            Version::Three(codec) => codec.decode(&mut self.read)?.map(|(packet, _)| packet),
            Version::Five(version5) => version5.decode(&mut self.read, &mut self.write)?,
        };
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        Ok(packet)
    }

    /// Puts a packet into the write buffer; [`Wire::flush`] sends it.
    pub(super) fn put(&mut self, packet: Packet) -> Result<(), End> {
        match &mut self.version {
            Version::Unknown => Err(End::Forbidden("answer before CONNECT")),
            Version::Three(codec) => Ok(codec.encode(packet, &mut self.write)?),
            Version::Five(version5) => version5.encode(packet, &mut self.write),
        }
    }

    /// Puts a message into the write buffer that the device need not acknowledge.
    pub(super) fn put_message(&mut self, topic: String, payload: Bytes) -> Result<(), End> {
        self.put(Packet::Publish(Box::new(Publish {
            dup: false,
            retain: false,
            qos: QoS::AtMostOnce,
            topic: topic.into(),
            packet_id: None,
            payload,
            properties: None,
        })))
    }

    /// Puts a message into the write buffer that the device acknowledges by this packet.
    pub(super) fn put_tracked_message(&mut self, topic: String, payload: Bytes, packet: NonZeroU16) -> Result<(), End> {
        self.put(Packet::Publish(Box::new(Publish {
            dup: false,
            retain: false,
            qos: QoS::AtLeastOnce,
            topic: topic.into(),
            packet_id: Some(packet),
            payload,
            properties: None,
        })))
    }

    /// Acknowledges a message of the device.
    pub(super) fn put_ack(&mut self, packet_id: NonZeroU16) -> Result<(), End> {
        self.put(Packet::PublishAck { packet_id })
    }

    /// Sends what is in the write buffer.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.write.is_empty() {
            return Ok(());
        }
        let written = async {
            self.io.write_all_buf(&mut self.write).await?;
            self.io.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await.map_err(|_| End::Stuck)??;
        if self.write.capacity() > KEPT_BYTES {
            self.write = BytesMut::new();
        }
        Ok(())
    }

    /// Waits for bytes and takes them. May be dropped and asked again.
    ///
    /// The bytes go through the stack, so that a connection owns no read buffer while it waits.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        let (io, read) = (&mut self.io, &mut self.read);
        let count = poll_fn(|context| {
            let mut space = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    read.extend_from_slice(buffer.filled());
                    Poll::Ready(Ok(buffer.filled().len()))
                }
            }
        });
        match count.await {
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(End::Closed),
            Err(error) => Err(End::Io(error)),
        }
    }

    /// Tells the client why the connection ends, where its version has words for it.
    pub(super) async fn say_goodbye(&mut self, end: &End) {
        let Version::Five(version5) = &mut self.version else { return };
        if version5.say_goodbye(end, &mut self.write).is_ok() {
            // Whoever is gone already needs no goodbye.
            let _ = timeout(SHUTDOWN_TIMEOUT, self.flush()).await;
        }
    }

    /// Ends the connection in order, as far as the device takes part.
    pub(super) async fn shutdown(&mut self) {
        // Whoever is gone already needs no goodbye.
        let _ = timeout(SHUTDOWN_TIMEOUT, self.io.shutdown()).await;
    }
}

/// The protocol level of a CONNECT, once it has arrived; 0 for what is none or too large, which is for the codec to
/// refuse.
fn version(read: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"\0\x04MQTT";
    let (first, rest) = read.split_first()?;
    if *first != CONNECT {
        return Some(0);
    }
    let (mut length, mut taken) = (0u32, 0);
    loop {
        let byte = *rest.get(taken)?;
        length |= u32::from(byte & 0x7f) << (7 * taken);
        taken += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if taken == 4 {
            return Some(0);
        }
    }
    let body = &rest[taken..];
    let named = body.iter().zip(NAME).all(|(byte, expected)| byte == expected);
    if !named || length > MAX_CONNECT_BYTES || length <= NAME.len() as u32 {
        return Some(0);
    }
    body.get(NAME.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_known_as_soon_as_it_has_arrived() {
        for (read, expected) in [
            (b"\x10".as_slice(), None),
            (b"\x10\x0d\x00\x04MQ", None),
            (b"\x10\x0d\x00\x04MQTT\x05", Some(5)),
            (b"\x10\x0d\x00\x04MQTT\x04\x02", Some(4)),
            (b"\x10\x8d\x01\x00\x04MQTT\x05", Some(5)),
            (b"\x10\x0f\x00\x06", Some(0)),
            (b"\x10\x03\x00\x04", Some(0)),
            (b"\x10\xff\xff\xff\x7f", Some(0)),
            (b"\x10\xff\xff\xff\xff", Some(0)),
            (b"GET", Some(0)),
        ] {
            assert_eq!(version(read), expected, "{read:?}");
        }
    }
}

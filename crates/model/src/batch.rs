//! The batch of device messages that travels over the bus: a versioned binary format (`docs/ingest.md`).
//!
//! ```text
//! byte     version (2)
//! u32      messages
//! u16      tenants, then for each: i32 tenant, u32 messages received (the ledger's "received")
//! message  i32 tenant, i64 device, i64 enqueued (ms since 1970), u8 kind (lower half) and Auth (upper half),
//!          u16 len + device id, u16 len + model id ("" = none), u16 len + module id ("" = the device itself; absent in
//!          version 1), u32 len + property bag as sent, u32 len + payload
//! ```
//! All numbers are big-endian. Readers take the previous version too.

use crate::{DeviceKey, ModuleId, TenantKey};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;

/// The version that [`Encoder`] writes.
pub const VERSION: u8 = 2;
/// The version before it, which has no modules.
const WITHOUT_MODULES: u8 = 1;
/// A batch is closed at this many messages …
pub const MAX_MESSAGES: usize = 512;
/// … or at this many bytes, whichever comes first (one message may be larger).
pub const MAX_BYTES: usize = 256 * 1024;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Device-to-cloud telemetry.
    Telemetry = 1,
}

/// How the sender has proven itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Auth {
    /// It is not known.
    #[default]
    Unknown = 0,
    /// By a token of the device's own key.
    DeviceSas = 1,
    /// By a token of a policy of the hub.
    HubSas = 2,
    /// By a certificate.
    Certificate = 3,
}

impl Auth {
    /// As the hub writes it of a device or a module of one (`iothub-connection-auth-method`, `iot-hub-wire.md` §2).
    pub fn method(self, module: Option<&ModuleId>) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::DeviceSas if module.is_some() => {
                r#"{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#
            }
            Self::Certificate if module.is_some() => {
                r#"{"scope":"module","type":"x509","issuer":"external","acceptingIpFilterRule":null}"#
            }
            Self::DeviceSas => r#"{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#,
            Self::HubSas => r#"{"scope":"hub","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}"#,
            Self::Certificate => r#"{"scope":"device","type":"x509","issuer":"external","acceptingIpFilterRule":null}"#,
        })
    }

    /// One that a later release knows is not known to this one.
    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::DeviceSas,
            2 => Self::HubSas,
            3 => Self::Certificate,
            _ => Self::Unknown,
        }
    }
}

/// One message of a device, on its way to the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The tenant of the device.
    pub tenant: TenantKey,
    /// The device.
    pub device: DeviceKey,
    /// The device's id, as it connected.
    pub device_id: String,
    /// The model id announced at CONNECT, or empty.
    pub model_id: String,
    /// The module of the device that sent it, by what it has proven to be: no property that a device sends says so.
    pub module: Option<ModuleId>,
    /// When the hub took it, in milliseconds since 1970.
    pub enqueued_ms: i64,
    /// What it is.
    pub kind: Kind,
    /// How its sender has proven itself.
    pub auth: Auth,
    /// The property bag as the device sent it (`wire::bag` reads it).
    pub bag: String,
    /// The payload.
    pub payload: Bytes,
}

impl Inbound {
    /// Bytes that the message takes in a batch.
    pub fn encoded_len(&self) -> usize {
        let module_len = self.module.as_ref().map_or(0, |module| module.as_str().len());
        35 + self.device_id.len() + self.model_id.len() + module_len + self.bag.len() + self.payload.len()
    }
}

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The first byte is a version that this release does not read.
    #[error("batch version {0} is not known")]
    Version(u8),
    /// The bytes end too early.
    #[error("batch is cut short")]
    Short,
    /// A message is of an unknown kind.
    #[error("message kind {0} is not known")]
    Kind(u8),
    /// A text is not UTF-8.
    #[error("text in batch is not UTF-8")]
    Text,
    /// What stands for a module's id is none.
    #[error("module id in batch is none")]
    Module,
}

/// Builds a batch message by message.
#[derive(Debug, Default)]
pub struct Encoder {
    messages: u32,
    received: BTreeMap<i32, u32>,
    body: BytesMut,
}

impl Encoder {
    /// Adds a message.
    pub fn push(&mut self, message: &Inbound) {
        self.messages += 1;
        *self.received.entry(message.tenant.0).or_default() += 1;
        self.body.put_i32(message.tenant.0);
        self.body.put_i64(message.device.0);
        self.body.put_i64(message.enqueued_ms);
        self.body.put_u8(message.kind as u8 | (message.auth as u8) << 4);
        put_text16(&mut self.body, &message.device_id);
        put_text16(&mut self.body, &message.model_id);
        put_text16(&mut self.body, message.module.as_ref().map_or("", ModuleId::as_str));
        self.body.put_u32(message.bag.len() as u32);
        self.body.put_slice(message.bag.as_bytes());
        self.body.put_u32(message.payload.len() as u32);
        self.body.put_slice(&message.payload);
    }

    /// Whether another message should go to the next batch.
    pub fn is_full(&self) -> bool {
        self.messages as usize >= MAX_MESSAGES || self.body.len() >= MAX_BYTES
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.messages as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// The batch as bytes; the encoder is empty again.
    pub fn finish(&mut self) -> Bytes {
        let mut out = BytesMut::with_capacity(7 + self.received.len() * 8 + self.body.len());
        out.put_u8(VERSION);
        out.put_u32(self.messages);
        out.put_u16(self.received.len() as u16);
        for (tenant, received) in std::mem::take(&mut self.received) {
            out.put_i32(tenant);
            out.put_u32(received);
        }
        out.put_slice(&self.body);
        self.body.clear();
        self.messages = 0;
        out.freeze()
    }
}

/// A decoded batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Messages received, by tenant, as the hub counted them.
    pub received: Vec<(TenantKey, u32)>,
    /// The messages, in the order of arrival.
    pub messages: Vec<Inbound>,
}

/// Reads only how many messages of which tenant a batch says it holds; for batches that cannot be read whole.
///
/// # Errors
/// [`BatchError`] where not even that can be read.
pub fn header(mut bytes: Bytes) -> Result<Vec<(TenantKey, u32)>, BatchError> {
    head(&mut bytes).map(|head| head.received)
}

/// Reads a batch.
///
/// # Errors
/// [`BatchError`] where the bytes are no batch; nothing of it is used then.
pub fn decode(mut bytes: Bytes) -> Result<Batch, BatchError> {
    let Head { version, count, received } = head(&mut bytes)?;
    let mut messages = Vec::with_capacity(count.min(MAX_MESSAGES));
    for _ in 0..count {
        messages.push(message(&mut bytes, version)?);
    }
    Ok(Batch { received, messages })
}

struct Head {
    version: u8,
    count: usize,
    received: Vec<(TenantKey, u32)>,
}

fn head(bytes: &mut Bytes) -> Result<Head, BatchError> {
    let version = take(bytes, 1)?.get_u8();
    if !matches!(version, WITHOUT_MODULES | VERSION) {
        return Err(BatchError::Version(version));
    }
    let count = take(bytes, 4)?.get_u32() as usize;
    let tenants = take(bytes, 2)?.get_u16();
    let mut received = Vec::new();
    for _ in 0..tenants {
        let mut entry = take(bytes, 8)?;
        received.push((TenantKey(entry.get_i32()), entry.get_u32()));
    }
    Ok(Head { version, count, received })
}

fn message(bytes: &mut Bytes, version: u8) -> Result<Inbound, BatchError> {
    let mut head = take(bytes, 21)?;
    let (tenant, device, enqueued_ms) = (TenantKey(head.get_i32()), DeviceKey(head.get_i64()), head.get_i64());
    let code = head.get_u8();
    let auth = Auth::from_code(code >> 4);
    let kind = match code & 0x0f {
        1 => Kind::Telemetry,
        other => return Err(BatchError::Kind(other)),
    };
    let device_id = text16(bytes)?;
    let model_id = text16(bytes)?;
    let module = match version {
        WITHOUT_MODULES => String::new(),
        _ => text16(bytes)?,
    };
    let module = match module.as_str() {
        "" => None,
        id => Some(ModuleId::parse(id).map_err(|_| BatchError::Module)?),
    };
    let bag_len = take(bytes, 4)?.get_u32() as usize;
    let bag = text(take(bytes, bag_len)?)?;
    let payload_len = take(bytes, 4)?.get_u32() as usize;
    let payload = take(bytes, payload_len)?;
    Ok(Inbound { tenant, device, device_id, model_id, module, enqueued_ms, kind, auth, bag, payload })
}

fn take(bytes: &mut Bytes, len: usize) -> Result<Bytes, BatchError> {
    if bytes.len() < len { Err(BatchError::Short) } else { Ok(bytes.split_to(len)) }
}

fn text(bytes: Bytes) -> Result<String, BatchError> {
    String::from_utf8(bytes.into()).map_err(|_| BatchError::Text)
}

fn text16(bytes: &mut Bytes) -> Result<String, BatchError> {
    let len = take(bytes, 2)?.get_u16() as usize;
    text(take(bytes, len)?)
}

/// Writes a text of at most 65,535 bytes; ids are far shorter.
fn put_text16(out: &mut BytesMut, text: &str) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inbound(tenant: i32, payload: &[u8]) -> Inbound {
        Inbound {
            tenant: TenantKey(tenant),
            device: DeviceKey(7),
            device_id: "pump-1".into(),
            model_id: String::new(),
            module: None,
            enqueued_ms: 1_700_000_000_000,
            kind: Kind::Telemetry,
            auth: Auth::Certificate,
            bag: "%24.ct=application%2Fjson".into(),
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn a_batch_reads_back() {
        let mut encoder = Encoder::default();
        let module = Inbound { module: ModuleId::parse("motor").ok(), ..inbound(2, b"") };
        let sent = [inbound(1, b"{}"), module, inbound(1, b"\xff")];
        sent.iter().for_each(|message| encoder.push(message));
        let batch = decode(encoder.finish()).expect("a batch");
        assert_eq!(batch.messages, sent);
        assert_eq!(batch.received, [(TenantKey(1), 2), (TenantKey(2), 1)]);
        assert!(encoder.is_empty());
    }

    #[test]
    fn a_batch_of_the_previous_version_is_read() {
        let mut encoder = Encoder::default();
        encoder.push(&inbound(1, b"{}"));
        let mut bytes = encoder.finish().to_vec();
        bytes[0] = WITHOUT_MODULES;
        // One tenant: 15 bytes of head, 21 of numbers, the device's id, no model, and then no module.
        let module = 15 + 21 + 2 + "pump-1".len() + 2;
        assert_eq!(bytes.drain(module..module + 2).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(decode(bytes.clone().into()).expect("a batch").messages, [inbound(1, b"{}")]);
        bytes[0] = VERSION + 1;
        assert_eq!(decode(bytes.into()), Err(BatchError::Version(VERSION + 1)));
    }

    #[test]
    fn a_module_is_an_id() {
        let mut encoder = Encoder::default();
        encoder.push(&Inbound { module: ModuleId::parse("motor").ok(), ..inbound(1, b"{}") });
        let mut bytes = encoder.finish().to_vec();
        let at = bytes.windows(5).position(|text| text == b"motor").expect("the module");
        bytes[at] = b'/';
        assert_eq!(decode(bytes.into()), Err(BatchError::Module));
    }

    #[test]
    fn every_cut_is_an_error() {
        let mut encoder = Encoder::default();
        encoder.push(&inbound(1, b"{\"a\":1}"));
        let whole = encoder.finish();
        for end in 0..whole.len() {
            assert!(decode(whole.slice(..end)).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(Bytes::from(bytes));
        }
    }
}

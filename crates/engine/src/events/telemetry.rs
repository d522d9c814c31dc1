//! Telemetry on its way to those who read events: whole batches, compressed.

use crate::EngineError;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use muster_model::{
    TenantKey,
    batch::{self, Encoder, Inbound},
};
use muster_store::FeedBatch;
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

/// No batch of ours is larger when it is unpacked.
const MAX_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;

/// The messages of one batch whose tenants want them as events.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    of: BTreeMap<TenantKey, Encoder>,
}

impl Outgoing {
    /// Adds a message, in the order of arrival.
    pub(crate) fn push(&mut self, message: &Inbound) {
        self.of.entry(message.tenant).or_default().push(message);
    }

    /// The batches as they are stored, one for each tenant.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] where the process stops meanwhile.
    pub(crate) async fn pack(self, at_ms: i64) -> Result<Vec<FeedBatch>, EngineError> {
        if self.of.is_empty() {
            return Ok(Vec::new());
        }
        // Milliseconds of work for a full batch.
        let packed = tokio::task::spawn_blocking(move || {
            let packed = self.of.into_iter().map(|(tenant, mut encoder)| {
                let messages = encoder.len() as u32;
                Ok(FeedBatch { tenant, messages, at_ms, batch: deflate(&encoder.finish())? })
            });
            packed.collect::<io::Result<Vec<_>>>()
        });
        let packed = packed.await.map_err(|error| EngineError::unavailable("compression", error))?;
        packed.map_err(|error| EngineError::unavailable("compression", error))
    }
}

/// The messages of a stored batch.
///
/// # Errors
/// [`EngineError::Corrupt`] where it is none.
pub(super) fn unpack(packed: &[u8], first_seq: i64) -> Result<Vec<Inbound>, EngineError> {
    let mut bytes = Vec::with_capacity(packed.len() * 4);
    let read = DeflateDecoder::new(packed).take(MAX_UNPACKED_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| EngineError::corrupt("batch of events", first_seq, error))?;
    let batch = batch::decode(bytes.into());
    Ok(batch.map_err(|error| EngineError::corrupt("batch of events", first_seq, error))?.messages)
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::{
        DeviceKey,
        batch::{Auth, Kind},
    };

    fn message(tenant: i32, payload: &'static [u8]) -> Inbound {
        Inbound {
            tenant: TenantKey(tenant),
            device: DeviceKey(1),
            device_id: "d".into(),
            model_id: String::new(),
            module: None,
            enqueued_ms: 1,
            kind: Kind::Telemetry,
            auth: Auth::DeviceSas,
            bag: "a=1".into(),
            payload: payload.into(),
        }
    }

    #[tokio::test]
    async fn batches_are_packed_by_tenant_and_read_back() {
        let mut outgoing = Outgoing::default();
        let sent = [message(2, b"{}"), message(1, b"\x00\xff"), message(2, b"")];
        sent.iter().for_each(|message| outgoing.push(message));
        let packed = outgoing.pack(7).await.expect("packed");
        let told: Vec<_> = packed.iter().map(|batch| (batch.tenant.0, batch.messages, batch.at_ms)).collect();
        assert_eq!(told, [(1, 1, 7), (2, 2, 7)]);
        assert_eq!(unpack(&packed[1].batch, 1).expect("messages"), [sent[0].clone(), sent[2].clone()]);
        assert!(unpack(b"nonsense", 1).is_err());
        assert!(Outgoing::default().pack(7).await.expect("nothing").is_empty());
    }
}

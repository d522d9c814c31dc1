//! Last known values: gathered in memory, written once a second.
//!
//! Writing them with every transaction costs half of the ingest rate (`docs/decisions`); a crash loses at most the last
//! second of them, never telemetry, and the next message of a device heals it.

use muster_model::{DeviceKey, SystemScope};
use muster_store::{
    MAX_PAGE, Store, StoreError,
    telemetry::{self, LatestValue, LatestValues},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Last known values that are not written yet.
#[derive(Debug, Default)]
pub struct Latest(Mutex<HashMap<DeviceKey, LatestValues>>);

impl Latest {
    /// Notes the values of a message.
    pub fn note(&self, device: DeviceKey, seen_ms: i64, ts_ms: i64, values: impl Iterator<Item = (String, Value)>) {
        let mut waiting = self.lock();
        let latest = waiting.entry(device).or_default();
        latest.seen_ms = latest.seen_ms.max(seen_ms);
        for (key, value) in values {
            let newest =
                latest.values.entry(key).or_insert_with(|| LatestValue { ts_ms: i64::MIN, value: Value::Null });
            // A device that catches up after a pause sends old values; they are history, not the last known.
            if newest.ts_ms <= ts_ms {
                *newest = LatestValue { ts_ms, value };
            }
        }
    }

    /// What is known of a device and not written yet.
    pub fn peek(&self, device: DeviceKey) -> Option<LatestValues> {
        self.lock().get(&device).cloned()
    }

    /// Writes what is waiting.
    ///
    /// # Errors
    /// Where the database does not answer; the values go on waiting then.
    pub async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        let taken: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        for (index, part) in taken.chunks(MAX_PAGE as usize).enumerate() {
            if let Err(error) = write(store, part).await {
                self.put_back(&taken[index * MAX_PAGE as usize..]);
                return Err(error);
            }
        }
        Ok(())
    }

    fn put_back(&self, unwritten: &[(DeviceKey, LatestValues)]) {
        for (device, latest) in unwritten {
            for (key, value) in &latest.values {
                let newer = std::iter::once((key.clone(), value.value.clone()));
                if self
                    .peek(*device)
                    .is_none_or(|known| known.values.get(key).is_none_or(|known| known.ts_ms < value.ts_ms))
                {
                    self.note(*device, latest.seen_ms, value.ts_ms, newer);
                }
            }
        }
    }

    /// The map stays whole whatever panics.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeviceKey, LatestValues>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: &Store, part: &[(DeviceKey, LatestValues)]) -> Result<(), StoreError> {
    let tx = store.begin_system(&SystemScope).await?;
    telemetry::flush_latest(&tx, &SystemScope, part).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_value_does_not_replace_a_newer_one() {
        let latest = Latest::default();
        let value = |number: i64| std::iter::once(("t".to_owned(), Value::from(number)));
        latest.note(DeviceKey(1), 200, 200, value(2));
        latest.note(DeviceKey(1), 300, 100, value(1));
        let known = latest.peek(DeviceKey(1)).expect("known");
        assert_eq!((known.seen_ms, &known.values["t"].value), (300, &Value::from(2)));
    }
}

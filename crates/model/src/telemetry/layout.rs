//! How a template's telemetry is laid out: which key is which number.

use crate::template::{Kind, Storage, Template};
use serde_json::{Number, Value};
use std::collections::HashMap;

/// A layout has at most this many numbers; what a template has beyond is kept as text is.
pub const MAX_SLOTS: usize = 1000;

/// The layout of a template's telemetry, made once a template and version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// The keys of the numbers, in their order.
    pub keys: Vec<String>,
    entries: HashMap<String, Entry>,
    typed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A number and its place.
    Slot(usize, Storage),
    /// A text.
    Text,
    /// Kept as it comes.
    Whole,
}

impl Layout {
    /// The layout of `template`.
    pub fn of(template: &Template) -> Self {
        let mut layout = Self { typed: true, ..Self::default() };
        for capability in template.capabilities.iter().filter(|capability| capability.kind == Kind::Telemetry) {
            capability.schema.leaves(&capability.key, &mut |path, storage| layout.add(path, storage));
        }
        layout
    }

    /// The layout of devices without a template: every number has a place, made up from each message.
    pub fn untyped() -> Self {
        Self::default()
    }

    /// Is it that of a template?
    pub fn is_typed(&self) -> bool {
        self.typed
    }

    /// The value as it was sent: a boolean for 1 and 0 where the template says boolean, an integer where it says so.
    pub fn restore(&self, key: &str, val: f64) -> Value {
        match self.entries.get(key) {
            Some(Entry::Slot(_, Storage::Boolean)) => Value::Bool(val != 0.0),
            _ if val.fract() == 0.0 && val.abs() <= MAX_EXACT as f64 => Value::from(val as i64),
            _ => Number::from_f64(val).map_or(Value::Null, Value::Number),
        }
    }

    pub(super) fn entry(&self, path: &str) -> Option<Entry> {
        self.entries.get(path).copied()
    }

    fn add(&mut self, path: &str, storage: Storage) {
        let entry = match storage {
            Storage::Number | Storage::Integer | Storage::Boolean if self.keys.len() < MAX_SLOTS => {
                Entry::Slot(self.keys.len(), storage)
            }
            Storage::Text => Entry::Text,
            _ => Entry::Whole,
        };
        if self.entries.contains_key(path) {
            return;
        }
        self.entries.insert(path.to_owned(), entry);
        if matches!(entry, Entry::Slot(..)) {
            self.keys.push(path.to_owned());
        }
    }
}

/// Integers up to here are the same as 64-bit floats; those beyond are kept beside the numbers.
pub(super) const MAX_EXACT: u64 = 1 << 53;

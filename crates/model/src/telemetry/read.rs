//! The reader: a serde visitor that puts each value where it belongs as it comes by.

use super::layout::{Entry, Layout, MAX_EXACT};
use super::{Limits, Reject};
use crate::template::Storage;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Names that IoT Central does not take as telemetry (`iot-central.md` §4).
const RESERVED: [&str; 7] =
    ["EventEnqueuedUtcTime", "EventProcessedUtcTime", "PartitionId", "EventHub", "User", "$metadata", "$version"];

pub(super) struct Read {
    pub keys: Option<Vec<String>>,
    pub vals: Vec<Option<f64>>,
    /// Those of `keys` whose number was `true` or `false`.
    pub booleans: Vec<String>,
    pub modelled: Map<String, Value>,
    pub unmodelled: Map<String, Value>,
}

pub(super) fn read(payload: &[u8], component: Option<&str>, layout: &Layout, limits: &Limits) -> Result<Read, Reject> {
    if payload.len() > limits.payload_bytes {
        return Err(Reject::TooLarge(limits.payload_bytes));
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let mut state = State {
        layout,
        limits,
        path: component.map(|component| format!("{component}.")).unwrap_or_default(),
        count: 0,
        vals: vec![None; layout.keys.len()],
        loose: Vec::new(),
        modelled: Map::new(),
        unmodelled: Map::new(),
        reject: None,
    };
    let mut json = serde_json::Deserializer::from_slice(payload);
    let done = Root(&mut state).deserialize(&mut json).and_then(|()| json.end());
    match (done, state.reject.take()) {
        (Ok(()), _) => Ok(state.finish()),
        (Err(_), Some(reject)) => Err(reject),
        (Err(error), None) => Err(Reject::NotJson(error.to_string())),
    }
}

struct State<'a> {
    layout: &'a Layout,
    limits: &'a Limits,
    /// The flattened key of the value that comes next; one buffer for all.
    path: String,
    count: usize,
    vals: Vec<Option<f64>>,
    /// Numbers of a device without a template, and whether one was a boolean.
    loose: Vec<(String, f64, bool)>,
    modelled: Map<String, Value>,
    unmodelled: Map<String, Value>,
    /// Why the reading stopped, where JSON is not to blame.
    reject: Option<Reject>,
}

impl State<'_> {
    fn finish(mut self) -> Read {
        let (mut keys, mut booleans) = (None, Vec::new());
        if !self.layout.is_typed() {
            // Of a key sent twice the last counts, as everywhere in JSON.
            self.loose.reverse();
            self.loose.sort_by(|a, b| a.0.cmp(&b.0));
            self.loose.dedup_by(|later, first| later.0 == first.0);
            booleans.extend(self.loose.iter().filter(|(.., boolean)| *boolean).map(|(key, ..)| key.clone()));
            let (names, vals) = self.loose.into_iter().map(|(key, val, _)| (key, Some(val))).unzip();
            (keys, self.vals) = (Some(names), vals);
        }
        Read { keys, vals: self.vals, booleans, modelled: self.modelled, unmodelled: self.unmodelled }
    }

    fn refuse<E: Error>(&mut self, reject: Reject) -> E {
        let error = E::custom(&reject);
        self.reject = Some(reject);
        error
    }

    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.count += 1;
        if self.count > self.limits.keys { Err(self.refuse(Reject::TooManyKeys(self.limits.keys))) } else { Ok(()) }
    }

    fn number(&mut self, val: f64) {
        match self.layout.entry(&self.path) {
            Some(Entry::Slot(slot, storage)) if storage != Storage::Boolean || val == 0.0 || val == 1.0 => {
                if let Some(place) = self.vals.get_mut(slot) {
                    *place = Some(val);
                }
            }
            None if !self.layout.is_typed() => self.loose.push((self.path.clone(), val, false)),
            Some(Entry::Whole) => self.keep_modelled(Number::from_f64(val).map_or(Value::Null, Value::Number)),
            _ => self.keep_unmodelled(Layout::default().restore("", val)),
        }
    }

    fn boolean(&mut self, value: bool) {
        match self.layout.entry(&self.path) {
            Some(Entry::Slot(_, Storage::Boolean)) => self.number(f64::from(u8::from(value))),
            None if !self.layout.is_typed() => {
                self.loose.push((self.path.clone(), f64::from(u8::from(value)), true));
            }
            Some(Entry::Whole) => self.keep_modelled(Value::Bool(value)),
            _ => self.keep_unmodelled(Value::Bool(value)),
        }
    }

    /// An integer that a float does not hold exactly.
    fn large(&mut self, value: Value) {
        match self.layout.entry(&self.path) {
            Some(Entry::Slot(_, Storage::Boolean) | Entry::Text) | None => self.keep_unmodelled(value),
            Some(Entry::Slot(..) | Entry::Whole) => self.keep_modelled(value),
        }
    }

    fn other(&mut self, value: Value) {
        match self.layout.entry(&self.path) {
            Some(Entry::Text) if value.is_string() => self.keep_modelled(value),
            Some(Entry::Whole) if !value.is_null() => self.keep_modelled(value),
            _ => self.keep_unmodelled(value),
        }
    }

    fn keep_modelled(&mut self, value: Value) {
        self.modelled.insert(self.path.clone(), value);
    }

    fn keep_unmodelled(&mut self, value: Value) {
        self.unmodelled.insert(self.path.clone(), value);
    }
}

/// The message itself, which must be an object.
struct Root<'s, 'a>(&'s mut State<'a>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.0.refuse(Reject::NotObject))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        fields(self.0, 1, map)
    }
}

fn fields<'de, A: MapAccess<'de>>(state: &mut State<'_>, depth: usize, mut map: A) -> Result<(), A::Error> {
    let base = state.path.len();
    while map.next_key_seed(Key(state))?.is_some() {
        let reserved = depth == 1 && state.path.get(base..).is_some_and(|name| RESERVED.contains(&name));
        if reserved {
            map.next_value_seed(Whole { state, depth: depth + 1 })?;
        } else {
            map.next_value_seed(Member { state, depth })?;
        }
        state.path.truncate(base);
    }
    Ok(())
}

/// A key, put behind what the path buffer already holds.
struct Key<'s, 'a>(&'s mut State<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if self.0.path.len() + key.len() > self.0.limits.key_bytes {
            return Err(self.0.refuse(Reject::KeyTooLong(self.0.limits.key_bytes)));
        }
        self.0.path.push_str(key);
        Ok(())
    }
}

/// The value at the path, inside `depth` objects.
struct Member<'s, 'a> {
    state: &'s mut State<'a>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Member<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.state.count()?;
        self.state.boolean(value);
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.state.count()?;
        if value.unsigned_abs() > MAX_EXACT {
            self.state.large(value.into())
        } else {
            self.state.number(value as f64)
        }
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.state.count()?;
        if value > MAX_EXACT {
            self.state.large(value.into())
        } else {
            self.state.number(value as f64)
        }
        Ok(())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.state.count()?;
        self.state.number(value);
        Ok(())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.state.count()?;
        self.state.other(value.into());
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.state.count()?;
        self.state.other(Value::Null);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.state.count()?;
        let value = Whole { state: self.state, depth: self.depth + 1 }.visit_seq(seq)?;
        self.state.other(value);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { state, depth } = self;
        if state.layout.entry(&state.path) == Some(Entry::Whole) {
            state.count()?;
            let value = Whole { state, depth: depth + 1 }.visit_map(map)?;
            state.other(value);
            return Ok(());
        }
        if depth >= state.limits.depth {
            return Err(state.refuse(Reject::TooDeep(state.limits.depth)));
        }
        let (before, base) = (state.count, state.path.len());
        state.path.push('.');
        fields(state, depth + 1, map)?;
        state.path.truncate(base);
        if state.count == before {
            state.count()?;
            state.keep_unmodelled(Value::Object(Map::new()));
        }
        Ok(())
    }
}

/// A value kept as it comes, at `depth` levels of nesting.
struct Whole<'s, 'a> {
    state: &'s mut State<'a>,
    depth: usize,
}

impl Whole<'_, '_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        let limit = self.state.limits.depth;
        if self.depth > limit { Err(self.state.refuse(Reject::TooDeep(limit))) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Whole<'_, '_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_, '_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Whole { state: &mut *self.state, depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(Whole { state: &mut *self.state, depth: self.depth + 1 })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

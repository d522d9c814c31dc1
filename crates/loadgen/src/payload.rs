//! What the devices send.

use bytes::{BufMut, Bytes, BytesMut};
use std::io::Write;

/// A template of payloads, cut at its places for values.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    parts: Vec<Part>,
    size: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Value,
    Sequence,
}

impl Payload {
    /// What is sent unless told otherwise.
    pub const DEFAULT: &'static str =
        r#"{"temperature":{value},"humidity":{value},"pressure":{value},"sequence":{sequence}}"#;

    /// Cuts a template: `{value}` is a number that wanders, `{sequence}` counts the device's messages.
    pub fn parse(template: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        loop {
            let places = [("{value}", Part::Value), ("{sequence}", Part::Sequence)];
            let next = places.into_iter().filter_map(|(name, part)| rest.find(name).map(|at| (at, name, part)));
            let Some((at, name, part)) = next.min_by_key(|(at, ..)| *at) else { break };
            parts.extend([Part::Text(rest[..at].to_owned()), part]);
            rest = &rest[at + name.len()..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Self { parts, size: template.len() + 32 }
    }

    /// The payload of one message of one device.
    pub(crate) fn make(&self, device: usize, sequence: u64) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size).writer();
        for (place, part) in self.parts.iter().enumerate() {
            // Writing to memory can't fail.
            let _ = match part {
                Part::Text(text) => out.write_all(text.as_bytes()),
                Part::Sequence => write!(out, "{sequence}"),
                Part::Value => {
                    let phase = sequence as f64 / 60.0 + device as f64 + place as f64;
                    write!(out, "{:.2}", 20.0 + 5.0 * phase.sin())
                }
            };
        }
        out.into_inner().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let made = Payload::parse(r#"{"n":{sequence},"v":{value},"w":{value}}"#).make(3, 7);
        let json: serde_json::Value = serde_json::from_slice(&made).expect("JSON");
        assert_eq!(json["n"], 7);
        assert!(json["v"].as_f64().is_some_and(|value| (15.0..=25.0).contains(&value)));
        assert_ne!(json["v"], json["w"]);
        assert_eq!(Payload::parse("plain").make(0, 0), "plain");
        let default: serde_json::Value =
            serde_json::from_slice(&Payload::parse(Payload::DEFAULT).make(1, 2)).expect("JSON");
        assert_eq!(default["sequence"], 2);
    }
}

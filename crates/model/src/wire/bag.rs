//! The property bag at the end of a topic (`iot-hub-wire.md` §2): `k=v&k2=v2`, percent-encoded.

use super::{percent_decode, percent_encode};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// A bag longer than this is refused unread; a topic can't be longer.
pub const MAX_BAG_BYTES: usize = 65_535;
/// A bag holds at most this many properties.
pub const MAX_PROPERTIES: usize = 200;

const SYSTEM: &str = "$.";
/// Names that only the hub gives to properties of a message: who sent it, and how that was proven.
const HUBS_OWN: &str = "iothub-connection-";
const CREATION_TIME: &str = "iothub-creation-time-utc";

/// Message properties in the order of sending. A key alone has no value; of a repeated key the last one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bag {
    properties: Vec<(String, Option<String>)>,
}

/// Why text is no bag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// It is too long.
    #[error("message properties are longer than {MAX_BAG_BYTES} bytes")]
    TooLong,
    /// It holds too many properties.
    #[error("message has more than {MAX_PROPERTIES} properties")]
    TooMany,
    /// What is percent-encoded is not UTF-8.
    #[error("message properties are not UTF-8")]
    Text,
}

impl Bag {
    /// Reads a bag as it was sent.
    ///
    /// # Errors
    /// [`BagError`] where it is none.
    pub fn parse(text: &str) -> Result<Self, BagError> {
        if text.len() > MAX_BAG_BYTES {
            return Err(BagError::TooLong);
        }
        let mut bag = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key, Some(percent_decode(value).ok_or(BagError::Text)?)),
                None => (pair, None),
            };
            if bag.properties.len() == MAX_PROPERTIES {
                return Err(BagError::TooMany);
            }
            bag.set(percent_decode(key).ok_or(BagError::Text)?, value);
        }
        Ok(bag)
    }

    /// Sets a property, in place of an earlier one of that name.
    pub fn set(&mut self, key: impl Into<String>, value: Option<String>) {
        let key = key.into();
        match self.properties.iter_mut().find(|(name, _)| *name == key) {
            Some(property) => property.1 = value,
            None => self.properties.push((key, value)),
        }
    }

    /// A property's value, by its key as it is written (`$.ct`, `color`).
    pub fn get(&self, key: &str) -> Option<&str> {
        self.properties.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_deref())
    }

    /// The Plug and Play component that sent it (`$.sub`).
    pub fn component(&self) -> Option<&str> {
        self.get("$.sub").filter(|component| !component.is_empty())
    }

    /// The payload's content type (`$.ct`).
    pub fn content_type(&self) -> Option<&str> {
        self.get("$.ct")
    }

    /// When the device took the values, where it says so in UTC: `iothub-creation-time-utc`, else `$.ctime`.
    pub fn creation_time(&self) -> Option<DateTime<Utc>> {
        let text = self.get(CREATION_TIME).or_else(|| self.get("$.ctime"))?;
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        (time.offset().local_minus_utc() == 0).then(|| time.to_utc())
    }

    /// The application's properties: all but the hub's own.
    pub fn properties(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.properties
            .iter()
            .filter(|(key, _)| !key.starts_with(SYSTEM) && !is_hubs_own(key))
            .map(|(key, value)| (key.as_str(), value.as_deref()))
    }

    /// The application's properties as JSON.
    pub fn to_json(&self) -> Map<String, Value> {
        self.properties().map(|(key, value)| (key.to_owned(), value.map_or(Value::Null, Value::from))).collect()
    }

    /// What the properties count towards a message's size: values, and the names of the application's own.
    pub fn size_bytes(&self) -> usize {
        self.properties
            .iter()
            .map(|(key, value)| {
                let name = if key.starts_with(SYSTEM) { 0 } else { key.len() };
                name + value.as_ref().map_or(0, String::len)
            })
            .sum()
    }

    /// The bag as text, everything but unreserved characters encoded: `$` as `%24`, `/` as `%2F`, space as `%20`.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.properties {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(&percent_encode(key));
            if let Some(value) = value {
                out.push('=');
                out.push_str(&percent_encode(value));
            }
        }
        out
    }
}

fn is_hubs_own(key: &str) -> bool {
    key.get(..HUBS_OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(HUBS_OWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bags_of_all_sdks_are_read() {
        let bag =
            Bag::parse("%24.ct=application%2Fjson&$.ce=utf-8&%24.sub=thermostat1&color=red&a%20b=c+d&none&empty=")
                .expect("a bag");
        assert_eq!(bag.content_type(), Some("application/json"));
        assert_eq!(bag.component(), Some("thermostat1"));
        assert_eq!(bag.get("$.ce"), Some("utf-8"));
        let own: Vec<_> = bag.properties().collect();
        assert_eq!(own, [("color", Some("red")), ("a b", Some("c+d")), ("none", None), ("empty", Some(""))]);
        assert_eq!(Value::Object(bag.to_json()), serde_json::json!({"color":"red","a b":"c+d","none":null,"empty":""}));
        // The C SDK does not encode values, so slashes and equals signs may stand in them.
        let bag = Bag::parse("%24.ct=application/json&$.ce=utf-8&q=a=b").expect("a bag");
        assert_eq!((bag.content_type(), bag.get("q")), (Some("application/json"), Some("a=b")));
        assert_eq!(Bag::parse("").expect("a bag"), Bag::default());
        assert_eq!(Bag::parse("a=1&&a=2").expect("a bag").get("a"), Some("2"));
    }

    #[test]
    fn a_cloud_to_device_bag_has_the_shape_that_sdks_split() {
        let mut bag = Bag::default();
        bag.set("$.to", Some("/devices/d/messages/devicebound".into()));
        bag.set("iothub-ack", Some("full".into()));
        bag.set("p1", None);
        bag.set("p2", Some(String::new()));
        bag.set("p3", Some("a b".into()));
        assert_eq!(bag.encode(), "%24.to=%2Fdevices%2Fd%2Fmessages%2Fdevicebound&iothub-ack=full&p1&p2=&p3=a%20b");
    }

    #[test]
    fn nobody_sends_what_only_the_hub_says() {
        let bag = Bag::parse("%24.cmid=motor&iothub-connection-module-id=motor&IoTHub-Connection-Device-Id=x&a=1&ä=2");
        let own = bag.expect("a bag").to_json();
        assert_eq!(Value::Object(own), serde_json::json!({"a": "1", "ä": "2"}));
    }

    #[test]
    fn the_event_time_is_utc_or_nothing() {
        let at = |text: &str| Bag::parse(&format!("iothub-creation-time-utc={text}")).expect("a bag").creation_time();
        assert_eq!(at("2026-11-22T10:00:00.5Z").map(|time| time.timestamp_millis()), Some(1_795_341_600_500));
        for text in ["", "now", "2026-11-22T10:00:00", "2026-11-22T10:00:00%2B01:00"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn limits_hold() {
        assert_eq!(Bag::parse("a=%ff"), Err(BagError::Text));
        assert_eq!(Bag::parse(&"a".repeat(MAX_BAG_BYTES + 1)), Err(BagError::TooLong));
        let many: Vec<String> = (0..=MAX_PROPERTIES).map(|n| format!("k{n}")).collect();
        assert_eq!(Bag::parse(&many.join("&")), Err(BagError::TooMany));
        assert_eq!(Bag::parse("$.ct=abc&ab=c").expect("a bag").size_bytes(), 6);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Bag::parse(&text).map(|bag| bag.creation_time());
        }

        #[test]
        fn a_bag_reads_back(properties in proptest::collection::btree_map(".{1,8}", proptest::option::of(".{0,8}"), 0..8)) {
            let mut bag = Bag::default();
            for (key, value) in properties {
                bag.set(key, value);
            }
            prop_assert_eq!(Bag::parse(&bag.encode()), Ok(bag));
        }
    }
}

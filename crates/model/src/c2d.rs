//! Cloud-to-device messages: what a service sends to one device, kept until the device has it (`iot-hub-wire.md` §2).

use crate::{DeviceId, wire::bag::Bag};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The largest message: its body, the values of its system properties, names and values of the others.
pub const MAX_BYTES: usize = 64 * 1024;
/// Messages that may wait for a device.
pub const MAX_PENDING: u32 = 50;
/// How often a device may give a message back before it is given up.
pub const MAX_DELIVERIES: i32 = 10;
/// How long a message waits where its sender does not say.
pub const DEFAULT_TTL: Duration = Duration::hours(1);
/// The longest that a message waits, whatever its sender says.
pub const MAX_TTL: Duration = Duration::hours(48);
/// How long a device that asks over HTTPS has to say what it did with a message.
pub const LOCK: Duration = Duration::seconds(60);

/// Of which outcomes the sender wants to hear (`iothub-ack`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Feedback {
    /// Of none.
    #[default]
    None,
    /// Of success.
    Positive,
    /// Of failures.
    Negative,
    /// Of all.
    Full,
}

impl Feedback {
    /// Reads `none`, `positive`, `negative` or `full`, in any case of its letters.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Positive, Self::Negative, Self::Full]
            .into_iter()
            .find(|feedback| feedback.name().eq_ignore_ascii_case(text))
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Full => "full",
        }
    }

    /// Whether the sender wants to hear of this outcome.
    pub fn wants(self, outcome: Outcome) -> bool {
        match self {
            Self::None => false,
            Self::Positive => outcome == Outcome::Success,
            Self::Negative => outcome != Outcome::Success,
            Self::Full => true,
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The device has it.
    Success,
    /// Nobody took it in its time.
    Expired,
    /// The device gave it back too often.
    DeliveryCountExceeded,
    /// The device refused it.
    Rejected,
    /// The service took it back.
    Purged,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Success, Self::Expired, Self::DeliveryCountExceeded, Self::Rejected, Self::Purged];

    /// As it stands in a feedback record's `statusCode`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Expired => "Expired",
            Self::DeliveryCountExceeded => "DeliveryCountExceeded",
            Self::Rejected => "Rejected",
            Self::Purged => "Purged",
        }
    }
}

/// What a service sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Its id, for the feedback.
    pub message_id: String,
    /// To which message it belongs.
    pub correlation_id: Option<String>,
    /// Who sends it.
    pub user_id: Option<String>,
    /// The body's content type.
    pub content_type: Option<String>,
    /// The body's encoding.
    pub content_encoding: Option<String>,
    /// Of which outcomes the sender wants to hear.
    pub feedback: Feedback,
    /// When it is too late, where the sender says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// The application's properties, in order.
    pub properties: Vec<(String, Option<String>)>,
}

impl Envelope {
    /// The message's properties as its device gets them.
    pub fn bag(&self, device: &DeviceId) -> Bag {
        let mut bag = Bag::default();
        let mut set = |key: &str, value: &Option<String>| {
            if value.is_some() {
                bag.set(key, value.clone());
            }
        };
        set("$.mid", &Some(self.message_id.clone()));
        set("$.to", &Some(format!("/devices/{device}/messages/deviceBound")));
        set("$.cid", &self.correlation_id);
        set("$.uid", &self.user_id);
        set("$.ct", &self.content_type);
        set("$.ce", &self.content_encoding);
        set("$.exp", &self.expires_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)));
        if self.feedback != Feedback::None {
            set("iothub-ack", &Some(self.feedback.name().to_owned()));
        }
        for (name, value) in &self.properties {
            bag.set(name.as_str(), value.clone());
        }
        bag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_wanted_by_outcome() {
        for (text, wanted) in [
            ("none", [false; 5]),
            ("Positive", [true, false, false, false, false]),
            ("negative", [false, true, true, true, true]),
            ("FULL", [true; 5]),
        ] {
            let feedback = Feedback::parse(text).expect("a kind of feedback");
            assert_eq!(Outcome::ALL.map(|outcome| feedback.wants(outcome)), wanted, "{text}");
        }
        assert_eq!(Feedback::parse("some"), None);
    }

    #[test]
    fn a_device_gets_the_properties_in_the_shape_that_sdks_split() {
        let device = DeviceId::parse("d").expect("a device id");
        let envelope = Envelope {
            message_id: "6b82".into(),
            feedback: Feedback::Full,
            properties: vec![
                ("p1".into(), None),
                ("p2".into(), Some(String::new())),
                ("p3".into(), Some("a b".into())),
            ],
            ..Envelope::default()
        };
        let bag = "%24.mid=6b82&%24.to=%2Fdevices%2Fd%2Fmessages%2FdeviceBound&iothub-ack=full&p1&p2=&p3=a%20b";
        assert_eq!(envelope.bag(&device).encode(), bag);
        let at = DateTime::from_timestamp(0, 0).expect("a time");
        let dated = Envelope { expires_at: Some(at), content_type: Some("a/b".into()), ..Envelope::default() };
        let bag = "%24.mid=&%24.to=%2Fdevices%2Fd%2Fmessages%2FdeviceBound&%24.ct=a%2Fb\
                   &%24.exp=1970-01-01T00%3A00%3A00.000Z";
        assert_eq!(dated.bag(&device).encode(), bag);
    }
}

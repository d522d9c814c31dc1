//! MQTT 5 for plain clients: its packets in the form of MQTT 3.1.1, which is what sessions speak of, and back. User
//! names, topics and limits are those of 3.1.1; what version 5 adds is handled here.

use super::end::End;
use bytes::{Bytes, BytesMut};
use muster_model::wire::bag::Bag;
use rmqtt_codec::{
    error::DecodeError,
    types::{Publish, QoS},
    v3::{self, ConnectAckReason},
    v5::{
        self, Codec, ConnectAck, DisconnectReasonCode, Packet, PublishAckReason, PublishProperties, SubscribeAckReason,
        UnsubscribeAckReason,
    },
};
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU16,
};
use tokio_util::codec::{Decoder, Encoder};

/// Topics that a client may give a number.
const TOPIC_ALIASES: u16 = 16;
/// Unacknowledged messages that a client may have sent: as many as a session reads ahead.
const RECEIVE_MAXIMUM: NonZeroU16 = match NonZeroU16::new(128) {
    Some(number) => number,
    None => NonZeroU16::MIN,
};
/// A longer keep-alive is not granted, so that no client is silent for longer than the hub allows.
const MAX_KEEP_ALIVE_SECONDS: u16 = 1177;

/// A session that is never forgotten.
const FOR_EVER: u32 = u32::MAX;

/// What a connection with MQTT 5 remembers.
pub(super) struct Version5 {
    codec: Codec,
    topics: HashMap<NonZeroU16, String>,
    /// Filters of each UNSUBSCRIBE: its answer has a reason for each.
    unsubscribing: HashMap<NonZeroU16, usize>,
    /// Messages that the client takes before it acknowledges.
    receive_maximum: u16,
    unacknowledged: u16,
    /// Messages beyond that.
    waiting: VecDeque<Publish>,
    keep_alive: u16,
    /// The session begins anew, and is kept.
    starts_clean: bool,
    /// Seconds after its end that the session is kept.
    session_expiry: u32,
    connected: bool,
}

impl Version5 {
    pub(super) fn new(max_connect_bytes: u32) -> Self {
        Self {
            codec: Codec::new(max_connect_bytes, 0),
            topics: HashMap::new(),
            unsubscribing: HashMap::new(),
            receive_maximum: u16::MAX,
            unacknowledged: 0,
            waiting: VecDeque::new(),
            keep_alive: 0,
            starts_clean: false,
            session_expiry: 0,
            connected: false,
        }
    }

    pub(super) fn set_max_size(&mut self, bytes: u32) {
        self.codec.set_max_inbound_size(bytes);
    }

    /// Whether what was kept of an earlier session is to be forgotten although this one is kept.
    pub(super) fn starts_clean(&self) -> bool {
        self.starts_clean
    }

    /// Seconds after its end that the session is kept; none = for ever.
    pub(super) fn session_expiry(&self) -> Option<u32> {
        Some(self.session_expiry).filter(|seconds| *seconds != FOR_EVER)
    }

    /// The next packet that has arrived whole.
    pub(super) fn decode(&mut self, read: &mut BytesMut, write: &mut BytesMut) -> Result<Option<v3::Packet>, End> {
        let Some((packet, _)) = self.codec.decode(read)? else { return Ok(None) };
        let packet = match packet {
            Packet::Connect(connect) => v3::Packet::Connect(Box::new(self.connect(*connect)?)),
            Packet::Publish(publish) => v3::Packet::Publish(Box::new(self.resolve(*publish)?)),
            Packet::PublishAck(ack) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                if let Some(publish) = self.waiting.pop_front() {
                    self.send(publish, write)?;
                }
                v3::Packet::PublishAck { packet_id: ack.packet_id }
            }
            Packet::Subscribe(subscribe) if subscribe.id.is_some() => {
                return Err(End::Forbidden("subscription identifier"));
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.topic_filters.into_iter();
                let topic_filters = filters.map(|(filter, options)| (filter, options.qos)).collect();
                v3::Packet::Subscribe { packet_id: subscribe.packet_id, topic_filters }
            }
            Packet::Unsubscribe(v5::Unsubscribe { packet_id, topic_filters, .. }) => {
                self.unsubscribing.insert(packet_id, topic_filters.len());
                v3::Packet::Unsubscribe { packet_id, topic_filters }
            }
            Packet::PingRequest => v3::Packet::PingRequest,
            Packet::Disconnect(v5::Disconnect { session_expiry_interval_secs: Some(1..), .. })
                if self.session_expiry == 0 =>
            {
                return Err(End::Forbidden("session that is kept after all"));
            }
            Packet::Disconnect(goodbye) if goodbye.reason_code == DisconnectReasonCode::NormalDisconnection => {
                self.session_expiry = goodbye.session_expiry_interval_secs.unwrap_or(self.session_expiry);
                v3::Packet::Disconnect
            }
            // Any other reason means that the will is to be said.
            Packet::Disconnect(_) => return Err(End::Closed),
            Packet::Auth(_) => return Err(End::Forbidden("authentication that was not begun")),
            _ => return Err(End::Forbidden("packet that devices do not send")),
        };
        Ok(Some(packet))
    }

    /// Puts a packet into the write buffer.
    pub(super) fn encode(&mut self, packet: v3::Packet, write: &mut BytesMut) -> Result<(), End> {
        let packet = match packet {
            v3::Packet::ConnectAck(ack) => Packet::from(self.connect_ack(ack)),
            v3::Packet::Publish(publish) => {
                if publish.qos != QoS::AtMostOnce && self.unacknowledged >= self.receive_maximum {
                    self.waiting.push_back(*publish);
                    return Ok(());
                }
                return self.send(*publish, write);
            }
            v3::Packet::PublishAck { packet_id } => Packet::PublishAck(v5::PublishAck {
                packet_id,
                reason_code: PublishAckReason::Success,
                properties: Vec::new(),
                reason_string: None,
            }),
            v3::Packet::SubscribeAck { packet_id, status } => Packet::SubscribeAck(v5::SubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: status.into_iter().map(granted).collect(),
            }),
            v3::Packet::UnsubscribeAck { packet_id } => Packet::UnsubscribeAck(v5::UnsubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: vec![UnsubscribeAckReason::Success; self.unsubscribing.remove(&packet_id).unwrap_or_default()],
            }),
            v3::Packet::PingResponse => Packet::PingResponse,
            _ => return Err(End::Forbidden("packet that the hub does not send")),
        };
        Ok(self.codec.encode(packet, write)?)
    }

    /// Says why the connection ends, unless the client knows.
    pub(super) fn say_goodbye(&mut self, end: &End, write: &mut BytesMut) -> Result<(), End> {
        let Some(reason_code) = goodbye(end).filter(|_| self.connected) else { return Ok(()) };
        let goodbye = v5::Disconnect {
            reason_code,
            session_expiry_interval_secs: None,
            server_reference: None,
            reason_string: None,
            user_properties: Vec::new(),
        };
        Ok(self.codec.encode(Packet::Disconnect(goodbye), write)?)
    }

    fn connect(&mut self, connect: v5::Connect) -> Result<v3::Connect, End> {
        if connect.auth_method.is_some() {
            return Err(End::Refused(ConnectAckReason::NotAuthorized, "extended authentication".into()));
        }
        self.session_expiry = connect.session_expiry_interval_secs;
        let kept = self.session_expiry > 0;
        self.starts_clean = kept && connect.clean_start;
        self.receive_maximum = connect.receive_max.map_or(u16::MAX, NonZeroU16::get);
        self.keep_alive = connect.keep_alive;
        if let Some(bytes) = connect.max_packet_size {
            self.codec.set_max_outbound_size(bytes.get());
        }
        let last_will = connect.last_will.map(|will| {
            let topic = with_properties(&will.topic, will.content_type.as_deref(), None, &will.user_properties);
            v3::LastWill { qos: will.qos, retain: will.retain, topic: topic.into(), message: will.message }
        });
        Ok(v3::Connect {
            clean_session: !kept,
            keep_alive: match connect.keep_alive {
                0 => MAX_KEEP_ALIVE_SECONDS,
                seconds => seconds.min(MAX_KEEP_ALIVE_SECONDS),
            },
            last_will,
            client_id: connect.client_id,
            username: connect.username,
            password: connect.password,
            ..v3::Connect::default()
        })
    }

    fn connect_ack(&mut self, ack: v3::ConnectAck) -> ConnectAck {
        self.connected = ack.return_code == ConnectAckReason::ConnectionAccepted;
        let granted = self.keep_alive == 0 || self.keep_alive > MAX_KEEP_ALIVE_SECONDS;
        ConnectAck {
            session_present: ack.session_present,
            reason_code: refusal(ack.return_code),
            receive_max: RECEIVE_MAXIMUM,
            max_qos: QoS::AtLeastOnce,
            topic_alias_max: TOPIC_ALIASES,
            subscription_identifiers_available: false,
            shared_subscription_available: false,
            server_keepalive_sec: granted.then_some(MAX_KEEP_ALIVE_SECONDS),
            ..ConnectAck::default()
        }
    }

    /// The message with its whole topic; what stands in its properties stands in the property bag then.
    fn resolve(&mut self, mut publish: Publish) -> Result<Publish, End> {
        let properties = publish.properties.take().unwrap_or_default();
        let mut topic = publish.topic.to_string();
        if let Some(alias) = properties.topic_alias {
            if alias.get() > TOPIC_ALIASES {
                return Err(End::Forbidden("topic alias out of range"));
            }
            if topic.is_empty() {
                let known = self.topics.get(&alias).ok_or(End::Forbidden("topic alias that was not given"))?;
                topic.clone_from(known);
            } else {
                self.topics.insert(alias, topic.clone());
            }
        }
        let PublishProperties { content_type, correlation_data, user_properties, .. } = properties;
        publish.topic =
            with_properties(&topic, content_type.as_deref(), correlation_data.as_ref(), &user_properties).into();
        Ok(publish)
    }

    fn send(&mut self, mut publish: Publish, write: &mut BytesMut) -> Result<(), End> {
        if publish.qos != QoS::AtMostOnce {
            self.unacknowledged = self.unacknowledged.saturating_add(1);
        }
        publish.properties = Some(PublishProperties::default());
        Ok(self.codec.encode(Packet::Publish(Box::new(publish)), write)?)
    }
}

/// The topic of telemetry with properties of version 5 in its bag; any other topic stays as it is.
fn with_properties(
    topic: &str,
    content_type: Option<&str>,
    correlation: Option<&Bytes>,
    user: &[(impl AsRef<str>, impl AsRef<str>)],
) -> String {
    if content_type.is_none() && correlation.is_none() && user.is_empty() {
        return topic.to_owned();
    }
    let Some(at) = topic.find("/messages/events").filter(|_| topic.starts_with("devices/")) else {
        return topic.to_owned();
    };
    let (head, bag) = topic.split_at(at + "/messages/events".len());
    let bag = bag.strip_prefix('/').unwrap_or(bag);
    let mut added = Bag::default();
    if let Some(content_type) = content_type {
        added.set("$.ct", Some(content_type.to_owned()));
    }
    if let Some(correlation) = correlation.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        added.set("$.cid", Some(correlation.to_owned()));
    }
    for (name, value) in user {
        added.set(name.as_ref(), Some(value.as_ref().to_owned()));
    }
    let separator = if bag.is_empty() { "" } else { "&" };
    format!("{head}/{bag}{separator}{}", added.encode())
}

fn granted(code: v3::SubscribeReturnCode) -> SubscribeAckReason {
    match code {
        v3::SubscribeReturnCode::Success(QoS::AtMostOnce) => SubscribeAckReason::GrantedQos0,
        v3::SubscribeReturnCode::Success(_) => SubscribeAckReason::GrantedQos1,
        v3::SubscribeReturnCode::Failure => SubscribeAckReason::TopicFilterInvalid,
    }
}

fn refusal(code: ConnectAckReason) -> v5::ConnectAckReason {
    match code {
        ConnectAckReason::ConnectionAccepted => v5::ConnectAckReason::Success,
        ConnectAckReason::UnacceptableProtocolVersion => v5::ConnectAckReason::UnsupportedProtocolVersion,
        ConnectAckReason::IdentifierRejected => v5::ConnectAckReason::ClientIdentifierNotValid,
        ConnectAckReason::BadUserNameOrPassword => v5::ConnectAckReason::BadUserNameOrPassword,
        ConnectAckReason::NotAuthorized => v5::ConnectAckReason::NotAuthorized,
        _ => v5::ConnectAckReason::ServerUnavailable,
    }
}

/// Why the hub ends the connection, in the words of version 5.
fn goodbye(end: &End) -> Option<DisconnectReasonCode> {
    match end {
        End::Goodbye | End::Closed | End::Io(_) | End::NoConnect | End::Refused(..) | End::Stuck => None,
        End::Malformed(DecodeError::MaxSizeExceeded { .. }) => Some(DisconnectReasonCode::PacketTooLarge),
        End::Malformed(_) => Some(DisconnectReasonCode::MalformedPacket),
        End::Topic(_) => Some(DisconnectReasonCode::TopicNameInvalid),
        End::Forbidden("QoS 2") => Some(DisconnectReasonCode::QosNotSupported),
        End::Forbidden("message over the size limit") => Some(DisconnectReasonCode::PacketTooLarge),
        End::Forbidden("subscription identifier") => Some(DisconnectReasonCode::SubscriptionIdentifiersNotSupported),
        End::Forbidden("topic alias out of range" | "topic alias that was not given") => {
            Some(DisconnectReasonCode::TopicAliasInvalid)
        }
        End::Forbidden(_) => Some(DisconnectReasonCode::ProtocolError),
        End::Silent => Some(DisconnectReasonCode::KeepAliveTimeout),
        End::Expired => Some(DisconnectReasonCode::MaximumConnectTime),
        End::TakenOver => Some(DisconnectReasonCode::SessionTakenOver),
        End::Service(_) => Some(DisconnectReasonCode::AdministrativeAction),
        End::Throttled(_) => Some(DisconnectReasonCode::MessageRateTooHigh),
        End::Stopping => Some(DisconnectReasonCode::ServerShuttingDown),
        _ => Some(DisconnectReasonCode::UnspecifiedError),
    }
}

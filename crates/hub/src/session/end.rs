//! Why a connection ends.

use crate::{limits::Throttled, mailbox::Close};
use muster_engine::ingest::IngressError;
use muster_model::{event::FailureCode, wire::topic::TopicError};
use rmqtt_codec::{
    error::{DecodeError, EncodeError},
    v3::ConnectAckReason,
};
use std::io;

/// The end of a connection. MQTT 3.1.1 has no way to tell the device why; the log has.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the device said goodbye")]
    Goodbye,
    #[error("the device closed the connection")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("malformed packet: {0}")]
    Malformed(#[from] DecodeError),
    #[error("a packet could not be written: {0}")]
    Unwritable(#[from] EncodeError),
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    #[error("topic refused: {0}")]
    Topic(#[from] TopicError),
    #[error("no CONNECT in time")]
    NoConnect,
    #[error("refused with {0:?}: {1}")]
    Refused(ConnectAckReason, String),
    #[error("silent for longer than its keep-alive")]
    Silent,
    #[error("the device does not read")]
    Stuck,
    #[error("the token has expired")]
    Expired,
    #[error("the device connected again")]
    TakenOver,
    #[error("the service ended it: {0}")]
    Service(String),
    #[error("the device does not take its pushes")]
    Behind,
    #[error("a message could not be confirmed")]
    Unconfirmed,
    #[error("subscriptions could not be kept: {0}")]
    Subscriptions(String),
    #[error("{0}")]
    Throttled(Throttled),
    #[error("the hub stops")]
    Stopping,
}

impl End {
    /// What the device did wrong, if it did.
    pub(crate) fn failure(&self) -> Option<FailureCode> {
        match self {
            Self::Malformed(DecodeError::MaxSizeExceeded { .. }) | Self::Forbidden("message over the size limit") => {
                Some(FailureCode::MessageTooLarge)
            }
            Self::Malformed(_) | Self::Forbidden(_) | Self::Topic(_) => Some(FailureCode::ProtocolViolation),
            Self::Throttled(_) => Some(FailureCode::Throttled),
            _ => None,
        }
    }

    /// A name for metrics; few and stable.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Closed | Self::Io(_) => "lost",
            Self::Malformed(_) | Self::Unwritable(_) => "malformed",
            Self::Forbidden(_) | Self::Topic(_) => "forbidden",
            Self::NoConnect => "noConnect",
            Self::Refused(..) => "refused",
            Self::Silent => "keepAlive",
            Self::Stuck | Self::Behind => "slow",
            Self::Expired => "expired",
            Self::TakenOver => "takenOver",
            Self::Service(_) => "service",
            Self::Unconfirmed | Self::Subscriptions(_) => "unavailable",
            Self::Throttled(_) => "throttled",
            Self::Stopping => "stopping",
        }
    }
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        match close {
            Close::TakenOver => Self::TakenOver,
            Close::Service(reason) => Self::Service(reason),
            Close::Behind => Self::Behind,
            Close::Stopping => Self::Stopping,
        }
    }
}

impl From<IngressError> for End {
    fn from(error: IngressError) -> Self {
        match error {
            IngressError::Closed => Self::Stopping,
            IngressError::UnknownPartition(_) => Self::Unconfirmed,
        }
    }
}

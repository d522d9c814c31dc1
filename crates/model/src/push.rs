//! What is pushed over the bus to the hub instance that holds a device's connection, and what comes back.

use crate::{DeviceKey, TenantKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// A push to a connected device, or to a module of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// The device's tenant.
    pub tenant: TenantKey,
    /// The device's number, or the module's own.
    pub device: DeviceKey,
    /// The epoch of the session it is meant for; an older session ignores it.
    pub epoch: i64,
    /// What to do.
    pub action: PushAction,
}

/// What the hub does with a push.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PushAction {
    /// Send a desired-properties patch.
    Desired {
        /// The patch as the caller sent it, nulls included.
        patch: Map<String, Value>,
        /// The desired version after it.
        version: i64,
    },
    /// Close the connection: blocked, deleted, key changed, or taken over by another instance.
    Disconnect {
        /// Why, for the log.
        reason: String,
    },
    /// Run a direct method.
    Method {
        /// The call.
        call: MethodCall,
    },
    /// The way back: what became of a direct method. It goes to the instance that called it.
    MethodOutcome {
        /// [`MethodCall::request`].
        request: Uuid,
        /// What became of it.
        outcome: MethodOutcome,
    },
    /// Cloud-to-device messages wait for the device in the database.
    Messages,
}

/// A direct method on its way to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodCall {
    /// Names the call; an answer that comes after its time finds nobody.
    pub request: Uuid,
    /// The instance that waits for the outcome.
    pub reply_to: String,
    /// The method.
    pub name: String,
    /// Its payload, JSON.
    pub payload: String,
    /// When nobody waits any more, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// What became of a direct method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum MethodOutcome {
    /// The device answered.
    Answered {
        /// Its own status.
        status: i64,
        /// Its payload, JSON; empty where it sent none.
        payload: String,
    },
    /// The device is not here, does not listen to methods, or has too many of them open.
    Unreachable,
    /// The device's answer is no JSON, or too large.
    Unreadable,
}

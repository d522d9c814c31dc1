//! Devices that provision themselves through the Device Provisioning Service, with an enrollment group's key.

use crate::{connection::Connection, endpoint::Endpoint, fleet::DeviceLogin};
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use muster_model::wire::sas;
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::Packet,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    num::NonZeroU16,
    time::{Duration, SystemTime},
};

/// Devices that provision themselves at the same time.
const PROVISIONING: usize = 32;
/// How often a registration that is still being worked on is asked for.
const MAX_POLLS: u32 = 20;
/// Signatures are valid for a day: longer than any load.
const VALID_SECONDS: i64 = 24 * 3600;

/// An enrollment group that lets devices in.
#[derive(Clone)]
pub struct Group {
    /// The tenant's id scope.
    pub id_scope: String,
    /// The group's primary or secondary key, base64.
    pub key: SecretString,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    operation_id: String,
    status: String,
    registration_state: Option<Registration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    assigned_hub: Option<String>,
    device_id: Option<String>,
    error_message: Option<String>,
}

/// Provisions `count` devices `{prefix}-0`, `{prefix}-1` …, and returns how they sign in at the hub.
///
/// # Errors
/// When one of them is refused, or the key can't be read.
pub async fn provision(endpoint: &Endpoint, group: &Group, prefix: &str, count: usize) -> Result<Vec<DeviceLogin>> {
    stream::iter(0..count)
        .map(|index| async move {
            let id = format!("{prefix}-{index}");
            register(endpoint, group, &id, index).await.with_context(|| format!("provisioning of '{id}'"))
        })
        .buffered(PROVISIONING)
        .try_collect()
        .await
}

/// How `count` devices sign in at `hub` that [`provision`] has let in before.
///
/// # Errors
/// When the key can't be read.
pub fn provisioned(hub: &str, key: &SecretString, prefix: &str, count: usize) -> Result<Vec<DeviceLogin>> {
    let expires = expiry()?;
    let login = |index| {
        let id = format!("{prefix}-{index}");
        hub_login(hub, &id, &sas::derive_key(key.expose_secret(), &id)?, expires)
    };
    (0..count).map(login).collect()
}

async fn register(endpoint: &Endpoint, group: &Group, id: &str, index: usize) -> Result<DeviceLogin> {
    let key = sas::derive_key(group.key.expose_secret(), id)?;
    let expires = expiry()?;
    let scope = format!("{}/registrations/{id}", group.id_scope);
    let login = DeviceLogin {
        client_id: id.to_owned(),
        username: Some(format!("{scope}/api-version=2019-03-31")),
        password: Some(sas::sign(&scope, &key, expires, Some("registration"))?),
        topic: String::new(),
    };
    let mut connection = Connection::open(endpoint, index, &login).await?;
    let filter = ("$dps/registrations/res/#".into(), QoS::AtLeastOnce);
    connection.queue(Packet::Subscribe { packet_id: NonZeroU16::MIN, topic_filters: vec![filter] })?;
    let body = serde_json::json!({ "registrationId": id }).to_string();
    let mut topic = "$dps/registrations/PUT/iotdps-register/?$rid=1".to_owned();
    let mut body = body.into_bytes();
    for _ in 0..MAX_POLLS {
        let (status, retry_after, answer) = ask(&mut connection, topic, body).await?;
        match (status, answer.status.as_str(), answer.registration_state) {
            (200, "assigned", Some(Registration { assigned_hub: Some(hub), device_id: Some(device), .. })) => {
                // The server may have closed first, which is as good.
                let _ = connection.close().await;
                return hub_login(&hub, &device, &key, expires);
            }
            (202, ..) => tokio::time::sleep(retry_after).await,
            (status, other, state) => {
                let why = state.and_then(|state| state.error_message).unwrap_or_default();
                bail!("answered {status} {other} {why}");
            }
        }
        let operation = answer.operation_id;
        topic = format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId={operation}");
        body = Vec::new();
    }
    bail!("still being assigned after {MAX_POLLS} questions")
}

/// Publishes a request and waits for its answer: status, when to ask again, body.
async fn ask(connection: &mut Connection, topic: String, body: Vec<u8>) -> Result<(u16, Duration, Answer)> {
    let publish = Publish {
        dup: false,
        retain: false,
        qos: QoS::AtLeastOnce,
        topic: topic.into(),
        packet_id: NonZeroU16::new(2),
        payload: body.into(),
        properties: None,
    };
    connection.queue(publish.into())?;
    connection.flush().await?;
    loop {
        let Packet::Publish(answer) = connection.answer().await? else { continue };
        if let Some(packet_id) = answer.packet_id {
            connection.queue(Packet::PublishAck { packet_id })?;
            connection.flush().await?;
        }
        let (status, retry_after) = read_topic(&answer.topic).context("answer on an unknown topic")?;
        if status >= 300 {
            bail!("answered {status}: {}", String::from_utf8_lossy(&answer.payload));
        }
        return Ok((status, retry_after, serde_json::from_slice(&answer.payload).context("answer can't be read")?));
    }
}

/// `$dps/registrations/res/{status}/?$rid={rid}[&retry-after={seconds}]`.
fn read_topic(topic: &str) -> Option<(u16, Duration)> {
    let (status, query) = topic.strip_prefix("$dps/registrations/res/")?.split_once("/?")?;
    let seconds = query.split('&').find_map(|pair| pair.strip_prefix("retry-after=")?.parse().ok());
    Some((status.parse().ok()?, Duration::from_secs(seconds.unwrap_or(1).min(30))))
}

fn hub_login(hub: &str, device: &str, key: &str, expires: i64) -> Result<DeviceLogin> {
    Ok(DeviceLogin {
        client_id: device.to_owned(),
        username: Some(format!("{hub}/{device}/?api-version=2021-04-12")),
        password: Some(sas::sign(&format!("{hub}/devices/{device}"), key, expires, None)?),
        topic: format!("devices/{device}/messages/events/"),
    })
}

fn expiry() -> Result<i64> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock is before 1970")?;
    Ok(i64::try_from(now.as_secs())? + VALID_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let read = |topic| read_topic(topic).map(|(status, wait)| (status, wait.as_secs()));
        assert_eq!(read("$dps/registrations/res/202/?$rid=1&retry-after=3"), Some((202, 3)));
        assert_eq!(read("$dps/registrations/res/200/?$rid=1"), Some((200, 1)));
        assert_eq!(read("$dps/registrations/res/202/?$rid=1&retry-after=9999"), Some((202, 30)));
        assert_eq!(read("devices/a/messages"), None);
    }
}

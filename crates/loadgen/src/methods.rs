//! Direct methods: devices that answer them, and a service that calls them over the hub's REST API.

use crate::connection::Connection;
use anyhow::{Context, Result, bail};
use muster_model::wire::sas;
use reqwest::Certificate;
use rmqtt_codec::{
    types::{Publish, QoS},
    v3::Packet,
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    num::NonZeroU16,
    path::Path,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// What methods come on.
const REQUESTS: &str = "$iothub/methods/POST/";
/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Tokens are valid for a day: longer than any load.
const VALID: Duration = Duration::from_secs(24 * 3600);

/// A service that may call methods.
#[derive(Clone)]
pub struct Service {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Service {
    /// At `base` (`https://HOST:PORT`) of the hub called `hub`, with a key of its policy `service`; `authorities` is a
    /// PEM file with those who may sign the hub's certificate, instead of the operating system's.
    ///
    /// # Errors
    /// When the key or the authorities can't be read.
    pub fn new(base: &str, hub: &str, key: &SecretString, authorities: Option<&Path>) -> Result<Self> {
        // Whoever has installed one before was right, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().timeout(CALL_TIMEOUT).no_proxy();
        if let Some(authorities) = authorities {
            let pem = std::fs::read(authorities).with_context(|| format!("read {}", authorities.display()))?;
            http = http.tls_certs_only([Certificate::from_pem(&pem).context("authorities")?]);
        }
        let until = SystemTime::now().checked_add(VALID).context("clock")?.duration_since(SystemTime::UNIX_EPOCH)?;
        let token = sas::sign(hub, key.expose_secret(), i64::try_from(until.as_secs())?, Some("service"))?;
        Ok(Self { http: http.build()?, base: base.trim_end_matches('/').to_owned(), token })
    }

    /// Calls a method of a device and waits for its answer.
    pub(crate) async fn call(&self, device: &str) -> Result<()> {
        let url = format!("{}/twins/{device}/methods?api-version=2021-04-12", self.base);
        let call = serde_json::json!({ "methodName": "echo", "payload": null, "responseTimeoutInSeconds": 30 });
        let response = self.http.post(url).header("authorization", &self.token).json(&call).send().await?;
        let status = response.status();
        let answer = response.text().await?;
        if !status.is_success() {
            bail!("method answered {status}: {answer}");
        }
        Ok(())
    }
}

/// Subscribes to methods.
pub(crate) async fn listen(connection: &mut Connection) -> Result<()> {
    let filter = (format!("{REQUESTS}#").into(), QoS::AtMostOnce);
    connection.queue(Packet::Subscribe { packet_id: NonZeroU16::MIN, topic_filters: vec![filter] })?;
    connection.flush().await?;
    match connection.answer().await? {
        Packet::SubscribeAck { .. } => Ok(()),
        _ => bail!("subscription answered by another packet"),
    }
}

/// Answers every method with its own payload, until it is told to stop.
pub(crate) async fn answer(mut connection: Connection, stop: CancellationToken) -> Result<()> {
    loop {
        tokio::select! {
            filled = connection.fill() => filled?,
            () = stop.cancelled() => return connection.close().await,
        }
        while let Some(packet) = connection.packet()? {
            let Packet::Publish(request) = packet else { continue };
            let rid = request.topic.strip_prefix(REQUESTS).and_then(|rest| rest.split_once("/?$rid="));
            let Some((_, rid)) = rid else { continue };
            let response = Publish {
                dup: false,
                retain: false,
                qos: QoS::AtMostOnce,
                topic: format!("$iothub/methods/res/200/?$rid={rid}").into(),
                packet_id: None,
                payload: request.payload.clone(),
                properties: None,
            };
            connection.queue(response.into())?;
        }
        connection.flush().await?;
    }
}

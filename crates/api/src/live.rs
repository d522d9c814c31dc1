//! The live stream: server-sent events for one browser tab.

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Credential, Filters},
    middleware::authenticate::identify,
};
use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Bytes, Data, ReqData, ServiceConfig},
};
use futures::{Stream, stream};
use muster_contract::{device::ConnectionState, error::ErrorBody, live::LiveEvent};
use muster_engine::{
    EngineError,
    live::{self as engine, LiveFilter},
};
use muster_model::{DeviceId, Permission, TenantId};
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Keeps proxies from closing a quiet stream, and notices a browser that has gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Heartbeats after which it is asked again whether the caller may still listen.
const RECHECK_EVERY: u32 = 4;
/// Devices that a stream may name; more are a stream of all.
const MAX_DEVICES: usize = 100;
/// How long a browser waits before it opens a broken stream again, in the stream's own words.
const OPENING: &str = "retry: 2000\n\n";

/// The one route.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service.service(web::resource("/live").get(stream_live));
}

/// What happens from now on, as server-sent events
///
/// Each event's data is one `LiveEvent`. States of devices and alerts are always sent; values and properties only of
/// the devices named, or of all where none is. After `reload` the client reads everything again.
#[utoipa::path(get, path = "/api/live", tag = "live",
    params(("devices" = Option<Vec<String>>, Query, description = "only these devices; at most 100")),
    responses((status = 200, content_type = "text/event-stream", body = LiveEvent), (status = "default", body = ErrorBody)))]
pub(crate) async fn stream_live(
    api: Data<Api>,
    caller: Authenticated,
    credential: ReqData<Credential>,
    filters: Filters,
) -> Result<HttpResponse, ApiError> {
    caller.require(Permission::DevicesView)?;
    let devices: Vec<DeviceId> = filters.list("devices", MAX_DEVICES)?;
    let filter = if devices.is_empty() { LiveFilter::All } else { LiveFilter::Devices(devices.into_iter().collect()) };
    let events = api.engine().live().subscribe(caller.scope.tenant, filter).await?;
    let listener = Listener::new(api, credential.into_inner(), caller.tenant.clone(), events);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx collects a reply before it sends it, unless told not to.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(listener.frames())))
}

/// One open stream.
struct Listener {
    api: Data<Api>,
    credential: Credential,
    tenant: TenantId,
    events: engine::Stream,
    heartbeat: Interval,
    beats: u32,
    open: bool,
}

impl Listener {
    fn new(api: Data<Api>, credential: Credential, tenant: TenantId, events: engine::Stream) -> Self {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { api, credential, tenant, events, heartbeat, beats: 0, open: false }
    }

    fn frames(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut listener| async move {
            let frame = listener.next().await?;
            Some((Ok(frame), listener))
        })
    }

    /// What is sent next; `None` ends the stream: the process stops, or the caller may no longer listen.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.open {
            self.open = true;
            return Some(Bytes::from_static(OPENING.as_bytes()));
        }
        tokio::select! {
            event = self.events.next() => frame(event?),
            _ = self.heartbeat.tick() => {
                self.beats += 1;
                let allowed = !self.beats.is_multiple_of(RECHECK_EVERY) || self.still_allowed().await;
                allowed.then(|| Bytes::from_static(b":\n\n"))
            }
        }
    }

    /// A session may have ended and a token may have been revoked since the stream was opened.
    async fn still_allowed(&self) -> bool {
        match identify(&self.api, &self.credential, Some(&self.tenant)).await {
            Ok(caller) => caller.require(Permission::DevicesView).is_ok(),
            Err(ApiError::Engine(EngineError::Unavailable { .. })) => true,
            Err(_) => false,
        }
    }
}

fn frame(event: engine::LiveEvent) -> Option<Bytes> {
    match serde_json::to_string(&wire(event)) {
        Ok(json) => Some(Bytes::from(format!("data: {json}\n\n"))),
        Err(error) => {
            tracing::error!(%error, "a live event could not be written");
            None
        }
    }
}

fn wire(event: engine::LiveEvent) -> LiveEvent {
    match event {
        engine::LiveEvent::Telemetry { device, timestamp_ms, values } => LiveEvent::Telemetry {
            device,
            timestamp: chrono::DateTime::from_timestamp_millis(timestamp_ms).unwrap_or_default(),
            values: values.into_iter().collect(),
        },
        engine::LiveEvent::Device { device, connected } => {
            LiveEvent::Device { device, connection_state: ConnectionState::of(connected) }
        }
        engine::LiveEvent::Properties { device } => LiveEvent::Properties { device },
        engine::LiveEvent::Alert { id, device, rule_name, severity, state } => {
            LiveEvent::Alert { id, device, rule_name, severity, state }
        }
        engine::LiveEvent::Reload => LiveEvent::Reload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_of_data() {
        let values = json!({"t": 21.5, "note": "two\nlines"}).as_object().cloned().unwrap();
        let device = DeviceId::parse("a").unwrap();
        let bytes = frame(engine::LiveEvent::Telemetry { device, timestamp_ms: 1000, values }).unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(
            text,
            "data: {\"type\":\"telemetry\",\"device\":\"a\",\"timestamp\":\"1970-01-01T00:00:01Z\",\
             \"values\":{\"note\":\"two\\nlines\",\"t\":21.5}}\n\n"
        );
    }
}

//! A device's messages as they came: understood, and not.

use super::{devices::DevicePath, templates::find_template};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Paged},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use chrono::{DateTime, Utc};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    telemetry::{RawMessage, RejectedMessage},
};
use muster_model::{
    Permission,
    telemetry::{Layout, restore},
};
use muster_store::{self as store, counters, devices, telemetry};

/// A rejected payload is shown up to here; it may be 256 KiB.
const MAX_SHOWN_BYTES: usize = 4096;

/// The routes of messages.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/devices/{deviceId}/messages").get(list_device_messages))
        .service(web::resource("/devices/{deviceId}/rejected").get(list_rejected_messages));
}

/// A device's messages, newest first
#[utoipa::path(get, path = "/api/devices/{deviceId}/messages", tag = "telemetry",
    responses((status = 200, body = Page<RawMessage>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_device_messages(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    paged: Paged,
) -> Result<Json<Page<RawMessage>>, ApiError> {
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    caller.require(Permission::DevicesRawData)?;
    let before_ms = paged.after::<i64>()?.after.unwrap_or(i64::MAX);
    let messages = telemetry::raw(&tx, &caller.scope, device.key, before_ms, paged.size()).await?;
    let template = find_template(&tx, &caller, device.template.as_ref()).await?;
    let layout = template.as_ref().map_or_else(Layout::untyped, Layout::of);
    let more = messages.len() >= paged.size() as usize;
    let page = store::Page { items: messages, more };
    Ok(Json(paged.page(page, |message| message.ts_ms, |message| raw(&layout, &message))))
}

fn raw(layout: &Layout, message: &telemetry::RawMessage) -> RawMessage {
    let extra = message.extra.as_ref().and_then(|extra| extra.as_object());
    let restored = restore(layout, &message.keys, &message.vals, extra);
    RawMessage {
        enqueued_time: time(message.ts_ms),
        component: restored.component,
        telemetry: restored.telemetry,
        unmodeled: restored.unmodelled,
        properties: restored.properties,
    }
}

/// A device's messages that could not be understood, newest first
#[utoipa::path(get, path = "/api/devices/{deviceId}/rejected", tag = "telemetry",
    responses((status = 200, body = Page<RejectedMessage>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_rejected_messages(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    paged: Paged,
) -> Result<Json<Page<RejectedMessage>>, ApiError> {
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    caller.require(Permission::DevicesRawData)?;
    let page = counters::list_rejected(&tx, &caller.scope, Some(device.key), paged.after()?).await?;
    Ok(Json(paged.page(page, |message| message.id, rejected)))
}

fn rejected(message: counters::RejectedMessage) -> RejectedMessage {
    RejectedMessage {
        enqueued_time: message.at,
        reason: message.reason,
        properties: message.bag,
        text: shown(&message.payload),
        size_bytes: message.payload.len() as u64,
    }
}

/// The payload where it is text, cut between characters.
fn shown(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    Some(text[..text.floor_char_boundary(MAX_SHOWN_BYTES)].to_owned())
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_payload_is_shown_where_it_is_text() {
        assert_eq!(shown(b"{broken").as_deref(), Some("{broken"));
        assert_eq!(shown(&[0xff, 0xfe]), None);
        assert_eq!(shown("ä".repeat(MAX_SHOWN_BYTES).as_bytes()).unwrap().len(), MAX_SHOWN_BYTES);
    }
}

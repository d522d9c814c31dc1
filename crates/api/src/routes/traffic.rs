//! What devices sent, held against their template: `templateProposal` and `unmodeled` (ours)

use super::{
    devices::DevicePath,
    templates::{TemplatePath, find_template},
};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, instant_ms},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use chrono::DateTime;
use muster_contract::{
    error::ErrorBody,
    template::Capability,
    traffic::{Guess, LeftOut, TemplateProposal, UnmodeledReport, UnmodeledValue},
};
use muster_engine::templates as engine;
use muster_model::{
    DeviceId, Permission, TemplateId,
    telemetry::{Layout, Restored, restore},
    template::{Heard, Template, infer, unknown_values},
};
use muster_store::{MAX_PAGE, devices, telemetry, templates, twins};

/// How far back it is looked where nobody says.
const DEFAULT_SPAN_MS: i64 = 3_600_000;

/// The routes of live traffic.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/devices/{deviceId}/templateProposal").get(propose_template))
        .service(web::resource("/devices/{deviceId}/unmodeled").get(list_unmodeled_of_device))
        .service(web::resource("/deviceTemplates/{deviceTemplateId}/unmodeled").get(list_unmodeled_of_template));
}

/// A template guessed from a device's newest messages and properties
///
/// Nothing is changed: `PUT` its document as a device template, and give it to the device.
#[utoipa::path(get, path = "/api/devices/{deviceId}/templateProposal", tag = "deviceTemplates",
    responses((status = 200, body = TemplateProposal), (status = "default", body = ErrorBody)))]
pub(crate) async fn propose_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
) -> Result<Json<TemplateProposal>, ApiError> {
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    caller.require(Permission::DevicesRawData)?;
    caller.require(Permission::TemplatesView)?;
    let template = find_template(&tx, &caller, device.template.as_ref()).await?;
    let stored = telemetry::raw(&tx, &caller.scope, device.key, i64::MAX, MAX_PAGE).await?;
    let twin = twins::get(&tx, &caller.scope, device.key).await?;
    let layout = template.as_ref().map_or_else(Layout::untyped, Layout::of);
    let messages: Vec<Restored> = stored.iter().map(|message| again(&layout, message)).collect();
    let id = match &template {
        Some(template) => template.id.clone(),
        None => proposed_id(&device.id)?,
    };
    let heard = Heard { messages: &messages, reported: &twin.reported, desired: &twin.desired };
    let proposal = infer(&id, &device.display_name, template.as_ref(), &heard);
    let guesses = proposal.guesses.into_iter().map(|guess| Guess {
        key: guess.key,
        kind: guess.kind.to_owned(),
        schema: guess.schema,
        semantic_type: guess.semantic_type.map(str::to_owned),
        unit: guess.unit.map(str::to_owned),
        count: saturated(guess.count),
        examples: guess.examples,
        mixed: guess.mixed,
    });
    let left_out = proposal.left_out.into_iter().map(|left| LeftOut { key: left.key, reason: left.reason });
    Ok(Json(TemplateProposal {
        document: proposal.document,
        guesses: guesses.collect(),
        left_out: left_out.collect(),
        messages: saturated(proposal.messages),
    }))
}

/// An id by the device's own; a person may change it before it is saved.
fn proposed_id(device: &DeviceId) -> Result<TemplateId, ApiError> {
    const MAX_LETTERS: usize = 48;
    let letters = device.as_str().chars().take(MAX_LETTERS);
    let name: String = letters.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let id = format!("dtmi:inferred:d_{};1", name.trim_end_matches('_'));
    TemplateId::parse(id.replace("_;", ";")).map_err(|error| ApiError::malformed("badId", error.to_string()))
}

/// What a device sent that its template does not know
#[utoipa::path(get, path = "/api/devices/{deviceId}/unmodeled", tag = "telemetry",
    params(("since" = Option<String>, Query, description = "RFC 3339 or milliseconds since 1970; an hour ago")),
    responses((status = 200, body = UnmodeledReport), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_unmodeled_of_device(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<DevicePath>,
    filters: Filters,
) -> Result<Json<UnmodeledReport>, ApiError> {
    let since_ms = since(&api, &filters)?;
    let tx = api.read(&caller).await?;
    let device = devices::get(&tx, &caller.scope, &path.device_id).await?;
    caller.require(Permission::DevicesRawData)?;
    let template = find_template(&tx, &caller, device.template.as_ref()).await?;
    let mut stored = telemetry::raw(&tx, &caller.scope, device.key, i64::MAX, MAX_PAGE).await?;
    let complete = stored.len() < MAX_PAGE as usize;
    stored.retain(|message| message.ts_ms >= since_ms);
    let stored = stored.into_iter().map(|message| (device.id.clone(), message)).collect();
    Ok(Json(report(template.as_ref(), since_ms, complete, stored)))
}

/// What the devices of a template sent that it does not know
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/unmodeled", tag = "deviceTemplates",
    params(("since" = Option<String>, Query, description = "RFC 3339 or milliseconds since 1970; an hour ago")),
    responses((status = 200, body = UnmodeledReport), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_unmodeled_of_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    filters: Filters,
) -> Result<Json<UnmodeledReport>, ApiError> {
    let since_ms = since(&api, &filters)?;
    let tx = api.read(&caller).await?;
    let template = engine::load(templates::get(&tx, &caller.scope, &path.device_template_id).await?)?;
    caller.require(Permission::TemplatesView)?;
    caller.require(Permission::DevicesRawData)?;
    let stored = telemetry::raw_of_template(&tx, &caller.scope, &template.id, since_ms, MAX_PAGE).await?;
    let complete = stored.len() < MAX_PAGE as usize;
    Ok(Json(report(Some(&template), since_ms, complete, stored)))
}

fn since(api: &Api, filters: &Filters) -> Result<i64, ApiError> {
    let asked = instant_ms(filters, "since")?;
    Ok(asked.unwrap_or_else(|| api.engine().clock().now_ms() - DEFAULT_SPAN_MS))
}

fn report(
    template: Option<&Template>,
    since_ms: i64,
    complete: bool,
    stored: Vec<(DeviceId, telemetry::RawMessage)>,
) -> UnmodeledReport {
    let layout = template.map_or_else(Layout::untyped, Layout::of);
    let messages: Vec<_> =
        stored.into_iter().map(|(device, message)| (device, message.ts_ms, again(&layout, &message))).collect();
    let unknown =
        unknown_values(template, messages.iter().map(|(device, at_ms, message)| (device.as_str(), *at_ms, message)));
    let word = |key: &str| template?.capability(key).map(|known| Capability::from(known).schema);
    let values = unknown.into_iter().map(|one| UnmodeledValue {
        expected: one.expected.as_deref().and_then(word),
        key: one.key,
        seen: one.seen.to_owned(),
        count: one.count,
        devices: saturated(one.devices),
        last_value: one.last_value,
        last_time: time(one.last_ms),
    });
    UnmodeledReport { since: time(since_ms), messages: saturated(messages.len()), complete, values: values.collect() }
}

fn again(layout: &Layout, message: &telemetry::RawMessage) -> Restored {
    let extra = message.extra.as_ref().and_then(|extra| extra.as_object());
    restore(layout, &message.keys, &message.vals, extra)
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn time(ms: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_id_makes_an_id() {
        let long = "x".repeat(128);
        for device in ["pump-7", "7", "a#b?c%d,e", "___", "-", &long] {
            let id = proposed_id(&DeviceId::parse(device).unwrap()).unwrap();
            assert!(id.as_str().starts_with("dtmi:inferred:d"), "{id}");
        }
    }
}

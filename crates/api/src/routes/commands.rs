//! `/devices/{deviceId}/commands/{commandName}`, of the device and of its components

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Object, Paged},
};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    command::{CommandInput, DeviceCommand},
    error::ErrorBody,
    page::Page,
};
use muster_engine::commands::{self as engine, Ask, RESPONSE_SECONDS};
use muster_model::{Caller, DeviceId};
use serde::Deserialize;

/// The routes of commands.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let own = web::resource("/devices/{deviceId}/commands/{commandName}");
    let of_component = web::resource("/devices/{deviceId}/components/{componentName}/commands/{commandName}");
    service
        .service(own.get(list_command_runs).post(run_command))
        .service(of_component.get(list_component_command_runs).post(run_component_command));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandPath {
    device_id: DeviceId,
    #[serde(default)]
    component_name: Option<String>,
    command_name: String,
}

/// Run a command of a device
///
/// The request must fit the template. A command that may wait for its device is queued for a day; others answer when the
/// device does.
#[utoipa::path(post, path = "/api/devices/{deviceId}/commands/{commandName}", tag = "devices",
    request_body = CommandInput,
    responses((status = 201, body = DeviceCommand), (status = "default", body = ErrorBody)))]
pub(crate) async fn run_command(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<CommandPath>,
    body: Json<Object<CommandInput>>,
) -> Result<HttpResponse, ApiError> {
    run(&api, &caller, &path, body.into_inner().0).await
}

/// Run a command of a component
#[utoipa::path(post, path = "/api/devices/{deviceId}/components/{componentName}/commands/{commandName}", tag = "devices",
    request_body = CommandInput,
    responses((status = 201, body = DeviceCommand), (status = "default", body = ErrorBody)))]
pub(crate) async fn run_component_command(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<CommandPath>,
    body: Json<Object<CommandInput>>,
) -> Result<HttpResponse, ApiError> {
    run(&api, &caller, &path, body.into_inner().0).await
}

/// The runs of a command, newest first; the last 100 are kept
#[utoipa::path(get, path = "/api/devices/{deviceId}/commands/{commandName}", tag = "devices",
    responses((status = 200, body = Page<DeviceCommand>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_command_runs(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<CommandPath>,
    paged: Paged,
) -> Result<Json<Page<DeviceCommand>>, ApiError> {
    history(&api, &caller, &path, &paged).await
}

/// The runs of a component's command, newest first; the last 100 are kept
#[utoipa::path(get, path = "/api/devices/{deviceId}/components/{componentName}/commands/{commandName}", tag = "devices",
    responses((status = 200, body = Page<DeviceCommand>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_component_command_runs(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<CommandPath>,
    paged: Paged,
) -> Result<Json<Page<DeviceCommand>>, ApiError> {
    history(&api, &caller, &path, &paged).await
}

async fn run(api: &Api, caller: &Caller, path: &CommandPath, body: CommandInput) -> Result<HttpResponse, ApiError> {
    let ask = Ask {
        device: &path.device_id,
        component: path.component_name.as_deref(),
        name: &path.command_name,
        request: body.request.as_ref(),
        connect_seconds: body.connection_timeout.unwrap_or(0),
        response_seconds: body.response_timeout.unwrap_or(*RESPONSE_SECONDS.end()),
    };
    let run = engine::run(api.engine(), caller, ask).await?;
    Ok(HttpResponse::Created().json(DeviceCommand::from(run)))
}

async fn history(
    api: &Api,
    caller: &Caller,
    path: &CommandPath,
    paged: &Paged,
) -> Result<Json<Page<DeviceCommand>>, ApiError> {
    let of = (&path.device_id, path.component_name.as_deref(), path.command_name.as_str());
    let page = engine::history(api.engine(), caller, of, paged.after()?).await?;
    Ok(Json(paged.page(page, |run| run.id, DeviceCommand::from)))
}

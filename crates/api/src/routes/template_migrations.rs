//! `/deviceTemplates/{id}/migrate` and `/deviceTemplates/{id}/migrations` (ours)

use super::templates::TemplatePath;
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
    error::ErrorBody,
    page::Page,
    template_life::{MigratedDevice, Migration, MigrationProgress, NewMigration},
};
use muster_engine::{jobs::Progress, templates::migration as engine};
use muster_model::{
    JobId, TemplateId,
    job::{DeviceOutcome, Work},
};
use muster_store::jobs::JobDevice;
use serde::Deserialize;
use serde_json::Value;

/// The routes of moves of devices.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let at = |part: &str| web::resource(format!("/deviceTemplates/{{deviceTemplateId}}/{part}"));
    service
        .service(at("migrate").post(migrate_devices))
        .service(at("migrations").get(list_migrations))
        .service(at("migrations/{migrationId}").get(get_migration))
        .service(at("migrations/{migrationId}/devices").get(list_migrated_devices))
        .service(at("migrations/{migrationId}/cancel").post(cancel_migration))
        .service(at("migrations/{migrationId}/undo").post(undo_migration));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationPath {
    device_template_id: TemplateId,
    migration_id: JobId,
}

/// Move devices to another template
///
/// All of the template, or those that are named. It goes on in the background; the migration tells how far it is.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/migrate", tag = "deviceTemplates",
    request_body = NewMigration,
    responses((status = 202, body = Migration), (status = "default", body = ErrorBody)))]
pub(crate) async fn migrate_devices(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    body: Json<Object<NewMigration>>,
) -> Result<HttpResponse, ApiError> {
    let Object(NewMigration { to, devices }) = body.into_inner();
    let made = engine::migrate(api.engine(), &caller, (&path.device_template_id, &to), devices).await?;
    Ok(HttpResponse::Accepted().json(wire(made)))
}

/// The moves of devices from and to a template in the last 30 days, newest first
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/migrations", tag = "deviceTemplates",
    responses((status = 200, body = Page<Migration>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_migrations(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<Page<Migration>>, ApiError> {
    let found = engine::list(api.engine(), &caller, &path.device_template_id).await?;
    Ok(Json(Page::whole(found.into_iter().map(wire).collect())))
}

/// How far a move of devices is
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/migrations/{migrationId}", tag = "deviceTemplates",
    responses((status = 200, body = Migration), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_migration(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<MigrationPath>,
) -> Result<Json<Migration>, ApiError> {
    let found = engine::get(api.engine(), &caller, &path.device_template_id, &path.migration_id).await?;
    Ok(Json(wire(found)))
}

/// What became of each device of a move
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/migrations/{migrationId}/devices",
    tag = "deviceTemplates",
    responses((status = 200, body = Page<MigratedDevice>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_migrated_devices(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<MigrationPath>,
    paged: Paged,
) -> Result<Json<Page<MigratedDevice>>, ApiError> {
    let migration = (&path.device_template_id, &path.migration_id);
    let page = engine::report(api.engine(), &caller, migration, paged.after()?).await?;
    Ok(Json(paged.page(page, |device| device.device.clone(), wire_device)))
}

/// End a move of devices: those whose turn has not come stay
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/migrations/{migrationId}/cancel",
    tag = "deviceTemplates",
    responses((status = 200, body = Migration), (status = "default", body = ErrorBody)))]
pub(crate) async fn cancel_migration(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<MigrationPath>,
) -> Result<Json<Migration>, ApiError> {
    let ended = engine::cancel(api.engine(), &caller, &path.device_template_id, &path.migration_id).await?;
    Ok(Json(wire(ended)))
}

/// Move the devices of a migration back
///
/// A migration of its own the other way; a device that has got another template since then stays.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/migrations/{migrationId}/undo",
    tag = "deviceTemplates",
    responses((status = 202, body = Migration), (status = "default", body = ErrorBody)))]
pub(crate) async fn undo_migration(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<MigrationPath>,
) -> Result<HttpResponse, ApiError> {
    let back = engine::undo(api.engine(), &caller, &path.device_template_id, &path.migration_id).await?;
    Ok(HttpResponse::Accepted().json(wire(back)))
}

fn wire(Progress { job, counts }: Progress) -> Migration {
    let count = |outcome: DeviceOutcome| counts.get(&outcome).copied().unwrap_or_default();
    let (from, to, undoes) = match job.order.work {
        Work::MigrateTemplate { from, to, undoes } => (Some(from), Some(to), undoes),
        Work::UpdateTwin { .. } | Work::Method { .. } => (None, None, None),
    };
    Migration {
        id: job.id,
        from,
        to,
        status: job.status.to_string(),
        failure: job.failure,
        progress: MigrationProgress {
            total: counts.values().sum(),
            pending: count(DeviceOutcome::Pending) + count(DeviceOutcome::Running),
            completed: count(DeviceOutcome::Completed),
            failed: count(DeviceOutcome::Failed) + count(DeviceOutcome::Canceled),
        },
        undoes,
        created_at: job.created_at,
        ended_at: job.ended_at,
    }
}

fn wire_device(device: JobDevice) -> MigratedDevice {
    let result = device.result.unwrap_or_default();
    let list = |name: &str| {
        let items = result.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    MigratedDevice {
        device: device.device,
        status: device.outcome.name().to_owned(),
        telemetry: list("telemetry"),
        properties: list("properties"),
        error: result.get("description").and_then(Value::as_str).map(str::to_owned),
    }
}

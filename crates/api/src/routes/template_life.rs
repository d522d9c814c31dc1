//! `/deviceTemplates/{id}/draft`, `/publish`, `/versions` and `/impact` (ours)

use super::templates::{TemplatePath, etag_of, text};
use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Filters, IfMatchHeader},
};
use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    error::ErrorBody,
    page::Page,
    template::DeviceTemplate,
    template_life::{ImpactedChange, Publication, TemplateImpact, TemplateUse, TemplateVersion},
};
use muster_engine::templates::{self as engine, Impact, Lifecycle, Proposal, Version, VersionFrom};
use muster_model::template::Change;

/// The routes of drafts and versions.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let at = |part: &str| web::resource(format!("/deviceTemplates/{{deviceTemplateId}}/{part}"));
    let draft = at("draft").get(get_template_draft).put(put_template_draft).delete(delete_template_draft);
    service
        .service(draft)
        .service(at("publish").post(publish_template))
        .service(at("versions").get(list_template_versions).post(create_template_version))
        .service(at("impact").get(get_template_impact).post(assess_template_impact));
}

/// The draft of a device template
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/draft", tag = "deviceTemplates",
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_template_draft(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let draft = engine::draft(api.engine(), &caller, &path.device_template_id).await?;
    Ok(Json(DeviceTemplate::from(&draft)))
}

/// Save a draft, which no device sees
///
/// The body is as for `PUT` of the template. A template that does not exist yet is made, and is not published.
#[utoipa::path(put, path = "/api/deviceTemplates/{deviceTemplateId}/draft", tag = "deviceTemplates",
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_template_draft(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
    body: Bytes,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let text = text(&body)?;
    let condition = condition.or_body(etag_of(text).as_deref());
    let draft = engine::save_draft(api.engine(), &caller, &path.device_template_id, text, &condition).await?;
    Ok(Json(DeviceTemplate::from(&draft)))
}

/// Throw the draft of a published device template away
#[utoipa::path(delete, path = "/api/deviceTemplates/{deviceTemplateId}/draft", tag = "deviceTemplates",
    responses((status = 204, description = "discarded"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_template_draft(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
) -> Result<HttpResponse, ApiError> {
    engine::discard_draft(api.engine(), &caller, &path.device_template_id, &condition.or_body(None)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Publish the draft of a device template
///
/// 409 with what would break, where it is more than an addition to what is published.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/publish", tag = "deviceTemplates",
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn publish_template(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    condition: IfMatchHeader,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let id = &path.device_template_id;
    let template = engine::publish(api.engine(), &caller, id, &condition.or_body(None)).await?;
    Ok(Json(DeviceTemplate::from(&template)))
}

/// Every version of a device template, newest first
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/versions", tag = "deviceTemplates",
    responses((status = 200, body = Page<TemplateVersion>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_template_versions(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<Page<TemplateVersion>>, ApiError> {
    let versions = engine::versions(api.engine(), &caller, &path.device_template_id).await?;
    Ok(Json(Page::whole(versions.into_iter().map(wire_version).collect())))
}

/// Make the next version of a device template
///
/// The body is as for `PUT` of the template; without one it is made from the draft, or from what is published. It is a
/// template of its own with the next `;n`, to which nothing is attached; interfaces that differ get the next `;n` too.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/versions", tag = "deviceTemplates",
    params(("publish" = Option<bool>, Query, description = "`false`: it begins as a draft")),
    request_body(content = Option<Object>, content_type = "application/json"),
    responses((status = 200, body = DeviceTemplate), (status = "default", body = ErrorBody)))]
pub(crate) async fn create_template_version(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    filters: Filters,
    body: Bytes,
) -> Result<Json<DeviceTemplate>, ApiError> {
    let from = match text(&body)? {
        "" => VersionFrom::Draft,
        text => VersionFrom::Text(text),
    };
    let lifecycle = match filters.get("publish")? {
        Some(false) => Lifecycle::Draft,
        Some(true) | None => Lifecycle::Published,
    };
    let made = engine::new_version(api.engine(), &caller, &path.device_template_id, from, lifecycle).await?;
    Ok(Json(DeviceTemplate::from(&made)))
}

/// What a delete of a device template would do
#[utoipa::path(get, path = "/api/deviceTemplates/{deviceTemplateId}/impact", tag = "deviceTemplates",
    responses((status = 200, body = TemplateImpact), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_template_impact(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
) -> Result<Json<TemplateImpact>, ApiError> {
    Ok(Json(wire(engine::delete_impact(api.engine(), &caller, &path.device_template_id).await?)))
}

/// What a new document of a device template would change, and what uses it
///
/// The body is as for `PUT` of the template; without one it is about the draft. Nothing is changed by it.
#[utoipa::path(post, path = "/api/deviceTemplates/{deviceTemplateId}/impact", tag = "deviceTemplates",
    request_body(content = Option<Object>, content_type = "application/json"),
    responses((status = 200, body = TemplateImpact), (status = "default", body = ErrorBody)))]
pub(crate) async fn assess_template_impact(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<TemplatePath>,
    body: Bytes,
) -> Result<Json<TemplateImpact>, ApiError> {
    let proposal = match text(&body)? {
        "" => Proposal::Draft,
        text => Proposal::Text(text),
    };
    Ok(Json(wire(engine::impact(api.engine(), &caller, &path.device_template_id, proposal).await?)))
}

fn wire(impact: Impact) -> TemplateImpact {
    let Impact { changes, uses, newer } = impact;
    let hit = |change: &Change, path: &str| !change.path.is_empty() && change.concerns(path);
    let in_use = !uses.is_empty();
    let devices = uses.devices;
    let uses: Vec<TemplateUse> = uses
        .referrers
        .into_iter()
        .map(|(referrer, paths)| TemplateUse {
            kind: referrer.kind,
            id: referrer.id,
            display_name: referrer.name,
            broken: paths.iter().any(|path| changes.iter().any(|change| change.breaking && hit(change, path))),
            capabilities: paths.into_iter().collect(),
        })
        .collect();
    let used_by = |change: &Change| {
        let named = uses.iter().filter_map(|one| {
            let capabilities: Vec<_> = one.capabilities.iter().filter(|path| hit(change, path)).cloned().collect();
            let broken = change.breaking;
            (!capabilities.is_empty()).then(|| TemplateUse { capabilities, broken, ..one.clone() })
        });
        named.collect()
    };
    TemplateImpact {
        breaking: changes.iter().any(|change| change.breaking),
        changes: changes
            .iter()
            .map(|change| ImpactedChange { change: change.clone(), used_by: used_by(change) })
            .collect(),
        in_use,
        devices,
        uses,
        newer,
    }
}

fn wire_version(version: Version) -> TemplateVersion {
    let publications = version.publications.into_iter().map(|publication| Publication {
        etag: engine::etag(publication.version),
        published_at: publication.published_at,
        published_by: publication.published_by,
        changes: publication.changes,
    });
    TemplateVersion {
        number: version.template.id.number(),
        id: version.template.id,
        display_name: version.template.display_name,
        published: version.template.published,
        draft: version.template.draft,
        devices: version.devices,
        publications: publications.collect(),
    }
}

//! `/enrollmentGroups`

use crate::{
    app::Api,
    error::ApiError,
    extract::{Authenticated, Paged},
};
use actix_web::web::{self, Data, Json, Path, ServiceConfig};
use muster_contract::{
    enrollment::{EnrollmentGroup, EnrollmentGroupType, GroupAttestation},
    error::ErrorBody,
    page::Page,
};
use muster_engine::enrollment as engine;
use muster_model::EnrollmentGroupId;
use muster_store::enrollment::EnrollmentKind;
use serde::Deserialize;

/// The routes of enrollment groups.
pub(crate) fn configure(service: &mut ServiceConfig) {
    service
        .service(web::resource("/enrollmentGroups").get(list_enrollment_groups))
        .service(web::resource("/enrollmentGroups/{enrollmentGroupId}").get(get_enrollment_group));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupPath {
    enrollment_group_id: EnrollmentGroupId,
}

/// The tenant's enrollment groups with their keys, in the order of their ids
#[utoipa::path(get, path = "/api/enrollmentGroups", tag = "enrollmentGroups",
    responses((status = 200, body = Page<EnrollmentGroup>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_enrollment_groups(
    api: Data<Api>,
    caller: Authenticated,
    paged: Paged,
) -> Result<Json<Page<EnrollmentGroup>>, ApiError> {
    let page = engine::list(api.engine(), &caller, paged.after()?).await?;
    Ok(Json(paged.page(page, |group| group.id.clone(), wire)))
}

/// An enrollment group with its keys
#[utoipa::path(get, path = "/api/enrollmentGroups/{enrollmentGroupId}", tag = "enrollmentGroups",
    responses((status = 200, body = EnrollmentGroup), (status = "default", body = ErrorBody)))]
pub(crate) async fn get_enrollment_group(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<GroupPath>,
) -> Result<Json<EnrollmentGroup>, ApiError> {
    Ok(Json(wire(engine::get(api.engine(), &caller, &path.enrollment_group_id).await?)))
}

fn wire(group: engine::Group) -> EnrollmentGroup {
    EnrollmentGroup {
        id: group.id,
        etag: format!("{:x}", group.version),
        display_name: group.display_name,
        enabled: group.enabled,
        kind: match group.kind {
            EnrollmentKind::Iot => EnrollmentGroupType::Iot,
            EnrollmentKind::IotEdge => EnrollmentGroupType::IotEdge,
        },
        attestation: match group.keys {
            Some(symmetric_key) => GroupAttestation::SymmetricKey { symmetric_key },
            None => GroupAttestation::X509 {},
        },
        id_scope: group.id_scope,
    }
}

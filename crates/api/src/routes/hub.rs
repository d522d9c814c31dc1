//! `/policies` and `/certificateAuthorities` (ours)

use crate::{app::Api, error::ApiError, extract::Authenticated};
use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use muster_contract::{
    error::ErrorBody,
    hub::{CertificateAuthority, CertificateAuthorityInput, CertificateProof, HubPolicy, KeyChoice, KeyName},
    page::Page,
};
use muster_engine::{
    EngineError,
    authorities::{self, Verification},
    policies::{self, KeySlot, Policy},
};
use muster_model::{AuthorityId, Caller, device::SymmetricKeys};
use muster_store::authorities::Authority;
use serde::Deserialize;

/// The routes of the hub's policies and authorities.
pub(crate) fn configure(service: &mut ServiceConfig) {
    let authority = web::resource("/certificateAuthorities/{authorityId}").put(put_certificate_authority);
    let code = web::resource("/certificateAuthorities/{authorityId}/generateVerificationCode");
    let verify = web::resource("/certificateAuthorities/{authorityId}/verify");
    service
        .service(web::resource("/policies").get(list_policies))
        .service(web::resource("/policies/{policyName}/regenerateKey").post(regenerate_policy_key))
        .service(web::resource("/certificateAuthorities").get(list_certificate_authorities))
        .service(authority.delete(delete_certificate_authority))
        .service(code.post(generate_verification_code))
        .service(verify.post(verify_certificate_authority));
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthorityPath {
    authority_id: AuthorityId,
}

/// The hub's policies with their keys and connection strings
#[utoipa::path(get, path = "/api/policies", tag = "hub",
    responses((status = 200, body = Page<HubPolicy>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_policies(api: Data<Api>, caller: Authenticated) -> Result<Json<Page<HubPolicy>>, ApiError> {
    let keys = policies::keys(api.engine(), &caller).await?;
    let policies = keys.into_iter().map(|(policy, keys)| described(&api, &caller, policy, keys));
    Ok(Json(Page::whole(policies.collect())))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyPath {
    policy_name: String,
}

/// Replace one key of a policy; whoever stands on the old one is cut off
#[utoipa::path(post, path = "/api/policies/{policyName}/regenerateKey", tag = "hub", request_body = KeyChoice,
    responses((status = 200, body = HubPolicy), (status = "default", body = ErrorBody)))]
pub(crate) async fn regenerate_policy_key(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<PolicyPath>,
    body: Json<KeyChoice>,
) -> Result<Json<HubPolicy>, ApiError> {
    let name = path.into_inner().policy_name;
    let policy = Policy::from_name(&name).ok_or_else(|| EngineError::not_found("policy", name))?;
    let slot = match body.key {
        KeyName::Primary => KeySlot::Primary,
        KeyName::Secondary => KeySlot::Secondary,
    };
    let keys = policies::regenerate(api.engine(), &caller, policy, slot).await?;
    Ok(Json(described(&api, &caller, policy, keys)))
}

fn described(api: &Api, caller: &Caller, policy: Policy, keys: SymmetricKeys) -> HubPolicy {
    HubPolicy {
        name: policy.name().to_owned(),
        connection_string: policies::connection_string(api.engine(), &caller.tenant, policy, &keys.primary_key),
        primary_key: keys.primary_key,
        secondary_key: keys.secondary_key,
    }
}

/// The certificate authorities whose devices are let in
#[utoipa::path(get, path = "/api/certificateAuthorities", tag = "hub",
    responses((status = 200, body = Page<CertificateAuthority>), (status = "default", body = ErrorBody)))]
pub(crate) async fn list_certificate_authorities(
    api: Data<Api>,
    caller: Authenticated,
) -> Result<Json<Page<CertificateAuthority>>, ApiError> {
    let authorities = authorities::list(api.engine(), &caller).await?;
    Ok(Json(Page::whole(authorities.into_iter().map(wire).collect())))
}

/// Upload a certificate authority
#[utoipa::path(put, path = "/api/certificateAuthorities/{authorityId}", tag = "hub",
    request_body = CertificateAuthorityInput,
    responses((status = 200, body = CertificateAuthority), (status = "default", body = ErrorBody)))]
pub(crate) async fn put_certificate_authority(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AuthorityPath>,
    body: Json<CertificateAuthorityInput>,
) -> Result<Json<CertificateAuthority>, ApiError> {
    let verification = if body.verified { Verification::OnUpload } else { Verification::Pending };
    let id = path.into_inner().authority_id;
    Ok(Json(wire(authorities::upload(api.engine(), &caller, id, &body.certificate, verification).await?)))
}

/// Remove a certificate authority; its devices are no longer let in
#[utoipa::path(delete, path = "/api/certificateAuthorities/{authorityId}", tag = "hub",
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub(crate) async fn delete_certificate_authority(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AuthorityPath>,
) -> Result<HttpResponse, ApiError> {
    authorities::delete(api.engine(), &caller, &path.authority_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ask for a code that a certificate must prove the possession of the key with
#[utoipa::path(post, path = "/api/certificateAuthorities/{authorityId}/generateVerificationCode", tag = "hub",
    responses((status = 200, body = CertificateAuthority), (status = "default", body = ErrorBody)))]
pub(crate) async fn generate_verification_code(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AuthorityPath>,
) -> Result<Json<CertificateAuthority>, ApiError> {
    Ok(Json(wire(authorities::verification_code(api.engine(), &caller, &path.authority_id).await?)))
}

/// Prove the possession of a certificate authority's key
#[utoipa::path(post, path = "/api/certificateAuthorities/{authorityId}/verify", tag = "hub",
    request_body = CertificateProof,
    responses((status = 200, body = CertificateAuthority), (status = "default", body = ErrorBody)))]
pub(crate) async fn verify_certificate_authority(
    api: Data<Api>,
    caller: Authenticated,
    path: Path<AuthorityPath>,
    body: Json<CertificateProof>,
) -> Result<Json<CertificateAuthority>, ApiError> {
    Ok(Json(wire(authorities::verify(api.engine(), &caller, &path.authority_id, &body.certificate).await?)))
}

fn wire(authority: Authority) -> CertificateAuthority {
    let about = authorities::about(&authority);
    CertificateAuthority {
        id: authority.id,
        etag: format!("{:x}", authority.version),
        verified: authority.verified,
        verification_code: authority.verification_code,
        thumbprint: about.thumbprint,
        common_name: about.common_name,
        expiry: about.expiry,
    }
}

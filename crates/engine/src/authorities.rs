//! Certificate authorities of a tenant: devices whose certificates lead to a verified one are let in.
//!
//! Verified means that the tenant has shown to have the authority's key: by a certificate for a code of ours, signed
//! with it. Whoever may manage the tenant's connectivity may also vouch for it on upload.

use crate::{
    Engine, EngineError, Problem,
    audit::{self, Entry},
    notices::NoticeKind,
    secrets::random_bytes,
    x509,
};
use chrono::{DateTime, Utc};
use muster_model::{AuthorityId, Caller, Permission, Scope};
use muster_store::{
    MAX_PAGE, Paging,
    authorities::{self, Authority},
};
use serde_json::{Map, json};

/// Authorities that a tenant may have.
const MAX_AUTHORITIES: u32 = MAX_PAGE;

/// Whether a new authority is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// The uploader vouches for it.
    OnUpload,
    /// A proof is still to come.
    Pending,
}

/// The tenant's authorities in the order of their ids.
///
/// # Errors
/// [`EngineError::Denied`].
pub async fn list(engine: &Engine, caller: &Caller) -> Result<Vec<Authority>, EngineError> {
    caller.require(Permission::ConnectivityView)?;
    let tx = engine.store().begin_read(&caller.scope).await?;
    Ok(authorities::list(&tx, &caller.scope, Paging::first(MAX_AUTHORITIES)).await?.items)
}

/// Keeps an authority's certificate, given as PEM or base64.
///
/// # Errors
/// [`EngineError::Denied`], [`EngineError::Conflict`] where the id is taken, [`EngineError::Invalid`] for what is no
/// certificate of an authority that is valid now.
pub async fn upload(
    engine: &Engine,
    caller: &Caller,
    id: AuthorityId,
    certificate: &str,
    verification: Verification,
) -> Result<Authority, EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let certificate = x509::read(certificate).ok_or_else(|| invalid("this is no X.509 certificate"))?;
    if !x509::is_authority(&certificate) {
        return Err(invalid("the certificate is not that of an authority (CA:TRUE)"));
    }
    let now = engine.clock().now();
    if x509::validity(&certificate).is_none_or(|(_, until)| until < now) {
        return Err(invalid("the certificate has expired"));
    }
    let verified = verification == Verification::OnUpload;
    let tx = engine.store().begin(&caller.scope).await?;
    let others = authorities::list(&tx, &caller.scope, Paging::first(MAX_AUTHORITIES)).await?;
    if others.items.len() >= MAX_AUTHORITIES as usize {
        return Err(EngineError::conflict("certificate authority", &id, "is one too many"));
    }
    let authority = Authority { id, certificate, verified, verification_code: None, created_at: now, version: 1 };
    authorities::insert(&tx, &caller.scope, &authority).await?;
    let details = Map::from_iter([
        ("thumbprint".to_owned(), json!(x509::thumbprint(&authority.certificate))),
        ("verified".to_owned(), json!(verified)),
    ]);
    let entry = Entry::new("created", "certificateAuthority", &authority.id).with(details);
    audit::record(&tx, engine, caller, entry).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Tenant, &authority.id).await;
    Ok(authority)
}

/// The code that a proof must carry as its common name; a code given before is no longer good.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn verification_code(engine: &Engine, caller: &Caller, id: &AuthorityId) -> Result<Authority, EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let code: String = random_bytes::<24>()?.iter().map(|byte| format!("{byte:02X}")).collect();
    let tx = engine.store().begin(&caller.scope).await?;
    let mut authority = authorities::get(&tx, &caller.scope, id).await?;
    authority.verification_code = Some(code);
    authority.version = authorities::update(&tx, &caller.scope, &authority).await?;
    tx.commit().await?;
    Ok(authority)
}

/// Takes a certificate for the code, signed with the authority's key, as the proof that the tenant has that key.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`], [`EngineError::Invalid`] where it proves nothing.
pub async fn verify(engine: &Engine, caller: &Caller, id: &AuthorityId, proof: &str) -> Result<Authority, EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let proof = x509::read(proof).ok_or_else(|| invalid("this is no X.509 certificate"))?;
    let tx = engine.store().begin(&caller.scope).await?;
    let mut authority = authorities::get(&tx, &caller.scope, id).await?;
    if authority.verification_code.is_none() || x509::common_name(&proof) != authority.verification_code {
        return Err(invalid("the certificate's common name is not the verification code"));
    }
    if !x509::is_signed_by(&proof, &authority.certificate) {
        return Err(invalid("the certificate is not signed by the authority"));
    }
    authority.verified = true;
    authority.verification_code = None;
    authority.version = authorities::update(&tx, &caller.scope, &authority).await?;
    audit::record(&tx, engine, caller, Entry::new("verified", "certificateAuthority", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Tenant, id).await;
    Ok(authority)
}

/// Removes an authority; devices that rely on it are not let in any more.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn delete(engine: &Engine, caller: &Caller, id: &AuthorityId) -> Result<(), EngineError> {
    caller.require(Permission::ConnectivityManage)?;
    let tx = engine.store().begin(&caller.scope).await?;
    authorities::delete(&tx, &caller.scope, id).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "certificateAuthority", id)).await?;
    tx.commit().await?;
    engine.notify(caller.scope.tenant, NoticeKind::Tenant, id).await;
    Ok(())
}

/// What an authority's certificate says.
#[derive(Debug, Clone)]
pub struct About {
    /// Its SHA-256, in hex.
    pub thumbprint: String,
    /// Whom it names.
    pub common_name: Option<String>,
    /// When it expires.
    pub expiry: Option<DateTime<Utc>>,
}

/// What the authority's certificate says.
pub fn about(authority: &Authority) -> About {
    About {
        thumbprint: x509::thumbprint(&authority.certificate),
        common_name: x509::common_name(&authority.certificate),
        expiry: x509::validity(&authority.certificate).map(|(_, until)| until),
    }
}

/// The SHA-256 of a certificate in DER, in hex, as devices are known by.
pub fn thumbprint(certificate: &[u8]) -> String {
    x509::thumbprint(certificate)
}

/// The certificates of the tenant's verified authorities.
pub(crate) async fn verified(engine: &Engine, scope: &Scope) -> Result<Vec<Vec<u8>>, EngineError> {
    let tx = engine.store().begin_read(scope).await?;
    let page = authorities::list(&tx, scope, Paging::first(MAX_AUTHORITIES)).await?;
    Ok(page.items.into_iter().filter(|one| one.verified).map(|one| one.certificate).collect())
}

fn invalid(message: &str) -> EngineError {
    Problem::at("certificate", "/certificate", message).into()
}

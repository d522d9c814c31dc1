//! Which device may write which blob, and until when.

use crate::{Engine, EngineError, hub_auth::DeviceSession, secrets::symmetric_key};
use muster_model::{
    DeviceId, FileName, Scope, SystemScope, TenantId, TenantKey, UploadId,
    files::{GRANT, MAX_ACTIVE_UPLOADS},
    wire::blob::{self, Claim},
};
use muster_store::{
    StoreError,
    files::{self, Notice, Upload},
    secrets, tenants,
};
use uuid::Uuid;

use super::BlobError;

/// No other address of the hub begins so.
const CONTAINER_PREFIX: &str = "files-";

/// What a device needs to write one blob.
#[derive(Clone)]
pub struct Grant {
    /// By which the upload is finished.
    pub correlation_id: UploadId,
    /// The first part of the blob's path.
    pub container: String,
    /// The rest of it.
    pub blob: String,
    /// The signature as a query, with its `?`.
    pub sas: String,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("correlation_id", &self.correlation_id).finish_non_exhaustive()
    }
}

/// Why an upload is not granted.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The device has as many open ones as it may.
    #[error("the device has {MAX_ACTIVE_UPLOADS} uploads that are not finished")]
    TooMany,
    /// As with every use case.
    #[error(transparent)]
    Refused(#[from] EngineError),
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// Where a tenant's blobs are, as their addresses have it.
pub fn container(tenant: &TenantId) -> String {
    format!("{CONTAINER_PREFIX}{tenant}")
}

/// Lets the session's device write a file of this name, for an hour. One that stands is replaced.
///
/// # Errors
/// [`GrantError`].
pub async fn grant(engine: &Engine, session: &DeviceSession, name: FileName) -> Result<Grant, GrantError> {
    let (scope, now) = (session.scope(), engine.clock().now());
    let key = make_key(engine, session.tenant).await?;
    let upload = Upload {
        id: UploadId(Uuid::new_v4()),
        device: session.device,
        device_id: session.device_id.clone(),
        name,
        expires_at: now + GRANT,
    };
    let tx = engine.store().begin(&scope).await?;
    files::lock(&tx, &scope, session.device).await?;
    if !files::insert_upload(&tx, &scope, &upload, now, MAX_ACTIVE_UPLOADS).await? {
        return Err(GrantError::TooMany);
    }
    tx.commit().await?;
    let (container, blob) = (container(&session.tenant_id), path(&upload.device_id, &upload.name));
    let sas = blob::sign(&key, (&container, &blob), upload.id, upload.expires_at);
    let sas = sas.map_err(|error| EngineError::corrupt("key of grants", session.tenant, error))?;
    Ok(Grant { correlation_id: upload.id, container, blob, sas })
}

/// The upload that a request to a blob's address may write; `host` is the name that it was sent to, without its port.
///
/// # Errors
/// [`BlobError::Unauthorized`], [`BlobError::Failed`].
pub async fn authorize(
    engine: &Engine,
    host: &str,
    (container, blob): (&str, &str),
    claim: &Claim,
) -> Result<Upload, BlobError> {
    let refused = |reason| BlobError::Unauthorized { reason };
    let tenant = container.strip_prefix(CONTAINER_PREFIX).and_then(|tenant| TenantId::parse(tenant).ok());
    let tenant = tenant.ok_or_else(|| refused("there is no such container"))?;
    if engine.config().tenant_hosts && !engine.config().is_host_of(host, &tenant) {
        return Err(refused("the container is at another hub"));
    }
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let tenant = tenants::find_by_id(&tx, &SystemScope, &tenant).await?;
    let tenant = tenant.ok_or_else(|| refused("there is no such container"))?.key;
    let sealed = secrets::find(&tx, &SystemScope, &place(tenant)).await?;
    drop(tx);
    let sealed = sealed.ok_or_else(|| refused("the tenant has granted nothing"))?;
    let key: String = engine.open(&place(tenant), &sealed)?;
    if !claim.verify(&key, container, blob) {
        return Err(refused("the signature is not for this blob"));
    }
    let now = engine.clock().now();
    if claim.expired(now) {
        return Err(refused("the grant has ended"));
    }
    if !claim.writes() {
        return Err(refused("the grant does not allow to write"));
    }
    let scope = Scope { tenant };
    let tx = engine.store().begin_read(&scope).await?;
    let upload = files::find_upload(&tx, &scope, claim.upload, now).await?;
    let upload = upload.ok_or_else(|| refused("the upload is finished, or its device blocked"))?;
    if path(&upload.device_id, &upload.name) == blob {
        Ok(upload)
    } else {
        Err(refused("the grant is for another blob"))
    }
}

/// Ends an upload of the session's device. Where the device says that it succeeded, services hear of it.
///
/// # Errors
/// [`EngineError::NotFound`] for an upload that the device has not open, and for success without a file.
pub async fn finish(
    engine: &Engine,
    session: &DeviceSession,
    id: UploadId,
    outcome: Outcome,
) -> Result<(), EngineError> {
    let (scope, now) = (session.scope(), engine.clock().now());
    let tx = engine.store().begin(&scope).await?;
    files::lock(&tx, &scope, session.device).await?;
    let name = files::finish_upload(&tx, &scope, session.device, id, now).await?;
    if outcome == Outcome::Success {
        let file = files::get(&tx, &scope, session.device, &name).await?;
        let notice = Notice {
            device_id: session.device_id.to_string(),
            name: name.into(),
            size_bytes: file.size_bytes,
            modified_at: file.modified_at,
            at: now,
        };
        files::insert_notice(&tx, &scope, &notice).await?;
    }
    Ok(tx.commit().await?)
}

/// What a device says of its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file is there.
    Success,
    /// It is not.
    Failure,
}

fn path(device: &DeviceId, name: &FileName) -> String {
    format!("{device}/{name}")
}

/// The key that a tenant's grants are signed with; made with the first one.
async fn make_key(engine: &Engine, tenant: TenantKey) -> Result<String, EngineError> {
    let tx = engine.store().begin_system_read(&SystemScope).await?;
    let found = secrets::find(&tx, &SystemScope, &place(tenant)).await?;
    drop(tx);
    let sealed = match found {
        Some(sealed) => sealed,
        None => {
            let new = engine.seal(&place(tenant), &symmetric_key()?)?;
            let tx = engine.store().begin_system(&SystemScope).await?;
            // Somebody else may have been faster.
            let stands =
                secrets::insert_if_absent(&tx, &SystemScope, &place(tenant), &new, engine.clock().now()).await?;
            tx.commit().await?;
            stands
        }
    };
    engine.open(&place(tenant), &sealed)
}

fn place(tenant: TenantKey) -> String {
    format!("file-grants/{tenant}")
}

//! Files as people fetch and delete them.

use crate::{
    Engine, EngineError,
    audit::{self, Entry},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use muster_model::{Caller, DeviceId, FileName, Permission};
use muster_store::{
    devices,
    files::{self, File},
};
use std::{io, pin::Pin};

/// A file and its bytes.
pub struct Content {
    /// What is known of it.
    pub file: File,
    /// Its bytes, as many as `file.size_bytes`. Where the file is replaced or deleted in the meantime, they may end
    /// with an error.
    pub bytes: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Opens a file.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn open(engine: &Engine, caller: &Caller, id: &DeviceId, name: &FileName) -> Result<Content, EngineError> {
    let scope = &caller.scope;
    let tx = engine.store().begin_read(scope).await?;
    let device = devices::get(&tx, scope, id).await?.key;
    caller.require(Permission::DevicesRawData)?;
    let file = files::get(&tx, scope, device, name).await?;
    let parts = files::parts(&tx, scope, device, file.id).await?;
    drop(tx);
    let (storage, tenant) = (engine.files().clone(), scope.tenant);
    let bytes = stream::iter(parts)
        .then(move |(object, _)| {
            let storage = storage.clone();
            async move { storage.read(tenant, object).await }
        })
        .try_flatten();
    Ok(Content { file, bytes: Box::pin(bytes) })
}

/// Deletes a file.
///
/// # Errors
/// [`EngineError::NotFound`], [`EngineError::Denied`].
pub async fn delete(engine: &Engine, caller: &Caller, id: &DeviceId, name: &FileName) -> Result<(), EngineError> {
    let scope = &caller.scope;
    let tx = engine.store().begin(scope).await?;
    let device = devices::get(&tx, scope, id).await?.key;
    caller.require(Permission::DevicesDelete)?;
    files::lock(&tx, scope, device).await?;
    files::delete(&tx, scope, device, name, engine.clock().now()).await?;
    audit::record(&tx, engine, caller, Entry::new("deleted", "file", format_args!("{id}/{name}"))).await?;
    Ok(tx.commit().await?)
}

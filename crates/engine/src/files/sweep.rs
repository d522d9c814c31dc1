//! Bytes that nobody needs are removed by and by: what was replaced, deleted or abandoned, what a crash left behind.

use super::{Files, notices::KEPT};
use crate::{Engine, EngineError};
use futures::{StreamExt, stream};
use muster_model::SystemScope;
use muster_store::{
    MAX_PAGE,
    files::{self, Doomed},
};
use uuid::Uuid;

/// Objects that are removed at one time.
const PARALLEL: usize = 8;

/// Removes what nobody needs any more; how many objects. What can not be removed now is tried again next time.
///
/// # Errors
/// [`EngineError::Unavailable`].
pub async fn sweep(engine: &Engine) -> Result<u64, EngineError> {
    let now = engine.clock().now();
    let mut removed = 0;
    loop {
        let tx = engine.store().begin_system(&SystemScope).await?;
        let ended = files::purge_uploads(&tx, &SystemScope, now).await?;
        let told = files::purge_notices(&tx, &SystemScope, now - KEPT).await?;
        let doomed = files::doomed(&tx, &SystemScope, now).await?;
        tx.commit().await?;
        let gone = stream::iter(doomed).map(|one| remove(engine.files().clone(), one)).buffer_unordered(PARALLEL);
        let gone: Vec<Uuid> = gone.filter_map(std::future::ready).collect().await;
        let tx = engine.store().begin_system(&SystemScope).await?;
        files::forget(&tx, &SystemScope, &gone, now).await?;
        tx.commit().await?;
        removed += gone.len() as u64;
        let most = ended.max(told).max(gone.len() as u64);
        if most < u64::from(MAX_PAGE) || engine.stop().is_cancelled() {
            return Ok(removed);
        }
    }
}

/// Removes an object's bytes; the object, where they are gone.
async fn remove(storage: Files, Doomed { tenant, object }: Doomed) -> Option<Uuid> {
    match storage.remove(tenant, object).await {
        Ok(()) => Some(object),
        Err(error) => {
            tracing::warn!(%error, %object, "an uploaded object could not be removed");
            None
        }
    }
}

//! Whether files can be kept, told to the operator when the process starts rather than to the first device that uploads.

use super::storage::unavailable;
use crate::{Engine, EngineError};

/// Looks at the storage. A key that may write but not list is refused here all the same.
///
/// # Errors
/// [`EngineError::Unavailable`] with what the storage says: no such bucket, a wrong key, no answer.
pub async fn check(engine: &Engine) -> Result<(), EngineError> {
    engine.files().look().await.map_err(unavailable)
}

/// Checks once, and says it where files cannot be kept: devices do everything else all the same.
pub(crate) async fn report(engine: Engine) {
    let checked = tokio::select! {
        () = engine.stop().cancelled() => return,
        checked = check(&engine) => checked,
    };
    if let Err(error) = checked {
        tracing::error!("{}: uploads may fail", error.with_cause());
    }
}

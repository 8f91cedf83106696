//! The door to blocking work: store, networks and file trees are plain functions, run on tokio's blocking threads.

use api::ErrorKind;

use crate::error::{Error, Result};

/// Runs `work` on a blocking thread. A panic in it becomes an internal error of this one operation.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::new(ErrorKind::Internal, format!("internal error: {error}"))),
    }
}

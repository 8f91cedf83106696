//! Waiting for a container to exit or to be gone.

use api::*;

use crate::Engine;
use crate::error::{Error, Result};

/// For what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

impl Engine {
    /// Registered when this returns; the future inside resolves with the exit.
    pub async fn container_wait(
        &self,
        id: &str,
        condition: &str,
    ) -> Result<impl Future<Output = Result<ContainerWaitResponse>> + Send + use<>> {
        let condition = match condition {
            "" | "not-running" => Condition::NotRunning,
            "next-exit" => Condition::NextExit,
            "removed" => Condition::Removed,
            other => return Err(Error::invalid(format!("invalid condition: {other:?}"))),
        };
        let container = self.containers.find(id)?;
        let mut life = container.watch();
        let before = life.borrow().exits;
        Ok(async move {
            // The container is held by this future, so its life cannot end before the wait does.
            let _container = container;
            let ended = life
                .wait_for(|life| match condition {
                    // An exit that is followed by a restart ends the wait too.
                    Condition::NotRunning => !life.status.is_up() || life.exits != before,
                    Condition::NextExit => life.removed || life.exits != before,
                    Condition::Removed => life.removed,
                })
                .await;
            let code = ended.map(|life| life.last_exit).unwrap_or_default();
            Ok(ContainerWaitResponse { status_code: code, error: None })
        })
    }
}

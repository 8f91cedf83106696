//! What this engine does not do: answered in Docker's words, because clients decide on them.

use api::{BuildPruneResponse, ErrorKind};
use serde_json::Value;

use crate::error::Error;
use crate::response::{self, Answer};

/// Everything that needs a swarm manager.
pub(crate) fn swarm() -> Answer {
    Err(Error::new(
        ErrorKind::Unavailable,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
    ))
}

/// Leaving what one is not in.
pub(crate) fn not_in_swarm() -> Answer {
    Err(Error::new(ErrorKind::Unavailable, "This node is not part of a swarm"))
}

/// Starting or joining a swarm.
pub(crate) fn swarm_mode() -> Answer {
    Err(Error::not_implemented("swarm mode is not supported by this engine"))
}

/// The list of plugins.
pub(crate) fn plugins() -> Answer {
    response::json(&Vec::<Value>::new())
}

/// One plugin.
pub(crate) fn no_such_plugin(name: &str) -> Answer {
    Err(Error::new(ErrorKind::NotFound, format!("plugin {name:?} not found")))
}

/// Everything that installs or changes plugins.
pub(crate) fn plugin() -> Answer {
    Err(Error::not_implemented("plugins are not supported by this engine"))
}

/// Checkpoint and restore.
pub(crate) fn checkpoints() -> Answer {
    Err(Error::not_implemented("checkpoints are not supported by this engine"))
}

/// Builds.
pub(crate) fn build() -> Answer {
    Err(Error::not_implemented("building images is not supported by this engine yet"))
}

/// Nothing built, nothing kept: `docker system prune` calls this.
pub(crate) fn build_prune() -> Answer {
    response::json(&BuildPruneResponse::default())
}

/// No build by any id.
pub(crate) fn build_cancel() -> Answer {
    response::empty(http::StatusCode::NO_CONTENT)
}

/// BuildKit's side channels.
pub(crate) fn session() -> Answer {
    Err(Error::not_implemented("build sessions are not supported by this engine yet"))
}

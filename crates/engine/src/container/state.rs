//! `state.json` of a container without monitor: read at boot, and written only where its monitor could not.

use std::path::Path;

use monitor::protocol::{State, Status as Wire};

use super::status::{Life, Status, time};
use crate::error::{Error, Result};

const FILE: &str = "state.json";

/// The record of the last run; None when there was none.
pub(crate) fn read(folder: &Path) -> Result<Option<State>> {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| Error::host(format!("read {}", path.display()), error))?,
    };
    let state = serde_json::from_slice(&bytes);
    state.map(Some).map_err(|error| Error::host(format!("decode {}", path.display()), error))
}

/// Records the end of a run in its monitor's place.
pub(crate) fn write(folder: &Path, state: &State) -> Result<()> {
    let path = folder.join(FILE);
    let bytes =
        serde_json::to_vec(state).map_err(|error| Error::host("encode a container's state", error))?;
    match sys::fsutil::write_durable(&path, &bytes) {
        // Removed meanwhile: there is nothing to record.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|error| Error::host(format!("write {}", path.display()), error)),
    }
}

/// A life as a record; for those that do not run.
pub(crate) fn of(life: &Life) -> State {
    State {
        status: match life.status {
            Status::Created => Wire::Created,
            Status::Dead => Wire::Dead,
            _ => Wire::Exited,
        },
        started_at: life.started.map(|started| time(Some(started))),
        finished_at: life.finished.map(|finished| time(Some(finished))),
        exit_code: life.exit_code.try_into().unwrap_or(255),
        oom_killed: life.oom_killed,
        error: life.error.clone(),
        restart_count: life.restart_count.try_into().unwrap_or(0),
        user_stopped: life.user_stopped,
        ..State::default()
    }
}

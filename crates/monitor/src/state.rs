//! `state.json`, the record of a container's run, as a file: where it is, how it is read and replaced. Its content is
//! [`State`]; only the container's monitor writes it, everybody may read it.

use std::io;
use std::path::Path;

use crate::protocol::State;

/// The file's name in the container's folder.
pub const FILE: &str = "state.json";

/// Reads the record in a container's folder; `None` if it never had one.
pub fn read(container_dir: &Path) -> io::Result<Option<State>> {
    match std::fs::read(container_dir.join(FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the record. `durable`: it survives a power failure from the moment this returns.
pub fn write(container_dir: &Path, state: &State, durable: bool) -> io::Result<()> {
    let bytes = serde_json::to_vec(state)?;
    let path = container_dir.join(FILE);
    if durable { sys::fsutil::write_durable(path, &bytes) } else { sys::fsutil::write_atomic(path, &bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_replaced_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        for (exit_code, durable) in [(1, false), (2, true)] {
            let state = State { exit_code, ..State::default() };
            write(folder.path(), &state, durable).unwrap();
            assert_eq!(read(folder.path()).unwrap(), Some(state));
        }
    }
}

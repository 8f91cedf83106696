//! `docker cp`: files in and out as tar archives (moby `daemon/archive.go`).

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use api::*;
use bytes::Bytes;
use rustix::fs::{OFlags, StatVfsMountFlags};
use store::archive::{self, PackOptions, UnpackOptions};
use tokio::sync::mpsc;

use super::identity;
use super::mounts::{MountPoint, clean};
use super::record::Record;
use super::root;
use crate::Engine;
use crate::error::{Error, Result};
use crate::pipe::{PipeReader, PipeWriter};

impl Engine {
    pub async fn container_archive_stat(&self, id: &str, path: &str) -> Result<PathStat> {
        let root = self.root_of(&self.containers.find(id)?)?;
        let (id, path) = (id.to_owned(), path.to_owned());
        root.run(move |root| stat(root, &path, &id)).await
    }

    pub async fn container_archive_get(
        &self,
        id: &str,
        path: &str,
    ) -> Result<(PathStat, mpsc::Receiver<Result<Bytes>>)> {
        let container = self.containers.find(id)?;
        let found = self.container_archive_stat(id, path).await?;
        let root = self.root_of(&container)?;
        let (mut writer, receiver) = PipeWriter::new();
        let path = path.to_owned();
        self.container_event(&container, "archive-path", &[]);
        tokio::spawn(async move {
            // A root that cannot be opened a second time ends the archive early, which every reader of tar notices.
            let sent = root.run(move |root| {
                let outcome = archive::pack(root, &path, &PackOptions::default(), &mut writer);
                writer.finish(outcome.map_err(Error::from));
                Ok(())
            });
            if let Err(error) = sent.await {
                tracing::warn!(%error, "archive from a container");
            }
        });
        Ok((found, receiver))
    }

    pub async fn container_archive_put(
        &self,
        id: &str,
        query: ContainerArchiveQuery,
        body: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<()> {
        let container = self.containers.find(id)?;
        let root = self.root_of(&container)?;
        let (record, id) = (container.record(), id.to_owned());
        root.run(move |root| put(root, &record, &id, &query, PipeReader::new(body))).await?;
        self.container_event(&container, "extract-to-dir", &[]);
        Ok(())
    }
}

/// The same error, with the container that it is about.
fn in_container(error: store::Error, id: &str) -> Error {
    let is_missing = matches!(error, store::Error::NotFound(_));
    let mut error = Error::from(error);
    if is_missing {
        error.message.push_str(&format!(" in container {id}"));
    }
    error
}

fn stat(root: BorrowedFd<'_>, path: &str, id: &str) -> Result<PathStat> {
    let found = archive::stat(root, path).map_err(|error| in_container(error, id))?;
    Ok(PathStat {
        name: found.name,
        size: found.size.try_into().unwrap_or(i64::MAX),
        mode: found.mode,
        mtime: found.mtime.to_string(),
        link_target: found.link_target,
    })
}

fn put(
    root: BorrowedFd<'_>,
    record: &Arc<Record>,
    id: &str,
    query: &ContainerArchiveQuery,
    body: PipeReader,
) -> Result<()> {
    check_writable(root, &query.path, &record.mounts)?;
    let owner = match query.copy_uid_gid && !record.config.user.is_empty() {
        true => Some(identity::of(root, &record.config.user)?),
        false => None,
    };
    let options = UnpackOptions { no_overwrite_dir_non_dir: query.no_overwrite_dir_non_dir, owner };
    archive::unpack(root, &query.path, &options, body).map_err(|error| in_container(error, id))
}

/// Before anything is written: whether the place is on a read-only mount.
fn check_writable(root: BorrowedFd<'_>, path: &str, mounts: &[MountPoint]) -> Result<()> {
    // What is wrong with the path is told by the unpacking.
    let Ok(place) = root::open(root, path, OFlags::PATH) else { return Ok(()) };
    let Ok(facts) = rustix::fs::fstatvfs(&place) else { return Ok(()) };
    if !facts.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let path = clean(&format!("/{path}"));
    let inside = |mount: &MountPoint| {
        path.strip_prefix(&mount.destination).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    Err(Error::new(
        ErrorKind::Forbidden,
        match mounts.iter().any(inside) {
            true => "mounted volume is marked read-only",
            false => "container rootfs is marked read-only",
        },
    ))
}

//! Volumes of the local driver that are more than a folder of ours (`docker volume create -o type=… -o device=… -o o=…`): a
//! folder of the host (`o=bind`), or a file system (tmpfs, NFS, CIFS, a block device) that is mounted at the volume's folder
//! while a running container uses it.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, StatxFlags};

use crate::Engine;
use crate::container::mounts::Kind;
use crate::container::record::Record;
use crate::error::{Error, Result};

/// What the options of a volume mean.
#[derive(Debug, PartialEq, Eq)]
enum Device {
    /// Nothing special: the volume's own folder.
    Folder,
    /// A folder of the host.
    Bind(PathBuf),
    /// A file system.
    Filesystem { kind: String, source: String, options: String },
}

impl Device {
    fn of(volume: &store::Volume) -> Self {
        let option = |name: &str| volume.options.get(name).map(String::as_str).unwrap_or_default();
        let (kind, source, options) = (option("type"), option("device"), option("o"));
        let is_bind = options.split(',').any(|option| matches!(option, "bind" | "rbind"));
        match (is_bind, source, kind) {
            (true, source, _) if !source.is_empty() => Self::Bind(source.into()),
            (false, source, kind) if !source.is_empty() && !matches!(kind, "" | "none") => Self::Filesystem {
                kind: kind.to_owned(),
                source: source.to_owned(),
                options: with_resolved_address(kind, options),
            },
            _ => Self::Folder,
        }
    }
}

/// The kernel takes NFS and CIFS servers by number (`addr=`); people write names.
fn with_resolved_address(kind: &str, options: &str) -> String {
    if !matches!(kind, "nfs" | "nfs4" | "cifs") {
        return options.to_owned();
    }
    let resolved = options.split(',').map(|option| match option.strip_prefix("addr=") {
        Some(host) if host.parse::<IpAddr>().is_err() => {
            let found = (host, 0).to_socket_addrs().ok().and_then(|mut found| found.next());
            found.map_or_else(|| option.to_owned(), |found| format!("addr={}", found.ip()))
        }
        _ => option.to_owned(),
    });
    resolved.collect::<Vec<_>>().join(",")
}

/// Which containers have asked for which volumes since they last ended: what they use though they do not run yet.
pub(crate) type Holds = Mutex<BTreeSet<(String, String)>>;

impl Engine {
    /// Where a volume's content is, for a container. Mounts its file system if that is not there yet; it stays until
    /// [`Engine::release_volumes`].
    pub(crate) fn volume_root(&self, name: &str, container: &str) -> Result<PathBuf> {
        let (volume, folder) = (self.store.volume(name)?, self.store.volume_path(name));
        match Device::of(&volume) {
            Device::Folder => Ok(folder),
            Device::Bind(path) => Ok(path),
            Device::Filesystem { kind, source, options } => {
                let mut holds = self.holds();
                if !is_mount_point(&folder) {
                    runtime::mount_on_host(&kind, &source, &options, &folder).map_err(|error| {
                        Error::internal(format!(
                            "error while mounting volume '{}': failed to mount local volume: {error}",
                            folder.display()
                        ))
                    })?;
                }
                holds.insert((name.to_owned(), container.to_owned()));
                Ok(folder)
            }
        }
    }

    /// A container has ended, or never began: unmounts what nobody else uses of its volumes.
    pub(crate) fn release_volumes(&self, record: &Record) {
        let mut uses = None;
        for mount in record.mounts.iter().filter(|mount| mount.kind == Kind::Volume) {
            let folder = self.store.volume_path(&mount.name);
            if !is_mount_point(&folder) {
                continue;
            }
            let mut holds = self.holds();
            holds.remove(&(mount.name.clone(), record.id.clone()));
            let uses = uses.get_or_insert_with(|| self.container_uses());
            let is_used = holds.iter().any(|(volume, _)| *volume == mount.name)
                || super::users(uses, &mount.name).any(|used| used.is_running && used.id != record.id);
            if !is_used && let Err(error) = unmount(&folder) {
                tracing::warn!(volume = %mount.name, %error, "release a volume");
            }
        }
    }

    /// Removes a volume that nobody uses. What is on its device is not ours to delete.
    pub(crate) fn erase_volume(&self, name: &str) -> Result<()> {
        let folder = self.store.volume_path(name);
        if is_mount_point(&folder) {
            let _one = self.holds();
            unmount(&folder)?;
        }
        Ok(self.store.remove_volume(name)?)
    }

    fn holds(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.volume_holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unmount(folder: &Path) -> Result<()> {
    rustix::mount::unmount(folder, rustix::mount::UnmountFlags::DETACH)
        .map_err(|error| Error::host(format!("unmount {}", folder.display()), error))
}

fn is_mount_point(folder: &Path) -> bool {
    let found = rustix::fs::statx(rustix::fs::CWD, folder, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(rustix::fs::StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(options: &[(&str, &str)]) -> Device {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let name = "data".to_owned();
        Device::of(&store::Volume {
            name,
            driver: "local".to_owned(),
            created: String::new(),
            options,
            labels: Default::default(),
        })
    }

    #[test]
    fn options_name_a_folder_or_a_file_system() {
        assert_eq!(device(&[]), Device::Folder);
        assert_eq!(device(&[("size", "10m")]), Device::Folder);
        assert_eq!(
            device(&[("type", "none"), ("o", "bind,ro"), ("device", "/srv")]),
            Device::Bind("/srv".into())
        );
        let Device::Filesystem { kind, source, options } =
            device(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=10m,uid=1000")])
        else {
            panic!("a file system")
        };
        assert_eq!((&*kind, &*source, &*options), ("tmpfs", "tmpfs", "size=10m,uid=1000"));
    }

    #[test]
    fn servers_are_given_to_the_kernel_by_number() {
        assert_eq!(
            with_resolved_address("nfs", "rw,addr=localhost").replace("::1", "127.0.0.1"),
            "rw,addr=127.0.0.1"
        );
        assert_eq!(with_resolved_address("nfs", "addr=10.0.0.1,ro"), "addr=10.0.0.1,ro");
        assert_eq!(with_resolved_address("ext4", "addr=localhost"), "addr=localhost");
    }
}

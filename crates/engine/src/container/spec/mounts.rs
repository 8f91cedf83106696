//! Mounts of the spec: the runtime's defaults, with what the user mounts in their place or beside them, shallow paths first.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};

use super::{INIT_PATH, Input};
use crate::container::modes::{self, Ipc};
use crate::container::mounts::{Kind, MountPoint, Recursion};
use crate::container::security::Options;
use crate::error::{Error, Result};

/// A mount ready for the spec: what is mounted exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpecMount {
    pub kind: Kind,
    /// Path on the host; not for tmpfs.
    pub source: PathBuf,
    pub destination: String,
    pub read_only: bool,
    pub recursion: Recursion,
    pub non_recursive: bool,
    /// Empty = `rprivate`.
    pub propagation: String,
    /// Of a tmpfs.
    pub options: Vec<String>,
}

impl SpecMount {
    /// A file of the engine's own.
    pub(crate) fn file(source: PathBuf, destination: &str, read_only: bool) -> Self {
        Self {
            kind: Kind::Bind,
            source,
            destination: destination.to_owned(),
            read_only,
            recursion: Recursion::Never,
            non_recursive: false,
            propagation: String::new(),
            options: Vec::new(),
        }
    }

    /// A recorded mount point whose source has been found.
    pub(crate) fn of(point: &MountPoint, source: PathBuf) -> Self {
        Self {
            kind: point.kind,
            source,
            destination: point.destination.clone(),
            read_only: point.read_only,
            recursion: point.read_only_recursion,
            non_recursive: point.non_recursive,
            propagation: point.propagation.clone(),
            options: point.options.clone(),
        }
    }

    fn oci(&self) -> Mount {
        let mut options: Vec<String> = Vec::new();
        let mut mount = Mount::default();
        if self.kind == Kind::Tmpfs {
            mount.set_typ(Some("tmpfs".to_owned())).set_source(Some(PathBuf::from("tmpfs")));
            options.extend(tmpfs_options(&self.options));
            if self.read_only {
                options.push("ro".to_owned());
            }
        } else {
            mount.set_typ(Some("bind".to_owned())).set_source(Some(self.source.clone()));
            options.push(if self.non_recursive { "bind" } else { "rbind" }.to_owned());
            options.push(match self.propagation.as_str() {
                "" => "rprivate".to_owned(),
                propagation => propagation.to_owned(),
            });
            if self.read_only {
                options.push("ro".to_owned());
                if self.recursion != Recursion::Never && !self.non_recursive {
                    options.push("rro".to_owned());
                }
            }
        }
        mount.set_destination(PathBuf::from(&self.destination)).set_options(Some(options));
        mount
    }
}

/// Docker's defaults for a tmpfs, with what is given winning over what contradicts it.
fn tmpfs_options(given: &[String]) -> Vec<String> {
    const OPPOSITES: [(&str, &str); 4] =
        [("exec", "noexec"), ("suid", "nosuid"), ("dev", "nodev"), ("rw", "ro")];
    let key = |option: &str| option.split_once('=').map_or(option, |(key, _)| key).to_owned();
    let replaces = |new: &str, old: &str| {
        key(new) == key(old)
            || OPPOSITES.iter().any(|&(a, b)| (new == a && old == b) || (new == b && old == a))
    };
    let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    for option in given.iter().filter(|option| !option.is_empty()) {
        options.retain(|old| !replaces(option, old));
        options.push(option.clone());
    }
    options
}

pub(super) fn edit(spec: &mut Spec, input: &Input<'_>, security: &Options) -> Result<()> {
    let host = input.host;
    let mut user: Vec<SpecMount> = input.mounts.clone();
    for (destination, options) in host.tmpfs.iter().flatten() {
        user.push(SpecMount {
            kind: Kind::Tmpfs,
            options: options.split(',').map(str::to_owned).collect(),
            ..SpecMount::file(PathBuf::new(), destination, false)
        });
    }
    if host.init.unwrap_or(input.engine.init) {
        user.push(SpecMount::file(input.engine.exe.clone(), INIT_PATH, true));
    }
    let is_overridden = |path: &Path| {
        user.iter().any(|mount| {
            let destination = Path::new(&mount.destination);
            destination == path || destination == Path::new("/dev") && path.starts_with("/dev")
        })
    };
    let mut mounts: Vec<Mount> = spec.mounts().clone().unwrap_or_default();
    mounts.retain(|mount| !is_overridden(mount.destination()));
    shared_memory(&mut mounts, input)?;
    let writable_cgroup = host.privileged || security.writable_cgroups == Some(true);
    for mount in &mut mounts {
        let is_cgroup = mount.typ().as_deref().is_some_and(|kind| kind.starts_with("cgroup"));
        let is_sys = mount.destination() == Path::new("/sys");
        if (is_cgroup && writable_cgroup) || (is_sys && host.privileged && !host.readonly_rootfs) {
            let options = mount.options().clone().unwrap_or_default();
            mount.set_options(Some(options.into_iter().filter(|option| option != "ro").collect()));
        }
    }
    user.sort_by_key(|mount| mount.destination.split('/').filter(|part| !part.is_empty()).count());
    mounts.extend(user.iter().map(SpecMount::oci));
    spec.set_mounts(Some(mounts));
    Ok(())
}

/// `/dev/shm` and `/dev/mqueue`, by IPC mode and size.
fn shared_memory(mounts: &mut Vec<Mount>, input: &Input<'_>) -> Result<()> {
    const SHM: &str = "/dev/shm";
    let ipc = modes::ipc(input.host)?;
    let bind = |source: PathBuf, destination: &str| {
        let mut mount = SpecMount::file(source, destination, false);
        mount.recursion = Recursion::IfPossible;
        mount.oci()
    };
    let mut replace = |destination: &str, with: Option<Mount>| {
        let place = mounts.iter().position(|mount| mount.destination() == Path::new(destination));
        match (place, with) {
            (Some(place), Some(mount)) => mounts[place] = mount,
            (Some(place), None) => drop(mounts.remove(place)),
            // The user has mounted something there.
            (None, _) => {}
        }
    };
    match ipc {
        Ipc::None => replace(SHM, None),
        Ipc::Host => {
            replace(SHM, Some(bind(PathBuf::from(SHM), SHM)));
            if Path::new("/dev/mqueue").exists() {
                replace("/dev/mqueue", Some(bind(PathBuf::from("/dev/mqueue"), "/dev/mqueue")));
            }
        }
        Ipc::Shareable | Ipc::Container(_) => {
            let source = input.shm.clone().ok_or_else(|| Error::internal("no shared memory to join"))?;
            replace(SHM, Some(bind(source, SHM)));
        }
        Ipc::Private => {
            let size = match input.host.shm_size {
                0 => input.engine.default_shm_size,
                size => size,
            };
            for mount in mounts.iter_mut().filter(|mount| mount.destination() == Path::new(SHM)) {
                let mut options = mount.options().clone().unwrap_or_default();
                options.retain(|option| !option.starts_with("size="));
                options.push(format!("size={size}"));
                mount.set_options(Some(options));
            }
        }
    }
    Ok(())
}

/// Mounts that receive or send need a root that does too.
pub(super) fn root_propagation(mounts: &[SpecMount]) -> Option<String> {
    let any = |names: [&str; 2]| mounts.iter().any(|mount| names.contains(&mount.propagation.as_str()));
    match () {
        () if any(["shared", "rshared"]) => Some("shared".to_owned()),
        () if any(["slave", "rslave"]) => Some("slave".to_owned()),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::tmpfs_options;

    #[test]
    fn tmpfs_options_replace_the_defaults_they_contradict() {
        let options = |given: &[&str]| {
            tmpfs_options(&given.iter().map(|option| option.to_string()).collect::<Vec<_>>()).join(",")
        };
        assert_eq!(options(&[""]), "noexec,nosuid,nodev");
        assert_eq!(
            options(&["exec", "size=1m", "size=2m", "mode=1777"]),
            "nosuid,nodev,exec,size=2m,mode=1777"
        );
        assert_eq!(options(&["rw", "ro"]), "noexec,nosuid,nodev,ro");
    }
}

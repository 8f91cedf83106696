//! Namespaces, mounts and kernel parameters.

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::runtime as oci;

use super::{Result, fail, text};
use crate::mount_options::Options;
use crate::plan::*;

pub fn namespaces(linux: &oci::Linux) -> Result<Namespaces> {
    use oci::LinuxNamespaceType as Kind;
    let mut all = Namespaces::default();
    let mut seen = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if seen.contains(&namespace.typ()) {
            return fail(format!("malformed spec file: duplicated namespace {}", namespace.typ()));
        }
        seen.push(namespace.typ());
        let place = match namespace.typ() {
            Kind::Mount => &mut all.mount,
            Kind::Cgroup => &mut all.cgroup,
            Kind::Uts => &mut all.uts,
            Kind::Ipc => &mut all.ipc,
            Kind::User => &mut all.user,
            Kind::Pid => &mut all.pid,
            Kind::Network => &mut all.network,
            Kind::Time => &mut all.time,
        };
        *place = match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => Namespace::Path(path.clone()),
            None => Namespace::New,
        };
    }
    if all.mount != Namespace::New {
        return fail("a container needs a new mount namespace");
    }
    if all.user == Namespace::New {
        all.uid_mappings = mappings(linux.uid_mappings());
        all.gid_mappings = mappings(linux.gid_mappings());
        if all.uid_mappings.is_empty() || all.gid_mappings.is_empty() {
            return fail("User namespaces enabled, but no uid or gid mappings found");
        }
    }
    if let Some(offsets) = linux.time_offsets().as_ref().filter(|_| all.time == Namespace::New) {
        let sorted: BTreeMap<_, _> = offsets.iter().collect();
        for (clock, offset) in sorted {
            if !["monotonic", "boottime"].contains(&clock.as_str()) {
                return fail(format!("timeOffsets: unknown clock {clock:?}"));
            }
            all.time_offsets.push((
                clock.clone(),
                offset.secs().unwrap_or(0),
                offset.nanosecs().unwrap_or(0),
            ));
        }
    }
    Ok(all)
}

fn mappings(mappings: &Option<Vec<oci::LinuxIdMapping>>) -> Vec<IdMapping> {
    let mapping = |mapping: &oci::LinuxIdMapping| IdMapping {
        container: mapping.container_id(),
        host: mapping.host_id(),
        size: mapping.size(),
    };
    mappings.iter().flatten().map(mapping).collect()
}

/// `None` for "": leave it.
pub fn root_propagation(name: &str) -> Result<Option<Propagation>> {
    if name.is_empty() {
        return Ok(None);
    }
    match Options::parse([name]).propagation.as_slice() {
        [propagation] => Ok(Some(*propagation)),
        _ => fail(format!("rootfsPropagation={name} is not supported")),
    }
}

pub fn plan_mount(mount: &oci::Mount, bundle: &Path) -> Result<Mount> {
    let target = text(mount.destination())?;
    // Old configurations say "proc" for "/proc".
    let target = format!("/{}", target.trim_start_matches('/'));
    if target.split('/').all(|part| part.is_empty() || part == ".") {
        return fail("invalid mount: the destination can't be '/'");
    }
    let options = Options::parse(mount.options().iter().flatten().map(String::as_str));
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = match (kind, options.bind) {
        ("cgroup", _) => MountSource::Cgroup,
        (_, Some(_)) | ("bind" | "rbind", None) => {
            let Some(path) = mount.source() else {
                return fail(format!("mount {target}: a bind mount needs a source"));
            };
            let recursive = options.bind.unwrap_or(kind == "rbind");
            MountSource::Bind { path: bundle.join(path), recursive, nofollow: options.nofollow }
        }
        ("", None) => return fail(format!("mount {target}: no type and not a bind mount")),
        (kind, None) => {
            let mut data = options.data;
            data.extend(options.superblock.into_iter().map(|flag| (flag, None)));
            // On a disk, read-only also means that nothing is replayed or repaired.
            let virtual_one = ["proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup2", "overlay", "ramfs"];
            if options.set & sys::mount::attr::RDONLY != 0 && !virtual_one.contains(&kind) {
                data.push(("ro".to_owned(), None));
            }
            let source = mount.source().as_deref().map(text).transpose()?.map(str::to_owned);
            MountSource::New { fstype: kind.to_owned(), source, options: data }
        }
    };
    let mut propagation = options.propagation;
    if matches!(source, MountSource::Bind { .. }) && propagation.is_empty() {
        // Never shared with the host unless asked for.
        propagation.push(Propagation { kind: PropagationKind::Slave, recursive: true });
    }
    let (uid, gid) = (mappings(mount.uid_mappings()), mappings(mount.gid_mappings()));
    let idmap = match options.idmap {
        None if uid.is_empty() && gid.is_empty() => None,
        recursive => Some(IdMap { uid, gid, recursive: recursive.unwrap_or(false) }),
    };
    let is_bind = matches!(source, MountSource::Bind { .. });
    Ok(Mount {
        target,
        attributes: options.set,
        // A new mount has nothing that could be cleared.
        clear: if is_bind { options.clear } else { 0 },
        recursive_attributes: options.recursive_set,
        recursive_clear: options.recursive_clear,
        propagation,
        idmap,
        copy_up: options.copy_up && matches!(&source, MountSource::New { fstype, .. } if fstype == "tmpfs"),
        source,
    })
}

pub fn sysctls(linux: &oci::Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let sorted: BTreeMap<_, _> = linux.sysctl().iter().flatten().collect();
    let mut all = Vec::new();
    for (name, value) in sorted {
        // sysctl(8): whichever separator comes first is the separator, and the other stands for itself.
        let slashes = name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/');
        let swap = |letter| match letter {
            '.' => '/',
            '/' => '.',
            letter => letter,
        };
        let path: String = if slashes { name.clone() } else { name.chars().map(swap).collect() };
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return fail(format!("sysctl {name:?}: not a name"));
        }
        let dotted = path.replace('/', ".");
        let own = |namespace: &Namespace| *namespace != Namespace::Host;
        let allowed = if path.starts_with("net/") {
            own(&namespaces.network)
        } else if IPC.contains(&dotted.as_str()) || path.starts_with("fs/mqueue/") {
            own(&namespaces.ipc)
        } else if dotted == "kernel.domainname" || dotted == "kernel.hostname" {
            own(&namespaces.uts)
        } else {
            path.starts_with("user/") && own(&namespaces.user)
        };
        if !allowed {
            return fail(format!("sysctl {dotted:?} is not in a separate kernel namespace"));
        }
        all.push((path, value.clone()));
    }
    Ok(all)
}

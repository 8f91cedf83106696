//! Which namespaces are new, the host's or another container's.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType};

use super::Input;
use crate::container::modes::{self, Ipc, Namespace, Network};
use crate::error::Result;

pub(super) fn edit(linux: &mut Linux, input: &Input<'_>) -> Result<()> {
    let mut list: Vec<LinuxNamespace> = linux.namespaces().clone().unwrap_or_default();
    let mut set = |kind: LinuxNamespaceType, wanted: Wanted<'_>| {
        list.retain(|namespace| namespace.typ() != kind);
        let path = match wanted {
            Wanted::Host => return,
            Wanted::New => None,
            Wanted::Path(path) => Some(path.to_owned()),
        };
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(path);
        list.push(namespace);
    };
    set(LinuxNamespaceType::Mount, Wanted::New);
    // A joined network namespace comes as a descriptor, in place of the new one.
    set(
        LinuxNamespaceType::Network,
        match Network::parse(&input.host.network_mode) {
            Network::Host => Wanted::Host,
            _ => Wanted::New,
        },
    );
    set(
        LinuxNamespaceType::Uts,
        match modes::uts(input.host)? {
            Namespace::Host => Wanted::Host,
            _ => Wanted::New,
        },
    );
    set(
        LinuxNamespaceType::Pid,
        match modes::pid(input.host)? {
            Namespace::Host => Wanted::Host,
            Namespace::Private => Wanted::New,
            Namespace::Container(_) => joined(&input.joined.pid),
        },
    );
    set(
        LinuxNamespaceType::Ipc,
        match modes::ipc(input.host)? {
            Ipc::Host => Wanted::Host,
            Ipc::Container(_) => joined(&input.joined.ipc),
            _ => Wanted::New,
        },
    );
    set(
        LinuxNamespaceType::Cgroup,
        match input.host.cgroupns_mode.as_str() {
            "host" => Wanted::Host,
            "private" => Wanted::New,
            _ if input.cgroup_v2 => Wanted::New,
            _ => Wanted::Host,
        },
    );
    linux.set_namespaces(Some(list));
    Ok(())
}

/// The namespace of another container, found at start.
fn joined(path: &Option<PathBuf>) -> Wanted<'_> {
    path.as_deref().map_or(Wanted::New, Wanted::Path)
}

#[derive(Clone, Copy)]
enum Wanted<'a> {
    Host,
    New,
    Path(&'a Path),
}

//! An engine of an ordinary user: it goes into a user namespace of his, where it is root over the ids that /etc/subuid and
//! /etc/subgid give him, and with it all of its containers. That namespace lives as long as somebody is in it, the engine or a
//! monitor: the next engine goes where the monitors are, so that it has power over their containers. Its networks are apart from
//! the host's (`network::home`).

use std::path::Path;

use anyhow::Context as _;
use engine::{EngineConfig, Rootless};
use network::home::{HomeConfig, Kind, Program};
use runtime::{IdMapping, rootless};

use crate::cli::variable;
use crate::role::users;

/// Said where a user has no ids but his own.
const ALONE: &str = "only one user id and one group id are there, so images with files of others are stored as if all were root's; \
                     install newuidmap (package uidmap) and give the user a range in /etc/subuid and /etc/subgid";
/// Said where no cgroup may be made.
const NO_CGROUPS: &str = "no cgroup is delegated to this user: containers have no limits and cannot be paused; on cgroup v2 start \
                          the engine from the user's systemd (systemd-run --user, or a unit)";

/// Said where nothing makes a way out.
const NO_PROGRAM: &str = "Neither pasta nor slirp4netns is installed: containers of an ordinary user reach each other and are reached \
                          by their published ports, but nothing outside. Install pasta (package passt) or slirp4netns and stop \
                          the engine, or use --network host";
/// Said where no program can.
const NO_TUN: &str = "/dev/net/tun cannot be opened, so pasta and slirp4netns do not work: containers of an ordinary user reach \
                      each other and are reached by their published ports, but nothing outside. Load the module tun, let everybody \
                      read and write the device, and stop the engine, or use --network host";

/// Goes into the user namespace, unless this is root's engine (`false`). Before any thread is started.
pub fn enter(run_dir: Option<&Path>) -> anyhow::Result<bool> {
    if rustix::process::geteuid().is_root() {
        return Ok(rootless::is_inside());
    }
    if let Some(pid) = run_dir.and_then(monitor_in) {
        rootless::enter_process(pid).context("join the user namespace of the running containers")?;
    } else {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let name = users::name(uid);
        let ranges = |file| ranges(&std::fs::read_to_string(file).unwrap_or_default(), uid, &name);
        let (uids, gids) = (ranges("/etc/subuid"), ranges("/etc/subgid"));
        let has_ranges = rootless::has_helpers() && !uids.is_empty() && !gids.is_empty();
        let mapped = |own, ranges| mapping(own, if has_ranges { ranges } else { Vec::new() });
        rootless::enter_new(&mapped(uid, uids), &mapped(gid, gids)).context(
            "make a user namespace for an engine without root (are user namespaces allowed here?)",
        )?;
    }
    Ok(true)
}

/// What follows for the engine.
pub fn configure(config: &mut EngineConfig, has_parent: bool) {
    let mut rootless = Rootless { cgroups: has_parent, ..Rootless::default() };
    if !has_parent {
        let delegated = cgroup::Host::detect().ok().and_then(|host| rootless::delegated_cgroup(&host));
        match delegated {
            Some(folder) => {
                config.cgroup_parent = format!("{folder}/naru");
                rootless.cgroups = true;
            }
            None => rootless.warnings.push(NO_CGROUPS.to_owned()),
        }
    }
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_ascii_whitespace().skip(2).eq(["1"]) {
        rootless.warnings.push(ALONE.to_owned());
    }
    if !owns_network() {
        let programs = programs();
        rootless.no_way_out = match programs.is_empty() {
            true => Some(NO_PROGRAM.to_owned()),
            false => (!is_usable("/dev/net/tun")).then(|| NO_TUN.to_owned()),
        };
        rootless.warnings.extend(rootless.no_way_out.clone());
        config.network.home = Some(HomeConfig { exe: config.exe.clone(), programs });
    }
    for warning in &rootless.warnings {
        tracing::warn!("{warning}");
    }
    config.rootless = Some(rootless);
}

/// Whether the network namespace belongs to our user namespace, as in a container with a user namespace of its own: then
/// bridges may be in it. The kernel lets whoever may change it write its settings, read-only mounts apart.
fn owns_network() -> bool {
    let write = rustix::fs::access("/proc/sys/net/ipv4/ip_forward", rustix::fs::Access::WRITE_OK);
    matches!(write, Ok(()) | Err(rustix::io::Errno::ROFS))
}

/// What can make a way out for networks, the best first.
fn programs() -> Vec<Program> {
    let path = variable("PATH").unwrap_or_default();
    let find = |kind: Kind| {
        let candidates = std::env::split_paths(&path).map(|folder| folder.join(kind.name()));
        let mut found = candidates.filter(|path| path.is_absolute());
        let is_program = |path: &std::path::PathBuf| {
            path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
        };
        found.find(is_program).map(|path| Program { kind, path })
    };
    Kind::ALL.into_iter().filter_map(find).collect()
}

fn is_usable(device: &str) -> bool {
    let both = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    rustix::fs::access(device, both).is_ok()
}

/// The process of a monitor that runs, whoever its container is.
fn monitor_in(run_dir: &Path) -> Option<i32> {
    let folders = std::fs::read_dir(run_dir).ok()?;
    folders.filter_map(Result::ok).find_map(|entry| {
        let socket = monitor::client::connect(&entry.path()).ok()?;
        let pid = rustix::net::sockopt::socket_peercred(&socket).ok()?.pid.as_raw_pid();
        Some(pid)
    })
}

/// subuid(5): `name-or-uid:first:count`.
fn ranges(text: &str, uid: u32, name: &str) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let range = |line: &str| {
        let (owner, range) = line.split_once(':')?;
        let (first, count) = range.split_once(':')?;
        let (first, count) = (first.trim().parse().ok()?, count.trim().parse().ok()?);
        ((owner == name || owner == number) && count > 0).then_some((first, count))
    };
    text.lines().filter_map(range).collect()
}

/// Root is the user himself; the others follow from 1 on.
fn mapping(own: u32, ranges: Vec<(u32, u32)>) -> Vec<IdMapping> {
    let mut mappings = vec![IdMapping { container: 0, host: own, size: 1 }];
    let mut next = 1_u32;
    for (first, count) in ranges {
        let size = count.min(u32::MAX - next);
        mappings.push(IdMapping { container: next, host: first, size });
        next += size;
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user_follow_himself() {
        let text = "other:1:2\nann:100000:65536\n# comment\n1000:200000:10\nann:x:1\nann:5:0\n";
        let ranges = ranges(text, 1000, "ann");
        assert_eq!(ranges, [(100_000, 65536), (200_000, 10)]);
        let mapped: Vec<_> =
            mapping(1000, ranges).iter().map(|map| (map.container, map.host, map.size)).collect();
        assert_eq!(mapped, [(0, 1000, 1), (1, 100_000, 65536), (65537, 200_000, 10)]);
        assert_eq!(mapping(7, Vec::new()).len(), 1);
    }
}

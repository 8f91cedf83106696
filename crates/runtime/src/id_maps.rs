//! Writing the mappings of a process that has just come into a new user namespace. Whoever has power over ids in the parent
//! namespace writes any; an ordinary user maps himself alone (user_namespaces(7)), and for the ranges that /etc/subuid and
//! /etc/subgid give him he asks `newuidmap` and `newgidmap`: the kernel takes those only from somebody privileged.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{getegid, geteuid};

use crate::error::{During, LaunchError, Result};
use crate::plan::IdMapping;

const STEP: &str = "user namespace";

/// Writes both mappings of `pid`.
pub fn write(pid: i32, uid: &[IdMapping], gid: &[IdMapping]) -> Result<()> {
    if geteuid().is_root() {
        write_file(pid, "uid_map", uid)?;
        return write_file(pid, "gid_map", gid);
    }
    if is_only(uid, geteuid().as_raw()) {
        write_file(pid, "uid_map", uid)?;
    } else {
        ask("newuidmap", pid, uid)?;
    }
    if is_only(gid, getegid().as_raw()) {
        // Or a user could shed a group that keeps him out of something.
        std::fs::write(format!("/proc/{pid}/setgroups"), "deny")
            .during(STEP, || "write setgroups of the container".to_owned())?;
        return write_file(pid, "gid_map", gid);
    }
    ask("newgidmap", pid, gid)
}

/// Whether nothing is mapped but one's own id.
fn is_only(mappings: &[IdMapping], own: u32) -> bool {
    matches!(mappings, [IdMapping { host, size: 1, .. }] if *host == own)
}

fn write_file(pid: i32, file: &str, mappings: &[IdMapping]) -> Result<()> {
    let lines: String = mappings
        .iter()
        .map(|mapping| format!("{} {} {}\n", mapping.container, mapping.host, mapping.size))
        .collect();
    std::fs::write(format!("/proc/{pid}/{file}"), lines)
        .during(STEP, || format!("write {file} of the container"))
}

/// Where a helper is, if the system has it.
pub fn helper(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin", "/run/current-system/sw/bin"]
        .map(|folder| PathBuf::from(folder).join(name))
        .into_iter()
        .find(|path| path.is_file())
}

fn ask(name: &str, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let Some(program) = helper(name) else {
        let message =
            format!("mapping ids other than one's own needs {name} (package uidmap), which is not installed");
        return Err(LaunchError::other(STEP, message));
    };
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for mapping in mappings {
        command.args([mapping.container, mapping.host, mapping.size].map(|number| number.to_string()));
    }
    let output = command.stdin(Stdio::null()).output().during(STEP, || format!("run {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().strip_prefix(name).unwrap_or(said.trim()).trim_start_matches([':', ' ']);
    Err(LaunchError::other(STEP, format!("{name} refused the mapping: {said} ({})", output.status)))
}

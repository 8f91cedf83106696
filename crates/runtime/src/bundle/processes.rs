//! The processes of a container that has no cgroup to ask: whoever is in the pid namespace of its first process, and whoever that
//! process and its children have started. The first is not to be seen of another user's processes, the second not of those that
//! came by `exec`.

use std::os::unix::fs::MetadataExt;

/// The process and all that belong to it, in the order of their pids.
pub fn of(first: i32) -> Vec<i32> {
    let namespace = |pid: i32| std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|file| file.ino());
    let all: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        // One that ends while we look is left out.
        .filter_map(|pid| Some((pid, sys::process::stat(pid).ok()?.parent)))
        .collect();
    let own = namespace(std::process::id() as i32);
    let theirs = namespace(first).filter(|theirs| Some(*theirs) != own);
    let mut found: Vec<i32> = all
        .iter()
        .map(|(pid, _)| *pid)
        .filter(|pid| *pid == first || theirs.is_some() && namespace(*pid) == theirs)
        .collect();
    let mut index = 0;
    while let Some(parent) = found.get(index).copied() {
        index += 1;
        let children = all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
        let new: Vec<i32> = children.filter(|child| !found.contains(child)).collect();
        found.extend(new);
    }
    found.sort_unstable();
    found
}

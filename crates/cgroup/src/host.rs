//! Which cgroup file systems this host has.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The cgroup file systems of this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// v1 hierarchies; empty on a v2-only host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hierarchies: Vec<Hierarchy>,
    /// The mount point of cgroup2: the only one on a v2 host, or beside v1 hierarchies (hybrid).
    pub unified: Option<PathBuf>,
}

/// A v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Its controllers ("cpu", "cpuacct"), or "name=systemd".
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
}

impl Hierarchy {
    /// Whether the hierarchy has this controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// A hierarchy that only names things, like systemd's.
    pub fn is_named(&self) -> bool {
        self.controllers.iter().all(|name| name.starts_with("name="))
    }
}

const V1_CONTROLLERS: [&str; 13] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
];

impl Host {
    /// Reads the layout from `/proc/self/mountinfo`.
    pub fn detect() -> Result<Self> {
        let path = std::path::Path::new("/proc/self/mountinfo");
        let text = crate::files::read(path)?;
        let host = Self::from_mountinfo(&text);
        if host.unified.is_none() && host.hierarchies.iter().all(Hierarchy::is_named) {
            return Err(Error::Layout("neither cgroup2 nor a cgroup v1 controller is mounted".into()));
        }
        Ok(host)
    }

    /// Whether limits are set through cgroup v2: no v1 hierarchy has a controller.
    pub fn is_v2(&self) -> bool {
        self.unified.is_some() && self.hierarchies.iter().all(Hierarchy::is_named)
    }

    /// The v1 hierarchy of a controller.
    pub fn hierarchy(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.has(controller))
    }

    /// Whether memory and swap together can be limited (`memory.memsw.*`, `memory.swap.max`).
    pub fn has_swap_accounting(&self) -> bool {
        match self.hierarchy("memory") {
            Some(memory) => memory.mount.join("memory.memsw.limit_in_bytes").exists(),
            None => std::path::Path::new("/proc/swaps").exists(),
        }
    }

    /// The first mount of each hierarchy counts; later ones are other views of it.
    fn from_mountinfo(text: &str) -> Self {
        let mut host = Self { hierarchies: Vec::new(), unified: None };
        for line in text.lines() {
            // 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(mount) = before.split(' ').nth(4) else { continue };
            let mut fields = after.split(' ');
            let (kind, options) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
            let mount = PathBuf::from(unescape(mount));
            match kind {
                "cgroup2" if host.unified.is_none() => host.unified = Some(mount),
                "cgroup" => {
                    let controllers: Vec<String> = options
                        .split(',')
                        .filter(|name| V1_CONTROLLERS.contains(name) || name.starts_with("name="))
                        .map(str::to_owned)
                        .collect();
                    let known = host.hierarchies.iter().any(|hierarchy| hierarchy.controllers == controllers);
                    if !controllers.is_empty() && !known {
                        host.hierarchies.push(Hierarchy { controllers, mount });
                    }
                }
                _ => {}
            }
        }
        host
    }
}

/// mountinfo writes space, tab, newline and backslash as octal.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let v2 = Host::from_mountinfo(
            "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        assert!(v2.is_v2());
        assert_eq!(v2.unified.as_deref(), Some("/sys/fs/cgroup".as_ref()));
        let hybrid = Host::from_mountinfo(
            "34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:31 / /mnt/again rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
             36 31 0:35 / /sys/fs/cgroup/with\\040space rw,relatime - cgroup cgroup rw,blkio\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw shared:3 - cgroup cgroup rw,xattr,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
             50 31 0:39 / /proc rw - proc proc rw\n",
        );
        assert!(!hybrid.is_v2());
        assert_eq!(hybrid.hierarchies.len(), 3);
        assert!(hybrid.hierarchy("cpuacct").unwrap().has("cpu"));
        assert_eq!(hybrid.hierarchy("blkio").unwrap().mount, PathBuf::from("/sys/fs/cgroup/with space"));
        assert!(hybrid.hierarchies[2].is_named());
    }
}

//! What the engine knows about its host for as long as it runs: asked once.

use std::path::Path;

use crate::container::security::Seccomp;
use crate::error::{Error, Result};

/// Facts about the host and what follows from them and the configuration.
pub(crate) struct Facts {
    pub runtime: runtime::HostFacts,
    pub cpus: usize,
    /// AppArmor is on.
    pub apparmor: bool,
    /// The profile of containers that name none; None is unconfined.
    pub seccomp: Option<seccomp::Profile>,
}

impl Facts {
    pub(crate) fn detect(seccomp_profile: Option<&str>) -> Result<Self> {
        let builtin = || Some(seccomp::Profile::docker_default().clone());
        let seccomp = match seccomp_profile.map(Seccomp::parse) {
            None | Some(Seccomp::Default | Seccomp::Builtin) => builtin(),
            Some(Seccomp::Unconfined) => None,
            Some(Seccomp::Profile(json)) => Some(
                seccomp::Profile::parse(json.as_bytes())
                    .map_err(|error| Error::host("read the engine's seccomp profile", error))?,
            ),
        };
        let runtime = runtime::HostFacts::detect()
            .map_err(|error| Error::host("find out about this host's cgroups", error))?;
        let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
        Ok(Self {
            runtime,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            apparmor: enabled.is_ok_and(|text| text.starts_with(b"Y"))
                && Path::new("/sys/kernel/security/apparmor").exists(),
            seccomp,
        })
    }

    /// cgroup v2 alone: what decides about namespaces and limits.
    pub(crate) fn cgroup_v2(&self) -> bool {
        self.runtime.cgroup.is_v2()
    }

    /// The cgroup of a container, wherever the host keeps it.
    pub(crate) fn cgroup(&self, path: &str) -> cgroup::Cgroup {
        cgroup::Cgroup::open(&self.runtime.cgroup, path)
    }
}

/// A host with cgroup v2, for tests.
#[cfg(test)]
pub(crate) fn example() -> runtime::HostFacts {
    let cgroup = cgroup::Host { hierarchies: Vec::new(), unified: Some("/sys/fs/cgroup".into()) };
    runtime::HostFacts {
        kernel: (6, 18),
        cgroup,
        last_capability: 40,
        time_namespaces: true,
        thermal_throttles: Vec::new(),
    }
}

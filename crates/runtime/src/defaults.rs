//! Docker's default container as an OCI configuration (moby `oci/defaults.go`), and what planning asks about the machine.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder,
    LinuxDeviceType, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResourcesBuilder, Mount, MountBuilder,
    ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

/// What planning needs to know about the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// Kernel version: major, minor.
    pub kernel: (u32, u32),
    /// The cgroup layout.
    pub cgroup: cgroup::Host,
    /// The kernel's highest capability.
    pub last_capability: u32,
    /// The kernel has time namespaces.
    pub time_namespaces: bool,
    /// Processors with a `thermal_throttle` folder in sysfs, which is masked.
    pub thermal_throttles: Vec<String>,
}

impl HostFacts {
    /// Asks this machine.
    pub fn detect() -> Result<Self, cgroup::Error> {
        Ok(Self {
            kernel: sys::process::kernel_version(),
            cgroup: cgroup::Host::detect()?,
            last_capability: sys::caps::last(),
            time_namespaces: Path::new("/proc/self/ns/time").exists(),
            thermal_throttles: thermal_throttles(),
        })
    }

    /// For a configuration that is complete: what only [`spec_default`] wants to know is not asked for.
    pub(crate) fn with_cgroups(cgroup: cgroup::Host) -> Self {
        Self {
            kernel: sys::process::kernel_version(),
            cgroup,
            last_capability: sys::caps::last(),
            time_namespaces: false,
            thermal_throttles: Vec::new(),
        }
    }
}

fn thermal_throttles() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/devices/system/cpu") else { return Vec::new() };
    let mut paths: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok()))
        .map(|name| format!("/sys/devices/system/cpu/{name}/thermal_throttle"))
        .filter(|path| Path::new(path).exists())
        .collect();
    paths.sort();
    paths
}

/// Docker's fourteen.
pub const DEFAULT_CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// Masked in every container that is not privileged; see also [`HostFacts::thermal_throttles`].
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only in every container that is not privileged.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What Docker sets in every network namespace of a container's own (not with the host's network, not in a user namespace):
/// everybody may bind low ports and send pings.
pub const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// Docker's PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default container as an OCI configuration: capabilities, mounts, masked and read-only paths, namespaces, device rules.
/// Has no arguments, no seccomp (give [`crate::PlanOptions::seccomp`]), no sysctls ([`NETWORK_SYSCTLS`]) and a private cgroup
/// namespace only on cgroup v2.
pub fn spec_default(host: &HostFacts) -> Spec {
    let mut namespaces = vec![
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
    ];
    if host.cgroup.is_v2() {
        namespaces.push(LinuxNamespaceType::Cgroup);
    }
    if host.time_namespaces {
        namespaces.push(LinuxNamespaceType::Time);
    }
    let namespaces: Vec<_> = namespaces
        .into_iter()
        .filter_map(|kind| LinuxNamespaceBuilder::default().typ(kind).build().ok())
        .collect();
    let masked =
        MASKED_PATHS.iter().map(|path| (*path).to_owned()).chain(host.thermal_throttles.iter().cloned());
    let capabilities: std::collections::HashSet<_> = DEFAULT_CAPABILITIES.into_iter().collect();
    let spec = || {
        let capabilities = LinuxCapabilitiesBuilder::default()
            .bounding(capabilities.clone())
            .effective(capabilities.clone())
            .permitted(capabilities)
            .inheritable(std::collections::HashSet::new())
            .ambient(std::collections::HashSet::new())
            .build()?;
        let process = ProcessBuilder::default()
            .args(Vec::<String>::new())
            .env(vec![format!("PATH={DEFAULT_PATH}")])
            .cwd("/")
            .user(UserBuilder::default().build()?)
            .capabilities(capabilities)
            .rlimits(Vec::new())
            .no_new_privileges(false)
            .oom_score_adj(0)
            .build()?;
        let linux = LinuxBuilder::default()
            .namespaces(namespaces)
            .masked_paths(masked.collect::<Vec<_>>())
            .readonly_paths(READONLY_PATHS.map(str::to_owned).to_vec())
            .resources(LinuxResourcesBuilder::default().devices(device_rules()?).build()?)
            .build()?;
        SpecBuilder::default()
            .version("1.2.0")
            .root(RootBuilder::default().path("rootfs").readonly(false).build()?)
            .hostname("")
            .mounts(default_mounts()?)
            .process(process)
            .linux(linux)
            .build()
    };
    // The builders fail only for fields left out; which they are not is a test below.
    spec().unwrap_or_default()
}

fn default_mounts() -> Result<Vec<Mount>, oci_spec::OciSpecError> {
    let mount = |target: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(target)
            .typ(kind)
            .source(PathBuf::from(if target == "/dev/shm" { "shm" } else { kind }))
            .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
            .build()
    };
    [
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ]
    .into_iter()
    .collect()
}

/// Docker's device rules; [`crate::plan`] adds those of the nodes that every container has.
fn device_rules() -> Result<Vec<LinuxDeviceCgroup>, oci_spec::OciSpecError> {
    let rule = |allow, major: i64, minor: i64| {
        LinuxDeviceCgroupBuilder::default()
            .allow(allow)
            .typ(LinuxDeviceType::C)
            .major(major)
            .minor(minor)
            .access("rwm")
            .build()
    };
    let deny_all = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build();
    let character = [
        (true, 1, 5),
        (true, 1, 3),
        (true, 1, 9),
        (true, 1, 8),
        (true, 5, 0),
        (true, 5, 1),
        (false, 10, 229),
    ];
    std::iter::once(deny_all)
        .chain(character.into_iter().map(|(allow, major, minor)| rule(allow, major, minor)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_complete() {
        let spec = spec_default(&HostFacts::detect().unwrap());
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(spec.mounts().as_ref().unwrap().len(), 7);
        assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), 5);
        assert_eq!(linux.resources().as_ref().unwrap().devices().as_ref().unwrap().len(), 8);
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 14);
    }
}

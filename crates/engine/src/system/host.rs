//! What `info` and `version` tell about the host, read from `/proc`, `/etc/os-release` and the root's file system.

use std::path::Path;

/// The kernel's names.
pub(super) struct Kernel {
    pub release: String,
}

impl Kernel {
    pub fn read() -> Self {
        Kernel { release: rustix::system::uname().release().to_string_lossy().into_owned() }
    }
}

/// The host.
pub(super) struct Host {
    pub kernel: String,
    pub machine: String,
    pub name: String,
    pub operating_system: String,
    pub os_version: String,
    pub cpus: i64,
    /// Bytes.
    pub memory: i64,
    pub cgroup_version: u8,
    pub swap_limit: bool,
    pub ipv4_forwarding: bool,
    pub open_files: i64,
    pub file_system: String,
}

impl Host {
    pub fn read(root: &Path, cgroups: &cgroup::Host) -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let release = read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).unwrap_or_default();
        Host {
            kernel: text(uname.release()),
            machine: text(uname.machine()),
            name: text(uname.nodename()),
            operating_system: os_release(&release, "PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
            os_version: os_release(&release, "VERSION_ID").unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as i64),
            memory: memory_total(&read("/proc/meminfo").unwrap_or_default()),
            cgroup_version: if cgroups.is_v2() { 2 } else { 1 },
            swap_limit: cgroups.has_swap_accounting(),
            ipv4_forwarding: read("/proc/sys/net/ipv4/ip_forward").is_some_and(|text| text.trim() == "1"),
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64),
            file_system: file_system(root),
        }
    }

    pub fn storage_status(&self) -> Vec<[String; 2]> {
        let pair = |key: &str, value: &str| [key.to_owned(), value.to_owned()];
        vec![
            pair("Backing Filesystem", &self.file_system),
            pair("Supports d_type", "true"),
            pair("Using metacopy", "false"),
            pair("Native Overlay Diff", "true"),
            pair("userxattr", "false"),
        ]
    }

    pub fn security_options(&self, rootless: bool) -> Vec<String> {
        let mut options = Vec::new();
        if read("/sys/module/apparmor/parameters/enabled").is_some_and(|text| text.trim() == "Y") {
            options.push("name=apparmor".to_owned());
        }
        options.push("name=seccomp,profile=builtin".to_owned());
        if rootless {
            options.push("name=rootless".to_owned());
        }
        if self.cgroup_version == 2 {
            options.push("name=cgroupns".to_owned());
        }
        options
    }

    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.swap_limit {
            warnings.push("WARNING: No swap limit support".to_owned());
        }
        if !self.ipv4_forwarding {
            warnings.push("WARNING: IPv4 forwarding is disabled".to_owned());
        }
        warnings
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `KEY="value"` of os-release(5).
fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Bytes, from `MemTotal: … kB`.
fn memory_total(text: &str) -> i64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<i64>().ok());
    number.unwrap_or(0) * 1024
}

/// Name of the file system that `path` is on, as Docker prints it; magic numbers from statfs(2).
fn file_system(path: &Path) -> String {
    let Ok(facts) = rustix::fs::statfs(path) else { return "<unknown>".to_owned() };
    let magic = facts.f_type as u64 & 0xffff_ffff;
    match magic {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x6969 => "nfs",
        0xf2f5_2010 => "f2fs",
        _ => "<unknown>",
    }
    .to_owned()
}

/// RFC 9562 version 4.
pub(super) fn random_uuid() -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|_| 0);
    if let Ok(random) = std::fs::File::open("/dev/urandom") {
        let _ = std::io::Read::read_exact(&mut &random, &mut bytes);
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = image::hex_encode(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read() {
        let host = Host::read(Path::new("/"), &crate::facts::example().cgroup);
        assert!(host.cpus > 0 && host.memory > 1 << 20 && !host.kernel.is_empty() && host.open_files > 2);
    }

    #[test]
    fn parsers() {
        let text = "NAME=\"Debian\"\nPRETTY_NAME='Debian GNU/Linux 12'\nVERSION_ID=12\n";
        assert_eq!(os_release(text, "PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(os_release(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(memory_total("MemTotal:       2048 kB\n"), 2_097_152);
        let id = random_uuid();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
    }
}

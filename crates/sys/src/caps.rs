//! Capability numbers and names (linux/capability.h) as 64-bit sets, and the calls that rustix has no set form of.

use std::io;

/// Names in the order of their numbers, without `CAP_`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// All capabilities this table knows.
pub const ALL: u64 = (1 << NAMES.len()) - 1;
/// `CAP_SETPCAP`'s number.
pub const SETPCAP: u32 = 8;
/// `CAP_SYS_ADMIN`'s number.
pub const SYS_ADMIN: u32 = 21;

/// The number of a capability by name, with or without `CAP_`, any case.
pub fn parse(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|candidate| *candidate == bare).map(|index| index as u32)
}

/// The full name (`CAP_…`) of a number.
pub fn name(number: u32) -> Option<String> {
    NAMES.get(number as usize).map(|name| format!("CAP_{name}"))
}

/// The highest capability of the running kernel, from `/proc/sys/kernel/cap_last_cap`; the table's last when that cannot be read.
pub fn last() -> u32 {
    std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(NAMES.len() as u32 - 1)
}

/// Takes one capability out of the calling thread's bounding set. `EINVAL` means that the kernel has no such capability.
pub fn drop_from_bounding_set(capability: u32) -> io::Result<()> {
    // SAFETY: a prctl with integers only.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Adds one capability to the calling thread's ambient set (it must be permitted and inheritable).
pub fn raise_ambient(capability: u32) -> io::Result<()> {
    // SAFETY: a prctl with integers only.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong,
            libc::c_ulong::from(capability),
            0,
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Empties the calling thread's ambient set.
pub fn clear_ambient() -> io::Result<()> {
    // SAFETY: a prctl with integers only.
    let result = unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the calling thread's effective, permitted and inheritable sets.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let set = CapabilitySet::from_bits_retain;
    set_capabilities(
        None,
        CapabilitySets {
            effective: set(effective),
            permitted: set(permitted),
            inheritable: set(inheritable),
        },
    )?;
    Ok(())
}

/// The calling thread's permitted set.
pub fn permitted() -> io::Result<u64> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

/// The bounding set of a process (proc_pid_status(5)).
pub fn bounding_of(pid: i32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("CAP_SYS_ADMIN"), Some(SYS_ADMIN));
        assert_eq!(parse("sys_admin"), Some(SYS_ADMIN));
        assert_eq!(parse("checkpoint_restore"), Some(40));
        assert_eq!(parse("CAP_"), None);
        assert_eq!(name(8).unwrap(), "CAP_SETPCAP");
        assert_eq!(name(41), None);
    }
}

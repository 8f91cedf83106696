//! `bpf(2)` for cgroup v2 device control: load a `BPF_PROG_TYPE_CGROUP_DEVICE` program and attach it to a cgroup's folder. Who
//! may use which device is decided by the crate that writes the program.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// One eBPF instruction as the kernel takes it (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 2;

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: every caller passes a zero-padded structure that begins like this command's part of `union bpf_attr`; the size is
    // the structure's, and the pointers inside outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result >= 0 { Ok(result as i32) } else { Err(io::Error::last_os_error()) }
}

/// Loads a device program. Needs CAP_BPF (or CAP_SYS_ADMIN).
pub fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buffer: u64,
        kernel_version: u32,
        flags: u32,
    }
    let mut attributes = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(PROG_LOAD, &mut attributes)?;
    // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replace: u32,
}

fn raw(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd() as u32
}

/// Adds a device program to a cgroup; a device is usable when every attached program, here and above, allows it.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut attributes = Attach {
        target: raw(&cgroup),
        program: raw(&program),
        kind: ATTACH_CGROUP_DEVICE,
        flags: F_ALLOW_MULTI,
        replace: 0,
    };
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

/// Takes a device program off a cgroup again.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    let mut attributes = Attach {
        target: raw(&cgroup),
        program: raw(&program),
        kind: ATTACH_CGROUP_DEVICE,
        flags: 0,
        replace: 0,
    };
    bpf(PROG_DETACH, &mut attributes).map(drop)
}

/// The device programs attached directly to a cgroup (at most 64).
pub fn device_programs(cgroup: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    #[repr(C)]
    struct Query {
        target: u32,
        kind: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    let mut ids = [0_u32; 64];
    let mut attributes = Query {
        target: raw(&cgroup),
        kind: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: ids.len() as u32,
        padding: 0,
    };
    bpf(PROG_QUERY, &mut attributes)?;
    let count = (attributes.count as usize).min(ids.len());
    ids[..count]
        .iter()
        .map(|id| {
            #[repr(C)]
            struct ById {
                id: u32,
                next: u32,
                flags: u32,
            }
            let fd = bpf(PROG_GET_FD_BY_ID, &mut ById { id: *id, next: 0, flags: 0 })?;
            // SAFETY: the kernel just gave us this descriptor, nobody else owns it.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

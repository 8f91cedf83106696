//! Project quotas: which project a folder belongs to (`FS_IOC_FS[GS]ETXATTR`, linux/fs.h) and how much a project may use
//! (`quotactl_fd(2)`, linux/quota.h; Linux 5.14). The same calls serve ext4 and xfs.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f_u32 as libc::Ioctl;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820_u32 as libc::Ioctl;
/// What is made in the folder belongs to its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

const PRJQUOTA: u32 = 2;
const Q_GETQUOTA: u32 = 0x80_0007;
const Q_SETQUOTA: u32 = 0x80_0008;
const QIF_BLIMITS: u32 = 1;
/// Limits are counted in these.
const BLOCK: u64 = 1024;

/// `struct fsxattr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Default)]
struct Block {
    hard_limit: u64,
    soft_limit: u64,
    space: u64,
    inode_hard_limit: u64,
    inode_soft_limit: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
    pad: u32,
}

/// What a project uses and may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes it may use; 0 is no limit.
    pub limit: u64,
    /// Bytes in use.
    pub space: u64,
    /// Files in use.
    pub files: u64,
}

/// Puts a folder, open for reading, and all that will be made in it into a project.
pub fn set_project(folder: impl AsFd, project: u32) -> io::Result<()> {
    let fd = folder.as_fd().as_raw_fd();
    let mut attributes = Attributes::default();
    // SAFETY: the call writes one `struct fsxattr` to a place that holds one.
    if unsafe { libc::ioctl(fd, FS_IOC_FSGETXATTR, &raw mut attributes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.projid = project;
    attributes.xflags |= FS_XFLAG_PROJINHERIT;
    // SAFETY: the call reads one `struct fsxattr` from a place that holds one.
    match unsafe { libc::ioctl(fd, FS_IOC_FSSETXATTR, &raw const attributes) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A project's usage and limit on the file system of `file`. `ESRCH` where quotas are not enforced.
pub fn usage(file: impl AsFd, project: u32) -> io::Result<Usage> {
    let mut block = Block::default();
    quotactl(file, Q_GETQUOTA, project, &mut block)?;
    Ok(Usage { limit: block.hard_limit * BLOCK, space: block.space, files: block.inodes })
}

/// Limits a project to so many bytes, rounded up to kilobytes.
pub fn set_limit(file: impl AsFd, project: u32, bytes: u64) -> io::Result<()> {
    let limit = bytes.div_ceil(BLOCK);
    let mut block = Block { hard_limit: limit, soft_limit: limit, valid: QIF_BLIMITS, ..Block::default() };
    quotactl(file, Q_SETQUOTA, project, &mut block)
}

fn quotactl(file: impl AsFd, command: u32, project: u32, block: &mut Block) -> io::Result<()> {
    let command = (command << 8) | PRJQUOTA;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: both commands used read or write one `struct if_dqblk` at a place that holds one.
    match unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, project, std::ptr::from_mut(block)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

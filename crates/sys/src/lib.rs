//! Every system call wrapper that rustix lacks, and every `unsafe` of the project. The modules are thin: one call, one name,
//! descriptors owned or borrowed, errors as the kernel gave them. Policy lives in the crates above.

pub mod bpf;
pub mod caps;
pub mod clone;
pub mod exec;
pub mod fdpass;
pub mod fsutil;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod overlay;
pub mod process;
pub mod quota;
pub mod seccomp;
pub mod signal;
pub mod socket;

pub use clone::clone3;
pub use namespace::in_netns;

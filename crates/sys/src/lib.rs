//! Every system call wrapper that rustix lacks, and every `unsafe` of the project.

pub mod netlink;

//! What this binary is besides a command line: the processes that Naru starts by itself.

pub mod engine;
pub mod init;
pub mod monitor;

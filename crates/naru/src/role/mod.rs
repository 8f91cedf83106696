//! What this binary is besides a command line: the processes that Naru starts by itself, and the built-in image's program.

pub mod engine;
pub mod hello;
pub mod home;
pub mod init;
pub mod monitor;
pub mod oci;
mod users;

//! One binary, several roles. What this process is, is decided by its name and first argument before anything else happens: a monitor
//! or a container's init must not pay for a command line parser.
//!
//! ```text
//! naru monitor <id>   parent of one container; control socket is stdin      role::monitor
//! docker-init -- …    first process of a container that asked for one       role::init
//! naru oci …          runc's command line; also as naru-oci, runc, crun     role::oci
//! naru engine …       the Engine API on a socket                            role::engine
//! naru network-home …  keeps the networks of an engine without root    role::home
//! naru hello          the program of the built-in image                     role::hello
//! naru <verb> …       everything a user types                               cli
//! ```
#![forbid(unsafe_code)]

mod aws;
mod cli;
mod format;
mod role;

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The name under which `--init` mounts this binary into a container.
const INIT: &str = "docker-init";

fn main() -> ! {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let arguments: Vec<OsString> = words.collect();
    let code = match arguments.first().and_then(|first| first.to_str()) {
        // Containers see the binary under this name, and nothing is said behind it but `-- COMMAND`.
        _ if Path::new(&program).file_name() == Some(OsStr::new(INIT)) => role::init::run(&arguments),
        _ if role::oci::is_named(&program) => role::oci::run(&arguments),
        Some("oci") => role::oci::run(&arguments[1..]),
        Some("monitor") => role::monitor::run(),
        Some("network-home") => role::home::run(&arguments[1..]),
        Some("engine") => role::engine::run(&arguments[1..]),
        Some("hello") => role::hello::run(),
        _ => cli::run(arguments),
    };
    // Not a return: a blocked read of standard input on another thread must not keep the process.
    std::process::exit(code)
}

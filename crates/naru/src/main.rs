//! One binary, several roles. What this process is, is decided by its first argument before anything else happens: a monitor
//! or a container's init must not pay for a command line parser.
//!
//! ```text
//! naru monitor <id>   parent of one container; control socket is stdin      role::monitor
//! naru init -- …      first process of a container that asked for one       role::init
//! naru engine …       the Engine API on a socket                            role::engine
//! naru hello          the program of the built-in image                     role::hello
//! naru <verb> …       everything a user types                               cli
//! ```
#![forbid(unsafe_code)]

mod cli;
#[allow(dead_code)]
mod format;
mod role;

use std::ffi::OsString;

fn main() -> ! {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match arguments.first().and_then(|first| first.to_str()) {
        Some("monitor") => role::monitor::run(),
        Some("init") => role::init::run(&arguments[1..]),
        Some("engine") => role::engine::run(&arguments[1..]),
        Some("hello") => role::hello::run(),
        _ => cli::run(arguments),
    };
    // Not a return: a blocked read of standard input on another thread must not keep the process.
    std::process::exit(code)
}

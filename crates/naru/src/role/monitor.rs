//! The monitor's entry: its control socket is standard input. See the `monitor` crate.

use std::os::fd::AsFd;

/// Runs a monitor until its container is gone for good.
pub fn run() -> i32 {
    match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(control) => monitor::run(control),
        Err(_) => 1,
    }
}

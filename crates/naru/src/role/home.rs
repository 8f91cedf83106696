//! The entry of the process that holds the networks of an engine without root. See `network::home`.

use std::ffi::OsString;

/// Starts it and returns: it goes on by itself.
pub fn run(arguments: &[OsString]) -> i32 {
    network::home::holder::run(arguments)
}

//! `kill`: sends a signal, by name or number, to a container's first process or to all of them.

use super::Globals;
use super::arguments::{Flag, Order, parse};
use super::failure::{Failure, Result};

const FLAGS: &[Flag] = &[Flag::switch("all", Some('a'))];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let (id, signal) = match flags.arguments() {
        [id] => (id, "SIGTERM"),
        [id, signal] => (id, signal.as_str()),
        [] => return Err(Failure::usage("\"kill\" requires a minimum of 1 argument")),
        _ => return Err(Failure::usage("\"kill\" requires a maximum of 2 arguments")),
    };
    // A probe: whether there is somebody.
    let probe = (signal == "0").then_some(0);
    let number = probe
        .or_else(|| sys::signal::parse(signal))
        .ok_or_else(|| Failure::usage(format!("unknown signal {signal:?}")))?;
    globals.store.open(id)?.kill(number, flags.switch("all"))?;
    Ok(0)
}

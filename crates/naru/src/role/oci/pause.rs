//! `pause` and `resume`: stops all processes of a container where they are, and lets them go on.

use super::Globals;
use super::arguments::{Order, parse};
use super::failure::Result;

/// `pause`.
pub fn pause(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, &[], Order::Any)?;
    globals.store.open(flags.id("pause")?)?.pause()?;
    Ok(0)
}

/// `resume`.
pub fn resume(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, &[], Order::Any)?;
    globals.store.open(flags.id("resume")?)?.resume()?;
    Ok(0)
}

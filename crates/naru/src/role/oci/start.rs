//! `start`: lets the process of a created container run the user's program.

use super::Globals;
use super::arguments::{Order, parse};
use super::failure::Result;

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, &[], Order::Any)?;
    let container = globals.store.open(flags.id("start")?)?;
    container.start()?;
    Ok(0)
}

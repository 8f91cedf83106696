//! `delete`: removes a container.

use super::Globals;
use super::arguments::{Flag, Order, parse};
use super::failure::Result;

const FLAGS: &[Flag] = &[Flag::switch("force", Some('f'))];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    globals.store.delete(flags.id("delete")?, flags.switch("force"))?;
    Ok(0)
}

//! `run`: creates and starts a container in one go, and, unless told to detach, stays as its parent until it ends.

use super::arguments::{Flag, Order, parse};
use super::create::Request;
use super::failure::Result;
use super::{Globals, foreground};

const FLAGS: &[Flag] = &[
    Flag::value("bundle", Some('b')),
    Flag::value("console-socket", None),
    Flag::value("pid-file", None),
    Flag::value("preserve-fds", None),
    Flag::switch("no-pivot", None),
    Flag::switch("no-new-keyring", None),
    Flag::switch("no-subreaper", None),
    Flag::switch("detach", Some('d')),
    Flag::switch("keep", None),
];

/// The verb. Its exit code is the program's.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let id = flags.id("run")?;
    let detach = flags.switch("detach");
    let request = Request::read(globals, &flags, id, detach)?;
    // Before there is a child whose end, or a signal to be passed on, could be missed.
    let signals = if detach { None } else { Some(foreground::Signals::take()?) };
    let created = request.create(id, false, "run failed: ")?;
    request.hand_over(&created)?;
    let Some(signals) = signals else { return Ok(0) };
    let code = foreground::wait(&created.launched, &signals);
    let deleted = match flags.switch("keep") {
        true => Ok(()),
        false => request.store().delete(id, true),
    };
    let code = code?;
    deleted?;
    Ok(code)
}

//! Being called by an ordinary user: this process goes into the container's user namespace first, and says so to itself across
//! the `execve` of [`seal`](super::seal).

use runtime::bundle::{Bundle, Container};
use runtime::{Outside, rootless};

use super::failure::{Failure, Result};

/// Holds the number of the user namespace that this process has entered before it executed itself.
pub const MARK: &str = "_NARU_OCI_ENTERED";

/// Holds the number of the line to the one who runs hooks outside.
pub const OUTSIDE: &str = "_NARU_OCI_OUTSIDE";

/// The user namespace of this process.
fn number() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/user").ok()?;
    Some(link.to_str()?.trim_matches(|letter: char| !letter.is_ascii_digit()).to_owned())
}

/// What [`seal`](super::seal) adds to the environment.
pub fn mark() -> Option<String> {
    number().map(|number| format!("{MARK}={number}"))
}

/// Whether this process has entered a container's user namespace. A mark that somebody else left means nothing.
pub fn has_entered() -> bool {
    std::env::var(MARK).is_ok_and(|mark| number().is_some_and(|number| number == mark))
}

/// Whether the caller has the host's own root's rights, or at least root's over all that he sees.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root() && !has_entered()
}

/// Goes where the bundle's container, `id`, will be; `true` if that is somewhere else than the caller is. Who runs hooks where he is, if
/// there are any, has a line with a number above those of the `preserve` descriptors.
pub fn enter_new(bundle: &Bundle, id: &str, preserve: u32) -> Result<(bool, Option<Outside>)> {
    if has_entered() {
        let number = std::env::var(OUTSIDE).ok().and_then(|number| number.parse().ok());
        let outside = number.map(Outside::handed_over).transpose().map_err(runtime::bundle::Error::from)?;
        sys::exec::close_on_exec_from(3 + preserve).map_err(Failure::io("close descriptors"))?;
        return Ok((true, outside));
    }
    if is_root() {
        return Ok((false, None));
    }
    let namespaces = bundle.namespaces()?;
    let first = i32::try_from(preserve).unwrap_or(i32::MAX).saturating_add(3);
    let leave = |hooks| Outside::leave_behind(&hooks, first);
    let outside = bundle.outer_hooks(id)?.map(leave).transpose().map_err(runtime::bundle::Error::from)?;
    rootless::enter(&namespaces).map_err(runtime::bundle::Error::from)?;
    Ok((true, outside))
}

/// Goes where a container is.
pub fn enter_existing(container: &Container) -> Result<bool> {
    if has_entered() || is_root() {
        return Ok(has_entered());
    }
    let pid = container.exec_target(true)?.pid;
    Ok(rootless::enter_process(pid).map_err(runtime::bundle::Error::from)?)
}

//! Being called by an ordinary user: this process goes into the container's user namespace first, and says so to itself across
//! the `execve` of [`seal`](super::seal).

use runtime::bundle::{Bundle, Container};
use runtime::rootless;

use super::failure::Result;

/// Holds the number of the user namespace that this process has entered before it executed itself.
pub const MARK: &str = "_NARU_OCI_ENTERED";

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

/// Goes where the bundle's container will be; `true` if that is somewhere else than the caller is.
pub fn enter_new(bundle: &Bundle) -> Result<bool> {
    if has_entered() || is_root() {
        return Ok(has_entered());
    }
    let namespaces = bundle.namespaces()?;
    rootless::enter(&namespaces).map_err(runtime::bundle::Error::from)?;
    Ok(true)
}

/// Goes where a container is.
pub fn enter_existing(container: &Container) -> Result<bool> {
    if has_entered() || is_root() {
        return Ok(has_entered());
    }
    let pid = container.exec_target(true)?.pid;
    Ok(rootless::enter_process(pid).map_err(runtime::bundle::Error::from)?)
}

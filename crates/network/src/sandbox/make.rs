//! Making a network namespace: on a thread that exists for nothing else, since a thread that has left its namespace is of no
//! further use to the engine.

use std::fs::{self, File};

use netlink::route::{Batch, LinkChange, LinkRef, Route};

use super::Sandbox;
use crate::error::{Error, Result};

/// Settings of every container's namespace, as Docker's defaults: unprivileged users may use low ports and send ICMP echo; a link
/// has IPv6 only when its network does.
const SETTINGS: [(&str, &str); 3] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"),
];

/// A fresh namespace with loopback up.
pub(crate) fn make() -> Result<Sandbox> {
    let thread = std::thread::Builder::new()
        .name("netns".to_owned())
        .stack_size(256 << 10)
        .spawn(make_here)
        .map_err(|error| Error::host("start a thread for a network namespace", error))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn make_here() -> Result<Sandbox> {
    sys::namespace::unshare(sys::clone::NEWNET)
        .map_err(|error| Error::host("make a network namespace", error))?;
    let mut route = Route::open()?;
    let mut batch = Batch::new();
    // Loopback is the first link of every namespace.
    batch.set_link(LinkRef::Index(1), &LinkChange { up: Some(true), ..LinkChange::default() });
    route.run(batch)?;
    for (path, value) in SETTINGS {
        // Absent without IPv6, and read-only where /proc/sys is: then containers go without.
        let _ = fs::write(path, value);
    }
    let netns = File::open("/proc/thread-self/ns/net")
        .map_err(|error| Error::host("open /proc/thread-self/ns/net", error))?;
    Ok(Sandbox::new(netns.into(), route))
}

/// Lets a link inside the namespace have IPv6.
pub(crate) fn allow_ipv6(sandbox: &Sandbox, ifname: &str) -> Result<()> {
    use std::os::fd::AsFd;
    let path = format!("/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6");
    sys::in_netns(sandbox.as_fd(), || fs::write(&path, "0"))
        .and_then(|result| result)
        .map_err(|error| Error::host(format!("write 0 to {path}"), error))
}

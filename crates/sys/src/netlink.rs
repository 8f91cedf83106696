//! What AF_NETLINK needs beyond rustix: socket options of the netlink level, and buffers past the system's limit. Keeps no
//! state and decides nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

fn set_option(fd: &impl AsFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(4);
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `size` bytes of a live integer.
    let result =
        unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), size) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks for acknowledgements that carry the kernel's error text (`NETLINK_EXT_ACK`) and only the header of the request
/// (`NETLINK_CAP_ACK`).
pub fn short_acks_with_text(socket: impl AsFd) -> io::Result<()> {
    set_option(&socket, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
    set_option(&socket, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1)
}

/// Joins a multicast group by number (`NETLINK_ADD_MEMBERSHIP`).
pub fn join_group(socket: impl AsFd, group: u32) -> io::Result<()> {
    let group = libc::c_int::try_from(group).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    set_option(&socket, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group)
}

/// Sets the send buffer's size in bytes past `net.core.wmem_max` (`SO_SNDBUFFORCE`, needs CAP_NET_ADMIN): one nftables
/// transaction must fit into it.
pub fn force_send_buffer(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, bytes)
}

/// Sets the receive buffer's size in bytes past `net.core.rmem_max` (`SO_RCVBUFFORCE`, needs CAP_NET_ADMIN).
pub fn force_receive_buffer(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
}

//! Links, addresses, routes and nftables over AF_NETLINK: synchronous sockets, whole batches in one message, the kernel's errors
//! with what was being done. Knows nothing of containers; runs no program; reads no configuration.

#![forbid(unsafe_code)]

mod error;
pub mod nft;
pub mod route;
mod socket;
mod wire;

pub use error::Error;

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

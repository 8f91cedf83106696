//! The files that tell a container its place in the network: `/etc/hosts` and `/etc/resolv.conf`, as text. Writing them is the
//! caller's.

mod hosts;
mod resolv;

pub use hosts::{Hosts, hosts};
pub use resolv::{
    DnsOptions, Resolver, host_resolv_conf, nameservers, resolv_conf, resolv_conf_with_names, upstreams,
};

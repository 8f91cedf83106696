//! The files that tell a container its place in the network: `/etc/hosts` and `/etc/resolv.conf`, as text that the caller writes,
//! and the zone files that its name server reads.

mod hosts;
mod resolv;
mod zone;

pub use hosts::{HOST_NAMES, Hosts, hosts};
pub use resolv::{
    DnsOptions, Resolver, host_resolv_conf, host_resolv_conf_in, nameservers, resolv_conf,
    resolv_conf_with_names, upstreams,
};
pub use zone::{Zone, ZoneHost};

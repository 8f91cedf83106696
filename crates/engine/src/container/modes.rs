//! Namespace modes of a host configuration, parsed: which namespaces are private, the host's or another container's.

use api::HostConfig;

use crate::error::{Error, Result};

/// Where a namespace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespace {
    Private,
    Host,
    /// Another container's, by name or id as given.
    Container(String),
}

/// `IpcMode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ipc {
    /// A namespace of its own, but no `/dev/shm`.
    None,
    Private,
    /// Private, but other containers may join.
    Shareable,
    Host,
    Container(String),
}

/// `NetworkMode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    Host,
    None,
    Container(String),
    /// `bridge`, or a network's name or id.
    Named(String),
}

impl Network {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "" | "default" => Self::Named("bridge".to_owned()),
            "host" => Self::Host,
            "none" => Self::None,
            text => match text.strip_prefix("container:") {
                Some(container) => Self::Container(container.to_owned()),
                None => Self::Named(text.to_owned()),
            },
        }
    }
}

fn namespace(text: &str, what: &str) -> Result<Namespace> {
    match text {
        "" | "private" => Ok(Namespace::Private),
        "host" => Ok(Namespace::Host),
        text => match text.strip_prefix("container:") {
            Some(container) if !container.is_empty() => Ok(Namespace::Container(container.to_owned())),
            _ => Err(Error::invalid(format!("invalid {what} mode: {text}"))),
        },
    }
}

pub(crate) fn pid(host: &HostConfig) -> Result<Namespace> {
    match host.pid_mode.as_str() {
        "private" => Err(Error::invalid("invalid PID mode: private")),
        text => namespace(text, "PID"),
    }
}

pub(crate) fn uts(host: &HostConfig) -> Result<Namespace> {
    match host.uts_mode.as_str() {
        text @ ("" | "host") => namespace(text, "UTS"),
        text => Err(Error::invalid(format!("invalid UTS mode: {text}"))),
    }
}

pub(crate) fn user(host: &HostConfig) -> Result<Namespace> {
    match host.userns_mode.as_str() {
        text @ ("" | "host") => namespace(text, "user namespace"),
        text => Err(Error::invalid(format!("invalid user namespace mode: {text}"))),
    }
}

/// Private on cgroup v2, the host's on v1, unless said otherwise.
pub(crate) fn cgroup(host: &HostConfig) -> Result<Namespace> {
    match host.cgroupns_mode.as_str() {
        text @ ("" | "host" | "private") => namespace(text, "cgroup namespace"),
        text => Err(Error::invalid(format!("invalid cgroup namespace mode: {text}"))),
    }
}

pub(crate) fn ipc(host: &HostConfig) -> Result<Ipc> {
    match host.ipc_mode.as_str() {
        "" | "private" => Ok(Ipc::Private),
        "none" => Ok(Ipc::None),
        "shareable" => Ok(Ipc::Shareable),
        "host" => Ok(Ipc::Host),
        text => match text.strip_prefix("container:") {
            Some(container) if !container.is_empty() => Ok(Ipc::Container(container.to_owned())),
            _ => Err(Error::invalid(format!("invalid IPC mode: {text}"))),
        },
    }
}

//! Paths of objects: a user's word becomes part of a path here and nowhere else.

use client::escape;

use super::Failure;

/// `/containers/{name}{rest}`.
pub fn container(name: &str, rest: &str) -> anyhow::Result<String> {
    object("containers", "container", name, rest)
}

/// `/images/{name}{rest}`.
pub fn image(name: &str, rest: &str) -> anyhow::Result<String> {
    object("images", "image", name, rest)
}

/// `/networks/{name}{rest}`.
pub fn network(name: &str, rest: &str) -> anyhow::Result<String> {
    object("networks", "network", name, rest)
}

/// `/volumes/{name}`.
pub fn volume(name: &str) -> anyhow::Result<String> {
    object("volumes", "volume", name, "")
}

/// `/{group}/{name}{rest}`; without a name the path would mean something else.
pub fn object(group: &str, kind: &str, name: &str, rest: &str) -> anyhow::Result<String> {
    match name.trim() {
        "" => Err(Failure::new(1, format!("invalid {kind} name or ID: value is empty")).into()),
        name => Ok(format!("/{group}/{}{rest}", escape(name))),
    }
}

//! `state`: a container's state as JSON (runtime.md, "State"), with what runc adds.

use std::collections::BTreeMap;
use std::path::Path;

use runtime::bundle::{Container, Status};
use serde::Serialize;

use super::arguments::{Order, parse};
use super::failure::{Failure, Result};
use super::{Globals, print};

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, &[], Order::Any)?;
    let container = globals.store.open(flags.id("state")?)?;
    let text =
        serde_json::to_string_pretty(&describe(&container, "")).map_err(Failure::io("print the state"))?;
    print(&text)?;
    Ok(0)
}

/// The state document; the order is runc's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: &'static str,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: &'a str,
}

impl State<'_> {
    /// The columns of `list`.
    pub fn cells(&self) -> [String; 6] {
        [
            self.id.to_owned(),
            self.pid.to_string(),
            self.status.to_owned(),
            self.bundle.display().to_string(),
            self.created.clone(),
            self.owner.to_owned(),
        ]
    }
}

/// How a container is now.
pub fn describe<'a>(container: &'a Container, owner: &'a str) -> State<'a> {
    let record = container.record();
    let status = container.status();
    State {
        oci_version: &record.oci_version,
        id: &record.id,
        pid: if status == Status::Stopped { 0 } else { record.pid },
        status: status.name(),
        bundle: &record.bundle,
        rootfs: &record.rootfs,
        created: created(container),
        annotations: &record.annotations,
        owner,
    }
}

/// When the container was created, as RFC 3339.
fn created(container: &Container) -> String {
    jiff::Timestamp::from_nanosecond(container.record().created.into())
        .map_or_else(|_| String::new(), |time| time.to_string())
}

//! What the engine knows about networks, in memory and on disk: the networks, who is in them, who has which ports. One lock
//! around all of it; nothing here waits for the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::files::Zone;
use crate::ipam::Addresses;
use crate::record::{Attachment, Endpoint, NetworkRecord};

/// Networks and attachments, with what follows from them.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) networks: BTreeMap<String, NetworkRecord>,
    pub(crate) attachments: BTreeMap<String, Attachment>,
    pub(crate) addresses: Addresses,
}

/// Where the records lie.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    networks: PathBuf,
    attachments: PathBuf,
    zones: PathBuf,
}

impl Folders {
    pub(crate) fn make(root: &Path, run_dir: &Path) -> Result<Self> {
        let folders = Self {
            networks: root.join("networks"),
            attachments: run_dir.join("network"),
            zones: run_dir.join("network/zones"),
        };
        for folder in [&folders.networks, &folders.attachments, &folders.zones] {
            fs::create_dir_all(folder)
                .map_err(|error| Error::host(format!("create {}", folder.display()), error))?;
        }
        Ok(folders)
    }

    /// The folder of what does not survive a reboot.
    pub(crate) fn volatile(&self) -> &Path {
        &self.attachments
    }

    /// Writes a network's record, durably.
    pub(crate) fn save_network(&self, network: &NetworkRecord) -> Result<()> {
        let path = self.networks.join(format!("{}.json", network.id));
        let bytes = serde_json::to_vec_pretty(network)
            .map_err(|error| Error::host("encode network record", error))?;
        sys::fsutil::write_durable(&path, &bytes)
            .map_err(|error| Error::host(format!("write {}", path.display()), error))
    }

    pub(crate) fn remove_network(&self, id: &str) -> Result<()> {
        remove(&self.networks.join(format!("{id}.json")))
    }

    pub(crate) fn zones(&self) -> &Path {
        &self.zones
    }

    /// Where a network's names are.
    fn zone(&self, network_id: &str) -> PathBuf {
        self.zones.join(format!("{network_id}.json"))
    }

    /// Replaces a network's names; `None` removes the file.
    pub(crate) fn save_zone(&self, network_id: &str, zone: Option<&Zone>) -> Result<()> {
        let path = self.zone(network_id);
        match zone {
            None => remove(&path),
            Some(zone) => {
                zone.write(&path).map_err(|error| Error::host(format!("write {}", path.display()), error))
            }
        }
    }

    /// Where what a container has is written.
    pub(crate) fn attachment(&self, container_id: &str) -> PathBuf {
        self.attachments.join(format!("{container_id}.json"))
    }

    /// Writes what a container has; nothing at all removes the file.
    pub(crate) fn save_attachment(&self, container_id: &str, attachment: &Attachment) -> Result<()> {
        let path = self.attachment(container_id);
        if *attachment == Attachment::default() {
            return remove(&path);
        }
        let bytes =
            serde_json::to_vec(attachment).map_err(|error| Error::host("encode attachment record", error))?;
        sys::fsutil::write_atomic(&path, &bytes)
            .map_err(|error| Error::host(format!("write {}", path.display()), error))
    }

    /// Reads everything. A file that cannot be read is set aside, not fatal: one broken record must not stop every container.
    pub(crate) fn load(&self) -> Result<State> {
        let mut state = State::default();
        for (_, network) in read_all::<NetworkRecord>(&self.networks)? {
            state.networks.insert(network.id.clone(), network);
        }
        for (container_id, attachment) in read_all::<Attachment>(&self.attachments)? {
            for endpoint in &attachment.endpoints {
                state.note(endpoint);
            }
            state.attachments.insert(container_id, attachment);
        }
        Ok(state)
    }
}

impl State {
    /// A network by id, name, or beginning of its id.
    pub(crate) fn find(&self, name: &str) -> Result<&NetworkRecord> {
        if let Some(network) = self.networks.get(name) {
            return Ok(network);
        }
        // An empty mode and "default" are the default bridge for every client.
        let by_name = if name == "default" { "bridge" } else { name };
        if let Some(network) = self.networks.values().find(|network| network.name == by_name) {
            return Ok(network);
        }
        let mut matches =
            self.networks.values().filter(|network| !name.is_empty() && network.id.starts_with(name));
        match (matches.next(), matches.count()) {
            (Some(network), 0) => Ok(network),
            (Some(_), more) => Err(Error::invalid(format!(
                "network {name} is ambiguous ({} matches found based on ID prefix)",
                more + 1
            ))),
            (None, _) => Err(Error::not_found(name)),
        }
    }

    /// Puts an endpoint among its network's and takes its addresses.
    pub(crate) fn note(&mut self, endpoint: &Endpoint) {
        if let Some(ip) = endpoint.ip {
            self.addresses.note(&endpoint.network_id, ip.into());
        }
        if let Some(ip) = endpoint.ipv6 {
            self.addresses.note(&endpoint.network_id, ip.into());
        }
        self.place(endpoint);
    }

    /// Puts an endpoint among its network's.
    pub(crate) fn place(&mut self, endpoint: &Endpoint) {
        if let Some(network) = self.networks.get_mut(&endpoint.network_id) {
            network.endpoints.insert(endpoint.container_id.clone(), Arc::new(endpoint.clone()));
        }
    }

    /// Takes an endpoint out of its network and gives its addresses back.
    pub(crate) fn drop_endpoint(&mut self, endpoint: &Endpoint) {
        if let Some(ip) = endpoint.ip {
            self.addresses.give_back(&endpoint.network_id, ip.into());
        }
        if let Some(ip) = endpoint.ipv6 {
            self.addresses.give_back(&endpoint.network_id, ip.into());
        }
        if let Some(network) = self.networks.get_mut(&endpoint.network_id) {
            network.endpoints.remove(&endpoint.container_id);
        }
        if let Some(attachment) = self.attachments.get_mut(&endpoint.container_id) {
            attachment.endpoints.retain(|other| other.network_id != endpoint.network_id);
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::host(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// Every `<name>.json` of a folder that can be read.
fn read_all<T: DeserializeOwned>(folder: &Path) -> Result<Vec<(String, T)>> {
    let fail = |error| Error::host(format!("read {}", folder.display()), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') {
            // A temporary file of a writer that died.
            let _ = fs::remove_file(&path);
            continue;
        }
        let Some(stem) = name.strip_suffix(".json") else { continue };
        match fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(record) => found.push((stem.to_owned(), record)),
            None => {
                let _ = fs::rename(&path, path.with_extension("json.broken"));
            }
        }
    }
    Ok(found)
}

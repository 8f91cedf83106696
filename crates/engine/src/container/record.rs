//! A container's record: `<root>/containers/<id>/config.json`. Written by the engine alone, whole, when a container is made,
//! renamed or updated. A folder without a record is a container that was never finished. The monitor's `state.json` lies
//! beside it and is only read here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::{ContainerConfig, EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};
use store::Rootfs;

use super::mounts::MountPoint;
use crate::error::{Error, Result};

/// Name of the file.
pub(crate) const FILE: &str = "config.json";
/// The format's version; a newer one is refused rather than misread.
const VERSION: u32 = 1;

/// What was asked for, with everything decided at create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// RFC 3339 with nanoseconds.
    pub created: String,
    /// Image id, `sha256:…`; empty without an image.
    #[serde(default)]
    pub image_id: String,
    /// The manifest it was chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<api::OciDescriptor>,
    /// Operating system of the image.
    pub os: String,
    /// The user's configuration merged with the image's.
    pub config: ContainerConfig,
    pub host: HostConfig,
    /// Endpoints asked for, by network name or id.
    #[serde(default)]
    pub endpoints: BTreeMap<String, EndpointSettings>,
    #[serde(default)]
    pub mounts: Vec<MountPoint>,
    pub rootfs: Rootfs,
}

impl Record {
    /// A record in the present format.
    #[allow(clippy::too_many_arguments, reason = "one call, all of it is the record")]
    pub(crate) fn new(
        id: String,
        name: String,
        created: String,
        image_id: String,
        os: String,
        config: ContainerConfig,
        host: HostConfig,
        rootfs: Rootfs,
    ) -> Self {
        Self {
            version: VERSION,
            id,
            name,
            created,
            image_id,
            manifest: None,
            os,
            config,
            host,
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            rootfs,
        }
    }

    /// Reads the record in a container's folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes =
            std::fs::read(&path).map_err(|error| Error::host(format!("read {}", path.display()), error))?;
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::host(format!("decode {}", path.display()), error))?;
        match record.version {
            VERSION => Ok(record),
            newer => Err(Error::internal(format!("{}: version {newer} is not known", path.display()))),
        }
    }

    /// Writes the record, durably unless the container is gone after a reboot anyway.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let bytes =
            serde_json::to_vec(self).map_err(|error| Error::host("encode a container's record", error))?;
        let written = match self.host.auto_remove {
            true => sys::fsutil::write_atomic(&path, &bytes),
            false => sys::fsutil::write_durable(&path, &bytes),
        };
        written.map_err(|error| Error::host(format!("write {}", path.display()), error))
    }

    /// Where its output is logged.
    pub(crate) fn log_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-json.log", self.id))
    }

    /// Driver and options of its log, never empty after create.
    pub(crate) fn log_driver(&self) -> &str {
        &self.host.log_config.typ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_disk_and_strangers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::new(
            "ab".repeat(32),
            "brisk_cook".into(),
            "2026-01-01T00:00:00Z".into(),
            "sha256:00".into(),
            "linux".into(),
            serde_json::from_str(r#"{"Cmd":["x"],"NewField":1}"#).unwrap(),
            HostConfig::default(),
            Rootfs::Directory("/r".into()),
        );
        record.mounts.push(MountPoint::new(super::super::mounts::Kind::Tmpfs, "", "/tmp"));
        record.write(folder.path()).unwrap();
        assert_eq!(Record::read(folder.path()).unwrap(), record);
        record.version = 99;
        record.write(folder.path()).unwrap();
        assert!(Record::read(folder.path()).unwrap_err().message.contains("version 99 is not known"));
        std::fs::write(folder.path().join(FILE), b"{").unwrap();
        assert!(Record::read(folder.path()).unwrap_err().message.contains("decode"));
    }
}

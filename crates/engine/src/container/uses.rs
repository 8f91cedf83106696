//! Who uses what: for the "in use" decisions of images, volumes and networks.

use super::mounts::Kind;
use crate::Engine;

/// What others need to know about a container: which image, volumes and networks it uses.
#[derive(Debug, Clone)]
pub struct ContainerUse {
    pub id: String,
    /// Without the slash.
    pub name: String,
    /// Image id, `sha256:…`; empty without one.
    pub image_id: String,
    /// The image as it was asked for.
    pub image: String,
    /// created, running, paused, restarting, removing, exited or dead.
    pub status: String,
    /// Running, paused or restarting.
    pub is_running: bool,
    /// Names of its volumes.
    pub volumes: Vec<String>,
    /// Ids of the images it mounts.
    pub image_mounts: Vec<String>,
    /// Networks it asks for, by name or id.
    pub networks: Vec<String>,
}

impl Engine {
    /// Every container as the owners of what it uses see it.
    pub(crate) fn container_uses(&self) -> Vec<ContainerUse> {
        let containers = self.containers.all();
        let uses = containers.iter().map(|container| {
            let (record, status) = (container.record(), container.status());
            let names = |kind: Kind| {
                record
                    .mounts
                    .iter()
                    .filter(|mount| mount.kind == kind && !mount.name.is_empty())
                    .map(|mount| mount.name.clone())
                    .collect()
            };
            ContainerUse {
                id: record.id.clone(),
                name: record.name.clone(),
                image_id: record.image_id.clone(),
                image: record.config.image.clone(),
                status: status.name().to_owned(),
                is_running: status.is_up(),
                volumes: names(Kind::Volume),
                image_mounts: names(Kind::Image),
                networks: crate::networks::endpoint::asked(&record).into_keys().collect(),
            }
        });
        uses.collect()
    }
}

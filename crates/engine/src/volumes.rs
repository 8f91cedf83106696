//! Volumes as users see them: create, list, inspect, remove, prune. Where they live is the store's; who uses them is known
//! from the containers.

use std::collections::BTreeMap;

use api::*;

use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::images::labels_match;
use crate::{ContainerUse, Engine};

pub(crate) use device::Holds;

mod device;

const DRIVER: &str = "local";

impl Engine {
    pub async fn volume_list(&self, filters: Filters) -> Result<VolumeListResponse> {
        filters.validate(&["dangling", "driver", "label", "name"])?;
        let (store, uses) = (self.store.clone(), self.container_uses());
        let dangling = match filters.contains("dangling") {
            true => Some(filters.boolean("dangling", false)?),
            false => None,
        };
        blocking(move || {
            let mut volumes = Vec::new();
            for volume in store.volumes()? {
                let used = users(&uses, &volume.name).next().is_some();
                // Names match by substring, as moby's do.
                let wanted = filters.matches_any("name", |part| volume.name.contains(part))
                    && filters.matches("driver", &volume.driver)
                    && filters.matches_labels("label", Some(&volume.labels))
                    && dangling.is_none_or(|dangling| dangling != used);
                if wanted {
                    volumes.push(shown(&store, volume));
                }
            }
            Ok(VolumeListResponse { volumes: Some(volumes), warnings: None })
        })
        .await
    }

    pub async fn volume_inspect(&self, name: &str) -> Result<Volume> {
        let (store, name) = (self.store.clone(), name.to_owned());
        blocking(move || Ok(shown(&store, store.volume(&name)?))).await
    }

    /// Creates a volume, or answers with the one of that name.
    pub async fn volume_create(&self, options: VolumeCreateOptions) -> Result<Volume> {
        if options.cluster_volume_spec.is_some() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "this node is not a swarm manager: cluster volumes need one",
            ));
        }
        check_driver(&options.driver)?;
        let store = self.store.clone();
        let (volume, is_new) = blocking(move || {
            let name = Some(options.name.as_str()).filter(|name| !name.is_empty());
            let is_new = name.is_none_or(|name| store.volume(name).is_err());
            let (driver_opts, labels) =
                (options.driver_opts.unwrap_or_default(), options.labels.unwrap_or_default());
            let volume = store.create_volume(name, DRIVER, &driver_opts, &labels)?;
            Ok((shown(&store, volume), is_new))
        })
        .await?;
        if is_new {
            self.volume_event("create", &volume.name, &volume.driver);
        }
        Ok(volume)
    }

    pub async fn volume_remove(&self, name: &str, force: bool) -> Result<()> {
        let (engine, name, uses) = (self.arc()?, name.to_owned(), self.container_uses());
        let removed = blocking(move || {
            let volume = match engine.store.volume(&name) {
                Err(store::Error::NotFound(_)) if force => return Ok(None),
                found => found?,
            };
            let ids: Vec<String> = users(&uses, &volume.name).map(|container| container.id.clone()).collect();
            if !ids.is_empty() {
                return Err(Error::conflict(format!(
                    "remove {name}: volume is in use - [{}]",
                    ids.join(", ")
                )));
            }
            engine.erase_volume(&volume.name)?;
            Ok(Some(volume))
        })
        .await?;
        if let Some(volume) = removed {
            self.volume_event("destroy", &volume.name, &volume.driver);
        }
        Ok(())
    }

    /// Removes volumes that no container uses: those with random names, or with the filter `all` every one.
    pub async fn volume_prune(&self, filters: Filters) -> Result<VolumePruneResponse> {
        filters.validate(&["label", "label!", "all"])?;
        let all = filters.boolean("all", false)?;
        let (engine, uses) = (self.arc()?, self.container_uses());
        let removed = blocking(move || {
            let mut removed = Vec::new();
            for volume in engine.store.volumes()? {
                let anonymous = volume.labels.contains_key(store::ANONYMOUS_VOLUME);
                if !(all || anonymous)
                    || !labels_match(&filters, Some(&volume.labels))
                    || users(&uses, &volume.name).next().is_some()
                {
                    continue;
                }
                let size = engine.store.volume_size(&volume.name).unwrap_or(0);
                match engine.erase_volume(&volume.name) {
                    Ok(()) => removed.push((volume, size)),
                    Err(error) => tracing::warn!(volume = volume.name, %error, "cannot prune volume"),
                }
            }
            Ok(removed)
        })
        .await?;
        let reclaimed: u64 = removed.iter().map(|(_, size)| size).sum();
        for (volume, _) in &removed {
            self.volume_event("destroy", &volume.name, &volume.driver);
        }
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
        self.events.emit("volume", "prune", "", attributes);
        let names: Vec<String> = removed.into_iter().map(|(volume, _)| volume.name).collect();
        Ok(VolumePruneResponse {
            volumes_deleted: Some(names).filter(|names| !names.is_empty()),
            space_reclaimed: reclaimed,
        })
    }

    pub(crate) fn volume_event(&self, action: &str, name: &str, driver: &str) {
        let attributes = BTreeMap::from([("driver".to_owned(), driver.to_owned())]);
        self.events.emit("volume", action, name, attributes);
    }
}

fn check_driver(driver: &str) -> Result<()> {
    match driver {
        "" | DRIVER => Ok(()),
        other => Err(Error::not_found(format!(
            "error looking up volume plugin {other}: plugin {other:?} not found"
        ))),
    }
}

pub(crate) fn users<'a>(uses: &'a [ContainerUse], volume: &str) -> impl Iterator<Item = &'a ContainerUse> {
    let volume = volume.to_owned();
    uses.iter().filter(move |container| container.volumes.contains(&volume))
}

/// A volume on the wire.
pub(crate) fn shown(store: &store::Store, volume: store::Volume) -> Volume {
    let mountpoint = store.volume_path(&volume.name).display().to_string();
    Volume {
        cluster_volume: None,
        created_at: volume.created,
        driver: volume.driver,
        labels: Some(volume.labels),
        mountpoint,
        name: volume.name,
        options: Some(volume.options).filter(|options| !options.is_empty()),
        scope: "local".to_owned(),
        status: None,
        usage_data: None,
    }
}

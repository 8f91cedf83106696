//! From everything that asks for mounts to the container's mount points, at create: volumes are made, images found. And at
//! start: from mount points to what is really mounted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::{ContainerConfig, HostConfig};
use store::Store;

use super::{Kind, MountPoint, bind, request};
use crate::Engine;
use crate::container::record::Record;
use crate::container::spec::SpecMount;
use crate::error::{Error, Result};

/// The mount points of a container to be made, in Docker's order of precedence: what other containers have
/// (`--volumes-from`), `-v`, `--mount`, and the image's volumes where nothing else is. Makes nothing.
pub(crate) fn points(
    engine: &Engine,
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<MountPoint>> {
    let mut points: BTreeMap<String, MountPoint> = BTreeMap::new();
    for from in host.volumes_from.iter().flatten() {
        for point in volumes_from(engine, from)? {
            points.insert(point.destination.clone(), point);
        }
    }
    let mut own: BTreeMap<String, MountPoint> = BTreeMap::new();
    let specs = host.binds.iter().flatten().map(|spec| bind::parse(spec, &host.volume_driver));
    for point in specs.chain(host.mounts.iter().flatten().map(request::parse)) {
        let point = point?;
        let taken = own.contains_key(&point.destination)
            || host.tmpfs.iter().flatten().any(|(path, _)| super::clean(path) == point.destination);
        if taken {
            return Err(Error::invalid(format!("Duplicate mount point: {}", point.destination)));
        }
        own.insert(point.destination.clone(), point);
    }
    points.extend(own);
    for path in config.volumes.iter().flat_map(|set| set.keys()) {
        let point = bind::parse(path, &host.volume_driver)?;
        let tmpfs = host.tmpfs.iter().flatten().any(|(path, _)| super::clean(path) == point.destination);
        if !tmpfs {
            points.entry(point.destination.clone()).or_insert(point);
        }
    }
    Ok(points.into_values().collect())
}

/// `container[:ro|rw]`: its binds and volumes.
fn volumes_from(engine: &Engine, text: &str) -> Result<Vec<MountPoint>> {
    let (name, mode) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(Error::invalid(format!("malformed volumes-from specification: {text:?}")));
    }
    let mode = super::mode::parse(mode).ok_or_else(|| Error::invalid(format!("invalid mode: {mode}")))?;
    let record = engine.containers.find(name)?.record();
    let mounts = record.mounts.iter().filter(|mount| matches!(mount.kind, Kind::Bind | Kind::Volume));
    Ok(mounts
        .map(|mount| MountPoint {
            read_only: mount.read_only || mode.read_only,
            // Its content is the other container's.
            no_copy: true,
            ..mount.clone()
        })
        .collect())
}

/// Makes the volumes that mount points name, and finds their images. The volumes that are new are returned, for undoing.
pub(crate) fn provide(
    store: &Store,
    host: &HostConfig,
    points: &mut [MountPoint],
    made: &mut Vec<store::Volume>,
) -> Result<()> {
    let nothing = BTreeMap::new();
    for point in points {
        match point.kind {
            Kind::Volume => {
                let options = host.mounts.iter().flatten();
                let mut options = options.filter(|mount| super::clean(&mount.target) == point.destination);
                let options = options.find_map(|mount| mount.volume_options.as_ref());
                let driver = options.and_then(|options| options.driver_config.as_ref());
                let name = Some(point.name.as_str()).filter(|name| !name.is_empty());
                let is_new = name.is_none_or(|name| store.volume(name).is_err());
                let volume = store.create_volume(
                    name,
                    &point.driver,
                    driver.and_then(|driver| driver.options.as_ref()).unwrap_or(&nothing),
                    options.and_then(|options| options.labels.as_ref()).unwrap_or(&nothing),
                )?;
                point.source = store.volume_path(&volume.name).display().to_string();
                point.name.clone_from(&volume.name);
                point.driver.clone_from(&volume.driver);
                if is_new {
                    made.push(volume);
                }
            }
            Kind::Image => point.name = store.image(&point.source)?.id.to_string(),
            Kind::Bind | Kind::Tmpfs => {}
        }
    }
    Ok(())
}

impl Engine {
    /// What is mounted at a start. Missing sources of `-v` binds are made.
    pub(crate) fn mounts_of(&self, record: &Record) -> Result<Vec<SpecMount>> {
        record
            .mounts
            .iter()
            .map(|point| Ok(SpecMount::of(point, self.mount_source(point, &record.id)?)))
            .collect()
    }

    fn mount_source(&self, point: &MountPoint, container: &str) -> Result<PathBuf> {
        match point.kind {
            Kind::Tmpfs => Ok(PathBuf::new()),
            Kind::Bind => bind_source(point),
            Kind::Volume => below(self.volume_root(&point.name, container)?, &point.subpath),
            Kind::Image => {
                let id = point
                    .name
                    .parse()
                    .map_err(|error: image::DigestError| Error::internal(error.to_string()))?;
                below(self.store.image_folder(&id)?, &point.subpath)
            }
        }
    }
}

fn bind_source(point: &MountPoint) -> Result<PathBuf> {
    let path = PathBuf::from(&point.source);
    if !path.exists() {
        if !point.create_source {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                point.source
            )));
        }
        std::fs::create_dir_all(&path).map_err(|error| {
            Error::internal(format!("error while creating mount source path '{}': {error}", point.source))
        })?;
    }
    Ok(path)
}

/// A path inside of a volume; whoever wrote the volume may have put links in it.
fn below(root: PathBuf, subpath: &str) -> Result<PathBuf> {
    if subpath.is_empty() {
        return Ok(root);
    }
    let resolve = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| Error::host(format!("mount {}", path.display()), error))
    };
    let (path, root) = (resolve(&root.join(subpath))?, resolve(&root)?);
    match path.starts_with(&root) {
        true => Ok(path),
        false => {
            Err(Error::invalid(format!("mount {}: it leads out of the volume", root.join(subpath).display())))
        }
    }
}

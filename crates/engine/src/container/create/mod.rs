//! `docker create`.
//!
//! ```text
//! check ─▶ image ─▶ merge ─▶ mounts ─▶ .new-<id>/ {snapshot, files, config.json} ─rename─▶ <id>/ ─▶ visible
//! ```
//! Until the rename nothing can be seen of the container; what a crash leaves is cleared away by the next engine. The launch is
//! planned at the end, where that is possible, so that a start only executes.

pub(crate) mod defaults;
pub(crate) mod merge;
pub(crate) mod ports;
pub(crate) mod validate;

use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::image::{Digest, Platform};
use api::*;
use jiff::Timestamp;
use store::Rootfs;

use super::launch::log;
use super::model::{Container, lock};
use super::modes::Network;
use super::mounts::{Kind, resolve};
use super::place;
use super::record::Record;
use super::registry::Reservation;
use super::{mounts, name};
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::{Engine, EngineConfig};

/// Before the id of a container that is being made.
pub(crate) const MAKING: &str = ".new-";
/// Made-up names are tried this often before they get a digit, and then this often again.
const NAME_ATTEMPTS: u32 = 6;

impl Engine {
    pub async fn container_create(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        request: ContainerCreateRequest,
    ) -> Result<ContainerCreateResponse> {
        let ContainerCreateRequest { host_config, networking_config, config } = request;
        let mut host = host_config.unwrap_or_default();
        validate::check(&config, &host, self.facts.cpus)?;
        place::check(&self.config, &host.resources.cgroup_parent)?;
        defaults::host(&mut host, &self.config, self.facts.cgroup_v2());
        let empty = Default::default();
        log::check(&host.log_config.typ, host.log_config.config.as_ref().unwrap_or(&empty))?;
        let platform = platform.map(parse_platform).transpose()?;
        let id = name::new_id();
        let reservation = self.reserve_name(name, &id)?;
        let endpoints = defaults::endpoints(networking_config, &config, &host);
        self.check_endpoints(&endpoints)?;
        let engine = self.arc()?;
        let container = blocking(move || {
            let mut record = Record::new(
                id,
                reservation.name().to_owned(),
                created(),
                String::new(),
                "linux".to_owned(),
                config,
                host,
                Rootfs::Directory(PathBuf::new()),
            );
            record.endpoints = endpoints;
            engine.make_container(record, reservation, platform.as_ref())
        })
        .await?;
        self.container_event(&container, "create", &[]);
        Ok(ContainerCreateResponse {
            id: container.id.clone(),
            warnings: Some(warnings(&container.record(), &self.config)),
        })
    }

    fn reserve_name(&self, name: Option<&str>, id: &str) -> Result<Reservation> {
        if let Some(name) = name {
            return self.containers.reserve(&name::check(name)?, id);
        }
        for attempt in 0..2 * NAME_ATTEMPTS {
            if let Ok(reservation) = self.containers.reserve(&name::generate(attempt / NAME_ATTEMPTS), id) {
                return Ok(reservation);
            }
        }
        self.containers.reserve(name::short(id), id)
    }

    fn make_container(
        &self,
        mut record: Record,
        reservation: Reservation,
        platform: Option<&Platform>,
    ) -> Result<Arc<Container>> {
        let image = self.choose_image(&mut record, platform)?;
        validate::check_command(&record.config)?;
        if let Network::Container(other) = Network::parse(&record.host.network_mode) {
            let other = self.containers.find(&other)?.record();
            record.config.hostname.clone_from(&other.config.hostname);
            record.config.domainname.clone_from(&other.config.domainname);
            // By id: the other may get another name.
            record.host.network_mode = format!("container:{}", other.id);
        }
        defaults::hostname(&mut record.config, &record.host, &record.id);
        let mut points = resolve::points(self, &record.config, &record.host)?;
        let mut volumes = Vec::new();
        let made = resolve::provide(&self.store, &record.host, &mut points, &mut volumes);
        record.mounts = points;
        let container = made.and_then(|()| self.make_folder(record, image.as_ref()));
        match container {
            Ok(container) => {
                for volume in &volumes {
                    self.volume_event("create", &volume.name, &volume.driver);
                }
                self.plan_ahead(&container);
                self.containers.insert(Arc::clone(&container));
                reservation.keep();
                self.hold(&container);
                Ok(container)
            }
            Err(error) => {
                for volume in volumes {
                    // Not used by anything, and a left-over harms nobody.
                    let _ = self.store.remove_volume(&volume.name);
                }
                Err(error)
            }
        }
    }

    /// Finds the image and merges its configuration into the record's.
    fn choose_image(&self, record: &mut Record, platform: Option<&Platform>) -> Result<Option<Digest>> {
        let name = record.config.image.clone();
        if name.is_empty() {
            return Ok(None);
        }
        let image = match self.store.image(&name) {
            // The image that the binary carries in itself is made when it is asked for.
            Err(store::Error::NotFound(_)) if matches!(name.as_str(), "hello" | "hello:latest") => {
                self.store.builtin_hello(&self.config.exe)?
            }
            found => found?,
        };
        // A name stands for one platform; another one of its index will do as well, if all of it is here.
        let image = match platform {
            None => image,
            Some(wanted) => match self.store.image_for(&image, wanted)? {
                Some(found) => found,
                None => {
                    let actual = self.store.config(&image.id)?.platform();
                    return Err(Error::not_found(format!(
                        "image with reference {name} was found but does not match the specified platform: wanted {wanted}, actual: {actual}"
                    )));
                }
            },
        };
        let config = self.store.config(&image.id)?;
        let actual = config.platform();
        record.image_id = image.id.to_string();
        record.manifest = Some(OciDescriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: image.manifest.to_string(),
            ..OciDescriptor::default()
        });
        if !actual.os.is_empty() {
            record.os.clone_from(&actual.os);
        }
        if let Some(config) = &config.config {
            merge::merge(&mut record.config, config);
        }
        Ok(Some(image.id))
    }

    /// Makes the container's folder: elsewhere first, then in place.
    fn make_folder(&self, mut record: Record, image: Option<&Digest>) -> Result<Arc<Container>> {
        let parent = self.config.containers_dir();
        let (staged, folder) = (parent.join(format!("{MAKING}{}", record.id)), parent.join(&record.id));
        std::fs::DirBuilder::new()
            .mode(0o710)
            .create(&staged)
            .map_err(|error| Error::host(format!("create {}", staged.display()), error))?;
        let made = self.fill_folder(&mut record, image, &staged, &folder).and_then(|()| {
            std::fs::rename(&staged, &folder)
                .and_then(|()| match record.host.auto_remove {
                    true => Ok(()),
                    false => std::fs::File::open(&parent)?.sync_all(),
                })
                .map_err(|error| Error::host(format!("create {}", folder.display()), error))
        });
        if let Err(error) = made {
            let _ = std::fs::remove_dir_all(&staged);
            let _ = std::fs::remove_dir_all(&folder);
            return Err(error);
        }
        Ok(Arc::new(Container::new(&self.config, record)))
    }

    fn fill_folder(
        &self,
        record: &mut Record,
        image: Option<&Digest>,
        staged: &Path,
        folder: &Path,
    ) -> Result<()> {
        let limit = validate::storage_limit(&record.host)?;
        let rootfs = self.store.create_limited_snapshot(staged, image, limit)?;
        self.copy_up(record, &rootfs)?;
        record.rootfs = match rootfs {
            Rootfs::Overlay { lower, .. } => {
                Rootfs::Overlay { lower, upper: folder.join("upper"), work: folder.join("work") }
            }
            Rootfs::Directory(_) => Rootfs::Directory(folder.join("rootfs")),
        };
        if !matches!(Network::parse(&record.host.network_mode), Network::Container(_)) {
            self.write_hostname(staged, record)?;
        }
        record.write(staged)
    }

    /// An empty volume begins with what the image has in its place.
    fn copy_up(&self, record: &Record, rootfs: &Rootfs) -> Result<()> {
        let wanted = |mount: &&mounts::MountPoint| {
            mount.kind == Kind::Volume && !mount.no_copy && mount.subpath.is_empty()
        };
        let mut volumes = record.mounts.iter().filter(wanted).peekable();
        if volumes.peek().is_none() {
            return Ok(());
        }
        let root = self.store.mount(rootfs)?;
        for mount in volumes {
            self.store.copy_up(&mount.name, root.as_fd(), &mount.destination)?;
        }
        Ok(())
    }

    /// Works the first start out now. What is wrong with it is said when it is started.
    fn plan_ahead(&self, container: &Container) {
        if !Self::can_prepare_early(&container.record()) {
            return;
        }
        if let Ok(spec) = self.prepare(container) {
            *lock(&container.prepared) = Some(spec);
        }
    }
}

/// RFC 3339 with nine digits, as Go prints it.
fn created() -> String {
    format!("{:.9}", Timestamp::now())
}

fn parse_platform(text: &str) -> Result<Platform> {
    let platform = Platform::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(platform.normalized())
}

/// What works, but perhaps not as meant.
fn warnings(record: &Record, config: &EngineConfig) -> Vec<String> {
    let mut warnings = Vec::new();
    let mode = Network::parse(&record.host.network_mode);
    let publishes = record.host.publish_all_ports
        || record.host.port_bindings.iter().flatten().any(|(_, bindings)| bindings.is_some());
    if mode == Network::Host && publishes {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    let limits = &record.host.resources;
    let is_limited = limits.memory != 0
        || limits.nano_cpus != 0
        || limits.cpu_quota != 0
        || limits.cpu_shares != 0
        || limits.pids_limit.is_some_and(|limit| limit > 0);
    if is_limited && !config.has_cgroups() {
        warnings.push("No cgroup is delegated to this user: limits are discarded".to_owned());
    }
    let no_way_out = config.rootless.as_ref().and_then(|rootless| rootless.no_way_out.as_ref());
    if let (Network::Named(_), Some(reason)) = (mode, no_way_out) {
        warnings.push(reason.clone());
    }
    warnings
}

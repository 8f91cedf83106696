//! What is known before a start: the container's record as a launch plan and the monitor's specification. Looks at the host
//! only for what the record names: other containers' namespaces, volumes, devices.

use std::path::PathBuf;

use monitor::protocol::{MonitorSpec, RestartPolicy};
use oci_spec::runtime::Process;
use runtime::{ExecPlan, PlanOptions, RootFs, UserSpec};
use store::Rootfs;

use super::super::model::Container;
use super::super::modes::{self, Ipc, Namespace, Network};
use super::super::record::Record;
use super::super::security::{self, Seccomp};
use super::super::spec::{self, Input, Joined, SpecMount};
use super::{health, log};
use crate::Engine;
use crate::error::{Error, Result};
use crate::networks::links;

/// Names of the files that are mounted into a container, below its folder.
pub(crate) const HOSTNAME: &str = "hostname";
pub(crate) const HOSTS: &str = "hosts";
pub(crate) const RESOLV_CONF: &str = "resolv.conf";

/// In the order of mounting.
const FILES: [&str; 3] = [RESOLV_CONF, HOSTNAME, HOSTS];

impl Engine {
    /// Everything but the descriptors. Blocks on file systems.
    pub(crate) fn prepare(&self, container: &Container) -> Result<Box<MonitorSpec>> {
        let record = container.record();
        let config = &record.config;
        let mut mounts = self.mounts_of(&record)?;
        mounts.extend(self.injected_files(container, &record)?);
        let input = self.spec_input(&record, mounts)?;
        let spec = spec::build(runtime::spec_default(&self.facts.runtime), &input)?;
        let options = PlanOptions {
            rootfs: rootfs(&record.rootfs),
            cgroup_path: self.config.has_cgroups().then(|| container.cgroup_path(&self.config)),
            user: Some(user(&record)),
            seccomp: self.seccomp_filter(&record)?,
            bundle: container.folder.clone(),
            id: record.id.clone(),
            host: self.facts.runtime.clone(),
        };
        let mut plan = runtime::plan(&spec, &options).map_err(|error| Error::invalid(error.to_string()))?;
        plan.scope = container.scope(&self.config).filter(|_| plan.cgroup.is_some());
        if self.config.rootless.is_some() {
            // Who may use a device is not for a user namespace to say.
            plan.resources.devices.clear();
        }
        let health = health::spec(config, &plan.process);
        let size = record.host.console_size;
        Ok(Box::new(MonitorSpec {
            id: record.id.clone(),
            name: record.name.clone(),
            container_dir: container.folder.clone(),
            run_dir: container.run_dir.clone(),
            plan,
            tty: config.tty,
            open_stdin: config.open_stdin,
            stdin_once: config.stdin_once,
            console_size: console_size(size),
            log: log::spec(&record, &container.folder)?,
            restart: restart_policy(&record.host.restart_policy),
            restart_count: 0,
            stop_signal: stop_signal(&record),
            stop_timeout: config.stop_timeout.unwrap_or(self.config.default_stop_timeout),
            health: health.map(Box::new),
            auto_remove: record.host.auto_remove,
        }))
    }

    /// Whether [`Engine::prepare`] would say the same later: it must not depend on what may change until the start.
    pub(crate) fn can_prepare_early(record: &Record) -> bool {
        let host = &record.host;
        let joins = matches!(modes::pid(host), Ok(Namespace::Container(_)))
            || !matches!(modes::ipc(host), Ok(Ipc::Private | Ipc::None))
            || matches!(Network::parse(&host.network_mode), Network::Container(_));
        let linked = !links::of(record).is_empty();
        !joins
            && !linked
            && !host.privileged
            && host.resources.devices.as_ref().is_none_or(Vec::is_empty)
            && record.mounts.is_empty()
    }

    fn spec_input<'a>(&'a self, record: &'a Record, mounts: Vec<SpecMount>) -> Result<Input<'a>> {
        let host = &record.host;
        let mut joined = Joined::default();
        if let Namespace::Container(other) = modes::pid(host)? {
            joined.pid = Some(self.namespace_of(&other, "pid")?);
        }
        let mut shm = None;
        match modes::ipc(host)? {
            Ipc::Container(other) => {
                joined.ipc = Some(self.namespace_of(&other, "ipc")?);
                let donor = self.containers.find(&other)?;
                if donor.record().host.ipc_mode != "shareable" {
                    return Err(Error::conflict(format!(
                        "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                        donor.id
                    )));
                }
                shm = Some(self.shared_memory(&donor.id));
            }
            Ipc::Shareable => {
                let folder = self.shared_memory(&record.id);
                make_shared_memory(&folder, host.shm_size)?;
                shm = Some(folder);
            }
            _ => {}
        }
        Ok(Input { mounts, shm, joined, ..self.plain_input(record) })
    }

    /// Path of a running container's namespace.
    fn namespace_of(&self, other: &str, kind: &str) -> Result<PathBuf> {
        let other = self.containers.find(other)?;
        match other.status().run() {
            Some(run) => Ok(PathBuf::from(format!("/proc/{}/ns/{kind}", run.pid))),
            None => Err(Error::conflict(format!(
                "cannot join {} of a non running container: {}",
                kind.to_uppercase(),
                other.id
            ))),
        }
    }

    /// Where the shared memory of a container that shares it is.
    pub(crate) fn shared_memory(&self, id: &str) -> PathBuf {
        self.config.run_dir.join("shm").join(id)
    }

    /// The container that shared its memory has ended; those that joined it keep theirs.
    pub(crate) fn drop_shared_memory(&self, id: &str) {
        let folder = self.shared_memory(id);
        if folder.exists() {
            // A folder that is none of ours is left, not emptied: hence no removal of a tree.
            let _ = rustix::mount::unmount(&folder, rustix::mount::UnmountFlags::DETACH);
            if let Err(error) = std::fs::remove_dir(&folder) {
                tracing::warn!(%error, folder = %folder.display(), "remove shared memory");
            }
        }
    }

    /// Files of the engine's own, where the user mounts nothing else.
    fn injected_files(&self, container: &Container, record: &Record) -> Result<Vec<SpecMount>> {
        let folder = match Network::parse(&record.host.network_mode) {
            // Who shares the network shares its names.
            Network::Container(other) => self.containers.find(&other)?.folder.clone(),
            _ => container.folder.clone(),
        };
        let file = |name: &str| {
            SpecMount::file(folder.join(name), &format!("/etc/{name}"), record.host.readonly_rootfs)
        };
        let taken =
            |mount: &SpecMount| record.mounts.iter().any(|user| user.destination == mount.destination);
        for name in FILES {
            // What is in them is written while they are being mounted.
            let path = folder.join(name);
            let opened = std::fs::OpenOptions::new().create(true).append(true).open(&path);
            opened.map_err(|error| Error::host(format!("create {}", path.display()), error))?;
        }
        let mut files = FILES.map(file).to_vec();
        files.retain(|mount| !taken(mount));
        Ok(files)
    }

    /// The filter of system calls; None where there is none.
    fn seccomp_filter(&self, record: &Record) -> Result<Option<seccomp::Program>> {
        let options = security::Options::parse(&record.host)?;
        let parsed;
        let profile = match &options.seccomp {
            Seccomp::Unconfined => None,
            Seccomp::Profile(json) => {
                parsed = seccomp::Profile::parse(json.as_bytes())
                    .map_err(|error| Error::invalid(error.to_string()))?;
                Some(&parsed)
            }
            Seccomp::Builtin => Some(seccomp::Profile::docker_default()),
            Seccomp::Default if record.host.privileged => None,
            Seccomp::Default => self.facts.seccomp.as_ref(),
        };
        let facts = &self.facts.runtime;
        let capabilities = security::capabilities(&record.host, facts.last_capability);
        profile
            .map(|profile| seccomp::compile(profile, capabilities, facts.kernel))
            .transpose()
            .map_err(|error| Error::invalid(error.to_string()))
    }

    /// A further process of a container, from its first one's settings edited by `edit`.
    pub(crate) fn plan_exec(
        &self,
        record: &Record,
        user: UserSpec,
        edit: impl FnOnce(&mut Process),
    ) -> Result<ExecPlan> {
        let mut process = spec::process(&self.plain_input(record))?;
        edit(&mut process);
        runtime::plan_process(&process, Some(user), self.seccomp_filter(record)?)
            .map_err(|error| Error::invalid(error.to_string()))
    }

    /// Without what only a start needs.
    fn plain_input<'a>(&'a self, record: &'a Record) -> Input<'a> {
        Input {
            config: &record.config,
            host: &record.host,
            engine: &self.config,
            last_capability: self.facts.runtime.last_capability,
            cgroup_v2: self.facts.cgroup_v2(),
            hostname: record.config.hostname.clone(),
            mounts: Vec::new(),
            shm: None,
            joined: Joined::default(),
            apparmor: self.facts.apparmor,
            linked: self.link_variables(record),
        }
    }
}

fn rootfs(rootfs: &Rootfs) -> RootFs {
    match rootfs.clone() {
        Rootfs::Overlay { lower, upper, work } => RootFs::Overlay { lower, upper, work },
        Rootfs::Directory(path) => RootFs::Directory { path },
    }
}

fn user(record: &Record) -> UserSpec {
    UserSpec::Name {
        spec: record.config.user.clone(),
        groups: record.host.group_add.clone().unwrap_or_default(),
    }
}

/// Rows and columns; None when not given.
pub(crate) fn console_size(size: api::ConsoleSize) -> Option<(u16, u16)> {
    let side = |value: u32| u16::try_from(value).ok().filter(|value| *value > 0);
    Some((side(size.height())?, side(size.width())?))
}

pub(crate) fn stop_signal(record: &Record) -> i32 {
    sys::signal::parse(&record.config.stop_signal).unwrap_or(sys::signal::TERM)
}

pub(crate) fn restart_policy(policy: &api::RestartPolicy) -> RestartPolicy {
    match policy.name.as_str() {
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure { max: policy.maximum_retry_count.try_into().unwrap_or(0) },
        _ => RestartPolicy::No,
    }
}

/// A tmpfs of `size` bytes.
fn make_shared_memory(folder: &std::path::Path, size: i64) -> Result<()> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::host(format!("create {}", folder.display()), error))?;
    // Left by an engine that was killed.
    let _ = rustix::mount::unmount(folder, rustix::mount::UnmountFlags::DETACH);
    let options = format!("mode=1777,size={size},nosuid,nodev,noexec");
    runtime::mount_on_host("tmpfs", "shm", &options, folder)
        .map_err(|error| Error::internal(error.to_string()))
}

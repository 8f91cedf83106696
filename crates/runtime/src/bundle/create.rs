//! Creating a container from a bundle, held at its gate or running at once. On an error nothing stays; when we are killed on the
//! way, what is written down is enough for [`Store::delete`] to find everything.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::config::Bundle;
use super::container::Container;
use super::error::{Error, Result};
use super::record::Record;
use super::store::{self, Store};
use crate::hooks::{self, Kind};
use crate::launcher::Launcher;
use crate::plan::{LaunchPlan, Namespace};
use crate::{Extras, Gate, Launch, Launched, Stdio, gate, rootless};

/// What is asked for besides the bundle.
#[derive(Debug)]
pub struct Create<'a> {
    /// The new container's id.
    pub id: &'a str,
    /// The process waits until it is started.
    pub hold: bool,
    /// Who keeps the cgroup, if not we ourselves; `linux.cgroupsPath` is written as `slice:prefix:name` then.
    pub systemd: Option<cgroup::Manager>,
    /// Go without a cgroup where none may be made.
    pub rootless: bool,
    /// Standard streams, unless the configuration wants a terminal.
    pub stdio: Stdio,
    /// More variables for the process's environment.
    pub environment: Vec<String>,
    /// The gate is made here.
    pub extras: Extras,
}

/// A container that was created.
#[derive(Debug)]
pub struct Created {
    /// The container.
    pub container: Container,
    /// Its first process, a child of the caller.
    pub launched: Launched,
}

impl Store {
    /// Creates a container.
    pub fn create(&self, bundle: &Bundle, create: Create<'_>) -> Result<Created> {
        let host = cgroup::Host::detect()?;
        let mut plan = bundle.plan(create.id, create.systemd.as_ref(), &host)?;
        plan.process.env.extend(create.environment.iter().cloned());
        if create.extras.entered {
            // It is the one that the launcher is in.
            plan.namespaces.user = Namespace::Host;
        }
        if create.rootless && host.is_v2() && plan.scope.is_none() && bundle.cgroups_path().is_empty() {
            plan.cgroup = rootless::delegated_cgroup(&host).map(|folder| format!("{folder}/{}", create.id));
        }
        if rootless::is_inside() {
            // Who may use a device is not for a user namespace to say.
            plan.resources.devices.clear();
        }
        let folder = self.claim(create.id)?;
        let mut create = create;
        create.extras.outside.clone_from(&self.outside);
        let created = create_in(&folder, bundle, &host, &mut plan, create);
        if created.is_err() {
            if let Some(planned) = &plan.hooks {
                // The first error is the one to tell.
                let _ = hooks::run_outer(self.outside(), Kind::Poststop, planned, "stopped", 0);
            }
            let _ = std::fs::remove_dir_all(&folder);
        }
        created
    }
}

/// Refuses a cgroup with processes: they would share the limits, and the end, of the container. `false`: there can be none.
fn is_usable(host: &cgroup::Host, path: &str, rootless: bool) -> Result<bool> {
    let group = cgroup::Cgroup::open(host, path);
    let others = group.pids()?.len();
    if others > 0 {
        let message = format!("container's cgroup is not empty: {others} process(es) found");
        return Err(Error::Status(message));
    }
    if !rootless {
        return Ok(true);
    }
    match cgroup::Cgroup::create(host, path, &cgroup::Resources::default()) {
        Ok(_) => Ok(true),
        Err(error) => match error.errno().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

fn create_in(
    folder: &Path,
    bundle: &Bundle,
    host: &cgroup::Host,
    plan: &mut LaunchPlan,
    create: Create<'_>,
) -> Result<Created> {
    if let Some(path) = &plan.cgroup
        && !is_usable(host, path, create.rootless && plan.scope.is_none())?
    {
        plan.cgroup = None;
    }
    if plan.cgroup.is_none() && plan.resources != cgroup::Resources::default() {
        let message = "cannot set limits: the container could not join or create a cgroup (rootless, and none is delegated)";
        return Err(Error::Status(message.to_owned()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut record = Record {
        id: create.id.to_owned(),
        oci_version: bundle.spec.version().clone(),
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs()?,
        created: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        annotations: bundle
            .spec
            .annotations()
            .iter()
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        pid: 0,
        start_ticks: 0,
        cgroup: plan.cgroup.as_ref().map(|path| cgroup::Cgroup::open(host, path).kept_by(plan.scope.clone())),
        process: plan.process.clone(),
        hooks: plan.hooks.clone(),
    };
    store::write(folder, &record)?;
    let gate = create.hold.then(|| gate::make(folder).map(Gate::Socket)).transpose()?;
    let options = Launch {
        console_size: console_size(bundle),
        extras: Extras { gate, ..create.extras },
        ..Launch::with(create.stdio)
    };
    let launched = Launcher::on(host.clone())?.launch(plan, options)?;
    (record.pid, record.start_ticks) = (launched.pid, launched.start_ticks);
    if plan.scope.is_some() {
        // A user's manager has its units somewhere below its own.
        record.cgroup = Some(launched.cgroup.clone());
    }
    if let Err(error) = store::write(folder, &record) {
        crate::launch::end(&launched.pidfd);
        let _ = launched.cgroup.remove();
        return Err(error);
    }
    Ok(Created { container: Container { folder: folder.to_owned(), record }, launched })
}

fn console_size(bundle: &Bundle) -> Option<(u16, u16)> {
    let size = bundle.spec.process().as_ref()?.console_size()?;
    let (rows, columns) = (u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?);
    (rows > 0 && columns > 0).then_some((rows, columns))
}

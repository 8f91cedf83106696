//! What starting a process takes besides its plan: facts about the host and the launching process. They do not change, so one who
//! starts several processes, or waits for the first (a monitor held ready), looks them up once.

use std::os::fd::OwnedFd;

use crate::channel::Channel;
use crate::error::{During, LaunchError, Result};
use crate::exec::{Entering, Target};
use crate::launch::cgroup_error;
use crate::plan::{ExecPlan, LaunchPlan};
use crate::process::Surroundings;
use crate::{Begun, ExecTarget, Launch, Launched, Prepared, Stdio, launch, prepare, rootless};

/// See the module.
#[derive(Debug)]
pub struct Launcher {
    /// The host's cgroup file systems.
    pub(crate) cgroups: cgroup::Host,
    /// The host's /proc: surely procfs, whatever a container has there.
    pub(crate) proc: OwnedFd,
    /// This process is not in the host's own user namespace.
    pub(crate) is_inside: bool,
    /// Its out-of-memory score.
    pub(crate) oom_score: Option<i32>,
    /// The number of its user namespace.
    pub(crate) user_namespace: u64,
    /// Signals that it ignores.
    ignored: u64,
    /// Its capabilities.
    permitted: u64,
    /// It is root by each of its ids.
    is_root: bool,
    /// The kernel's highest capability.
    last_capability: u32,
}

impl Launcher {
    /// Looks at the host and at this process, which changes neither its namespaces nor its privileges from now on.
    pub fn detect() -> Result<Self> {
        Self::on(cgroup::Host::detect().map_err(cgroup_error)?)
    }

    /// As [`Launcher::detect`], for one who knows the host's cgroups already.
    pub(crate) fn on(cgroups: cgroup::Host) -> Result<Self> {
        let what = || "look at the launcher".to_owned();
        let own_score = std::fs::read_to_string("/proc/self/oom_score_adj").ok();
        Ok(Self {
            cgroups,
            proc: prepare::host_proc()?,
            is_inside: rootless::is_inside(),
            oom_score: own_score.and_then(|text| text.trim().parse().ok()),
            user_namespace: sys::namespace::number("self", "user").during("launch", what)?,
            ignored: sys::signal::ignored().during("launch", what)?,
            permitted: sys::caps::permitted().during("launch", what)?,
            is_root: sys::process::is_root(),
            last_capability: sys::caps::last(),
        })
    }

    /// Makes ready for [`Self::begin`] what needs neither a cgroup nor a network.
    pub fn prepare(&self, plan: &LaunchPlan) -> Result<Prepared, LaunchError> {
        launch::prepare(self, plan)
    }

    /// Makes a container's first process, with what [`Self::prepare`] has made of the same plan, if there is anything. It is on its
    /// way to its program when this returns.
    pub fn begin(
        &self,
        plan: &LaunchPlan,
        prepared: Option<Prepared>,
        options: Launch,
    ) -> Result<Begun, LaunchError> {
        launch::begin(self, plan, prepared, options)
    }

    /// As [`crate::launch`].
    pub(crate) fn launch(&self, plan: &LaunchPlan, options: Launch) -> Result<Launched> {
        let (launched, ()) = self.begin(plan, None, options)?.finish(plan, |_| Ok(()))?;
        Ok(launched)
    }

    /// Opens a running container for processes to come.
    pub fn target(&self, target: &ExecTarget) -> Result<Target, LaunchError> {
        Target::open(self, target)
    }

    /// As [`crate::exec`].
    pub fn exec(
        &self,
        target: &Target,
        plan: &ExecPlan,
        stdio: Stdio,
        console_size: Option<(u16, u16)>,
    ) -> Result<Launched, LaunchError> {
        crate::exec::exec_by(self, target, plan, stdio, console_size, 0)
    }

    /// Makes a process in a running container that waits, mostly with everything done but `execve`, at the other end of a
    /// [`Line`](crate::Line). `None`: this container's processes are not to see one that waits.
    pub fn hold(
        &self,
        target: &Target,
        plan: &ExecPlan,
        stdio: Stdio,
        line: OwnedFd,
    ) -> Result<Option<Entering>, LaunchError> {
        crate::exec::hold_by(self, target, plan, stdio, line)
    }

    /// What a new process needs besides its plan. In another user namespace (`own_user`) it has all capabilities to begin with.
    pub(crate) fn surroundings(&self, channel: Channel, own_user: bool) -> Result<Surroundings> {
        let proc = rustix::io::fcntl_dupfd_cloexec(&self.proc, 3)
            .during("launch", || "duplicate a descriptor".to_owned())?;
        Ok(Surroundings {
            channel,
            proc,
            ignored: self.ignored,
            last_capability: self.last_capability,
            own_user,
            is_root: !own_user && self.is_root,
            available: if own_user { u64::MAX } else { self.permitted },
            gate: None,
            listener: None,
            preserve_fds: 0,
            birth: None,
        })
    }

    /// The score that a child has to change: one that it is born with needs no call.
    pub(crate) fn new_oom_score(&self, wanted: Option<i32>) -> Option<i32> {
        wanted.filter(|wanted| self.oom_score != Some(*wanted))
    }
}

//! The cgroup of one container, whatever the host's layout: life cycle, processes, freezing, killing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Error, Hierarchy, Host, OomWatch, Resources, Result, Scope, StandIn, Stats, files, v1, v2};

/// How long to wait for what the kernel does by itself: processes that die, tasks that stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of every cgroup's folder.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// A cgroup: one folder on v2, one in each hierarchy on v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cgroup {
    host: Host,
    path: String,
    /// The unit whose cgroup it is, if systemd keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Box<Scope>>,
}

/// What a new process needs to get into a cgroup: be cloned into the first, then [`Entry::join`].
#[derive(Debug, Default)]
pub struct Entry {
    /// The folder in the v2 tree, for `CLONE_INTO_CGROUP`.
    pub unified: Option<OwnedFd>,
    /// `tasks` of each v1 hierarchy, open for writing.
    tasks: Vec<(PathBuf, OwnedFd)>,
}

impl Entry {
    /// Everything that is open.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.unified.iter().chain(self.tasks.iter().map(|(_, file)| file)).map(AsFd::as_fd)
    }

    /// Moves the calling process, which must have one thread, into the v1 cgroups.
    ///
    /// A thread that moves itself and nobody else needs no lock against forks (Linux 5.17): whoever writes another's pid, or his
    /// own to `cgroup.procs`, waits up to 15 ms for a grace period.
    pub fn join(&self) -> Result<()> {
        for (path, file) in &self.tasks {
            rustix::io::write(file, b"0").map_err(|error| Error::io("join", path, error))?;
        }
        Ok(())
    }
}

impl Cgroup {
    /// Creates the cgroup `path` ("/naru/<id>", absolute inside the cgroup file systems) with its missing parents, and sets the
    /// limits. One that exists is taken over. On an error nothing new stays behind.
    pub fn create(host: &Host, path: &str, resources: &Resources) -> Result<Self> {
        if !path.starts_with('/')
            || path.split('/').any(|part| part == "..")
            || path.trim_matches('/').is_empty()
        {
            return Err(Error::Unsupported {
                limit: format!("cgroup path {path:?}"),
                reason: "it must be absolute, not the root, and without \"..\"".into(),
            });
        }
        let group = Self::open(host, path);
        match group.make(resources) {
            Ok(()) => Ok(group),
            Err(error) => {
                let _ = group.remove_folders(Duration::ZERO);
                Err(error)
            }
        }
    }

    /// Lets systemd create the cgroup, as a scope. The stand-in may go when another process is in it.
    pub fn create_in_scope(host: &Host, scope: &Scope, resources: &Resources) -> Result<(Self, StandIn)> {
        let (path, stand_in) = scope.start(resources, host.is_v2())?;
        let group = Self::open(host, &path).kept_by(Some(scope.clone()));
        match group.make(resources) {
            Ok(()) => Ok((group, stand_in)),
            Err(error) => {
                drop(stand_in);
                let _ = group.remove();
                Err(error)
            }
        }
    }

    /// The same cgroup, kept by systemd as this scope.
    pub fn kept_by(self, scope: Option<Scope>) -> Self {
        Self { scope: scope.map(Box::new), ..self }
    }

    /// Whether a user's manager keeps it, who then has to put processes there: see [`Self::attach`].
    pub fn is_users(&self) -> bool {
        self.scope.as_ref().is_some_and(|scope| scope.manager.is_user)
    }

    /// Has systemd put the calling process there, if it keeps the cgroup.
    pub fn attach(&self) -> Result<()> {
        match &self.scope {
            Some(scope) => scope.attach(std::process::id()),
            None => Ok(()),
        }
    }

    /// Names a cgroup that exists (not checked: what is missing will say so when used).
    pub fn open(host: &Host, path: &str) -> Self {
        Self { host: host.clone(), path: path.to_owned(), scope: None }
    }

    /// The path inside the cgroup file systems.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host's layout.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The cgroup's folder in every hierarchy that the host has, made or not: v1's with their controllers, v2's with none.
    pub fn folders(&self) -> impl Iterator<Item = (&[String], PathBuf)> {
        let v1 = self
            .host
            .hierarchies
            .iter()
            .map(|hierarchy| (hierarchy.controllers.as_slice(), &hierarchy.mount));
        v1.chain(self.host.unified.iter().map(|mount| (&[][..], mount)))
            .map(|(controllers, mount)| (controllers, self.under(mount)))
    }

    fn under(&self, mount: &Path) -> PathBuf {
        mount.join(self.path.trim_start_matches('/'))
    }

    pub(crate) fn unified(&self) -> Option<PathBuf> {
        self.host.unified.as_deref().map(|mount| self.under(mount))
    }

    /// The v1 folder of a controller, if it exists.
    pub(crate) fn controller(&self, name: &str) -> Option<PathBuf> {
        self.host
            .hierarchy(name)
            .map(|hierarchy| self.under(&hierarchy.mount))
            .filter(|folder| folder.exists())
    }

    /// The v1 folder of a controller, made with the present processes in it when it was not needed until now.
    fn need_controller(&self, name: &str) -> Result<PathBuf> {
        let hierarchy = self.host.hierarchy(name).ok_or_else(|| Error::Unsupported {
            limit: format!("a limit of {name}"),
            reason: "this host has no such cgroup controller".into(),
        })?;
        let folder = self.under(&hierarchy.mount);
        if !folder.exists() {
            let pids = self.pids()?;
            make_folder(&folder)?;
            if name == "cpuset" {
                v1::fill_cpuset(&hierarchy.mount, &folder)?;
            }
            for pid in pids {
                add_to(&folder, pid)?;
            }
        }
        Ok(folder)
    }

    /// Makes its folders, for whoever [creates](Self::create) it in a moment, perhaps in another process: that takes over what is
    /// there. Nothing fails: what is missing is made then.
    pub fn make_ahead(&self, resources: &Resources) {
        let needed = self.needed(resources).map(|hierarchy| &hierarchy.mount);
        for mount in needed.chain(&self.host.unified) {
            // The folders above may take more than being made.
            let _ = rustix::fs::mkdir(self.under(mount), FOLDER_MODE);
        }
    }

    fn needed(&self, resources: &Resources) -> impl Iterator<Item = &Hierarchy> {
        self.host
            .hierarchies
            .iter()
            .filter(|hierarchy| hierarchy.is_named() || v1::is_needed(&hierarchy.controllers, resources))
    }

    fn make(&self, resources: &Resources) -> Result<()> {
        for hierarchy in self.needed(resources) {
            let folder = self.under(&hierarchy.mount);
            make_folder(&folder)?;
            if hierarchy.has("cpuset") {
                v1::fill_cpuset(&hierarchy.mount, &folder)?;
            }
        }
        if let (Some(folder), Some(mount)) = (self.unified(), &self.host.unified) {
            make_folder(&folder)?;
            if self.host.is_v2()
                && v2::lacks_controllers(&folder)?
                && let Some(parent) = folder.parent()
            {
                v2::delegate(mount, parent)?;
            }
        }
        self.write(resources)
    }

    /// Changes the limits that are given.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        if let Some(scope) = &self.scope {
            scope.change(resources, self.host.is_v2())?;
        }
        self.write(resources)
    }

    fn write(&self, resources: &Resources) -> Result<()> {
        match self.unified() {
            Some(folder) if self.host.is_v2() => v2::apply(&folder, resources),
            _ => v1::apply(&|name| self.need_controller(name), resources),
        }
    }

    /// Gives a v2 cgroup to a user of the host, who may then divide it further; its limits stay out of reach. Nothing on v1, where
    /// that is not safe.
    pub fn give_to(&self, uid: u32, gid: u32) -> Result<()> {
        match self.unified() {
            Some(folder) if self.host.is_v2() => v2::give_to(&folder, uid, gid),
            _ => Ok(()),
        }
    }

    /// Opens what a process about to be cloned needs to get in. Folders that do not exist are left out.
    pub fn entry(&self) -> Result<Entry> {
        let mut entry = Entry { unified: None, tasks: Vec::new() };
        for hierarchy in &self.host.hierarchies {
            let file = self.under(&hierarchy.mount).join("tasks");
            match rustix::fs::open(&file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(tasks) => entry.tasks.push((file, tasks)),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Error::io("open", &file, error)),
            }
        }
        if let Some(folder) = self.unified() {
            match rustix::fs::open(&folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            {
                Ok(folder) => entry.unified = Some(folder),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(Error::io("open", &folder, error)),
            }
        }
        Ok(entry)
    }

    /// Moves a process into the cgroup.
    pub fn add(&self, pid: i32) -> Result<()> {
        for (_, folder) in self.folders() {
            if folder.exists() {
                add_to(&folder, pid)?;
            }
        }
        Ok(())
    }

    /// The one folder that surely lists all processes.
    fn listing(&self) -> Option<PathBuf> {
        let v1 = ["memory", "pids", "devices", "freezer", "cpu"];
        match self.host.is_v2() {
            true => self.unified(),
            false => v1.iter().find_map(|name| self.controller(name)).or_else(|| self.unified()),
        }
    }

    /// The processes of the cgroup itself, in the caller's pid namespace. None when there is no such cgroup.
    pub fn procs(&self) -> Result<Vec<i32>> {
        match self.listing() {
            Some(folder) => files::pids(&folder.join("cgroup.procs")),
            None => Ok(Vec::new()),
        }
    }

    /// The processes of the cgroup and of all below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        let mut folders: Vec<PathBuf> = self.listing().into_iter().collect();
        while let Some(folder) = folders.pop() {
            pids.extend(files::pids(&folder.join("cgroup.procs"))?);
            folders.extend(children(&folder));
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Stops all processes and returns when they are stopped.
    pub fn freeze(&self) -> Result<()> {
        match self.freezer_v1() {
            Some(file) => freeze_v1(&file),
            None => self.freeze_v2(),
        }
    }

    fn freezer_v1(&self) -> Option<PathBuf> {
        self.controller("freezer").map(|folder| folder.join("freezer.state"))
    }

    fn need_unified(&self) -> Result<PathBuf> {
        self.unified().ok_or_else(|| Error::Unsupported {
            limit: "freezer state".into(),
            reason: "this host has no cgroup freezer".into(),
        })
    }

    fn freeze_v2(&self) -> Result<()> {
        let folder = self.need_unified()?;
        files::write(&folder.join("cgroup.freeze"), "1")?;
        let events = folder.join("cgroup.events");
        let frozen = wait_for(&events, || Ok(files::flat_keyed(&events)?.get("frozen") == Some(&1)))?;
        if frozen {
            return Ok(());
        }
        files::write(&folder.join("cgroup.freeze"), "0")?;
        Err(Error::io("freeze", &folder, Errno::TIMEDOUT))
    }

    /// Lets frozen processes run.
    pub fn thaw(&self) -> Result<()> {
        match self.freezer_v1() {
            Some(file) => files::write(&file, "THAWED"),
            None => files::write(&self.need_unified()?.join("cgroup.freeze"), "0"),
        }
    }

    /// Whether the cgroup is (being) frozen.
    pub fn frozen(&self) -> Result<bool> {
        match self.freezer_v1() {
            Some(file) => Ok(files::read(&file)?.trim() != "THAWED"),
            None => {
                let folder = self.need_unified()?;
                // The second says it also when a cgroup above was frozen.
                Ok(files::number(&folder.join("cgroup.freeze"))? == Some(1)
                    || files::flat_keyed(&folder.join("cgroup.events"))?.get("frozen") == Some(&1))
            }
        }
    }

    /// Kills every process in the cgroup and below, also frozen ones and those being forked meanwhile. Does not wait for them.
    pub fn kill_all(&self) -> Result<()> {
        let all_killed = match self.unified().map(|folder| folder.join("cgroup.kill")) {
            // Linux 5.14. Takes forks into account.
            Some(file) if file.exists() => files::write(&file, "1").is_ok(),
            _ => false,
        };
        if !self.host.is_v2() || !all_killed {
            // On a hybrid host a process may be in the v1 folders only.
            self.kill_each()?;
        }
        // A frozen v1 cgroup does not even die.
        if let Some(file) = self.freezer_v1().filter(|_| self.frozen().unwrap_or(false)) {
            files::write(&file, "THAWED")?;
        }
        Ok(())
    }

    fn kill_each(&self) -> Result<()> {
        // A process forked between two looks is in the next one: until a look finds nobody new.
        let mut killed = Vec::new();
        for _ in 0..100 {
            let pids: Vec<i32> = self.pids()?.into_iter().filter(|pid| !killed.contains(pid)).collect();
            if pids.is_empty() {
                break;
            }
            for pid in &pids {
                let _ = sys::signal::kill(*pid, sys::signal::KILL);
            }
            killed.extend(pids);
        }
        Ok(())
    }

    /// Kills what is left, removes the cgroup and everything below it; it is fine when there is none. Waits for dying processes
    /// up to ten seconds.
    pub fn remove(&self) -> Result<()> {
        if let Some(scope) = &self.scope {
            // It would ask the processes politely first, and wait.
            self.kill_all()?;
            let stopped = scope.stop();
            return self.remove_folders(PATIENCE).and(stopped);
        }
        // Nearly always nobody is left; then one rmdir per folder is all.
        if self.remove_folders(Duration::ZERO).is_ok() {
            return Ok(());
        }
        self.kill_all()?;
        self.remove_folders(PATIENCE)
    }

    fn remove_folders(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut result = Ok(());
        for (_, folder) in self.folders() {
            if let Err(error) = self.remove_tree(&folder, deadline) {
                result = Err(error);
            }
        }
        result
    }

    fn remove_tree(&self, folder: &Path, deadline: Instant) -> Result<()> {
        let mut pause = Duration::from_micros(200);
        loop {
            match rustix::fs::rmdir(folder) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Processes or sub-folders.
                Err(Errno::BUSY | Errno::NOTEMPTY) => {
                    for child in children(folder) {
                        self.remove_tree(&child, deadline)?;
                    }
                    if rustix::fs::rmdir(folder).is_ok() {
                        return Ok(());
                    }
                    if Instant::now() >= deadline {
                        return Err(Error::io("remove", folder, Errno::BUSY));
                    }
                    // There is no event for "empty" on v1, and dead processes leave in no time.
                    self.kill_each()?;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Err(error) => return Err(Error::io("remove", folder, error)),
            }
        }
    }

    /// A snapshot of what was used. Files that this kernel does not have count as zero.
    pub fn stats(&self) -> Result<Stats> {
        match self.unified() {
            Some(folder) if self.host.is_v2() => v2::stats(&folder),
            _ => v1::stats(&|name| self.controller(name)),
        }
    }

    /// How many processes were killed for want of memory since the cgroup was made.
    pub fn oom_kills(&self) -> Result<u64> {
        match (self.controller("memory"), self.unified()) {
            (Some(folder), _) => crate::oom::kills(&folder.join("memory.oom_control")),
            (None, Some(folder)) => crate::oom::kills(&folder.join("memory.events")),
            (None, None) => Ok(0),
        }
    }

    /// A descriptor that becomes readable when memory ran out.
    pub fn oom_watch(&self) -> Result<OomWatch> {
        match (self.controller("memory"), self.unified()) {
            (Some(folder), _) => OomWatch::v1(&folder),
            (None, Some(folder)) => OomWatch::v2(&folder),
            (None, None) => Err(Error::Layout("no memory controller".into())),
        }
    }
}

/// Makes a folder with its missing parents; nearly always the parents are there.
fn make_folder(folder: &Path) -> Result<()> {
    match rustix::fs::mkdir(folder, FOLDER_MODE) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("create cgroup", folder, error))
        }
        Err(error) => Err(Error::io("create cgroup", folder, error)),
    }
}

fn add_to(folder: &Path, pid: i32) -> Result<()> {
    files::write(&folder.join("cgroup.procs"), pid.to_string())
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Waits until `reached`, woken by changes of a v2 event file.
fn wait_for(events: &Path, reached: impl Fn() -> Result<bool>) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let file = rustix::fs::open(events, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Error::io("open", events, error))?;
    while !reached()? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        let mut poll = [rustix::event::PollFd::new(&file, rustix::event::PollFlags::PRI)];
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = rustix::event::poll(&mut poll, Some(&timeout));
    }
    Ok(true)
}

/// The state may stay FREEZING while a task sleeps in the kernel or is being forked; thawing for a moment lets such a task go on to
/// where it can stop.
fn freeze_v1(file: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    let mut looks = 0_u32;
    loop {
        files::write(file, "FROZEN")?;
        if files::read(file)?.trim() == "FROZEN" {
            return Ok(());
        }
        if Instant::now() >= deadline {
            files::write(file, "THAWED")?;
            return Err(Error::io("freeze", file, Errno::TIMEDOUT));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
        looks += 1;
        if looks.is_multiple_of(25) {
            files::write(file, "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

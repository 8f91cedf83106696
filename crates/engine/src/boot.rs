//! An engine's start: what is on disk and what monitors say becomes the containers in memory. Half-done work of an engine that
//! was killed is finished or undone, and what nobody owns any more is dropped.
//!
//! ```text
//! folders ─▶ .new-*, .removing-* cleared away
//!         ─▶ config.json + state.json ─▶ container
//!                                          ├─ monitor answers ─▶ its state, and we listen
//!                                          └─ none, but it ran ─▶ lost: ended, and the restart policy decides
//! ```

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use distribution::Registries;
use monitor::protocol::Body;
use network::Networks;
use store::Store;

use crate::blocking::blocking;
use crate::container::create::MAKING;
use crate::container::model::{Container, Exit};
use crate::container::record::{FILE, Record};
use crate::container::registry::Registry;
use crate::container::remove::{REMOVING, clear_away};
use crate::container::state;
use crate::container::status::{Life, Status};
use crate::error::{Error, Result};
use crate::events::Events;
use crate::executable::Executable;
use crate::facts::Facts;
use crate::monitors::Monitor;
use crate::{Engine, EngineConfig, idle};

/// A monitor that does not answer by then is taken for dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Exit code of containers that a reboot ended, as Docker has it.
const REBOOTED: i32 = 255;
const KILLED: i32 = 137;
/// So long may it take until nothing is left of a container that waited for its start in a killed engine.
const GOES_WITHIN: Duration = Duration::from_millis(500);

/// What the disk says about one container.
struct Found {
    container: Arc<Container>,
    socket: Option<UnixStream>,
}

impl Engine {
    /// Reads what is on disk, reconnects to the monitors of running containers, finishes or undoes half-done work, and
    /// starts the containers whose restart policy asks for it after a reboot.
    pub async fn start(config: EngineConfig) -> Result<Arc<Engine>> {
        let (engine, found, rebooted) = blocking(move || {
            let engine = open(config)?;
            let found = engine.find_containers()?;
            let rebooted = note_boot(&engine.config.run_dir);
            Ok((engine, found, rebooted))
        })
        .await?;
        let mut lost = Vec::new();
        let mut asked = Vec::new();
        for Found { container, socket } in found {
            engine.containers.insert(Arc::clone(&container));
            match socket {
                Some(socket) => asked.push(engine.reconnect(container, socket)),
                None if container.status().is_up() => lost.push(container),
                None => {}
            }
        }
        let asked = futures_util::future::join_all(asked).await;
        lost.extend(asked.into_iter().flatten());
        engine.tell_of_collisions();
        let (networks, live) = (engine.networks.clone(), engine.running());
        blocking(move || {
            for error in networks.adopt(&live) {
                tracing::warn!(%error, "put networks back in order");
            }
            Ok(())
        })
        .await?;
        for container in &lost {
            engine.lost(container, if rebooted { REBOOTED } else { KILLED }).await;
        }
        for container in engine.containers.all() {
            let was_lost = lost.iter().any(|lost| Arc::ptr_eq(lost, &container));
            if was_lost || rebooted {
                engine.bring_back(&container);
            }
        }
        Ok(engine)
    }

    fn find_containers(&self) -> Result<Vec<Found>> {
        let folder = self.config.containers_dir();
        let wrap = |error| Error::host(format!("read {}", folder.display()), error);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(wrap)? {
            let entry = entry.map_err(wrap)?;
            let Some(container) = self.find_container(&entry.path(), &entry.file_name()) else { continue };
            let has_folder = container.run_dir.exists();
            let socket = has_folder.then(|| monitor::client::connect(&container.run_dir).ok()).flatten();
            if has_folder && socket.is_none() {
                // What a killed monitor left.
                let _ = std::fs::remove_dir_all(&container.run_dir);
            }
            found.push(Found { container, socket });
        }
        Ok(found)
    }

    /// The container in a folder, if it is one.
    fn find_container(&self, path: &Path, name: &OsStr) -> Option<Arc<Container>> {
        let name = name.to_string_lossy();
        if name.starts_with(MAKING) || name.starts_with(REMOVING) || !path.join(FILE).exists() {
            clear_away(path);
            return None;
        }
        let record = Record::read(path)
            // Left where it is: it may be a newer version's.
            .inspect_err(|error| tracing::error!(%error, "a container cannot be read"))
            .ok()?;
        let container = Arc::new(Container::new(&self.config, record));
        let state = match state::read(path) {
            Ok(None) => {
                self.outlast_held(&container);
                // It may have been started meanwhile.
                state::read(path)
            }
            known => known,
        };
        match state {
            Ok(Some(state)) => container.change(|life| life.adopt(&state)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the state of a container cannot be read");
                container.change(|life| life.status = Status::Exited);
            }
        }
        Some(container)
    }

    /// What a killed engine had waiting for a start ([`held`](crate::container::launch::held)) goes by itself, and what is left of it
    /// when its monitor was killed as well is removed: a start must not meet it.
    fn outlast_held(&self, container: &Container) {
        if !self.config.has_cgroups() || self.config.systemd.is_some() {
            return;
        }
        let cgroup = self.facts.cgroup(&container.cgroup_path(&self.config));
        let is_left = || cgroup.folders().any(|(_, folder)| folder.exists());
        let deadline = Instant::now() + GOES_WITHIN;
        // One with a folder for its socket has been started.
        while is_left() && !container.run_dir.exists() {
            if Instant::now() >= deadline {
                if let Err(error) = cgroup.remove() {
                    tracing::warn!(%error, container = %container.id, "remove the cgroup of a container that was not started");
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks a monitor how its container is, and listens to it from then on. The container, if the monitor does not answer.
    async fn reconnect(
        self: &Arc<Self>,
        container: Arc<Container>,
        socket: UnixStream,
    ) -> Option<Arc<Container>> {
        let (monitor, incoming) = Monitor::new(socket).ok()?;
        let monitor = Arc::new(monitor);
        // Nobody else can hold it: the container is new.
        let turn = Arc::clone(&container.listener).lock_owned().await;
        container.set_monitor(Some(Arc::clone(&monitor)));
        container.streams.hand_over();
        self.listen(&container, &monitor, incoming, None, turn);
        let answer = tokio::time::timeout(ANSWER_WITHIN, monitor.request(Body::Status)).await;
        if !matches!(answer, Ok(Ok(_))) {
            monitor.hang_up();
            container.set_monitor(None);
            return Some(container).filter(|container| container.status().is_up());
        }
        let life = container.life();
        if !life.status.is_up() {
            // It ended while no engine looked.
            let exit = Exit {
                code: life.exit_code.try_into().unwrap_or(REBOOTED),
                oom_killed: life.oom_killed,
                finished_at: life.finished.map(|time| time.to_string()).unwrap_or_default(),
                error: life.error,
            };
            self.finish(&container, exit).await;
            monitor.tell(Body::Shutdown).await;
        }
        None
    }

    fn running(&self) -> Vec<String> {
        let all = self.containers.all();
        all.iter()
            .filter(|container| container.status().is_up())
            .map(|container| container.id.clone())
            .collect()
    }

    /// Starts a container again if its restart policy wants it after a reboot or the loss of its monitor.
    pub(crate) fn bring_back(self: &Arc<Self>, container: &Arc<Container>) {
        let record = container.record();
        if !is_wanted(&record.host.restart_policy, &container.life()) {
            return;
        }
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let activity = self.activity();
        tokio::spawn(async move {
            let _gate = container.gate.lock().await;
            if let Err(error) = engine.start_held(&container).await {
                tracing::warn!(%error, container = %container.id, "start a container again");
            }
            drop(activity);
        });
    }
}

fn open(config: EngineConfig) -> Result<Arc<Engine>> {
    let mut config = config;
    // A name that stays true in other processes, which mount it.
    if let Ok(path) = std::fs::canonicalize(&config.exe) {
        config.exe = path;
    }
    for folder in [&config.root, &config.run_dir, &config.containers_dir()] {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::host(format!("create {}", folder.display()), error))?;
    }
    let store = Store::open(&config.root)?;
    let networks = Networks::open(config.network.clone())?;
    let facts = Facts::detect(config.seccomp_profile.as_deref())?;
    Ok(Arc::new_cyclic(|me| Engine {
        events: Events::open(&config.root),
        registries: Registries::new(config.registries.clone()),
        executable: Executable::seal(&config.exe),
        spares: Default::default(),
        held: Default::default(),
        volume_holds: Default::default(),
        containers: Arc::new(Registry::default()),
        idle: idle::Idle::new(),
        bare_mounts: runtime::bare_mounts().ok(),
        me: me.clone(),
        store,
        networks,
        facts,
        config,
    }))
}

/// Remembers the boot that the run folder belongs to; true if it is another than the last engine's.
fn note_boot(run_dir: &Path) -> bool {
    let path = run_dir.join("boot-id");
    let now = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    let before = std::fs::read_to_string(&path).ok();
    if before.as_ref() == Some(&now) {
        return false;
    }
    if let Err(error) = sys::fsutil::write_atomic(&path, now.as_bytes()) {
        tracing::warn!(%error, path = %path.display(), "remember this boot");
    }
    true
}

/// Whether the policy starts a container that is down at a boot (moby's `ShouldRestart`).
fn is_wanted(policy: &api::RestartPolicy, life: &Life) -> bool {
    // Created but never started.
    if life.started.is_none() || life.status.is_up() {
        return false;
    }
    match policy.name.as_str() {
        "always" => true,
        "unless-stopped" => !life.user_stopped,
        "on-failure" => {
            let limit = policy.maximum_retry_count;
            life.exit_code != 0 && !life.user_stopped && (limit == 0 || life.restart_count < limit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_after_a_boot() {
        let policy = |name: &str, count| api::RestartPolicy { name: name.into(), maximum_retry_count: count };
        let life = Life {
            status: Status::Exited,
            started: Some(jiff::Timestamp::UNIX_EPOCH),
            exit_code: 255,
            ..Life::default()
        };
        let stopped = Life { user_stopped: true, ..life.clone() };
        let fine = Life { exit_code: 0, ..life.clone() };
        assert!(is_wanted(&policy("always", 0), &stopped));
        assert!(is_wanted(&policy("unless-stopped", 0), &life));
        assert!(!is_wanted(&policy("unless-stopped", 0), &stopped));
        assert!(is_wanted(&policy("on-failure", 0), &life));
        assert!(!is_wanted(&policy("on-failure", 0), &fine));
        assert!(!is_wanted(&policy("on-failure", 2), &Life { restart_count: 2, ..life.clone() }));
        assert!(!is_wanted(&policy("no", 0), &life));
        assert!(!is_wanted(&policy("always", 0), &Life::default()), "it was never started");
    }

    #[test]
    fn a_run_folder_of_another_boot_means_a_reboot() {
        let folder = tempfile::tempdir().unwrap();
        assert!(note_boot(folder.path()));
        assert!(!note_boot(folder.path()));
        std::fs::write(folder.path().join("boot-id"), "another").unwrap();
        assert!(note_boot(folder.path()));
    }
}

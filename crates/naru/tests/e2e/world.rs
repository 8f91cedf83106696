//! A world of its own for each test: root folder, socket, network and mount namespaces, cgroup parent. Every command of a test
//! runs inside it; dropping the world removes the containers, stops the engine and checks that nothing is left.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before the test calls it hung. Generous: the machines are small and shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct World {
    dir: TempDir,
    /// Sleeps inside the world's namespaces and so keeps them.
    holder: Child,
    cgroup_parent: String,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// An empty world: no image, no engine yet (the first command starts it).
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new().prefix("naru-e2e-").tempdir().expect("a temporary folder");
        let holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
            .arg("ip link set lo up && echo ready && exec sleep 100000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (util-linux)");
        let cgroup_parent = format!("/naru-e2e-{}", holder.id());
        let mut world = Self { dir, holder, cgroup_parent };
        world.await_holder();
        world
    }

    /// A world with `busybox:latest` loaded.
    pub fn new() -> Self {
        let world = Self::empty();
        let archive = busybox_archive();
        world.naru(["load", "-q", "-i", archive.to_str().expect("UTF-8 path")]).ok();
        world
    }

    fn await_holder(&mut self) {
        use std::io::{BufRead, BufReader};
        let mut line = String::new();
        let stdout = self.holder.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the holder's first line");
        assert_eq!(line, "ready\n", "the world's namespaces could not be made (are you root?)");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A process in the world's namespaces.
    pub fn holder_pid(&self) -> u32 {
        self.holder.id()
    }

    pub fn cgroup_parent(&self) -> &str {
        &self.cgroup_parent
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/naru.sock")
    }

    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A program inside the world's namespaces, with the environment that points at this world's engine.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-m", "-t", &self.holder.id().to_string(), "--"]).arg(program);
        command
            .env_remove("DOCKER_HOST")
            .env("DOCKER_CONFIG", self.path("docker-config"))
            .env("NARU_ROOT", self.path("root"))
            .env("NARU_RUN_DIR", self.path("run"))
            .env("NARU_SOCKET", self.socket())
            .env("NARU_CGROUP_PARENT", &self.cgroup_parent)
            .stdin(Stdio::null());
        command
    }

    pub fn naru_command(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_naru"))
    }

    pub fn naru<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(&self, arguments: I) -> Ran {
        run(self.naru_command().args(arguments))
    }

    pub fn docker_command(&self) -> Command {
        let mut command = self.command("docker");
        command.env("DOCKER_HOST", self.docker_host());
        command
    }

    /// The stock docker client against this world's engine.
    pub fn docker<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(&self, arguments: I) -> Ran {
        run(self.docker_command().args(arguments))
    }

    /// The engine's process, found by its open socket's run folder; `None` when it is not running.
    ///
    /// One that has begun to die is not seen any more, though its sockets may be open for a while yet.
    pub fn engine_pid(&self) -> Option<i32> {
        let root = self.dir.path().as_os_str().as_encoded_bytes().to_vec();
        let is_engine = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"engine") && contains(&environment, &root)
        };
        let engines: Vec<i32> = processes().into_iter().filter(is_engine).collect();
        // What it spawns looks like it until it executes.
        engines.iter().copied().find(|pid| parent(*pid).is_none_or(|parent| !engines.contains(&parent)))
    }

    /// Kills the engine, and returns when its sockets and files are closed.
    #[track_caller]
    pub fn kill_engine(&self) {
        let pid = self.engine_pid().expect("an engine to kill");
        run(Command::new("kill").args(["-9", &pid.to_string()])).ok();
        eventually("the engine is dead", || stat(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X')));
    }

    /// Mount points and processes that still belong to this world.
    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        let folder = self.dir.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        left.extend(
            mounts.lines().filter(|line| line.contains(&folder)).map(|line| format!("mount: {line}")),
        );
        for pid in processes() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if contains(&line, folder.as_bytes()) {
                left.push(format!("process {pid}: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let parent = hierarchy.path().join(self.cgroup_parent.trim_start_matches('/'));
            let children =
                fs::read_dir(&parent).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
            left.extend(children.map(|child| format!("cgroup: {}", child.path().display())));
        }
        left
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let ids = self.naru(["ps", "-aq"]).stdout;
        if !ids.trim().is_empty() {
            self.naru(["rm", "-f", "-v"].into_iter().chain(ids.split_whitespace()));
        }
        if let Some(pid) = self.engine_pid() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
            let _ = holds_within(DEADLINE, || self.engine_pid().is_none());
        }
        let clean = holds_within(DEADLINE, || self.leftovers().is_empty());
        let left = self.leftovers();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join(self.cgroup_parent.trim_start_matches('/')));
        }
        assert!(clean || panicking, "left behind: {left:#?}");
    }
}

impl Ran {
    /// The standard output of a command that must have worked.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Like `ok`, without the last line break.
    #[track_caller]
    pub fn line(self) -> String {
        self.ok().trim_end_matches('\n').to_owned()
    }

    /// Fails with this code and a message that holds this text.
    #[track_caller]
    pub fn fails(self, code: i32, text: &str) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(self.stderr.contains(text), "expected {text:?} in: {}", self.stderr);
    }
}

pub fn run(command: &mut Command) -> Ran {
    ran(command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("nsenter (util-linux)"))
}

pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits for a condition, never for a time.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "not within {DEADLINE:?}: {what}");
}

fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
}

pub fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A process's state and its parent (proc_pid_stat(5)). The name before them may hold anything.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|(_, parent)| parent)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// A docker archive of `busybox:latest`, made once from the host's static busybox: every applet as a symbolic link, a few
/// users, and the folders that images usually have.
pub fn busybox_archive() -> &'static Path {
    static ARCHIVE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &ARCHIVE
        .get_or_init(|| {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let archive = dir.path().join("busybox.tar");
            crate::images::busybox(&archive);
            (dir, archive)
        })
        .1
}

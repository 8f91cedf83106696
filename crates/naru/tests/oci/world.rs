//! A bundle with a busybox root, a state root of its own, a cgroup of its own; all gone when dropped, which is checked.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub const NARU: &str = env!("CARGO_BIN_EXE_naru");

/// See the module.
pub struct World {
    folder: tempfile::TempDir,
    /// The container's id, also the last part of its cgroup's path.
    pub id: String,
    program: PathBuf,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    fn new(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            code: status.code().or(status.signal().map(|signal| 128 + signal)).unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its output, if it went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Its error, if it went wrong.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_ne!(self.code, 0, "{}{}", self.out, self.err);
        self.err
    }
}

impl World {
    /// A bundle whose program is `args`; `None` where containers cannot be.
    pub fn new(args: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and busybox-static");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("naru-oci-test-{}-{count}", std::process::id());
        let world = Self { folder, id, program: PathBuf::from(NARU) };
        let bin = world.bundle().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in
            ["sh", "cat", "echo", "false", "id", "kill", "ls", "sleep", "stty", "tty", "touch", "true"]
        {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        let bundle = world.bundle();
        world.oci(&["spec", "--bundle", bundle.to_str().unwrap()]).ok();
        world.change(|config| {
            config["process"]["args"] = json!(args);
            config["process"]["terminal"] = json!(false);
            config["root"]["readonly"] = json!(false);
            config["linux"]["cgroupsPath"] = json!(format!("/{}", world.id));
        });
        Some(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    /// Changes `config.json`.
    pub fn change(&self, change: impl FnOnce(&mut Value)) {
        let file = self.bundle().join("config.json");
        let mut config = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&file, config.to_string()).unwrap();
    }

    /// `naru oci --root …` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("oci").arg("--root").arg(self.path("state")).args(arguments);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// The runtime's program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Drives a copy of the runtime from now on, which may come to harm.
    pub fn own_program(&mut self) -> PathBuf {
        let program = self.path("naru");
        std::fs::copy(NARU, &program).unwrap();
        self.program.clone_from(&program);
        program
    }

    /// Compiles a C program into the root's /bin, static: what an attacker brings along.
    pub fn compile(&self, name: &str, source: &str) {
        self.compile_with(name, source, &["-static"]);
    }

    /// As [`Self::compile`], with flags for the compiler.
    pub fn compile_with(&self, name: &str, source: &str, flags: &[&str]) {
        let file = self.path(&format!("{name}.c"));
        std::fs::write(&file, source).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O1", "-w", "-o"])
            .arg(self.bundle().join("rootfs/bin").join(name))
            .args(flags)
            .arg(&file);
        let output = compiler.output().expect("run cc, which linked this test");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Another bundle with the same root and another configuration.
    pub fn bundle_beside(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        let text = std::fs::read(self.bundle().join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["root"]["path"] = json!(self.bundle().join("rootfs"));
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{name}", self.id));
        change(&mut config);
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        folder
    }

    /// Runs a line by the host's shell, in the world's folder.
    pub fn shell(&self, line: &str) -> Done {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path()).stdin(Stdio::null());
        done(command)
    }

    /// Runs a verb as [`Self::shell`] does, with `before` before it: `exec setpriv …`.
    pub fn shell_verb(&self, before: &str, words: &[&str]) -> Done {
        let command = self.command(words);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
        let words: Vec<String> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
        self.shell(&format!("{before} {}", words.join(" ")))
    }

    /// Runs it. What a container that stays keeps open is a file, not our pipe.
    pub fn oci(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments))
    }

    /// A verb with flags, and the container's id.
    pub fn verb(&self, words: &[&str]) -> Done {
        self.oci(&[words, &[self.id.as_str()]].concat())
    }

    /// `create` or `run` with the bundle.
    pub fn launch(&self, words: &[&str]) -> Done {
        let bundle = self.bundle();
        self.oci(&[words, &["--bundle", bundle.to_str().unwrap(), self.id.as_str()]].concat())
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.verb(&["state"]).ok()).unwrap()
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn wait_for_status(&self, status: &str) {
        wait_until(status, || self.status() == status);
    }

    /// What a file in the root holds.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.bundle().join("rootfs").join(name)).unwrap_or_default()
    }

    /// Folders of the container's cgroup that exist.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut folders = vec![Path::new("/sys/fs/cgroup").join(&self.id)];
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").unwrap();
        folders.extend(hierarchies.map(|entry| entry.unwrap().path().join(&self.id)));
        folders.retain(|folder| folder.is_dir());
        folders
    }

    /// Nothing is left of the container.
    #[track_caller]
    pub fn check_nothing_left(&self) {
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        let state = std::fs::read_dir(self.path("state")).map(|entries| entries.count()).unwrap_or(0);
        assert_eq!(state, 0, "something is left in the state root");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.folder.path().to_str().unwrap()), "a mount is left");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The copy may be a program no more.
        self.program = PathBuf::from(NARU);
        let deleted = self.verb(&["delete", "--force"]);
        if !std::thread::panicking() {
            deleted.ok();
            self.check_nothing_left();
        }
    }
}

fn done(mut command: Command) -> Done {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let status = command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap()).status().unwrap();
    Done::new(Output { status, stdout: content(out), stderr: content(err) })
}

fn content(mut file: std::fs::File) -> Vec<u8> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

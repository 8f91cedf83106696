//! A root folder with busybox in it, containers of it, and what they said.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use runtime::{
    HostFacts, Launch, LaunchError, LaunchPlan, Launched, PlanOptions, RootFs, Spec, Stdio, UserSpec, launch,
    spec_default,
};
use rustix::process::{WaitId, WaitIdOptions};

pub struct World {
    pub folder: tempfile::TempDir,
    pub host: HostFacts,
    mounts_before: String,
}

/// What a process said, and how it ended (128 + n by a signal).
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

const APPLETS: [&str; 36] = [
    "sh",
    "cat",
    "ls",
    "id",
    "hostname",
    "echo",
    "pwd",
    "env",
    "mount",
    "stat",
    "touch",
    "mkdir",
    "sleep",
    "true",
    "false",
    "readlink",
    "tty",
    "stty",
    "ps",
    "grep",
    "kill",
    "chmod",
    "dd",
    "test",
    "ip",
    "wc",
    "sort",
    "umask",
    "ulimit",
    "nice",
    "printf",
    "date",
    "head",
    "find",
    "mknod",
    "dnsdomainname",
];

impl World {
    pub fn new() -> Self {
        let mounts_before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let folder = tempfile::Builder::new().prefix("naru-runtime-").tempdir().unwrap();
        let world = Self { folder, host: HostFacts::detect().unwrap(), mounts_before };
        let root = world.root();
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "root"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("a static busybox (package busybox-static)");
        for name in APPLETS {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nwheel:x:10:root,web\nweb:x:33:\n").unwrap();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("rootfs")
    }

    pub fn cgroup_path(&self) -> String {
        format!("/naru-runtime-test/{}", self.folder.path().file_name().unwrap().to_str().unwrap())
    }

    /// Docker's default container, running `args`.
    pub fn spec(&self, args: &[&str]) -> Spec {
        let mut spec = spec_default(&self.host);
        let mut process = spec.process().clone().unwrap();
        process.set_args(Some(args.iter().map(|arg| (*arg).to_owned()).collect()));
        spec.set_process(Some(process));
        spec.set_hostname(Some("box".into()));
        spec
    }

    pub fn options(&self) -> PlanOptions {
        PlanOptions {
            rootfs: RootFs::Directory { path: self.root() },
            cgroup_path: Some(self.cgroup_path()),
            user: Some(UserSpec::Name { spec: String::new(), groups: Vec::new() }),
            seccomp: None,
            bundle: self.folder.path().to_owned(),
            id: "test".into(),
            host: self.host.clone(),
        }
    }

    pub fn plan(&self, args: &[&str]) -> LaunchPlan {
        runtime::plan(&self.spec(args), &self.options()).unwrap()
    }

    /// The default container running a shell script.
    pub fn script(&self, script: &str) -> LaunchPlan {
        self.plan(&["sh", "-c", script])
    }

    /// Runs the default container to its end.
    pub fn sh(&self, script: &str) -> Output {
        self.run(&self.script(script)).unwrap()
    }

    pub fn run(&self, plan: &LaunchPlan) -> Result<Output, LaunchError> {
        let result = self.start(plan).map(|(launched, streams)| finish(&launched, streams));
        self.nothing_is_left();
        result
    }

    /// Starts a container with pipes for its output.
    pub fn start(&self, plan: &LaunchPlan) -> Result<(Launched, Streams), LaunchError> {
        let (streams, stdio) = Streams::pair();
        launch(plan, Launch::with(stdio)).map(|launched| (launched, streams))
    }

    /// No cgroup, no mount, no child.
    pub fn nothing_is_left(&self) {
        let group = cgroup::Cgroup::open(&self.host.cgroup, &self.cgroup_path());
        for (_, folder) in group.folders() {
            assert!(!folder.exists(), "{} is left", folder.display());
        }
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), self.mounts_before);
        let children = rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        assert_eq!(children.err(), Some(rustix::io::Errno::CHILD), "a child is left");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The parent is shared with other cases and goes with the last one.
        for (_, folder) in cgroup::Cgroup::open(&self.host.cgroup, "/naru-runtime-test").folders() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Our ends of the output pipes.
pub struct Streams {
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Streams {
    pub fn pair() -> (Self, Stdio) {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let ((stdout, out), (stderr, err)) = (pipe(), pipe());
        (Self { stdout, stderr }, Stdio::Pipes { stdin: None, stdout: out, stderr: err })
    }
}

/// Reads all output, waits, removes the cgroup.
pub fn finish(launched: &Launched, streams: Streams) -> Output {
    let output = collect(launched, streams);
    if !launched.cgroup.path().is_empty() {
        launched.cgroup.remove().unwrap();
    }
    output
}

pub fn collect(launched: &Launched, streams: Streams) -> Output {
    let read = |fd: OwnedFd| {
        let mut text = String::new();
        fs::File::from(fd).read_to_string(&mut text).unwrap();
        text
    };
    let (stdout, stderr) = (read(streams.stdout), read(streams.stderr));
    Output { stdout, stderr, code: wait(launched) }
}

pub fn wait(launched: &Launched) -> i32 {
    let status = rustix::process::waitid(WaitId::PidFd(launched.pidfd.as_fd()), WaitIdOptions::EXITED);
    let status = status.unwrap().expect("a status");
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap()
}
/// Writes an executable file.
pub fn executable(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

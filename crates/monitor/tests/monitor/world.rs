//! A container of a test's own, with its monitor, and the test as the engine.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use monitor::protocol::*;
use runtime::{ExecPlan, HostFacts, LaunchPlan, PlanOptions, RootFs};

/// Nothing here takes that long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

static ROOTFS: OnceLock<tempfile::TempDir> = OnceLock::new();

/// A root file system with busybox, common to all tests.
fn rootfs() -> &'static Path {
    ROOTFS
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            for name in ["bin", "dev", "proc", "sys", "etc", "tmp"] {
                std::fs::create_dir(folder.path().join(name)).unwrap();
            }
            std::fs::copy("/bin/busybox", folder.path().join("bin/busybox")).unwrap();
            for name in [
                "sh", "cat", "sleep", "echo", "stty", "head", "seq", "true", "wc", "tail", "grep", "id",
                "dd", "tr", "readlink",
            ] {
                std::os::unix::fs::symlink("busybox", folder.path().join("bin").join(name)).unwrap();
            }
            folder
        })
        .path()
}

/// Removes what all tests shared.
pub fn clean_up() {
    if let Some(folder) = ROOTFS.get() {
        let _ = std::fs::remove_dir_all(folder.path());
    }
    let host = cgroup::Host::detect().unwrap();
    for mount in host.hierarchies.iter().map(|hierarchy| &hierarchy.mount).chain(&host.unified) {
        let _ = std::fs::remove_dir(mount.join(cgroup_parent()));
    }
}

fn cgroup_parent() -> String {
    format!("naru-test-monitor-{}", std::process::id())
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub spec: MonitorSpec,
    pub start: StartSpec,
    /// What goes with the start request.
    pub fds: Vec<OwnedFd>,
    child: Option<Child>,
}

impl World {
    /// A container that runs a shell script.
    pub fn new(script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::tempdir().unwrap();
        let id = format!("{:032x}{:032x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let host = HostFacts::detect().unwrap();
        let options = PlanOptions {
            rootfs: RootFs::Directory { path: rootfs().to_owned() },
            cgroup_path: Some(format!("/{}/{id}", cgroup_parent())),
            user: None,
            seccomp: None,
            bundle: PathBuf::from("/"),
            id: id.clone(),
            host: host.clone(),
        };
        let mut oci = runtime::spec_default(&host);
        let args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        oci.process_mut().as_mut().unwrap().set_args(Some(args));
        let plan = runtime::plan(&oci, &options).unwrap();
        let container_dir = folder.path().join("container");
        std::fs::create_dir(&container_dir).unwrap();
        let spec = MonitorSpec {
            name: "test".into(),
            run_dir: folder.path().join("run"),
            log: LogSpec {
                driver: LogDriver::JsonFile,
                path: container_dir.join("log"),
                ..LogSpec::default()
            },
            container_dir,
            plan,
            tty: false,
            open_stdin: false,
            stdin_once: false,
            console_size: None,
            restart: RestartPolicy::No,
            restart_count: 0,
            stop_signal: 15,
            stop_timeout: 10,
            health: None,
            auto_remove: false,
            id,
        };
        let mut world = Self { folder, spec, start: StartSpec::default(), fds: Vec::new(), child: None };
        world.give(FdRole::BareMounts, runtime::bare_mounts().unwrap());
        world
    }

    /// The same with a terminal.
    pub fn with_terminal(script: &str) -> Self {
        let mut world = Self::new(script);
        world.spec.tty = true;
        world.spec.open_stdin = true;
        world.spec.stdin_once = true;
        world.spec.plan.process.terminal = true;
        world
    }

    /// Adds a descriptor to the start request.
    pub fn give(&mut self, role: FdRole, fd: impl Into<OwnedFd>) {
        self.start.fds.push(role);
        self.fds.push(fd.into());
    }

    /// A client that attaches before the start.
    pub fn attach_first(&mut self, spec: AttachSpec) -> Client {
        let (client, theirs) = Client::pair();
        self.give(FdRole::Attach(spec), theirs);
        client
    }

    /// Spawns the monitor, without a start request.
    pub fn spawn(&mut self) -> Link {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let exe = std::env::current_exe().unwrap();
        self.child = Some(monitor::client::spawn(&exe, &self.spec.id, theirs.into()).unwrap());
        Link::new(ours)
    }

    /// Spawns the monitor and asks it to start the container.
    pub fn try_start(&mut self) -> (Link, Reply) {
        let mut link = self.spawn();
        link.send(Body::Prepare(Box::new(self.spec.clone())), &[]);
        let fds = std::mem::take(&mut self.fds);
        let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
        let reply = link.ask_with(Body::Start(self.start.clone()), &fds);
        (link, reply)
    }

    pub fn start(&mut self) -> Link {
        let (link, reply) = self.try_start();
        assert!(matches!(reply, Reply::Started { .. }), "{reply:?}");
        link
    }

    pub fn exec_plan(&self, script: &str) -> ExecPlan {
        let args = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        ExecPlan { args, terminal: false, ..self.spec.plan.process.clone() }
    }

    pub fn exec_spec(&self, script: &str) -> ExecSpec {
        ExecSpec {
            id: "exec-1".into(),
            plan: Some(self.exec_plan(script)),
            let_go: false,
            tty: false,
            open_stdin: false,
            attach: None,
            console_size: None,
        }
    }

    pub fn state(&self) -> State {
        monitor::state::read(&self.spec.container_dir).unwrap().unwrap()
    }

    /// The log's text of one stream.
    pub fn log(&self, stream: &str) -> String {
        let text = std::fs::read_to_string(&self.spec.log.path).unwrap();
        let entries =
            text.lines().map(|line| serde_json::from_str::<BTreeMap<String, String>>(line).unwrap());
        entries.filter(|entry| entry["stream"] == stream).map(|entry| entry["log"].clone()).collect()
    }

    /// Whether the monitor has a descriptor of something with such a name.
    pub fn holds(&self, name: &str) -> bool {
        let folder = format!("/proc/{}/fd", self.child.as_ref().unwrap().id());
        std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .any(|link| link.to_string_lossy().starts_with(name))
    }

    /// The monitor's own memory in KiB: heap, stack and what else belongs to no file. (Pages of the executable are shared by all
    /// monitors; in a debug build they say nothing.)
    pub fn private_memory(&self) -> u64 {
        let smaps =
            std::fs::read_to_string(format!("/proc/{}/smaps", self.child.as_ref().unwrap().id())).unwrap();
        let mut sum = 0;
        let mut anonymous = false;
        for line in smaps.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[0].contains('-') {
                anonymous = fields.get(5).is_none_or(|name| name.starts_with('['));
            } else if anonymous && fields[0] == "Private_Dirty:" {
                sum += fields[1].parse::<u64>().unwrap();
            }
        }
        sum
    }

    /// Kills the monitor.
    pub fn kill(&mut self) {
        self.child.as_mut().unwrap().kill().unwrap();
    }

    /// Waits for the monitor's end and checks that it took everything with it. Returns its exit code.
    pub fn gone(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    let _ = child.kill();
                    panic!("the monitor does not leave");
                }
            }
        };
        assert!(!self.spec.run_dir.exists(), "the run-time folder stays behind");
        let cgroup = self.cgroup();
        let left: Vec<_> = cgroup.folders().filter(|(_, folder)| folder.exists()).collect();
        assert!(left.is_empty(), "cgroups stay behind: {left:?}");
        status.code()
    }

    pub fn cgroup(&self) -> cgroup::Cgroup {
        let host = cgroup::Host::detect().unwrap();
        cgroup::Cgroup::open(&host, self.plan().cgroup.as_deref().unwrap())
    }

    fn plan(&self) -> &LaunchPlan {
        &self.spec.plan
    }
}

/// A test that failed may leave a container behind.
impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            let _ = self.cgroup().remove();
        }
    }
}

/// A connection to a monitor.
pub struct Link {
    pub socket: UnixStream,
    decoder: Decoder,
    next: u64,
    inbox: VecDeque<Message>,
}

impl Link {
    pub fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, decoder: Decoder::new(), next: 0, inbox: VecDeque::new() }
    }

    pub fn connect(world: &World) -> Self {
        Self::new(monitor::client::connect(&world.spec.run_dir).unwrap())
    }

    pub fn send(&mut self, body: Body, fds: &[BorrowedFd<'_>]) -> u64 {
        self.next += 1;
        let bytes = encode(&Request { seq: self.next, body }).unwrap();
        sys::fdpass::send(&self.socket, &bytes, fds).unwrap();
        self.next
    }

    /// Reads one message; `None` at the end of the stream.
    fn receive(&mut self) -> Option<Message> {
        loop {
            if let Some((message, _)) = self.decoder.next::<Message>().unwrap() {
                return Some(message);
            }
            let mut buffer = [0; 4096];
            let count = self.socket.read(&mut buffer).expect("the monitor says nothing");
            if count == 0 {
                return None;
            }
            self.decoder.push(&buffer[..count], std::iter::empty());
        }
    }

    /// The first message that `pick` wants, of those already here and those to come; others are kept.
    fn pick<T>(&mut self, what: &str, pick: impl Fn(&Message) -> Option<T>) -> T {
        if let Some(index) = self.inbox.iter().position(|message| pick(message).is_some()) {
            return self.inbox.remove(index).and_then(|message| pick(&message)).unwrap();
        }
        loop {
            let message = self
                .receive()
                .unwrap_or_else(|| panic!("the monitor left instead of {what}; it said {:?}", self.inbox));
            match pick(&message) {
                Some(picked) => return picked,
                None => self.inbox.push_back(message),
            }
        }
    }

    pub fn reply(&mut self, wanted: u64) -> Reply {
        self.pick("a reply", |message| match message {
            Message::Reply { seq, reply } if *seq == wanted => Some(reply.clone()),
            _ => None,
        })
    }

    pub fn ask_with(&mut self, body: Body, fds: &[BorrowedFd<'_>]) -> Reply {
        let seq = self.send(body, fds);
        self.reply(seq)
    }

    pub fn ask(&mut self, body: Body) -> Reply {
        self.ask_with(body, &[])
    }

    /// Asks for something that must be done.
    pub fn order(&mut self, body: Body) {
        assert_eq!(self.ask(body), Reply::Done);
    }

    /// Asks for something that must be refused.
    pub fn refused(&mut self, body: Body) -> ErrorKind {
        match self.ask(body) {
            Reply::Error { kind, .. } => kind,
            other => panic!("{other:?}"),
        }
    }

    pub fn event<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        self.pick(what, |message| match message {
            Message::Event(event) => pick(event),
            Message::Reply { .. } => None,
        })
    }

    /// The container's next end: exit code, and after how many milliseconds it is started again.
    pub fn exited(&mut self) -> (i32, Option<u64>) {
        self.event("the end", |event| match event {
            Event::Exited { code, restart_in, .. } => Some((*code, *restart_in)),
            _ => None,
        })
    }

    pub fn exec_exited(&mut self) -> i32 {
        self.event("the session's end", |event| match event {
            Event::ExecExited { code, .. } => Some(*code),
            _ => None,
        })
    }

    pub fn attach(&mut self, spec: AttachSpec) -> Client {
        let (client, theirs) = Client::pair();
        assert_eq!(self.ask_with(Body::Attach(spec), &[theirs.as_fd()]), Reply::Done);
        client
    }

    pub fn exec(&mut self, mut spec: ExecSpec, attach: AttachSpec) -> Client {
        let (client, theirs) = Client::pair();
        spec.attach = Some(attach);
        let reply = self.ask_with(Body::Exec(Box::new(spec)), &[theirs.as_fd()]);
        assert!(matches!(reply, Reply::ExecStarted { .. }), "{reply:?}");
        client
    }

    pub fn status(&mut self) -> StatusReply {
        match self.ask(Body::Status) {
            Reply::Status(status) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the final end, dismisses the monitor, checks that nothing is left. Returns the container's exit code.
    pub fn finish(mut self, world: &mut World) -> i32 {
        let (code, restart) = self.exited();
        assert_eq!(restart, None);
        self.order(Body::Shutdown);
        assert_eq!(world.gone(), Some(0));
        code
    }
}

/// Kills a container that would run for ever, and finishes as [`Link::finish`].
pub fn end(mut link: Link, world: &mut World) {
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.finish(world), 137);
}

/// A client attached to streams.
pub struct Client(pub UnixStream);

impl Client {
    pub fn pair() -> (Self, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(ours), theirs)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        std::io::Write::write_all(&mut self.0, bytes).unwrap();
    }

    pub fn end_input(&self) {
        self.0.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Everything until the end.
    pub fn all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).unwrap();
        all
    }

    pub fn all_text(&mut self) -> String {
        String::from_utf8_lossy(&self.all()).into_owned()
    }

    /// Reads until `text` has come.
    pub fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let mut buffer = [0; 1024];
            let count = self.0.read(&mut buffer).expect(text);
            assert!(count > 0, "the stream ended before {text:?} came: {seen:?}");
            seen += &String::from_utf8_lossy(&buffer[..count]);
        }
        seen
    }
}

/// Takes Docker's frames apart: the text of standard output and of standard error.
pub fn frames(mut bytes: &[u8]) -> (String, String) {
    let mut texts = [String::new(), String::new()];
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(*header.last_chunk().unwrap()) as usize;
        texts[usize::from(header[0]) - 1] += std::str::from_utf8(&rest[..length]).unwrap();
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    let [stdout, stderr] = texts;
    (stdout, stderr)
}

/// All streams.
pub fn streams() -> AttachSpec {
    AttachSpec { stdin: true, stdout: true, stderr: true, ..AttachSpec::default() }
}

/// Output only.
pub fn output() -> AttachSpec {
    AttachSpec { stdin: false, ..streams() }
}

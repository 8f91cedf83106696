//! The world of one test: an engine on a folder of its own, in a network namespace of its own, with an image, and the short
//! words that tests are written in.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::*;
use engine::{AttachOptions, ClientStream, Engine, EngineConfig};
use tokio::sync::mpsc;

/// Nothing in these tests takes that long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A test's body.
pub(crate) type Body<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// The world.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub config: EngineConfig,
    engine: Option<Arc<Engine>>,
}

/// Runs a test in this process and checks what it leaves.
pub(crate) fn run(test: fn(&mut World) -> Body<'_>) {
    // Before there are other threads: all of them are in the new namespace then.
    sys::namespace::unshare(sys::clone::NEWNET).expect("these tests need root");
    let folder = tempfile::Builder::new().prefix("naru-engine-").tempdir().expect("make a folder");
    let config = config(folder.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut world = World { folder, config, engine: None };
    runtime.block_on(async {
        world.boot().await;
        world.load_busybox().await;
        test(&mut world).await;
        world.end().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// The configuration of an engine below a folder; its cgroups are named after the folder.
pub(crate) fn config(folder: &Path) -> EngineConfig {
    let name = folder.file_name().expect("a folder's name").to_string_lossy().into_owned();
    let mut config = EngineConfig::new(folder.join("root"), folder.join("run"));
    config.exe = std::env::current_exe().expect("the name of this executable");
    config.cgroup_parent = format!("/{name}");
    config.network.ip_forward = false;
    config
}

impl World {
    /// Starts the engine.
    pub(crate) async fn boot(&mut self) {
        assert!(self.engine.is_none());
        self.engine = Some(Engine::start(self.config.clone()).await.expect("start an engine"));
    }

    /// Ends the engine without a word, as `kill -9` would.
    pub(crate) async fn lose_engine(&mut self) {
        let engine = self.engine.take().expect("an engine");
        let weak = Arc::downgrade(&engine);
        drop(engine);
        eventually("the engine is gone", || weak.upgrade().is_none()).await;
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("an engine")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn load_busybox(&self) {
        let layout = self.path("layout");
        let spec = testkit::ImageSpec::busybox();
        spec.write_oci_layout(&layout);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all(".", &layout).expect("pack an image");
        let bytes = archive.into_inner().expect("pack an image");
        std::fs::remove_dir_all(&layout).expect("remove a folder");
        let (sender, receiver) = mpsc::channel(1);
        sender.send(Ok(bytes.into())).await.expect("send an image");
        drop(sender);
        let engine = self.engine();
        engine.image_load(ImageLoadQuery::default(), receiver, Arc::new(|_| ())).await.expect("load busybox");
        let images = engine.image_list(ImageListQuery::default()).await.expect("list images");
        let query = ImageTagQuery { repo: "busybox".to_owned(), tag: "latest".to_owned() };
        engine.image_tag(&images[0].id, query).await.expect("name busybox");
    }

    /// Creates a container from a request in JSON, with busybox if no image is named; its id.
    pub(crate) async fn create(&self, name: &str, json: &str) -> String {
        self.try_create(name, json).await.unwrap_or_else(|error| panic!("create {json}: {error}"))
    }

    pub(crate) async fn try_create(&self, name: &str, json: &str) -> engine::Result<String> {
        let mut request: ContainerCreateRequest = serde_json::from_str(json).expect("a create request");
        if request.config.image.is_empty() {
            request.config.image = "busybox".to_owned();
        }
        let name = Some(name).filter(|name| !name.is_empty());
        Ok(self.engine().container_create(name, None, request).await?.id)
    }

    pub(crate) async fn start(&self, id: &str) {
        self.try_start(id).await.unwrap_or_else(|error| panic!("start {id}: {error}"));
    }

    pub(crate) async fn try_start(&self, id: &str) -> engine::Result<()> {
        self.engine().container_start(id, ContainerStartQuery::default()).await
    }

    /// Creates and starts; without any network unless the request says so.
    pub(crate) async fn detached(&self, name: &str, json: &str) -> String {
        let id = self.create(name, json).await;
        self.start(&id).await;
        id
    }

    /// `sh -c` in the background, without a network.
    pub(crate) async fn shell(&self, name: &str, script: &str) -> String {
        self.detached(name, &shell(script, r#""NetworkMode":"none""#)).await
    }

    /// Creates, attaches, starts, waits: what the container wrote, and its exit code.
    pub(crate) async fn run(&self, json: &str) -> Ran {
        let id = self.create("", json).await;
        let client = self.attach(&id, "").await;
        let exit = self.engine().container_wait(&id, "next-exit").await.expect("wait");
        self.start(&id).await;
        let (stdout, stderr) = client.read().await;
        let code = within("an exit", exit).await.expect("wait").status_code;
        Ran { id, stdout, stderr, code }
    }

    /// A client on standard output and error, and on standard input if `input` is not empty.
    pub(crate) async fn attach(&self, id: &str, input: &str) -> Client {
        let options = AttachOptions {
            stream: true,
            stdin: !input.is_empty(),
            stdout: true,
            stderr: true,
            mux: true,
            ..AttachOptions::default()
        };
        self.attach_with(id, options, input).await
    }

    pub(crate) async fn attach_with(&self, id: &str, options: AttachOptions, input: &str) -> Client {
        let attachment = self.engine().container_attach(id, options).await.expect("attach");
        let (client, stream) = client(attachment.tty);
        tokio::spawn(attachment.run(stream));
        let mut socket = client.socket.try_clone().expect("clone a socket");
        let input = input.as_bytes().to_vec();
        if !input.is_empty() {
            tokio::task::spawn_blocking(move || {
                // The container may end without having read it all.
                let _ = socket.write_all(&input);
                let _ = socket.shutdown(std::net::Shutdown::Write);
            });
        }
        client
    }

    pub(crate) async fn exit(&self, id: &str) -> i64 {
        let exit = self.engine().container_wait(id, "not-running").await.expect("wait");
        within("an exit", exit).await.expect("wait").status_code
    }

    pub(crate) async fn inspect(&self, id: &str) -> ContainerInspectResponse {
        self.engine().container_inspect(id, false).await.expect("inspect")
    }

    pub(crate) async fn state(&self, id: &str) -> ContainerState {
        self.inspect(id).await.state.expect("a state")
    }

    pub(crate) async fn stop(&self, id: &str) {
        let query = ContainerStopQuery { timeout: Some(1), ..ContainerStopQuery::default() };
        self.engine().container_stop(id, query).await.expect("stop");
    }

    pub(crate) async fn remove(&self, id: &str) {
        let query = ContainerRemoveQuery { force: true, volumes: true, link: false };
        self.engine().container_remove(id, query).await.expect("remove");
    }

    /// What a container has written, without frames.
    pub(crate) async fn logs(&self, id: &str) -> String {
        let query =
            ContainerLogsQuery { stdout: true, stderr: true, tail: "all".to_owned(), ..Default::default() };
        let mut logs = self.engine().container_logs(id, query).await.expect("logs");
        let mut bytes = Vec::new();
        while let Some(piece) = logs.frames.recv().await {
            bytes.extend_from_slice(&piece.expect("a piece of the log"));
        }
        let (stdout, stderr) = if logs.tty { (text(bytes), String::new()) } else { demux(&bytes) };
        stdout + &stderr
    }

    /// Actions and ids of what happened so far to containers, networks and volumes.
    pub(crate) async fn events(&self, id: &str) -> Vec<String> {
        // Those that are being told get a moment.
        let until = std::time::UNIX_EPOCH.elapsed().expect("after 1970") + Duration::from_millis(500);
        let until = format!("{}.{:09}", until.as_secs(), until.subsec_nanos());
        let query = EventsQuery { since: "1".into(), until, ..EventsQuery::default() };
        let mut events = self.engine().events(query).await.expect("events");
        let mut actions = Vec::new();
        while let Some(event) =
            tokio::time::timeout(PATIENCE, events.recv()).await.expect("the end of the events")
        {
            let concerns = event.actor.id == id
                || event
                    .actor
                    .attributes
                    .as_ref()
                    .is_some_and(|all| all.get("container").is_some_and(|own| own == id));
            if concerns {
                actions.push(event.action);
            }
        }
        actions
    }

    /// A new network namespace begins with its loopback down.
    pub(crate) fn loopback_up(&self) {
        use netlink::route::{Batch, LinkChange, LinkRef, Route};
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Index(1), &LinkChange { up: Some(true), ..LinkChange::default() });
        Route::open().and_then(|mut route| route.run(batch)).expect("bring loopback up");
    }

    /// Removes every container and checks that nothing is left of any.
    async fn end(&mut self) {
        let query = ContainerListQuery { all: true, ..ContainerListQuery::default() };
        for container in self.engine().container_list(query).await.expect("list") {
            self.remove(&container.id).await;
        }
        self.nothing_is_left().await;
        self.lose_engine().await;
        let networks = ::network::Networks::open(self.config.network.clone()).expect("open networks");
        let errors = networks.teardown();
        assert!(errors.is_empty(), "{errors:?}");
        // The parent of its containers' cgroups is the operator's to keep; here nobody needs it.
        let host = cgroup::Host::detect().expect("cgroups");
        cgroup::Cgroup::open(&host, &self.config.cgroup_parent).remove().expect("remove the cgroup");
    }

    /// No folder, no cgroup, no process, no link, no record of any container.
    pub(crate) async fn nothing_is_left(&self) {
        let (containers, run) = (self.config.root.join("containers"), self.config.run_dir.clone());
        let left = move || {
            let mut left = names(&containers);
            left.extend(names(&run).into_iter().filter(|name| name.len() == 64));
            left.extend(names(&run.join("network")).into_iter().filter(|name| name.ends_with(".json")));
            left.extend(names(&run.join("shm")));
            left
        };
        let parent = self.config.cgroup_parent.clone();
        eventually(&format!("nothing is left, but there is {:?}", left()), || left().is_empty()).await;
        let host = cgroup::Host::detect().expect("cgroups");
        eventually("no cgroup is left", || {
            cgroup::Cgroup::open(&host, &parent)
                .folders()
                .all(|(_, folder)| names(&folder).iter().all(|name| !folder.join(name).is_dir()))
        })
        .await;
        eventually("no monitor is left, but the one for the next container", || {
            children().into_iter().all(is_spare)
        })
        .await;
    }
}

/// What a container did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub id: String,
    pub stdout: String,
    pub stderr: String,
    pub code: i64,
}

/// A client's end of a hijacked connection.
pub(crate) struct Client {
    pub socket: UnixStream,
    tty: bool,
}

impl Client {
    /// Everything up to the end: standard output and error.
    pub(crate) async fn read(self) -> (String, String) {
        let tty = self.tty;
        let mut socket = self.socket;
        socket.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
        let bytes = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            socket.read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = bytes.await.expect("read").expect("the end of the stream");
        if tty { (text(bytes), String::new()) } else { demux(&bytes) }
    }
}

/// A pair: the client's end, and what the engine gets.
pub(crate) fn client(tty: bool) -> (Client, ClientStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    theirs.set_nonblocking(true).expect("a socket that does not block");
    (Client { socket: ours, tty }, ClientStream::Socket { fd: theirs.into(), leftover: Vec::new() })
}

/// Splits frames into standard output and error.
pub(crate) fn demux(mut bytes: &[u8]) -> (String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some((header, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let target = if header[0] == 2 { &mut stderr } else { &mut stdout };
        target.extend_from_slice(&rest[..length]);
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a frame: {bytes:?}");
    (text(stdout), text(stderr))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

/// A request for `sh -c script` with a host configuration.
pub(crate) fn shell(script: &str, host: &str) -> String {
    format!(
        r#"{{"Cmd":["sh","-c",{}],"HostConfig":{{{host}}}}}"#,
        serde_json::to_string(script).expect("JSON")
    )
}

/// Polls until it holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The outcome, which must come in time.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("timed out: {what}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Whether a monitor waits for a container.
pub(crate) fn is_spare(pid: i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|argument| argument == monitor::client::SPARE.as_bytes())
}

/// Processes whose parent is this one.
pub(crate) fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let all = names(Path::new("/proc"));
    let pids = all.iter().filter_map(|name| name.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.split_whitespace().nth(1) == Some(own.as_str()))
    })
    .collect()
}

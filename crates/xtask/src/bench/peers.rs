//! The contestants: Naru's own engine, a private dockerd, podman, and the bare runtimes, each on a temporary root; a local
//! registry to pull from. Dropping `Bench` stops them.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::image;

/// The local registry.
pub const REGISTRY: &str = "127.0.0.1:5000";

/// A dockerd that does without its userland proxy.
pub const NO_PROXY: &str = "no proxy";

/// One engine with a Docker-like command line.
pub struct Peer {
    pub name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where its API is, if it has one.
    pub socket: Option<PathBuf>,
}

pub struct Bench {
    /// Those that run containers; Naru is the first.
    pub peers: Vec<Peer>,
    /// Those that are good for images only on this machine.
    image_peers: Vec<Peer>,
    pub dir: tempfile::TempDir,
    services: Vec<Child>,
    /// Services that came with a measurement.
    late: RefCell<Vec<Child>>,
}

impl Peer {
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments).stdin(Stdio::null());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output =
            self.command(arguments).output().with_context(|| format!("run {}", self.program.display()))?;
        ensure!(
            output.status.success(),
            "{} {arguments:?}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Bench {
    /// Starts what is installed and gives each engine the busybox image.
    pub fn start(naru: PathBuf) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("naru-bench-").tempdir()?;
        let mut bench = Self {
            peers: Vec::new(),
            image_peers: Vec::new(),
            dir,
            services: Vec::new(),
            late: RefCell::default(),
        };
        bench.add_naru(naru);
        bench.add_docker()?;
        bench.add_podman();
        bench.start_registry()?;
        let layout = bench.dir.path().join("busybox");
        image::busybox(&layout)?;
        bench.push_layout(&layout, "busybox")?;
        for peer in &bench.peers {
            bench.give(peer, "busybox")?;
        }
        bench.leave_out_those_that_run_nothing();
        Ok(bench)
    }

    /// An engine may be installed and not run containers on this machine (crun refuses hybrid cgroups): then it is no peer here.
    fn leave_out_those_that_run_nothing(&mut self) {
        let runs = |peer: &Peer| match peer.ok(&["run", "--rm", "--network", "none", "busybox", "true"]) {
            Err(error) if peer.name != "naru" => {
                println!("left out where containers run: {error:#}");
                false
            }
            // Ours is measured, or the benchmark says why not.
            _ => true,
        };
        (self.peers, self.image_peers) = std::mem::take(&mut self.peers).into_iter().partition(runs);
    }

    pub fn naru(&self) -> &Peer {
        &self.peers[0]
    }

    /// Those that images can be pulled with.
    pub fn pullers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().chain(&self.image_peers)
    }

    /// A place in the bench's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn add_naru(&mut self, program: PathBuf) {
        let value = |name: &str| self.path(name).display().to_string();
        let environment = vec![
            ("NARU_ROOT".to_owned(), value("naru")),
            ("NARU_RUN_DIR".to_owned(), value("naru-run")),
            ("NARU_SOCKET".to_owned(), value("naru-run/naru.sock")),
            ("NARU_CGROUP_PARENT".to_owned(), "/naru-bench".to_owned()),
            ("NARU_IDLE_TIMEOUT".to_owned(), "3600".to_owned()),
        ];
        let socket = Some(self.path("naru-run/naru.sock"));
        self.peers.push(Peer {
            name: "naru".to_owned(),
            program,
            arguments: Vec::new(),
            environment,
            socket,
        });
    }

    fn add_docker(&mut self) -> Result<()> {
        let (Some(daemon), Some(client)) = (find("dockerd"), find("docker")) else { return Ok(()) };
        let socket = format!("unix://{}", self.path("docker.sock").display());
        let log = fs::File::create(self.path("dockerd.log"))?;
        let child = Command::new(daemon)
            .args(["--data-root", &self.path("docker").display().to_string()])
            .args(["--exec-root", &self.path("docker-run").display().to_string()])
            .args(["--pidfile", &self.path("docker.pid").display().to_string(), "--host", &socket])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("run dockerd")?;
        self.services.push(child);
        let peer = Peer {
            name: "docker".to_owned(),
            program: client,
            arguments: vec!["--host".to_owned(), socket],
            environment: Vec::new(),
            socket: Some(self.path("docker.sock")),
        };
        wait_for("dockerd", || peer.ok(&["version"]).is_ok())
            .with_context(|| fs::read_to_string(self.path("dockerd.log")).unwrap_or_default())?;
        self.peers.push(peer);
        Ok(())
    }

    fn add_podman(&mut self) {
        let Some(program) = find("podman") else { return };
        let value = |name: &str| self.path(name).display().to_string();
        let arguments = [
            "--root",
            &value("podman"),
            "--runroot",
            &value("podman-run"),
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
        ];
        let peer = Peer {
            name: "podman".to_owned(),
            program,
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: vec![("CONTAINERS_REGISTRIES_CONF".to_owned(), value("registries.conf"))],
            socket: None,
        };
        let registries = format!(
            "unqualified-search-registries = []\n[[registry]]\nlocation = \"{REGISTRY}\"\ninsecure = true\n"
        );
        if fs::write(self.path("registries.conf"), registries).is_ok() && peer.ok(&["info"]).is_ok() {
            self.peers.push(peer);
        } else {
            println!("podman is installed but does not run here: left out");
        }
    }

    fn start_registry(&mut self) -> Result<()> {
        let registry = self.serve_registry("registry", REGISTRY)?;
        self.services.push(registry);
        Ok(())
    }

    /// An empty registry at an address that no engine has heard of, for as long as `work` goes on.
    pub fn with_new_registry<T>(&self, work: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        // Engines remember what a registry has by its address.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut registry = self.serve_registry("new-registry", &address)?;
        let outcome = work(&address);
        stop(&mut registry);
        fs::remove_dir_all(self.path("new-registry"))?;
        outcome
    }

    fn serve_registry(&self, folder: &str, address: &str) -> Result<Child> {
        let program = find("docker-registry").context("docker-registry is not installed")?;
        let config = self.path(&format!("{folder}.yml"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            self.path(folder).display()
        );
        fs::write(&config, text)?;
        let child = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        wait_for("docker-registry", || std::net::TcpStream::connect(address).is_ok())?;
        Ok(child)
    }

    /// The daemon that was started for Docker.
    pub fn docker_pid(&self) -> Option<u32> {
        let id = fs::read_to_string(self.path("docker.pid")).ok()?;
        id.trim().parse().ok()
    }

    /// Gives an engine an image of the registry under its own name.
    pub fn give(&self, peer: &Peer, image: &str) -> Result<()> {
        let name = format!("{REGISTRY}/{image}");
        peer.ok(&["pull", "-q", &name])?;
        peer.ok(&["tag", &name, image]).map(drop)
    }

    /// Gives an engine an image of another one.
    pub fn copy(&self, from: &Peer, to: &Peer, image: &str) -> Result<()> {
        let archive = self.path(&format!("{image}.tar")).display().to_string();
        from.ok(&["save", "-o", &archive, image])?;
        to.ok(&["load", "-q", "-i", &archive]).map(drop)
    }

    /// A second dockerd, in a network namespace of its own, that does without its proxy; with the process that keeps the
    /// namespace. None where docker is not installed.
    pub fn docker_without_proxy(&self) -> Result<Option<(Peer, u32)>> {
        let (Some(daemon), Some(client)) = (find("dockerd"), find("docker")) else { return Ok(None) };
        let socket = format!("unix://{}", self.path("noproxy.sock").display());
        let value = |name: &str| self.path(name).display().to_string();
        let log = fs::File::create(self.path("noproxy.log"))?;
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
            .arg(daemon)
            .args(["--data-root", &value("noproxy"), "--exec-root", &value("noproxy-run")])
            .args(["--pidfile", &value("noproxy.pid"), "--host", &socket, "--userland-proxy=false"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("run dockerd")?;
        let pid = child.id();
        self.late.borrow_mut().push(child);
        let peer = Peer {
            name: NO_PROXY.to_owned(),
            program: client,
            arguments: vec!["--host".to_owned(), socket],
            environment: Vec::new(),
            socket: Some(self.path("noproxy.sock")),
        };
        wait_for("dockerd", || peer.ok(&["version"]).is_ok())
            .with_context(|| fs::read_to_string(self.path("noproxy.log")).unwrap_or_default())?;
        Ok(Some((peer, pid)))
    }

    /// Brings an image to the registry.
    pub fn push_layout(&self, layout: &Path, name: &str) -> Result<()> {
        let source = format!("oci:{}:latest", layout.display());
        let target = format!("docker://{REGISTRY}/{name}:latest");
        let output = Command::new("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false", &source, &target])
            .output()
            .context("run skopeo")?;
        ensure!(output.status.success(), "skopeo copy: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for peer in &self.peers {
            if let Ok(ids) = peer
                .ok(&["ps", "-aq"])
                .map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                && !ids.is_empty()
            {
                let arguments: Vec<&str> =
                    ["rm", "-f"].into_iter().chain(ids.iter().map(String::as_str)).collect();
                let _ = peer.ok(&arguments);
            }
        }
        for service in self.services.iter_mut().chain(self.late.get_mut()) {
            let _ = Command::new("kill").arg(service.id().to_string()).status();
            let _ = service.wait();
        }
        self.services.iter_mut().for_each(stop);
    }
}

fn stop(service: &mut Child) {
    let _ = Command::new("kill").arg(service.id().to_string()).status();
    let _ = service.wait();
}

pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("{what} is not ready after 30 s")
}

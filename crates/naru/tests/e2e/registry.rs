//! Programs that serve a test inside its world: Debian's `docker-registry`, at an address of the world's own loopback.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::world::World;

/// Where it listens; every world has this port to itself.
pub const HOST: &str = "127.0.0.1:5000";

/// The shell ends the program when its pipe closes: also when this process is killed.
const GUARD: &str =
    "\"$@\" 2>&1 </dev/null & pid=$!; exec >/dev/null 2>&1; read -r _; kill -9 $pid; wait $pid";

/// A program that runs until it is dropped.
pub struct Service {
    process: Child,
}

impl Service {
    pub fn start(world: &World, words: &[&str]) -> Self {
        let mut service = Self::spawn(world, words);
        service.drain(None);
        service
    }

    fn spawn(world: &World, words: &[&str]) -> Self {
        let process = world
            .command("sh")
            .args(["-c", GUARD, "sh"])
            .args(words)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self { process: process.unwrap_or_else(|error| panic!("start {}: {error}", words[0])) }
    }

    /// Reads what it says, first until it says `ready`.
    fn drain(&mut self, ready: Option<&str>) {
        let mut log = BufReader::new(self.process.stdout.take().expect("a piped log"));
        let mut said = String::new();
        while ready.is_some_and(|ready| !said.contains(ready)) {
            let length = log.read_line(&mut said).expect("read the log");
            assert!(length > 0, "the program ended: {said}");
        }
        // Somebody has to read on, or the program blocks on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

pub struct Registry {
    _service: Service,
}

impl Registry {
    /// Starts it and waits until it listens.
    pub fn start(world: &World) -> Self {
        let (config, storage) = (world.path("registry.yml"), world.path("registry-storage"));
        let text = format!(
            "version: 0.1\nlog: {{level: info, formatter: text, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: {HOST}\n  secret: test\n",
            storage.display()
        );
        std::fs::write(&config, text).expect("write the registry's configuration");
        let words = ["docker-registry", "serve", config.to_str().expect("UTF-8")];
        let mut service = Service::spawn(world, &words);
        service.drain(Some("listening on "));
        Self { _service: service }
    }
}

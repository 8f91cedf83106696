//! A world for tests of this crate: an engine below a temporary folder, in a network namespace of its own, with containers that
//! are only records, or records with a process that somebody else runs. It all goes with the test's thread.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};

use store::Rootfs;

use crate::container::model::Container;
use crate::container::record::Record;
use crate::container::registry::Registry;
use crate::container::status::{Run, Status};
use crate::executable::Executable;
use crate::facts::{self, Facts};
use crate::{Engine, EngineConfig, Events, idle};

/// Runs a test as root on a thread of its own, which is the host.
pub(crate) fn world(test: impl AsyncFnOnce(&Engine) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        sys::namespace::unshare(sys::clone::NEWNET).expect("these tests need root");
        let folder = tempfile::tempdir().unwrap();
        // Blocking threads are made by this one, in its namespace.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = Arc::new_cyclic(|me| engine(folder.path(), me.clone()));
        runtime.block_on(test(&engine));
        let errors = engine.networks.teardown();
        assert!(errors.is_empty(), "{errors:?}");
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn engine(folder: &std::path::Path, me: Weak<Engine>) -> Engine {
    let config = EngineConfig::new(folder.join("root"), folder.join("run"));
    std::fs::create_dir_all(&config.root).unwrap();
    Engine {
        store: store::Store::open(&config.root).unwrap(),
        networks: network::Networks::open(config.network.clone()).unwrap(),
        registries: distribution::Registries::new(config.registries.clone()),
        events: Events::open(&config.root),
        idle: idle::Idle::new(),
        bare_mounts: runtime::bare_mounts().ok(),
        containers: Arc::new(Registry::default()),
        me,
        facts: Facts { runtime: facts::example(), cpus: 2, apparmor: false, seccomp: None },
        executable: Executable::seal(&config.exe),
        spares: Default::default(),
        held: Default::default(),
        volume_holds: Default::default(),
        config,
    }
}

/// A container that is only a record, changed by `change` before it is written.
pub(crate) fn container(engine: &Engine, name: &str, change: impl FnOnce(&mut Record)) -> Arc<Container> {
    let id = image::hex_encode(name.as_bytes()).repeat(64)[..64].to_owned();
    let folder = engine.config.containers_dir().join(&id);
    std::fs::create_dir_all(&folder).unwrap();
    let mut record = Record::new(
        id,
        name.to_owned(),
        "2026-01-01T00:00:00Z".to_owned(),
        String::new(),
        "linux".to_owned(),
        Default::default(),
        Default::default(),
        Rootfs::Directory(folder.join("rootfs")),
    );
    change(&mut record);
    record.write(&folder).unwrap();
    let container = Arc::new(Container::new(&engine.config, record));
    engine.containers.insert(Arc::clone(&container));
    container
}

/// An image of one layer with these files; a name that ends with a slash is a folder.
pub(crate) fn image(engine: &Engine, name: &str, files: &[(&str, &str)], changes: &[&str]) -> image::Digest {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    for (path, text) in files {
        let path = folder.path().join("root").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => std::fs::create_dir_all(path).unwrap(),
            false => std::fs::write(path, text).unwrap(),
        }
    }
    let root = File::open(folder.path().join("root")).unwrap();
    engine.store.export(root.as_fd(), &mut archive).unwrap();
    let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
    let reference = image::Reference::parse(name).unwrap();
    let platform = image::Platform::host();
    engine.store.import(archive.as_slice(), &changes, "", &platform, Some(&reference)).unwrap()
}

/// A container on an image, which has not started.
pub(crate) fn container_on(
    engine: &Engine,
    name: &str,
    image: &image::Digest,
    change: impl FnOnce(&mut Record),
) -> Arc<Container> {
    container(engine, name, |record| {
        let folder = engine.config.containers_dir().join(&record.id);
        record.image_id = image.to_string();
        record.rootfs = engine.store.create_snapshot(&folder, Some(image)).unwrap();
        change(record);
    })
}

/// A process in a network and a mount namespace of its own, for a container that is said to run. It ends with this value.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(container: &Container) -> Self {
        let child = Command::new("unshare")
            .args(["--net", "--mount", "sleep", "1000"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        // Its program runs once it has left this process's namespaces.
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
        let run = Run { pid, start_ticks: sys::process::start_ticks(pid).unwrap() };
        container.change(|life| life.status = Status::Running(run));
        Self(child)
    }

    /// Its network namespace.
    pub(crate) fn netns(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.0.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

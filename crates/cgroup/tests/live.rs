//! Real cgroups on this machine's layout, as root: limits land in the kernel, freezing stops, killing kills, removing leaves nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgroup::*;

/// A cgroup of the test's own, removed at the end whatever happens.
struct World {
    host: Host,
    path: String,
}

impl World {
    fn new(name: &str) -> Self {
        Self { host: Host::detect().unwrap(), path: format!("/naru-test-{}/{name}", std::process::id()) }
    }

    fn create(&self, resources: &Resources) -> Cgroup {
        Cgroup::create(&self.host, &self.path, resources).unwrap()
    }

    /// The text of a file, by its v1 controller and name or its v2 name.
    fn file(&self, controller: &str, v1: &str, v2: &str) -> String {
        let (mount, file) = match self.host.hierarchy(controller) {
            Some(hierarchy) => (hierarchy.mount.as_path(), v1),
            None => (self.host.unified.as_deref().unwrap(), v2),
        };
        std::fs::read_to_string(mount.join(&self.path[1..]).join(file)).unwrap().trim().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        Cgroup::open(&self.host, &self.path).remove().unwrap();
        // The common parent goes with the last test.
        let parent = Path::new(&self.path).parent().unwrap().strip_prefix("/").unwrap();
        for mount in self.host.hierarchies.iter().map(|hierarchy| &hierarchy.mount).chain(&self.host.unified)
        {
            let _ = std::fs::remove_dir(mount.join(parent));
        }
    }
}

fn sleeper(group: &Cgroup) -> Child {
    let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    group.add(child.id() as i32).unwrap();
    child
}

fn state_of(child: &Child) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    stat.rsplit(") ").next().unwrap().chars().take(1).collect()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn limits_reach_the_kernel_and_can_be_changed() {
    let world = World::new("limits");
    let group = world.create(&Resources {
        memory: Memory {
            limit: Some(64 << 20),
            swap: Some(128 << 20),
            reservation: Some(32 << 20),
            ..Memory::default()
        },
        cpu: Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: Some("0".into()),
            ..Cpu::default()
        },
        pids: Some(17),
        ..Resources::default()
    });
    assert_eq!(world.file("memory", "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(world.file("pids", "pids.max", "pids.max"), "17");
    assert_eq!(world.file("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    if !world.host.is_v2() {
        assert_eq!(world.file("memory", "memory.memsw.limit_in_bytes", ""), (128 << 20).to_string());
        assert_eq!(world.file("cpu", "cpu.cfs_quota_us", ""), "50000");
        assert_eq!(world.file("cpu", "cpu.shares", ""), "512");
    }
    // Up past the old swap limit, then down again: the two files must be written in different orders.
    for limit in [512_i64 << 20, 16 << 20] {
        let memory = Memory { limit: Some(limit), swap: Some(2 * limit), ..Memory::default() };
        group.apply(&Resources { memory, pids: Some(-1), ..Resources::default() }).unwrap();
        assert_eq!(world.file("memory", "memory.limit_in_bytes", "memory.max"), limit.to_string());
    }
    assert_eq!(world.file("pids", "pids.max", "pids.max"), "max");
    let unknown =
        Resources { cpu: Cpu { cpus: Some("4000".into()), ..Cpu::default() }, ..Resources::default() };
    let error = group.apply(&unknown).unwrap_err().to_string();
    assert!(error.contains("write \"4000\" to") && error.contains("cpuset.cpus"), "{error}");
}

#[test]
fn a_failed_create_leaves_nothing() {
    let world = World::new("failed");
    let bad = Resources { cpu: Cpu { cpus: Some("4000".into()), ..Cpu::default() }, ..Resources::default() };
    assert!(Cgroup::create(&world.host, &world.path, &bad).is_err());
    assert!(Cgroup::open(&world.host, &world.path).folders().all(|(_, folder)| !folder.exists()));
    for path in ["", "/", "naru/x", "/naru/../x"] {
        assert!(Cgroup::create(&world.host, path, &Resources::default()).is_err(), "{path:?}");
    }
}

#[test]
fn freeze_thaw_kill_remove() {
    let world = World::new("freeze");
    let group = world.create(&Resources::default());
    let mut child = sleeper(&group);
    assert_eq!(group.procs().unwrap(), [child.id() as i32]);
    group.freeze().unwrap();
    assert!(group.frozen().unwrap());
    if !world.host.is_v2() {
        assert_eq!(state_of(&child), "D");
    }
    group.thaw().unwrap();
    assert!(!group.frozen().unwrap());
    until("it sleeps again", || state_of(&child) == "S");
    // Frozen processes die too.
    group.freeze().unwrap();
    group.kill_all().unwrap();
    child.wait().unwrap();
    until("nobody is left", || group.pids().unwrap().is_empty());
    group.remove().unwrap();
    group.remove().unwrap();
    assert!(group.folders().all(|(_, folder)| !folder.exists()));
}

#[test]
fn removing_kills_what_is_left_also_in_sub_groups() {
    let world = World::new("tree");
    let group = world.create(&Resources::default());
    let below = Cgroup::create(&world.host, &format!("{}/inner", world.path), &Resources::default()).unwrap();
    let mut child = sleeper(&below);
    assert!(group.procs().unwrap().is_empty());
    assert_eq!(group.pids().unwrap(), [child.id() as i32]);
    let waiter = std::thread::spawn(move || child.wait().unwrap());
    group.remove().unwrap();
    assert!(!waiter.join().unwrap().success());
}

#[test]
fn a_limit_that_comes_later_takes_the_processes_along() {
    let world = World::new("later");
    let group = world.create(&Resources::default());
    let mut child = sleeper(&group);
    group
        .apply(&Resources { cpu: Cpu { cpus: Some("0".into()), ..Cpu::default() }, ..Resources::default() })
        .unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn statistics_and_memory_shortage() {
    let world = World::new("oom");
    let group = world.create(&Resources {
        memory: Memory { limit: Some(8 << 20), swap: Some(8 << 20), ..Memory::default() },
        pids: Some(5),
        ..Resources::default()
    });
    let mut watch = group.oom_watch().unwrap();
    assert_eq!(watch.take().unwrap(), 0);
    // Waits for a line, then takes more memory than there is.
    let mut child = Command::new("sh")
        .args(["-c", "read line; exec dd if=/dev/zero of=/dev/null bs=64M count=1"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    group.add(child.id() as i32).unwrap();
    assert_eq!(group.stats().unwrap().pids, PidsStats { current: 1, limit: Some(5) });
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success());
    let mut poll = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut poll, Some(&timeout)).unwrap(), 1);
    assert_eq!(watch.take().unwrap(), 1);
    assert_eq!(watch.take().unwrap(), 0);
    assert_eq!(group.oom_kills().unwrap(), 1);
    let stats = group.stats().unwrap();
    assert_eq!(stats.memory.limit, Some(8 << 20));
    assert!(stats.memory.oom_kills == 1 && stats.memory.max_usage > 0 && stats.cpu.usage > 0, "{stats:?}");
    assert_ne!(stats.memory.stats, BTreeMap::new());
}

#[test]
fn devices() {
    let world = World::new("devices");
    let rule = |allow, minor: u32| DeviceRule {
        allow,
        kind: DeviceKind::Character,
        major: Some(1),
        minor: Some(minor),
        access: "rwm".into(),
    };
    let all =
        DeviceRule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: "rwm".into() };
    let group = world.create(&Resources { devices: vec![all, rule(true, 3)], ..Resources::default() });
    let try_to_read = |device: &str| {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read line; exec head -c 1 {device}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        group.add(child.id() as i32).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap().success()
    };
    assert!(try_to_read("/dev/null"));
    assert!(!try_to_read("/dev/zero"));
}

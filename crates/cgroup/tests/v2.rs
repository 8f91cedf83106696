//! Limits, counters and life on a host with cgroup v2 alone, file by file (Documentation/admin-guide/cgroup-v2.rst). Other hosts skip
//! them aloud; `cargo xtask lane` runs them on such a host.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cgroup::*;

/// A cgroup of the test's own, removed at the end whatever happens.
struct World {
    host: Host,
    path: String,
}

impl World {
    /// `None` where there is no such host.
    fn new(name: &str) -> Option<Self> {
        let host = Host::detect().unwrap();
        if !host.is_v2() {
            println!("skipped: this host has cgroup v1 (cargo xtask lane has not)");
            return None;
        }
        Some(Self { host, path: format!("/naru-v2-{}-{name}", std::process::id()) })
    }

    fn create(&self, resources: &Resources) -> Cgroup {
        Cgroup::create(&self.host, &self.path, resources).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.host.unified.as_deref().unwrap().join(&self.path[1..])
    }

    fn file(&self, name: &str) -> String {
        read(&self.folder().join(name))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        Cgroup::open(&self.host, &self.path).remove().unwrap();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim()
        .to_owned()
}

fn shell(group: &Cgroup, script: &str) -> Child {
    let child = Command::new("sh")
        .args(["-c", &format!("read line; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    group.add(child.id() as i32).unwrap();
    child
}

/// Lets it begin, and waits until it ends.
fn end(mut child: Child) -> (i32, String) {
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap();
    (code, String::from_utf8(output.stdout).unwrap())
}

#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn cpu(cpu: Cpu) -> Resources {
    Resources { cpu, ..Resources::default() }
}

fn memory(memory: Memory) -> Resources {
    Resources { memory, ..Resources::default() }
}

#[test]
fn processor_time() {
    let Some(world) = World::new("cpu") else { return };
    let group = world.create(&cpu(Cpu {
        shares: Some(1024),
        quota: Some(50_000),
        period: Some(200_000),
        burst: Some(20_000),
        ..Cpu::default()
    }));
    assert_eq!(world.file("cpu.weight"), "100");
    assert_eq!(world.file("cpu.max"), "50000 200000");
    assert_eq!(world.file("cpu.max.burst"), "20000");
    // Burst and quota rise together, then fall together; each alone leaves the other.
    for (quota, burst) in [(100_000, 90_000), (20_000, 10_000)] {
        group.apply(&cpu(Cpu { quota: Some(quota), burst: Some(burst), ..Cpu::default() })).unwrap();
        assert_eq!(world.file("cpu.max"), format!("{quota} 200000"));
        assert_eq!(world.file("cpu.max.burst"), burst.to_string());
    }
    group.apply(&cpu(Cpu { period: Some(100_000), ..Cpu::default() })).unwrap();
    assert_eq!(world.file("cpu.max"), "20000 100000");
    group.apply(&cpu(Cpu { quota: Some(-1), ..Cpu::default() })).unwrap();
    assert_eq!(world.file("cpu.max"), "max 100000");
    // An idle group has no weight; afterwards it has one again.
    group.apply(&cpu(Cpu { idle: Some(1), shares: Some(2048), ..Cpu::default() })).unwrap();
    assert_eq!(world.file("cpu.idle"), "1");
    group.apply(&cpu(Cpu { idle: Some(0), shares: Some(2), ..Cpu::default() })).unwrap();
    assert_eq!((world.file("cpu.idle"), world.file("cpu.weight")), ("0".into(), "1".into()));
    group.apply(&cpu(Cpu { cpus: Some("0".into()), mems: Some("0".into()), ..Cpu::default() })).unwrap();
    assert_eq!((world.file("cpuset.cpus"), world.file("cpuset.mems")), ("0".into(), "0".into()));
    // It is really held back, and that is counted.
    group.apply(&cpu(Cpu { quota: Some(2_000), burst: Some(0), ..Cpu::default() })).unwrap();
    let mut busy = shell(&group, "while true; do true; done");
    drop(busy.stdin.take());
    until("it is throttled", || group.stats().unwrap().cpu.throttled_periods > 0);
    busy.kill().unwrap();
    busy.wait().unwrap();
    let stats = group.stats().unwrap().cpu;
    assert!(stats.usage > 0 && stats.usage >= stats.user && stats.periods > 0, "{stats:?}");
}

#[test]
fn memory_and_swap() {
    let Some(world) = World::new("memory") else { return };
    const MIB: i64 = 1 << 20;
    let group = world.create(&memory(Memory {
        limit: Some(64 * MIB),
        swap: Some(96 * MIB),
        reservation: Some(16 * MIB),
        // What v2 does not have is not an error.
        swappiness: Some(10),
        ..Memory::default()
    }));
    let all = || ["memory.max", "memory.swap.max", "memory.low"].map(|name| world.file(name));
    let texts = |numbers: [i64; 3]| numbers.map(|number| (number * MIB).to_string());
    assert_eq!(all(), texts([64, 32, 16]));
    group.apply(&memory(Memory { swap: Some(80 * MIB), ..Memory::default() })).unwrap();
    assert_eq!(all(), texts([64, 16, 16]));
    group
        .apply(&memory(Memory { limit: Some(32 * MIB), swap: Some(32 * MIB), ..Memory::default() }))
        .unwrap();
    assert_eq!(all(), texts([32, 0, 16]));
    group.apply(&memory(Memory { limit: Some(-1), ..Memory::default() })).unwrap();
    assert_eq!(world.file("memory.max"), "max");
    assert_eq!(world.file("memory.swap.max"), "max");
    let error = group.apply(&memory(Memory { swap: Some(8 * MIB), ..Memory::default() })).unwrap_err();
    assert!(error.to_string().contains("memory+swap limit"), "{error}");
    let mut child =
        shell(&group, "text=$(head -c 1000000 /dev/zero | tr '\\0' x); echo; read line; echo $text");
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"\n").unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 1]).unwrap();
    let check = Memory { limit: Some(4096), check_before_update: Some(true), ..Memory::default() };
    assert!(group.apply(&memory(check)).unwrap_err().to_string().contains("current usage"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn memory_shortage_ends_what_asks_for_it_and_is_told_once() {
    let Some(world) = World::new("oom") else { return };
    let limits = Memory { limit: Some(8 << 20), swap: Some(8 << 20), ..Memory::default() };
    let group = world.create(&memory(limits));
    let mut watch = group.oom_watch().unwrap();
    let child = shell(&group, "exec dd if=/dev/zero of=/dev/null bs=64M count=1");
    assert_eq!(end(child).0, 137);
    let mut poll = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut poll, Some(&timeout)).unwrap(), 1);
    assert_eq!((watch.take().unwrap(), watch.take().unwrap(), group.oom_kills().unwrap()), (1, 0, 1));
    let stats = group.stats().unwrap().memory;
    assert_eq!((stats.limit, stats.oom_kills), (Some(8 << 20), 1));
    assert!(stats.failures > 0 && stats.stats.contains_key("inactive_file"), "{stats:?}");
}

#[test]
fn swap_is_counted_and_limited() {
    let Some(world) = World::new("swap") else { return };
    if read(Path::new("/proc/swaps")).lines().count() < 2 {
        println!("skipped: there is nowhere to swap to");
        return;
    }
    // A text of 12 MB does not fit into 8 MiB of memory, but into them and some swap.
    let limits = Memory { limit: Some(8 << 20), swap: Some(64 << 20), ..Memory::default() };
    let group = world.create(&memory(limits));
    let script = "text=$(head -c 12000000 /dev/zero | tr '\\0' x); echo ${#text}; read line";
    let mut child = shell(&group, script);
    let mut input = child.stdin.take().unwrap();
    use std::io::Write;
    input.write_all(b"\n").unwrap();
    until("something is swapped", || {
        group.stats().unwrap().memory.swap > 0 || child.try_wait().unwrap().is_some()
    });
    drop(input);
    assert_eq!(end(child), (1, "12000000\n".to_owned()));
    assert_eq!(group.oom_kills().unwrap(), 0);
}

#[test]
fn tasks() {
    let Some(world) = World::new("pids") else { return };
    let group = world.create(&Resources { pids: Some(2), ..Resources::default() });
    let (code, _) = end(shell(&group, "(true) & (true) & (true) & wait"));
    assert_ne!(code, 0);
    assert_ne!(world.file("pids.events"), "max 0");
    // A process is counted for a moment after its parent has seen its end.
    until("none is counted", || group.stats().unwrap().pids == PidsStats { current: 0, limit: Some(2) });
    group.apply(&Resources { pids: Some(-1), ..Resources::default() }).unwrap();
    assert_eq!(world.file("pids.max"), "max");
}

/// A whole disk, as `major:minor`.
fn disk() -> Option<(u64, u64)> {
    let names = ["vda", "sda", "nvme0n1", "zram0", "loop0"];
    let text =
        names.iter().find_map(|name| std::fs::read_to_string(format!("/sys/block/{name}/dev")).ok())?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn block_devices() {
    let Some(world) = World::new("io") else { return };
    let Some((major, minor)) = disk() else {
        println!("skipped: no disk");
        return;
    };
    let throttle = |rate| vec![ThrottleDevice { major: major as i64, minor: minor as i64, rate }];
    let group = world.create(&Resources {
        io: Io {
            weight: Some(500),
            read_bps: throttle(1 << 20),
            write_bps: throttle(2 << 20),
            read_iops: throttle(100),
            write_iops: throttle(200),
            ..Io::default()
        },
        ..Resources::default()
    });
    assert_eq!(
        world.file("io.max"),
        format!("{major}:{minor} rbps=1048576 wbps=2097152 riops=100 wiops=200")
    );
    let weights = ["io.bfq.weight", "io.weight"].map(|name| {
        std::fs::read_to_string(world.folder().join(name)).map(|text| text.trim().to_owned()).ok()
    });
    assert!(
        weights.contains(&Some("default 500".into())) || weights.contains(&Some("default 4950".into())),
        "{weights:?}"
    );
    let io = Io { read_bps: throttle(0), write_bps: throttle(0), ..Io::default() };
    group.apply(&Resources { io, ..Resources::default() }).unwrap();
    assert_eq!(world.file("io.max"), format!("{major}:{minor} rbps=max wbps=max riops=100 wiops=200"));
    let nobody = Io { read_bps: vec![ThrottleDevice { major: 511, minor: 7, rate: 1 }], ..Io::default() };
    let error = group.apply(&Resources { io: nobody, ..Resources::default() }).unwrap_err().to_string();
    assert!(error.contains("write \"511:7 rbps=1\" to"), "{error}");
}

#[test]
fn huge_pages_and_what_has_no_name_of_ours() {
    let Some(world) = World::new("unified") else { return };
    let unified = [("memory.high", "33554432"), ("pids.max", "44"), ("cpu.weight", "77")];
    let group = world.create(&Resources {
        hugetlb: [("2MB".to_owned(), 4 << 20)].into(),
        // Written last: it wins.
        pids: Some(7),
        unified: unified.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Resources::default()
    });
    assert_eq!(world.file("hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(world.file("hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
    for (name, value) in unified {
        assert_eq!(world.file(name), value, "{name}");
    }
    let refused = |name: &str| {
        let unified: BTreeMap<String, String> = [(name.to_owned(), "1".to_owned())].into();
        group.apply(&Resources { unified, ..Resources::default() }).unwrap_err().to_string()
    };
    for name in ["cgroup.procs", "../memory.max", "memory.nosuch"] {
        assert!(refused(name).contains(name), "{}", refused(name));
    }
}

#[test]
fn devices_are_denied_by_a_program_and_a_later_list_replaces_it() {
    let Some(world) = World::new("devices") else { return };
    let nothing =
        || DeviceRule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: "rwm".into() };
    let allow = |minor: u32, access: &str| DeviceRule {
        allow: true,
        kind: DeviceKind::Character,
        major: Some(1),
        minor: Some(minor),
        access: access.into(),
    };
    let devices = vec![nothing(), allow(3, "rw"), allow(5, "r")];
    let group = world.create(&Resources { devices, ..Resources::default() });
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("node");
    let can = |script: &str| end(shell(&group, &format!("({script}) > /dev/null"))).0 == 0;
    let make = format!("mknod {0} c 1 3 && rm {0}", node.display());
    for (script, allowed) in [
        ("head -c 1 /dev/zero", true),
        ("echo x > /dev/zero", false),
        ("echo x > /dev/null", true),
        ("head -c 1 /dev/full", false),
        (&make, false),
    ] {
        assert_eq!(can(script), allowed, "{script}");
    }
    let devices = vec![nothing(), allow(3, "rwm"), allow(7, "r")];
    group.apply(&Resources { devices, ..Resources::default() }).unwrap();
    assert!(can("head -c 1 /dev/full") && can(&make) && !can("head -c 1 /dev/zero"));
    // Still one program: a list that is changed often does not pile up.
    let open = std::fs::File::open(world.folder()).unwrap();
    assert_eq!(sys::bpf::device_programs(&open).unwrap().len(), 1);
    // Below it the parent's word counts as well.
    let path = format!("{}/below", world.path);
    let below = Cgroup::create(&world.host, &path, &Resources::default()).unwrap();
    assert_ne!(end(shell(&below, "head -c 1 /dev/zero")).0, 0);
}

#[test]
fn frozen_processes_stay_where_they_are_and_die_when_killed() {
    let Some(world) = World::new("freeze") else { return };
    let group = world.create(&Resources::default());
    let mut child = shell(&group, "while true; do echo; done");
    let mut output = child.stdout.take().unwrap();
    drop(child.stdin.take());
    use std::io::Read;
    output.read_exact(&mut [0; 1]).unwrap();
    group.freeze().unwrap();
    assert!(group.frozen().unwrap() && world.file("cgroup.events").contains("frozen 1"));
    group.thaw().unwrap();
    assert!(!group.frozen().unwrap());
    output.read_exact(&mut [0; 200_000]).unwrap();
    group.freeze().unwrap();
    group.kill_all().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    until("nobody is left", || world.file("cgroup.events").contains("populated 0"));
}

/// Forks faster than anybody could list it; `cgroup.kill` takes all.
#[test]
fn a_fork_bomb_dies_at_once() {
    let Some(world) = World::new("bomb") else { return };
    let group = world.create(&Resources { pids: Some(32), ..Resources::default() });
    let mut child = shell(&group, "bomb() { bomb & bomb; }; bomb");
    drop(child.stdin.take());
    until("it forks", || group.stats().unwrap().pids.current > 16);
    let waiter = std::thread::spawn(move || child.wait().unwrap());
    group.remove().unwrap();
    waiter.join().unwrap();
    assert!(!world.folder().exists());
}

/// In a container, the root of the cgroup namespace has processes of its own, and a cgroup with processes hands out no controllers.
#[test]
fn at_the_root_of_a_cgroup_namespace_processes_make_way() {
    let Some(world) = World::new("nested") else { return };
    let outer = world.create(&Resources::default());
    let child = shell(&outer, "cat /proc/self/cgroup");
    let inner = Host { hierarchies: Vec::new(), unified: Some(world.folder()) };
    let group =
        Cgroup::create(&inner, "/naru/one", &Resources { pids: Some(9), ..Resources::default() }).unwrap();
    assert_eq!(world.file("naru/one/pids.max"), "9");
    assert_eq!(outer.procs().unwrap(), []);
    let (code, seen) = end(child);
    assert_eq!((code, seen), (0, format!("0::{}/init\n", world.path)));
    group.remove().unwrap();
}

#[test]
fn a_cgroup_is_handed_over_without_its_limits() {
    let Some(world) = World::new("given") else { return };
    let group = world.create(&Resources::default());
    group.give_to(1234, 5678).unwrap();
    use std::os::unix::fs::MetadataExt;
    let owner = |name: &str| {
        let data = std::fs::metadata(world.folder().join(name)).unwrap();
        (data.uid(), data.gid())
    };
    for name in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        assert_eq!(owner(name), (1234, 5678), "{name}");
    }
    for name in ["memory.max", "pids.max", "cgroup.kill", "cgroup.freeze"] {
        assert_eq!(owner(name), (0, 0), "{name}");
    }
}

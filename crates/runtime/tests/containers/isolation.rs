//! Namespaces, users, limits, filters: what sets one container apart from another.

use std::fs;

use runtime::{IdMapping, LaunchPlan, Namespace, Rlimit, SchedulerPlan, UserSpec};
use sys::seccomp::instruction;

use crate::exec::{sleeper, stop};
use crate::world::{World, finish};

pub const CASES: &[crate::Case] = &[
    ("users_and_groups", users),
    ("capabilities_of_another_user", ambient),
    ("a_seccomp_filter", seccomp_filter),
    ("limits_and_scheduling", limits),
    ("sysctls", sysctls),
    ("a_new_user_namespace", user_namespace),
    ("a_time_namespace_with_offsets", time),
    ("namespaces_of_another_container", joined),
    ("a_ready_network_namespace", ready_network),
    ("cgroup_limits_and_view", cgroups),
    ("root_of_a_user_namespace_divides_its_cgroup", own_cgroup),
    ("the_hosts_namespaces", host),
    ("a_container_without_a_cgroup", no_cgroup),
];

fn users() {
    let world = World::new();
    let check = |spec: &str, groups: &[&str], expected: &str| {
        let mut plan = world.script("id -u; id -g; id -G; echo $HOME; echo x > /proc/self/fd/1");
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        plan.process.user = UserSpec::Name { spec: spec.into(), groups };
        let output = world.run(&plan).unwrap();
        assert_eq!(output.stdout.replace('\n', "|"), format!("{expected}|x|"), "{}", output.stderr);
    };
    check("", &[], "0|0|0 10|/root");
    check("web", &[], "33|33|33 10|/var/www");
    check("1234", &["wheel", "44"], "1234|0|0 10 44|/");
    check("web:wheel", &[], "33|10|10|/var/www");
    let mut plan = world.script("id -u; id -g; id -G; echo $HOME");
    plan.process.user = UserSpec::Ids { uid: 7, gid: 8, additional: vec![9] };
    plan.process.env.push("HOME=/mine".into());
    assert_eq!(world.run(&plan).unwrap().stdout, "7\n8\n8 9\n/mine\n");
}

fn ambient() {
    let world = World::new();
    let mut plan = world.plan(&["grep", "Cap", "/proc/self/status"]);
    plan.process.user = UserSpec::Ids { uid: 7, gid: 7, additional: Vec::new() };
    let none = "0000000000000000";
    let status = |plan: &LaunchPlan| world.run(plan).unwrap().stdout.replace('\t', " ");
    assert_eq!(
        status(&plan),
        format!("CapInh: {none}\nCapPrm: {none}\nCapEff: {none}\nCapBnd: 00000000a80425fb\nCapAmb: {none}\n")
    );
    plan.process.capabilities.inheritable = 1 << 10;
    plan.process.capabilities.ambient = 1 << 10;
    let one = "0000000000000400";
    assert_eq!(
        status(&plan),
        format!("CapInh: {one}\nCapPrm: {one}\nCapEff: {one}\nCapBnd: 00000000a80425fb\nCapAmb: {one}\n")
    );
}

/// mkdir is refused, all else allowed.
fn seccomp_filter() {
    let mkdir = u32::try_from(if cfg!(target_arch = "x86_64") { 83 } else { 34 }).unwrap();
    let program = seccomp::Program {
        instructions: vec![
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, mkdir),
            instruction(0x06, 0, 0, 0x0005_0000 | 42),
            instruction(0x06, 0, 0, 0x7fff_0000),
        ],
        flags: 0,
    };
    let world = World::new();
    for (uid, no_new_privs) in [(0, false), (0, true), (33, false), (33, true)] {
        let mut plan = world.script("grep -E 'Seccomp:|NoNewPrivs|CapBnd' /proc/self/status; mkdir /tmp/new");
        plan.process.seccomp = Some(program.clone());
        plan.process.no_new_privs = no_new_privs;
        plan.process.user = UserSpec::Ids { uid, gid: uid, additional: Vec::new() };
        let output = world.run(&plan).unwrap();
        let nnp = u8::from(no_new_privs);
        assert_eq!(output.stdout, format!("CapBnd:\t00000000a80425fb\nNoNewPrivs:\t{nnp}\nSeccomp:\t2\n"));
        assert_eq!(output.stderr, "mkdir: can't create directory '/tmp/new': No message of desired type\n");
    }
}

fn limits() {
    let world = World::new();
    let mut plan = world.script(
        "ulimit -n; ulimit -Hn; umask; cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat; grep Cpus_allowed_list /proc/self/status; \
         cat /proc/self/personality",
    );
    plan.process.rlimits = vec![Rlimit { resource: 7, soft: 99, hard: 100 }];
    plan.process.umask = Some(0o027);
    plan.process.oom_score_adj = Some(321);
    plan.process.scheduling.cpu = Some(SchedulerPlan { nice: 5, ..SchedulerPlan::default() });
    plan.process.scheduling.affinity = vec![0];
    plan.process.scheduling.io = Some((3, 7));
    plan.process.scheduling.personality = Some(8);
    let output = world.run(&plan).unwrap();
    assert_eq!(
        output.stdout, "99\n100\n0027\n321\n5\nCpus_allowed_list:\t0\n00000008\n",
        "{}",
        output.stderr
    );
}

fn sysctls() {
    let world = World::new();
    let mut plan = world.script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    plan.sysctls = vec![
        ("net/ipv4/ip_unprivileged_port_start".into(), "7".into()),
        ("kernel/msgmax".into(), "4242".into()),
    ];
    let before = fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    assert_eq!(world.run(&plan).unwrap().stdout, "7\n4242\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/msgmax").unwrap(), before);
    plan.sysctls = vec![("net/nosuch".into(), "1".into())];
    let message = world.run(&plan).unwrap_err().message;
    assert_eq!(message, "write sysctl key net.nosuch: no such file or directory");
}

/// Root inside is 100000 outside.
pub fn with_user_namespace(plan: &mut LaunchPlan) {
    plan.namespaces.user = Namespace::New;
    let mapping = vec![IdMapping { container: 0, host: 100_000, size: 65_536 }];
    plan.namespaces.uid_mappings = mapping.clone();
    plan.namespaces.gid_mappings = mapping;
}

fn user_namespace() {
    let world = World::new();
    // Whoever root is inside has to get there.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(world.root().join("tmp"), Some(100_000), Some(100_000)).unwrap();
    let mut plan = world.script(
        "id -u; cat /proc/self/uid_map; stat -c '%u %t:%T' /dev/null; echo x > /dev/null && touch /tmp/mine && \
         stat -Lc %u /dev/shm /sys/fs/cgroup /proc/self; hostname; grep CapEff /proc/self/status; ls /sys > /dev/null && echo sys",
    );
    with_user_namespace(&mut plan);
    let output = world.run(&plan).unwrap();
    let lines: Vec<String> =
        output.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    // The unified hierarchy is read-only here and stays the host's; v1's hierarchies are in a tmpfs of the container's.
    let cgroups = if world.host.cgroup.is_v2() { "65534" } else { "0" };
    assert_eq!(
        lines,
        ["0", "0 100000 65536", "65534 1:3", "0", cgroups, "0", "box", "CapEff: 00000000a80425fb", "sys"],
        "{}",
        output.stderr
    );
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(world.root().join("tmp/mine")).unwrap().uid(), 100_000);
}

fn time() {
    let world = World::new();
    let mut plan = world.script("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime");
    plan.namespaces.time_offsets = vec![("boottime".into(), 1_000_000, 0), ("monotonic".into(), -1, 5)];
    let output = world.run(&plan).unwrap();
    let fields: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(fields[..6], ["monotonic", "-1", "5", "boottime", "1000000", "0"], "{output:?}");
    assert!(fields[6].parse::<u64>().unwrap() > 1_000_000);
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    assert_eq!(own("time"), own("time_for_children"));
}

fn joined() {
    let world = World::new();
    let other = sleeper(&world, |_| ());
    let second = World::new();
    let mut plan = second
        .script("hostname; ps | grep -c slee[p]; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc");
    let path = |name: &str| Namespace::Path(format!("/proc/{}/ns/{name}", other.0.pid).into());
    plan.namespaces.pid = path("pid");
    plan.namespaces.uts = path("uts");
    plan.namespaces.network = path("net");
    plan.namespaces.ipc = path("ipc");
    plan.hostname = None;
    let before: Vec<_> = ["net", "uts", "ipc", "pid_for_children"]
        .map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap())
        .to_vec();
    let (launched, streams) = second.start(&plan).unwrap();
    let output = finish(&launched, streams);
    let link =
        |name: &str| fs::read_link(format!("/proc/{}/ns/{name}", other.0.pid)).unwrap().display().to_string();
    assert_eq!(output.stdout, format!("box\n1\n{}\n{}\n", link("net"), link("ipc")), "{}", output.stderr);
    let after: Vec<_> = ["net", "uts", "ipc", "pid_for_children"]
        .map(|name| fs::read_link(format!("/proc/self/ns/{name}")).unwrap())
        .to_vec();
    assert_eq!(before, after);
    plan.namespaces.network = Namespace::Path("/nosuch/ns".into());
    assert_eq!(second.start(&plan).err().unwrap().message, "lstat /nosuch/ns: no such file or directory");
    stop(&world, other);
}

fn ready_network() {
    let world = World::new();
    let netns = std::thread::spawn(|| {
        sys::namespace::unshare(sys::clone::NEWNET).unwrap();
        fs::File::open("/proc/thread-self/ns/net").unwrap()
    })
    .join()
    .unwrap();
    use std::os::unix::fs::MetadataExt;
    let inode = netns.metadata().unwrap().ino();
    let mut plan = world.script("stat -Lc %i /proc/self/ns/net; ls /sys/class/net | grep lo");
    let start = |plan: &LaunchPlan| {
        let (streams, stdio) = crate::world::Streams::pair();
        let netns = Some(netns.try_clone().unwrap().into());
        let launch = runtime::Launch { netns, ..runtime::Launch::with(stdio) };
        finish(&runtime::launch(plan, launch).unwrap(), streams)
    };
    assert_eq!(start(&plan).stdout, format!("{inode}\nlo\n"));
    // It belongs to another user namespace than the container's: sysfs is the host's then.
    with_user_namespace(&mut plan);
    let output = start(&plan);
    assert_eq!(output.stdout, format!("{inode}\nlo\n"), "{}", output.stderr);
    world.nothing_is_left();
}

fn cgroups() {
    let world = World::new();
    let file = if world.host.cgroup.is_v2() { "pids.max" } else { "pids/pids.max" };
    let mut plan = world.script(&format!(
        "cat /sys/fs/cgroup/{file}; (echo 5 > /sys/fs/cgroup/{file}) 2>/dev/null || echo read-only; \
         mkdir /sys/fs/cgroup/x 2>/dev/null || echo closed; cat /dev/kmsg 2>&1 | head -c 30; echo; cat /proc/self/cgroup"
    ));
    plan.resources.pids = Some(33);
    plan.devices.push(runtime::Device {
        path: "/dev/kmsg".into(),
        kind: runtime::DeviceNode::Character(1, 11),
        mode: 0o666,
        uid: 0,
        gid: 0,
    });
    let output = world.run(&plan).unwrap();
    assert!(
        output.stdout.starts_with("33\nread-only\nclosed\ncat: can't open '/dev/kmsg': O\n"),
        "{output:?}"
    );
    // A namespace of its own hides where it is.
    plan.namespaces.cgroup = Namespace::New;
    let output = world.run(&plan).unwrap();
    assert!(output.stdout.starts_with("33\nread-only\nclosed\n"), "{output:?}");
    assert!(!output.stdout.contains("naru-runtime-test"), "{output:?}");
}

/// On v2, with a cgroup namespace and a writable view, root of a user namespace divides its own cgroup and leaves its limits alone.
fn own_cgroup() {
    let world = World::new();
    if !world.host.cgroup.is_v2() {
        println!("skipped: cgroup v1 is not handed out");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut plan = world.script(
        "cd /sys/fs/cgroup; mkdir a && echo $$ > a/cgroup.procs && echo +pids > cgroup.subtree_control && cat a/pids.current; \
         stat -c %u . cgroup.procs pids.max a; (echo 7 > pids.max) 2>/dev/null || echo closed",
    );
    with_user_namespace(&mut plan);
    plan.resources.pids = Some(33);
    for mount in &mut plan.mounts {
        if matches!(mount.source, runtime::MountSource::Cgroup) {
            mount.attributes &= !sys::mount::attr::RDONLY;
        }
    }
    let output = world.run(&plan).unwrap();
    assert_eq!(output.stdout, "2\n0\n0\n65534\n0\nclosed\n", "{output:?}");
}

fn host() {
    let world = World::new();
    let names = ["net", "uts", "ipc", "pid"];
    let mut plan = world.script("for n in net uts ipc pid; do readlink /proc/self/ns/$n; done");
    plan.namespaces.network = Namespace::Host;
    plan.namespaces.uts = Namespace::Host;
    plan.namespaces.ipc = Namespace::Host;
    plan.namespaces.pid = Namespace::Host;
    let own: String = names
        .iter()
        .map(|name| format!("{}\n", fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display()))
        .collect();
    let before = rustix::system::uname().nodename().to_owned();
    assert_eq!(world.run(&plan).unwrap().stdout, own);
    assert_eq!(rustix::system::uname().nodename(), before.as_c_str());
}

fn no_cgroup() {
    let world = World::new();
    let mut plan = world.script("ls /sys/fs/cgroup | head -n 1; cat /proc/self/cgroup");
    plan.cgroup = None;
    let output = world.run(&plan).unwrap();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    // On v2 it has a cgroup namespace, whose root is our cgroup.
    assert!(output.stdout.ends_with(if world.host.cgroup.is_v2() { "0::/\n" } else { &own }), "{output:?}");
}

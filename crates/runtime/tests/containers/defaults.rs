//! What Docker's default container sees.

use std::path::PathBuf;

use runtime::RootFs;

use crate::world::{Output, World};

pub const CASES: &[crate::Case] = &[
    ("a_default_container_sees_itself", sees_itself),
    ("mounts_are_dockers", mounts),
    ("devices_are_dockers", devices),
    ("capabilities_are_dockers", capabilities),
    ("masked_and_readonly_paths", masked_and_readonly),
    ("an_overlay_keeps_changes_in_its_upper_folder", overlay),
    ("descriptors_of_the_host_are_closed", descriptors),
];

fn sees_itself() {
    let world = World::new();
    let output =
        world.sh("echo pid $$; hostname; pwd; id; env | sort; umask; cat /proc/self/oom_score_adj; exit 7");
    let expected = "pid 1\nbox\n/\nuid=0(root) gid=0(root) groups=0(root),10(wheel)\nHOME=/root\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\nSHLVL=1\n0022\n0\n";
    assert_eq!(output, Output { stdout: expected.into(), stderr: String::new(), code: 7 });
}

fn mounts() {
    let world = World::new();
    let output = world.sh("cat /proc/self/mountinfo");
    let lines: Vec<String> = output
        .stdout
        .lines()
        .map(|line| {
            let (before, after) = line.split_once(" - ").unwrap();
            let fields: Vec<&str> = before.split(' ').collect();
            format!("{} {} {} {}", fields[4], fields[5], fields[6..].join(","), after)
        })
        .collect();
    let has = |start: &str| assert!(lines.iter().any(|line| line.starts_with(start)), "{start}\n{lines:#?}");
    has("/proc rw,nosuid,nodev,noexec,relatime  proc proc rw");
    has("/dev rw,nosuid  tmpfs tmpfs rw,size=65536k,mode=755");
    has("/dev/pts rw,nosuid,noexec,relatime  devpts devpts rw,gid=5,mode=620,ptmxmode=666");
    has("/sys ro,nosuid,nodev,noexec,relatime  sysfs sysfs");
    has("/sys/fs/cgroup ro,nosuid,nodev,noexec,relatime  ");
    has("/dev/mqueue rw,nosuid,nodev,noexec,relatime  mqueue mqueue rw");
    has("/dev/shm rw,nosuid,nodev,noexec,relatime  tmpfs shm rw,size=65536k");
}

fn devices() {
    let world = World::new();
    let output = world.sh(
        "cd /dev; stat -c '%n %a %t:%T' null zero full random urandom tty; \
         for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done; echo x > /dev/null; head -c 2 /dev/zero | wc -c",
    );
    assert!(output.stdout.starts_with(
        "null 666 1:3\nzero 666 1:5\nfull 666 1:7\nrandom 666 1:8\nurandom 666 1:9\ntty 666 5:0\n\
         fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx\n"
    ), "{output:?}");
    assert!(output.stdout.ends_with("2\n"), "{output:?}");
}

fn capabilities() {
    let world = World::new();
    // What the launcher ignores is not what the container ignores (the Rust runtime ignores SIGPIPE).
    sys::signal::ignore(1).unwrap();
    sys::signal::block(sys::signal::bit(2), true).unwrap();
    let lines = "^(Cap|NoNewPrivs|Seccomp:|SigIgn|SigBlk)";
    let output = world.run(&world.plan(&["grep", "-E", lines, "/proc/self/status"])).unwrap();
    assert_eq!(
        output.stdout.replace('\t', " "),
        "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\nCapInh: 0000000000000000\nCapPrm: 00000000a80425fb\n\
         CapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 0\n"
    );
}

fn masked_and_readonly() {
    let world = World::new();
    let output = world.sh("cat /proc/keys /proc/timer_list; stat -c %t:%T /proc/keys; ls -A /sys/firmware; \
         touch /sys/firmware/x 2>/dev/null || echo firmware is read-only; \
         (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo sysctl is read-only; \
         mount -t proc proc /tmp 2>/dev/null || echo no mounts");
    let expected = "1:3\nfirmware is read-only\nsysctl is read-only\nno mounts\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
}

fn overlay() {
    let world = World::new();
    let names: Vec<PathBuf> = ["upper", "work", "lower"].map(|name| world.path(name)).to_vec();
    names.iter().for_each(|name| std::fs::create_dir(name).unwrap());
    std::fs::write(names[2].join("hidden"), "from the second layer").unwrap();
    let mut plan =
        world.script("cat /hidden; echo new > /tmp/file; rm /etc/group || true; grep ' / ' /proc/mounts");
    plan.rootfs = RootFs::Overlay {
        lower: vec![world.root(), names[2].clone()],
        upper: names[0].clone(),
        work: names[1].clone(),
    };
    let output = world.run(&plan).unwrap();
    assert!(output.stdout.starts_with("from the second layeroverlay / overlay rw,relatime"), "{output:?}");
    assert_eq!(std::fs::read_to_string(names[0].join("tmp/file")).unwrap(), "new\n");
    assert!(!world.root().join("tmp/file").exists());
}

fn descriptors() {
    let world = World::new();
    let secret = std::fs::File::open("/etc/hostname").unwrap();
    // Inheritable, as a careless library might leave one.
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let output = world.sh("ls /proc/self/fd");
    assert_eq!(output.stdout, "0\n1\n2\n3\n", "3 is the folder itself");
    drop(secret);
}

//! Ways to code of the host's kernel that runs as root outside: the program that takes core dumps, the release agent of v1
//! cgroups, namespaces of one's own in which other doors are open. Stopped by read-only mounts, by the kernel's locks on what a
//! mount hides, and by the filter, whichever of its tables a call goes through.

use serde_json::json;

use crate::world::World;

/// Does every line of a script as root in the container; the lines that succeeded. What they write is what is there.
fn succeeded(world: &World, lines: &[&str]) -> Vec<String> {
    let attempt = |line: &&str| format!("if ( {line} ) >/dev/null 2>&1; then echo 'DONE {line}'; fi\n");
    let script = lines.iter().map(attempt).collect::<String>() + "echo tried";
    world.change(|config| config["process"]["args"] = json!(["busybox", "sh", "-c", script]));
    let said = world.launch(&["run"]).ok();
    assert!(said.ends_with("tried\n"), "{said}");
    said.lines().filter(|line| line.starts_with("DONE")).map(str::to_owned).collect()
}

/// Docker's default capabilities.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Root with Docker's capabilities.
fn docker_world() -> Option<World> {
    let world = World::new(&["true"])?;
    std::fs::create_dir(world.bundle().join("rootfs/mnt")).unwrap();
    world.change(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(CAPABILITIES);
        }
        config["process"]["capabilities"]["ambient"] = json!([]);
        config["process"]["noNewPrivileges"] = json!(false);
    });
    Some(world)
}

#[test]
fn the_core_dump_program_cannot_be_changed() {
    let Some(world) = docker_world() else { return };
    let before = std::fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let write = "p=$(cat $f) && echo \"$p\" > $f";
    let lines = [
        format!("f=/proc/sys/kernel/core_pattern; {write}"),
        format!("f=/proc/self/root/proc/sys/kernel/core_pattern; {write}"),
        format!("f=/proc/1/cwd/proc/sys/kernel/core_pattern; {write}"),
        format!("busybox mount -o remount,bind,rw /proc/sys && f=/proc/sys/kernel/core_pattern && {write}"),
        format!("busybox umount /proc/sys && f=/proc/sys/kernel/core_pattern && {write}"),
        format!("busybox mount -t proc proc /mnt && f=/mnt/sys/kernel/core_pattern && {write}"),
        // No filter here: a user namespace can be had, and is of no use.
        "busybox unshare -U -r -m busybox umount /proc/sys".to_owned(),
        "busybox unshare -U -r -m busybox mount -o remount,bind,rw /proc/sys".to_owned(),
        "busybox unshare -U -r -m -p -f busybox mount -t proc proc /mnt".to_owned(),
        "busybox unshare -U -r -m busybox umount /proc/keys".to_owned(),
        "[ -e /proc/sysrq-trigger ] && echo > /proc/sysrq-trigger".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(succeeded(&world, &lines), Vec::<String>::new());
    assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
}

#[test]
fn no_release_agent_can_be_set() {
    let Some(world) = docker_world() else { return };
    world.change(|config| {
        let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        mounts.push(
            json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options }),
        );
    });
    let lines = [
        "for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do [ -e $f ] && exit 0; done; false",
        "for f in /sys/fs/cgroup/*/notify_on_release; do echo 1 > $f && exit 0; done; false",
        "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do echo 1 > $f && exit 0; done; false",
        "busybox mkdir /sys/fs/cgroup/x /sys/fs/cgroup/memory/x /sys/fs/cgroup/devices/x",
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do busybox mount -o remount,bind,rw $d && exit 0; done; false",
        "busybox mount -t cgroup -o memory cgroup /mnt",
        "busybox mount -t cgroup -o rdma cgroup /mnt",
        "busybox mount -t cgroup -o none,name=attacker cgroup /mnt",
        "busybox mount -t cgroup2 cgroup /mnt",
        "busybox unshare -U -r -m busybox mount -t cgroup -o memory cgroup /mnt",
        "busybox unshare -U -r -m busybox mount -t cgroup -o none,name=attacker cgroup /mnt",
        "busybox unshare -U -r -m busybox mount -o remount,bind,rw /sys/fs/cgroup",
        "busybox unshare -U -r -m busybox umount /sys/fs/cgroup",
        "echo a > /sys/fs/cgroup/devices/devices.allow",
    ];
    assert_eq!(succeeded(&world, &lines), Vec::<String>::new());
}

#[test]
fn the_filter_leaves_no_way_into_namespaces() {
    let Some(world) = docker_world() else { return };
    world.compile("escape", include_str!("escape.c"));
    let capabilities = CAPABILITIES.iter().fold(0, |set, name| set | 1 << sys::caps::parse(name).unwrap());
    let rules = seccomp::Profile::docker_default().resolve(capabilities, (6, 1)).unwrap();
    for (no_new_privileges, uid) in [(false, 0), (true, 0), (false, 1000)] {
        world.change(|config| {
            config["process"]["args"] = json!(["escape"]);
            config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            config["process"]["user"] = json!({ "uid": uid, "gid": uid });
            config["linux"]["seccomp"] = serde_json::to_value(&rules).unwrap();
        });
        let said = world.launch(&["run"]).ok();
        let (refused, tried) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        assert_eq!(refused, "", "not refused");
        assert!(tried.starts_with("tried "), "{said}");
    }
}

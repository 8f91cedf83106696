//! Capabilities that nobody gave: inherited ones, which a program with file capabilities turns into permitted ones
//! (CVE-2022-24769, and -29162 for exec), and those of whoever calls the runtime. Stopped by setting all five sets.

use serde_json::json;

use crate::world::World;

const LOOK: &str =
    "while read name value; do case $name in Cap*) echo $name $value;; esac; done < /proc/self/status";

/// Inheritable, permitted, effective and ambient as the process sees them.
fn sets(out: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    out.lines().filter_map(pair).filter(|(name, _)| name != "CapBnd").collect()
}

#[track_caller]
fn has_none(out: &str) {
    let sets = sets(out);
    assert_eq!(sets.len(), 4, "{out}");
    assert!(sets.iter().all(|(_, value)| value == "0000000000000000"), "{out}");
}

/// A shell as uid 1000, by a program whose file would take over CAP_NET_RAW (13) from the inheritable set.
fn world() -> Option<World> {
    let world = World::new(&["/taker/sh", "-c", LOOK])?;
    let folder = world.bundle().join("rootfs/taker");
    std::fs::create_dir(&folder).unwrap();
    let taker = folder.join("sh");
    std::fs::copy("/bin/busybox", &taker).unwrap();
    // struct vfs_cap_data, revision 2, with the effective bit: permitted none, inheritable CAP_NET_RAW and CAP_KILL.
    let set: u32 = 1 << 13 | 1 << 5;
    let data = [0x0200_0001_u32, 0, set, 0, 0].map(u32::to_le_bytes).concat();
    rustix::fs::setxattr(&taker, "security.capability", &data, rustix::fs::XattrFlags::empty()).unwrap();
    world.change(|config| {
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        config["process"]["noNewPrivileges"] = json!(false);
        let given = json!(["CAP_NET_RAW", "CAP_KILL"]);
        config["process"]["capabilities"] =
            json!({ "bounding": given, "effective": given, "permitted": given });
    });
    Some(world)
}

#[test]
fn are_not_inherited_by_the_first_process() {
    let Some(world) = world() else { return };
    has_none(&world.launch(&["run"]).ok());
}

#[test]
fn are_not_inherited_by_an_executed_process() {
    let Some(world) = world() else { return };
    world.change(|config| config["process"]["args"] = json!(["sleep", "100"]));
    world.launch(&["run", "-d"]).ok();
    let exec =
        |flags: &[&str]| world.oci(&[&["exec"], flags, &[&world.id, "/taker/sh", "-c", LOOK]].concat()).ok();
    has_none(&exec(&[]));
    has_none(&exec(&["--cap", "CAP_NET_RAW"]));
}

#[test]
fn are_not_taken_over_from_the_caller() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    let run = ["run", "--bundle", bundle.to_str().unwrap(), &world.id];
    let caller = "exec setpriv --inh-caps +net_raw,+kill,+chown --ambient-caps +net_raw,+kill,+chown";
    has_none(&world.shell_verb(caller, &run).ok());
    // A first process without any capability in its configuration has none, whoever calls.
    world.change(|config| {
        config["process"]["capabilities"] = json!({});
        config["process"]["user"] = json!({ "uid": 0, "gid": 0 });
    });
    has_none(&world.shell_verb(caller, &run).ok());
}

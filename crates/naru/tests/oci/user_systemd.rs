//! An ordinary user's cgroups on a host with cgroup v2: what his own service manager keeps for him, and what was delegated to him
//! otherwise. Needs systemd as the first process (`cargo xtask lane`), and the user's manager as a unit there.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::world::{Done, NARU, World, wait_until};

/// The unit that is his manager, and its cgroup.
const MANAGER: &str = "naru-user.service";
const OWN: &str = "/sys/fs/cgroup/system.slice/naru-user.service";

/// A container of the user's with limits; `program` is its shell script.
fn world(program: &str) -> Option<World> {
    if !Path::new("/etc/systemd/system").join(MANAGER).exists() {
        eprintln!("skipped: no user has a service manager here");
        return None;
    }
    let started = std::process::Command::new("systemctl").args(["start", MANAGER]).status().unwrap();
    assert!(started.success(), "the user's manager does not start");
    let world = World::new(&["true"])?;
    world.shell("rm bundle/config.json; chmod 755 . && chown -R naru:naru .").ok();
    as_user(&world, "$NARU oci spec --rootless --bundle bundle").ok();
    world.change(|config| {
        config["process"]["args"] = json!(["sh", "-c", program]);
        config["process"]["terminal"] = json!(false);
        config["root"]["readonly"] = json!(false);
        config["linux"]["resources"] = json!({ "memory": { "limit": 64 << 20 }, "pids": { "limit": 50 } });
    });
    Some(world)
}

/// A line of the user's shell, which is in the cgroup of these tests: root's.
fn as_user(world: &World, line: &str) -> Done {
    let variables = format!("XDG_RUNTIME_DIR=/run/user-54321 NARU={NARU} ID={}", world.id);
    world.shell(&format!("{variables} exec busybox timeout 60 busybox su -s /bin/sh -c '{line}' naru"))
}

fn content(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap().trim().to_owned()
}

/// Everything that is done to a container, whose cgroup is `folder`.
#[track_caller]
fn live(world: &World, folder: &Path, flags: &str) {
    let naru = |words: &str| as_user(world, &format!("$NARU oci {words}")).ok();
    naru(&format!("{flags} run -d --bundle bundle $ID"));
    let state: serde_json::Value = serde_json::from_str(&naru("state $ID")).unwrap();
    assert_eq!(content(folder, "cgroup.procs"), state["pid"].to_string());
    assert_eq!(
        (content(folder, "memory.max"), content(folder, "pids.max")),
        ("67108864".into(), "50".into())
    );
    naru("exec -d $ID sleep 1000");
    assert_eq!(content(folder, "cgroup.procs").lines().count(), 2);
    assert_eq!(naru("exec $ID cat /proc/self/cgroup"), "0::/\n");
    naru("update --pids-limit 40 $ID");
    assert_eq!(content(folder, "pids.max"), "40");
    naru("pause $ID");
    assert!(content(folder, "cgroup.events").contains("frozen 1"));
    naru("resume $ID");
    naru("delete --force $ID");
    assert!(!folder.exists());
}

#[test]
fn his_own_manager_keeps_his_containers() {
    let Some(world) = world("exec sleep 1000") else { return };
    let unit = format!("naru-{}.scope", world.id);
    let folder = PathBuf::from(OWN).join("user.slice").join(&unit);
    live(&world, &folder, "--systemd-cgroup");
    // His bus may be said to be elsewhere.
    let error = as_user(
        &world,
        "DBUS_SESSION_BUS_ADDRESS=unix:path=/nope $NARU oci --systemd-cgroup run --bundle bundle $ID",
    );
    assert!(error.failed().contains("connect to /nope: systemd not running on this host"));
}

#[test]
fn what_was_delegated_to_him_is_divided() {
    let Some(world) = world("exec sleep 1000") else { return };
    let tree = Path::new("/sys/fs/cgroup").join(format!("{}-tree", world.id));
    let own = tree.join("own");
    std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids").unwrap();
    std::fs::create_dir_all(&own).unwrap();
    for folder in [&tree, &own] {
        for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(folder.join(file), Some(54321), Some(54321)).unwrap();
        }
    }
    // A shell that stays there, as a session of his would.
    let enter = format!("echo 0 > {}/cgroup.procs", own.display());
    let run = |line: &str| {
        let variables = format!("XDG_RUNTIME_DIR=/run/user-54321 NARU={NARU} ID={}", world.id);
        world.shell(&format!(
            "{enter}; {variables} exec busybox timeout 60 busybox su -s /bin/sh -c '{line}' naru"
        ))
    };
    run("$NARU oci run -d --bundle bundle $ID").ok();
    let folder = tree.join(&world.id);
    assert_eq!(
        (content(&folder, "memory.max"), content(&folder, "pids.max")),
        ("67108864".into(), "50".into())
    );
    run("$NARU oci exec -d $ID sleep 1000").ok();
    assert_eq!(content(&folder, "cgroup.procs").lines().count(), 2);
    run("$NARU oci delete --force $ID").ok();
    assert!(!folder.exists());
    wait_until("his tree is empty", || std::fs::remove_dir(&own).is_ok());
    std::fs::remove_dir(&tree).unwrap();
}

//! `--systemd-cgroup`, and an engine with `native.cgroupdriver=systemd`, with systemd itself as the first process (`cargo xtask
//! lane` boots such a machine); elsewhere skipped aloud.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::world::{NARU, World, wait_until};

/// A container whose cgroup systemd keeps, in a slice of its own.
fn world(args: &[&str]) -> Option<World> {
    if !Path::new("/run/systemd/private").exists() {
        eprintln!("skipped: systemd does not run here");
        return None;
    }
    let world = World::new(args)?;
    world.change(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("naru-lane.slice:test:{}", world.id));
    });
    Some(world)
}

/// The scope's folder.
fn folder(world: &World) -> PathBuf {
    Path::new("/sys/fs/cgroup/naru.slice/naru-lane.slice").join(format!("test-{}.scope", world.id))
}

fn file(world: &World, name: &str) -> String {
    std::fs::read_to_string(folder(world).join(name)).unwrap().trim().to_owned()
}

/// What systemd says about the unit.
fn property(world: &World, name: &str) -> String {
    property_of(&format!("test-{}.scope", world.id), name)
}

fn property_of(unit: &str, name: &str) -> String {
    let output = std::process::Command::new("systemctl").args(["show", "-P", name, unit]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn limits(world: &World) {
    world.change(|config| {
        config["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20, "swap": 96 << 20 });
        config["linux"]["resources"]["cpu"] =
            json!({ "shares": 1024, "quota": 50_000, "period": 100_000, "cpus": "0" });
        config["linux"]["resources"]["pids"] = json!({ "limit": 50 });
    });
}

fn run(world: &World, verb: &[&str]) -> String {
    let bundle = world.bundle();
    let words = [&["--systemd-cgroup"], verb, &["--bundle", bundle.to_str().unwrap(), &world.id]].concat();
    world.oci(&words).ok()
}

#[test]
fn a_scope_is_made_changed_and_forgotten() {
    let Some(world) = world(&["sleep", "100"]) else { return };
    limits(&world);
    run(&world, &["run", "-d"]);
    let pid = world.state()["pid"].as_i64().unwrap();
    // The stand-in is gone, the container is there, and systemd knows all of it.
    assert_eq!(file(&world, "cgroup.procs"), pid.to_string());
    for (name, value) in [("memory.max", 64 << 20), ("memory.swap.max", 32 << 20), ("pids.max", 50)] {
        assert_eq!(file(&world, name), value.to_string(), "{name}");
    }
    for (name, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("Slice", "naru-lane.slice"),
        ("MemoryMax", "67108864"),
        ("MemorySwapMax", "33554432"),
        ("TasksMax", "50"),
        ("CPUWeight", "100"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("AllowedCPUs", "0"),
    ] {
        assert_eq!(property(&world, name), value, "{name}");
    }
    world.oci(&["update", "--pids-limit", "40", "--memory", "32m", "--memory-swap", "32m", &world.id]).ok();
    assert_eq!((file(&world, "pids.max"), property(&world, "TasksMax")), ("40".into(), "40".into()));
    assert_eq!(
        (file(&world, "memory.swap.max"), property(&world, "MemoryMax")),
        ("0".into(), "33554432".into())
    );
    // systemd reads all its units again and takes nothing back.
    assert!(std::process::Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    assert_eq!(file(&world, "pids.max"), "40");
    world.oci(&["exec", &world.id, "true"]).ok();
    world.oci(&["pause", &world.id]).ok();
    world.oci(&["delete", "--force", &world.id]).ok();
    assert!(!folder(&world).exists());
    assert_eq!(property(&world, "LoadState"), "not-found");
}

#[test]
fn a_name_that_is_still_there_is_taken_over_once_it_is_empty() {
    let Some(world) = world(&["true"]) else { return };
    for _ in 0..3 {
        run(&world, &["run"]);
    }
    wait_until("it is forgotten", || property(&world, "LoadState") == "not-found");
    world.check_nothing_left();
}

#[test]
fn what_systemd_refuses_leaves_nothing() {
    let Some(world) = world(&["true"]) else { return };
    world.change(|config| config["linux"]["cgroupsPath"] = json!("naru-lane.slice:bad name:x"));
    let bundle = world.bundle();
    let error =
        world.oci(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &world.id]).failed();
    assert!(error.contains("start the unit bad name-x.scope"), "{error}");
    world.change(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("naru-lane.slice:test:{}", world.id));
        config["process"]["args"] = json!(["/nope"]);
    });
    let error =
        world.oci(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &world.id]).failed();
    assert!(error.contains("no such file or directory"), "{error}");
    assert!(!folder(&world).exists());
    wait_until("it is forgotten", || property(&world, "LoadState") == "not-found");
}

/// Words of the CLI for an engine of the test's own, which leaves when it has nothing to do.
const ENGINE: &str = r#"
    export NARU_ROOT="$PWD/engine" NARU_RUN_DIR="$PWD/run" NARU_SOCKET="$PWD/run/naru.sock" NARU_IDLE_TIMEOUT=1
    export NARU_EXEC_OPT=native.cgroupdriver=systemd NARU_CGROUP_PARENT=naru-lane.slice HOME="$PWD"
"#;

#[test]
fn an_engine_lets_systemd_keep_its_containers() {
    let Some(world) = world(&["true"]) else { return };
    let shell = |line: &str| world.shell(&format!("{ENGINE} naru() {{ {NARU} \"$@\"; }}; {line}")).ok();
    let engine_left = || {
        wait_until("the engine leaves", || {
            std::os::unix::net::UnixStream::connect(world.path("run/naru.sock")).is_err()
        });
    };
    shell("tar -C bundle/rootfs -c . | naru import - box");
    assert_eq!(shell("naru info --format '{{.CgroupDriver}}'"), "systemd\n");
    let id = shell("naru run -d --network none --memory 64m --pids-limit 50 box sleep 1000");
    let id = id.trim();
    let unit = format!("docker-{id}.scope");
    let folder = Path::new("/sys/fs/cgroup/naru.slice/naru-lane.slice").join(&unit);
    let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap().trim().to_owned();
    assert_eq!((file("memory.max"), file("pids.max")), ((64 << 20).to_string(), "50".to_owned()));
    assert_eq!(property_of(&unit, "TasksMax"), "50");
    // Another engine finds it where it is.
    engine_left();
    assert_eq!(shell(&format!("naru stats --no-stream --format '{{{{.PIDs}}}}' {id}")), "1\n");
    shell(&format!("naru exec -d {id} sleep 1001"));
    assert_eq!(file("cgroup.procs").lines().count(), 2);
    assert!(shell(&format!("naru top {id}")).contains("sleep 1001"));
    shell(&format!("naru pause {id}"));
    assert!(file("cgroup.events").contains("frozen 1"));
    shell(&format!("naru unpause {id}"));
    shell(&format!("naru update --pids-limit 40 {id}"));
    assert_eq!((file("pids.max"), property_of(&unit, "TasksMax")), ("40".to_owned(), "40".to_owned()));
    shell(&format!("naru kill {id} && naru wait {id}"));
    assert!(!folder.exists());
    shell(&format!("naru start {id}"));
    assert_eq!(file("pids.max"), "40");
    shell(&format!("naru rm -f {id}"));
    assert!(!folder.exists());
    wait_until("it is forgotten", || property_of(&unit, "LoadState") == "not-found");
    let refused = world.shell(&format!("{ENGINE} {NARU} create --cgroup-parent /x box true")).failed();
    assert!(refused.contains("should be a valid slice named as"), "{refused}");
    engine_left();
}

/// Also where systemd does not run at all.
#[test]
fn a_host_without_it_is_told_so() {
    let Some(world) = World::new(&["true"]) else { return };
    if Path::new("/run/systemd/private").exists() || Path::new("/run/dbus/system_bus_socket").exists() {
        eprintln!("skipped: systemd runs here");
        return;
    }
    let bundle = world.bundle();
    world.change(|config| config["linux"]["cgroupsPath"] = json!("system.slice:test:x"));
    let error =
        world.oci(&["--systemd-cgroup", "run", "--bundle", bundle.to_str().unwrap(), &world.id]).failed();
    assert!(error.contains("systemd not running on this host"), "{error}");
}

//! Tracing the runtime while it becomes a process of the container (CVE-2016-9962): between its birth in the container's pid
//! namespace and its `execve` it holds the host's capabilities, folders and memory. Stopped by being undumpable from before its
//! birth: without CAP_SYS_PTRACE nobody may trace it or look into it, however equal in rights he is otherwise.

use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::world::{Done, World, wait_until};

/// Runs a verb as a caller with all capabilities but CAP_SYS_PTRACE: then a container can have all that its runtime has.
fn as_an_equal(world: &World, words: &[&str]) -> Done {
    world.shell_verb("exec setpriv --bounding-set -sys_ptrace", words)
}

/// A container that holds all capabilities but one, and whose program is the tracer.
fn world() -> Option<World> {
    let world = World::new(&["tracer"])?;
    world.compile("tracer", include_str!("tracer.c"));
    let inode = |name: &str| {
        std::fs::metadata(world.bundle().join("rootfs/bin").join(name)).unwrap().ino().to_string()
    };
    let all: Vec<String> = (0..=sys::caps::last())
        .filter(|number| *number != sys::caps::parse("CAP_SYS_PTRACE").unwrap())
        .filter_map(sys::caps::name)
        .collect();
    world.change(|config| {
        config["process"]["args"] = json!(["tracer", inode("busybox")]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(all);
        }
    });
    Some(world)
}

#[track_caller]
fn check(world: &World) {
    std::fs::write(world.bundle().join("rootfs/stop"), "").unwrap();
    wait_until("the tracer to stop", || world.bundle().join("rootfs/stopped").exists());
    assert_eq!(world.file("caught"), "", "the runtime was caught");
}

#[test]
fn a_process_on_its_way_into_the_container() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    as_an_equal(&world, &["run", "-d", "--bundle", bundle.to_str().unwrap(), &world.id]).ok();
    let mut times = 0;
    wait_until("the tracer to be refused", || {
        as_an_equal(&world, &["exec", &world.id, "true"]).ok();
        times += 1;
        times > 10 && world.bundle().join("rootfs/refused").exists()
    });
    check(&world);
}

#[test]
fn the_first_process_of_a_container_that_joins_another() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    as_an_equal(&world, &["run", "-d", "--bundle", bundle.to_str().unwrap(), &world.id]).ok();
    let pid = world.state()["pid"].as_i64().unwrap();
    let other = world.bundle_beside("other", |config| {
        config["process"]["args"] = json!(["true"]);
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "pid" {
                namespace["path"] = json!(format!("/proc/{pid}/ns/pid"));
            }
        }
    });
    let id = format!("{}-other", world.id);
    let mut times = 0;
    wait_until("the tracer to be refused", || {
        as_an_equal(&world, &["run", "--bundle", other.to_str().unwrap(), &id]).ok();
        times += 1;
        times > 10 && world.bundle().join("rootfs/refused").exists()
    });
    check(&world);
}

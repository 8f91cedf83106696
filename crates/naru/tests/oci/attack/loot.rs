//! Looting processes on their way into the container. With `CAP_SYS_PTRACE`, and in its runtime's own user namespace, a container
//! may do to a new process of its pid namespace whatever it likes, undumpable or not (CVE-2016-9962 is about those without). So
//! there must be nothing to take: no folder, descriptor, variable or capability of the host, and no program that can be written to.

use serde_json::{Value, json};

use crate::world::{World, wait_until};

/// A variable of whoever calls the runtime, in two halves.
const TEXT: (&str, &str) = ("only-the-host-", "knows-this");

/// So many processes must have been held, and nothing found.
const ENOUGH: usize = 3;

/// A `PATH` that takes a while to search, so that the process can be held before it becomes its program: on a machine with one
/// free processor no attacker would be quick enough else.
fn long_path() -> String {
    format!("PATH={}/bin", "/a:".repeat(40_000))
}

const ALLOWED: [&str; 4] = ["CAP_KILL", "CAP_SYS_PTRACE", "CAP_SETUID", "CAP_DAC_OVERRIDE"];

fn allow(config: &mut Value) {
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(ALLOWED);
    }
}

/// A running container whose program is the looter.
fn looters_den() -> Option<World> {
    let world = World::new(&["looter"])?;
    world.compile("looter", include_str!("looter.c"));
    std::fs::write(world.path("secret"), "").unwrap();
    let allowed = ALLOWED.iter().fold(0_u64, |set, name| set | 1 << sys::caps::parse(name).unwrap());
    world.change(|config| {
        config["process"]["args"] =
            json!(["looter", world.path("secret"), TEXT.0, TEXT.1, format!("{allowed:x}")]);
        allow(config);
    });
    world.launch(&["run", "-d"]).ok();
    assert!(!world.bundle().join("rootfs/looted").exists());
    Some(world)
}

/// Another bundle, in the pid namespace of the looter's container, and the id of its container.
fn neighbour(world: &World) -> (String, String) {
    let pid = world.state()["pid"].as_i64().unwrap();
    let bundle = world.bundle_beside("other", |config| {
        config["process"]["args"] = json!(["true"]);
        config["process"]["env"] = json!([long_path()]);
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "pid" {
                namespace["path"] = json!(format!("/proc/{pid}/ns/pid"));
            }
        }
    });
    (bundle.to_str().unwrap().to_owned(), format!("{}-other", world.id))
}

fn call(world: &World, words: &[&str]) -> crate::world::Done {
    world.shell_verb(&format!("exec env SECRET={}{}", TEXT.0, TEXT.1), words)
}

#[track_caller]
fn hold(world: &World, mut start: impl FnMut()) {
    let held = || world.file("held").lines().count();
    wait_until("the looter to hold processes before they run", || {
        start();
        held() >= ENOUGH
    });
    let root = world.bundle().join("rootfs");
    std::fs::write(root.join("stop"), "").unwrap();
    wait_until("the looter to stop", || root.join("stopped").exists());
    let mut found: Vec<String> =
        world.file("looted").lines().map(|line| line.rsplit_once(" of ").unwrap().0.to_owned()).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, Vec::<String>::new(), "the host was looted");
}

#[test]
fn a_process_on_its_way_into_the_container() {
    let Some(world) = looters_den() else { return };
    let path = long_path();
    hold(&world, || drop(call(&world, &["exec", "--env", &path, &world.id, "true"]).ok()));
}

#[test]
fn the_first_process_of_a_container_that_joins_another() {
    let Some(world) = looters_den() else { return };
    let (other, id) = neighbour(&world);
    hold(&world, || drop(call(&world, &["run", "--bundle", &other, &id]).ok()));
}

#[test]
fn the_first_process_of_one_that_waits_to_be_started() {
    let Some(world) = looters_den() else { return };
    let (other, id) = neighbour(&world);
    hold(&world, || {
        call(&world, &["create", "--bundle", &other, &id]).ok();
        call(&world, &["start", &id]).ok();
        wait_until("its end", || call(&world, &["state", &id]).ok().contains("\"stopped\""));
        call(&world, &["delete", &id]).ok();
    });
}

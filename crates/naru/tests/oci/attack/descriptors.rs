//! Descriptors of the host in a container (CVE-2024-21626): a folder of the host that the runtime, or whoever called it, has open
//! would be the program's current folder by `/proc/self/fd/N`, and `../../..` from there the host's root. Stopped by leaving the
//! caller's behind when the runtime executes itself again, by closing all of them at `execve`, and by a look at where the current
//! folder is before. Each is shown alone, where the others cannot help.

use serde_json::json;

use crate::world::{Done, World};

/// Runs a verb by a shell that has the host's folder open, as a careless caller would.
fn with_open_folder(world: &World, words: &[&str]) -> Done {
    world.shell_verb("exec 7<. 8<. 9<.; exec", words)
}

/// The same from a read-only mount, without variables: then the runtime does not execute itself again, and has the caller's descriptors to the end.
fn with_open_folder_to_the_end(world: &World, words: &[&str]) -> Done {
    let mount = r#"mount -o bind,ro "$0" "$0" && exec env -i "$0" "$@""#;
    world.shell_verb(&format!("exec 7<. 8<. 9<.; exec unshare -m sh -c '{mount}'"), words)
}

const LOOK: &str =
    "busybox find . ../../../../../.. -maxdepth 1 -name secret; cat secret ../secret ../../secret;
    for fd in /proc/self/fd/* /proc/1/fd/*; do busybox readlink $fd; cat $fd/secret; done; echo looked";

fn world() -> Option<World> {
    let world = World::new(&["sh", "-c", LOOK])?;
    std::fs::write(world.path("secret"), "the host's secret").unwrap();
    Some(world)
}

#[track_caller]
fn check(world: &World, done: &Done, ran: bool) {
    assert!(!done.out.contains("the host's secret"), "{}{}", done.out, done.err);
    // The folder that the caller had open, by any name.
    let folder = world.path("");
    assert!(!done.out.contains(folder.to_str().unwrap().trim_end_matches('/')), "{}", done.out);
    assert_eq!(done.out.contains("looked"), ran, "{}{}", done.out, done.err);
}

fn run_a_sleeper(world: &World) {
    world.change(|config| {
        config["process"]["cwd"] = "/".into();
        config["process"]["args"] = json!(["sleep", "100"]);
    });
    world.launch(&["run", "-d"]).ok();
}

#[test]
fn are_no_current_folder() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    let run = ["run", "--bundle", bundle.to_str().unwrap(), &world.id];
    check(&world, &with_open_folder(&world, &run), true);
    for fd in 0..24 {
        world.change(|config| config["process"]["cwd"] = format!("/proc/self/fd/{fd}").into());
        let done = with_open_folder(&world, &run);
        // One of the runtime's own may lie in the container.
        check(&world, &done, done.code == 0);
    }
    run_a_sleeper(&world);
    check(&world, &with_open_folder(&world, &["exec", &world.id, "sh", "-c", LOOK]), true);
    for fd in 0..24 {
        let cwd = format!("/proc/self/fd/{fd}");
        let done = with_open_folder(&world, &["exec", "--cwd", &cwd, &world.id, "sh", "-c", LOOK]);
        // One of the runtime's own may lie in the container.
        check(&world, &done, done.code == 0);
    }
}

#[test]
fn are_not_the_programs() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    let run = ["run", "--bundle", bundle.to_str().unwrap(), &world.id];
    check(&world, &with_open_folder_to_the_end(&world, &run), true);
    run_a_sleeper(&world);
    let exec = ["exec", &world.id, "sh", "-c", LOOK];
    check(&world, &with_open_folder_to_the_end(&world, &exec), true);
}

#[test]
fn do_not_wait_in_a_created_container() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    with_open_folder(&world, &["create", "--bundle", bundle.to_str().unwrap(), &world.id]).ok();
    // The first process is still the runtime, and whoever may look at it can take what it holds.
    let held = world.shell(&format!("ls -l /proc/{}/fd", world.state()["pid"])).ok();
    let folder = std::fs::canonicalize(world.path("")).unwrap();
    let is_the_callers = |line: &&str| line.ends_with(folder.to_str().unwrap());
    assert_eq!(held.lines().filter(is_the_callers).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn that_are_the_programs_are_no_current_folder() {
    let Some(world) = world() else { return };
    let bundle = world.bundle();
    let refused = |done: Done| {
        check(&world, &done, false);
        assert!(done.err.contains("outside of container mount namespace root"), "{}", done.err);
    };
    world.change(|config| config["process"]["cwd"] = "/proc/self/fd/7".into());
    let run = ["run", "--preserve-fds", "7", "--bundle", bundle.to_str().unwrap(), &world.id];
    refused(with_open_folder(&world, &run));
    run_a_sleeper(&world);
    let flags = ["exec", "--preserve-fds", "7", "--cwd", "/proc/self/fd/7", &world.id];
    refused(with_open_folder(&world, &[&flags[..], &["sh", "-c", LOOK]].concat()));
}

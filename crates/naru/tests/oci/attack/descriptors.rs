//! Descriptors of the host in a container (CVE-2024-21626): a folder of the host that the runtime, or whoever called it, has open
//! would be the program's current folder by `/proc/self/fd/N`, and `../../..` from there the host's root. Stopped by closing all
//! of them at `execve`, and by a look at where the current folder is before.

use crate::world::{Done, World};

/// Runs a verb by a shell that has the host's folder open, as a careless caller would.
fn with_open_folder(world: &World, words: &[&str]) -> Done {
    world.shell_verb("exec 7<. 8<. 9<.; exec", words)
}

const LOOK: &str =
    "busybox find . ../../../../../.. -maxdepth 1 -name secret; cat secret ../secret ../../secret;
    for fd in /proc/self/fd/* /proc/1/fd/*; do busybox readlink $fd; cat $fd/secret; done; echo looked";

#[test]
fn are_no_current_folder() {
    let Some(world) = World::new(&["sh", "-c", LOOK]) else { return };
    std::fs::write(world.path("secret"), "the host's secret").unwrap();
    let bundle = world.bundle();
    let check = |done: Done, ran: bool| {
        assert!(!done.out.contains("the host's secret"), "{}{}", done.out, done.err);
        // The folder that the caller had open, by any name.
        let folder = world.path("");
        assert!(!done.out.contains(folder.to_str().unwrap().trim_end_matches('/')), "{}", done.out);
        assert_eq!(done.out.contains("looked"), ran, "{}{}", done.out, done.err);
    };
    let run = ["run", "--bundle", bundle.to_str().unwrap(), &world.id];
    check(with_open_folder(&world, &run), true);
    for fd in 0..24 {
        world.change(|config| config["process"]["cwd"] = format!("/proc/self/fd/{fd}").into());
        let done = with_open_folder(&world, &run);
        // One of the runtime's own may lie in the container.
        let ran = done.code == 0;
        check(done, ran);
    }
    world.change(|config| {
        config["process"]["cwd"] = "/".into();
        config["process"]["args"] = serde_json::json!(["sleep", "100"]);
    });
    world.launch(&["run", "-d"]).ok();
    check(with_open_folder(&world, &["exec", &world.id, "sh", "-c", LOOK]), true);
    for fd in 0..24 {
        let cwd = format!("/proc/self/fd/{fd}");
        let done = with_open_folder(&world, &["exec", "--cwd", &cwd, &world.id, "sh", "-c", LOOK]);
        // One of the runtime's own may lie in the container.
        let ran = done.code == 0;
        check(done, ran);
    }
}

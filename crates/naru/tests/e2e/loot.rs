//! Looting the engine's own processes on their way into a container that may trace: what `oci`'s tests of the same name do to
//! `naru oci`, with Docker's defaults and `--cap-add SYS_PTRACE`.

use std::process::Command;

use crate::world::{World, eventually, run};

/// A variable of whoever calls the engine, in two halves.
const TEXT: (&str, &str) = ("only-the-host-", "knows-this");

/// Docker's default capabilities, and `CAP_SYS_PTRACE`.
const ALLOWED: &str = "a80c25fb";

/// So many processes must have been held, and nothing found.
const ENOUGH: usize = 3;

fn naru(world: &World, words: &[&str]) -> Command {
    let mut command = world.naru_command();
    command.env("SECRET", [TEXT.0, TEXT.1].concat()).args(words);
    command
}

#[test]
fn processes_that_come_into_a_container_which_may_trace() {
    let world = World::empty();
    // The engine that starts now has the variable too.
    let archive = crate::world::busybox_archive();
    run(&mut naru(&world, &["load", "-q", "-i", archive.to_str().unwrap()])).ok();
    let den = world.path("den");
    std::fs::create_dir(&den).unwrap();
    std::fs::write(den.join("looter.c"), include_str!("../oci/attack/looter.c")).unwrap();
    std::fs::write(world.path("secret"), "").unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-w", "-static", "-o", "looter", "looter.c"]).current_dir(&den);
    assert!(compiler.status().expect("run cc, which linked this test").success());
    let (volume, secret) = (format!("{}:/den", den.display()), world.path("secret"));
    let flags = ["run", "-d", "--name", "den", "--cap-add", "SYS_PTRACE", "-v", &volume, "-w", "/den"];
    let looter = ["busybox", "/den/looter", secret.to_str().unwrap(), TEXT.0, TEXT.1, ALLOWED];
    run(&mut naru(&world, &[&flags[..], &looter].concat())).ok();

    // Takes a while to search, so that the process can be held before it becomes its program.
    let path = format!("PATH={}/bin", "/a:".repeat(40_000));
    let exec = ["exec", "-e", &path, "den", "true"];
    let join = ["run", "--rm", "--pid", "container:den", "-e", &path, "busybox", "true"];
    let file = |name: &str| std::fs::read_to_string(den.join(name)).unwrap_or_default();
    for (words, name) in [(&exec[..], "exec"), (&join[..], "run")] {
        let before = file("held").lines().count();
        eventually(&format!("the looter to hold processes of {name}"), || {
            run(&mut naru(&world, words)).ok();
            file("held").lines().count() >= before + ENOUGH
        });
    }
    std::fs::write(den.join("stop"), "").unwrap();
    eventually("the looter to stop", || den.join("stopped").exists());
    assert_eq!(file("looted"), "", "the host was looted");
    run(&mut naru(&world, &["rm", "-f", "den"])).ok();
}

//! The engine's life: started on demand, once; killed without harm; gone when idle.

use std::process::Stdio;

use crate::world::{World, eventually, ran};

#[test]
fn the_first_command_starts_the_engine_and_runs_the_builtin_image() {
    let world = World::empty();
    assert_eq!(world.engine_pid(), None);
    let seen = world.naru(["run", "--rm", "--network", "none", "hello"]).ok();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(seen.contains(kernel.trim()), "the host's kernel is named: {seen}");
    assert!(world.engine_pid().is_some());
}

#[test]
fn twenty_clients_at_once_on_a_cold_machine_get_one_engine_and_twenty_answers() {
    let world = World::empty();
    let start = |_| {
        world
            .naru_command()
            .arg("version")
            .args(["--format", "{{.Server.Version}}"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let clients: Vec<_> = (0..20).map(start).collect();
    let answers: Vec<_> =
        clients.into_iter().map(|client| ran(client.wait_with_output().unwrap()).line()).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0] && !answer.is_empty()), "{answers:?}");
    let log = std::fs::read_to_string(world.path("run/engine.log")).unwrap_or_default();
    assert!(world.engine_pid().is_some(), "{log}");
}

#[test]
fn a_killed_engine_leaves_containers_running_and_their_logs_and_exit_codes_are_found() {
    let world = World::new();
    world
        .naru([
            "run",
            "-d",
            "--name",
            "stays",
            "busybox",
            "sh",
            "-c",
            "echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after; exit 7",
        ])
        .ok();
    eventually("the first line is logged", || world.naru(["logs", "stays"]).stdout == "before\n");
    world.kill_engine();
    assert_eq!(world.naru(["inspect", "-f", "{{.State.Status}}", "stays"]).line(), "running");
    world.naru(["exec", "stays", "touch", "/go"]).ok();
    assert_eq!(world.naru(["wait", "stays"]).line(), "7");
    assert_eq!(world.naru(["logs", "stays"]).ok(), "before\nafter\n");
}

#[test]
fn a_container_that_exits_while_no_engine_lives_keeps_its_code() {
    let world = World::new();
    world
        .naru([
            "run",
            "-d",
            "--name",
            "short",
            "busybox",
            "sh",
            "-c",
            "while [ ! -e /go ]; do sleep 0.05; done; exit 9",
        ])
        .ok();
    let pid = world.naru(["inspect", "-f", "{{.State.Pid}}", "short"]).line();
    world.kill_engine();
    std::fs::write(format!("/proc/{pid}/root/go"), "").unwrap();
    eventually("the container is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(
        world.naru(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "short"]).line(),
        "exited 9"
    );
}

#[test]
fn an_idle_engine_goes_away_and_comes_back() {
    let world = World::empty();
    let mut command = world.naru_command();
    command.env("NARU_IDLE_TIMEOUT", "1").args(["version"]);
    crate::world::run(&mut command).ok();
    eventually("the idle engine is gone", || world.engine_pid().is_none());
    world.naru(["version"]).ok();
    assert!(world.engine_pid().is_some());
}

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

/// What a process is: the parent's pid, and the arguments.
fn process(pid: i32) -> Option<(i32, Vec<String>)> {
    let stat = sys::process::stat(pid).ok()?;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let arguments = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Some((stat.parent, arguments.collect()))
}

/// Monitors below an engine that wait for a container.
fn spares(engine: i32) -> Vec<i32> {
    let is_one = |pid: &i32| {
        process(*pid).is_some_and(|(parent, arguments)| {
            parent == engine
                && arguments.get(1..3).is_some_and(|two| two[0] == "monitor" && two[1].starts_with("spare "))
        })
    };
    crate::world::processes().into_iter().filter(is_one).collect()
}

#[test]
fn a_monitor_that_waits_leaves_with_a_killed_engine() {
    let world = World::new();
    world.naru(["run", "-d", "--name", "stays", "busybox", "sleep", "1000"]).ok();
    let engine = world.engine_pid().expect("an engine");
    eventually("a monitor waits for the next container", || !spares(engine).is_empty());
    let waiting: Vec<(i32, u64)> =
        spares(engine).into_iter().map(|pid| (pid, sys::process::start_ticks(pid).unwrap())).collect();
    std::process::Command::new("kill").args(["-9", &engine.to_string()]).status().unwrap();
    for (pid, start) in waiting {
        // Another process may have its number by then, and the first one may be slow to bury it.
        let lives =
            |stat: sys::process::Stat| stat.start_ticks == start && !matches!(stat.state, b'Z' | b'X');
        eventually("it has left", || !sys::process::stat(pid).is_ok_and(lives));
    }
    // Of the run-time folders there are those that somebody needs.
    let folders = || {
        let entries = std::fs::read_dir(world.path("run")).unwrap();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name.len() == 64).count()
    };
    assert_eq!(folders(), 1);
    assert_eq!(world.naru(["exec", "stays", "echo", "here"]).line(), "here");
    world.naru(["rm", "-f", "stays"]).ok();
    eventually("its folder is gone", || folders() == 0);
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

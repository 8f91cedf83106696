//! Containers as a user runs them, by Naru's CLI and by the stock docker client alike: every test here goes through both.

use std::io::Write;
use std::process::Stdio;

use crate::world::{Ran, World, eventually, ran};

/// The two clients of the one API.
const CLIENTS: [&str; 2] = ["naru", "docker"];

fn client(world: &World, name: &str, arguments: &[&str]) -> Ran {
    match name {
        "docker" => world.docker(arguments),
        _ => world.naru(arguments),
    }
}

fn for_both(test: impl Fn(&World, &dyn Fn(&[&str]) -> Ran)) {
    for name in CLIENTS {
        let world = World::new();
        test(&world, &|arguments| client(&world, name, arguments));
    }
}

/// For tests that need more of a command than its output.
fn for_each_client(test: impl Fn(&World, std::process::Command)) {
    for name in CLIENTS {
        let world = World::new();
        let command = if name == "docker" { world.docker_command() } else { world.naru_command() };
        test(&world, command);
    }
}

#[test]
fn output_and_exit_code_arrive() {
    for_both(|_, run| {
        let ran = run(&["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42"]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (42, "out\n", "err\n"));
        assert_eq!(run(&["ps", "-aq"]).ok(), "", "--rm removed it");
    });
}

#[test]
fn exit_codes_of_commands_that_cannot_run() {
    for_both(|_, run| {
        assert_eq!(run(&["run", "--rm", "busybox", "nosuchprogram"]).code, 127);
        assert_eq!(run(&["run", "--rm", "busybox", "/etc/passwd"]).code, 126);
        assert_eq!(run(&["run", "--rm", "busybox", "/etc"]).code, 126);
        assert_eq!(run(&["run", "--rm", "--nosuchflag", "busybox"]).code, 125);
        assert_eq!(run(&["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"]).code, 137);
        assert_eq!(run(&["ps", "-aq"]).ok(), "", "nothing is left behind");
    });
}

#[test]
fn standard_input_and_its_end_arrive() {
    for name in CLIENTS {
        let world = World::new();
        let mut command = if name == "docker" { world.docker_command() } else { world.naru_command() };
        command.args(["run", "--rm", "-i", "busybox", "wc", "-c"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(ran(child.wait_with_output().unwrap()).line(), "1048576");
    }
}

#[test]
fn an_open_standard_input_holds_nobody_up() {
    let world = World::new();
    let mut command = world.naru_command();
    command.args(["run", "--rm", "-i", "busybox", "sh", "-c", "exit 3"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let _open = child.stdin.take();
    eventually("the client is gone with its container", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn signals_reach_the_container() {
    for_each_client(|world, mut command| {
        let script = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done";
        command.args(["run", "--rm", "--name", "box", "busybox", "sh", "-c", script]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("the trap is set", || world.naru(["logs", "box"]).stdout == "ready\n");
        // nsenter has become the client.
        std::process::Command::new("kill").args(["-USR1", &child.id().to_string()]).status().unwrap();
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (5, "ready\ngot\n"));
    });
}

#[test]
fn what_the_container_sees() {
    for_both(|_, run| {
        let sh = |script: &str, flags: &[&str]| {
            let arguments: Vec<&str> = ["run", "--rm"]
                .iter()
                .chain(flags)
                .chain(&["busybox", "sh", "-c", script])
                .copied()
                .collect();
            run(&arguments).line()
        };
        assert_eq!(sh("echo $$", &[]), "1");
        assert_eq!(sh("hostname", &["--hostname", "box"]), "box");
        assert_eq!(sh("echo $A-$B", &["-e", "A=1", "-e", "B=x y"]), "1-x y");
        assert_eq!(sh("pwd", &["-w", "/tmp"]), "/tmp");
        assert_eq!(sh("id -u; id -g; id -G", &["-u", "www"]), "33\n33\n33 44");
        assert_eq!(sh("id -u", &["-u", "1234:55"]), "1234");
        assert_eq!(sh("grep CapEff /proc/self/status | cut -f2", &[]), "00000000a80425fb");
        assert_eq!(
            sh("grep CapEff /proc/self/status | cut -f2", &["--cap-drop", "ALL", "--cap-add", "CHOWN"]),
            "0000000000000001"
        );
        assert_eq!(sh("grep Seccomp: /proc/self/status | cut -f2", &[]), "2");
        assert_eq!(
            sh("grep NoNewPrivs /proc/self/status | cut -f2", &["--security-opt", "no-new-privileges"]),
            "1"
        );
        assert_eq!(sh("touch /x 2>&1 || echo no", &["--read-only"]).lines().last(), Some("no"));
        assert_eq!(sh("mount | grep ' /t ' | cut -d' ' -f5", &["--tmpfs", "/t"]), "tmpfs");
        assert_eq!(sh("ulimit -n", &["--ulimit", "nofile=123:456"]), "123");
        assert_eq!(sh("cat /proc/1/comm", &["--init"]), "docker-init");
        assert_eq!(sh("ls /proc/acpi /sys/firmware | wc -l", &[]), "3");
        assert_eq!(sh("echo 1 > /proc/sys/kernel/panic 2>/dev/null || echo no", &[]), "no");
        // The kernel has it or not.
        let core = if std::path::Path::new("/proc/kcore").exists() { "core " } else { "" };
        assert_eq!(
            sh("echo $(ls /dev)", &[]),
            format!("{core}fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero")
        );
    });
}

#[test]
fn volumes_and_binds() {
    for_both(|world, run| {
        let host = world.path("host");
        std::fs::create_dir(&host).unwrap();
        std::fs::write(host.join("file"), "from the host\n").unwrap();
        let bind = format!("{}:/mnt", host.display());
        assert_eq!(run(&["run", "--rm", "-v", &bind, "busybox", "cat", "/mnt/file"]).ok(), "from the host\n");
        let read_only = format!("{bind}:ro");
        assert_ne!(run(&["run", "--rm", "-v", &read_only, "busybox", "touch", "/mnt/new"]).code, 0);
        run(&["run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo kept > /data/f"]).ok();
        assert_eq!(
            run(&["run", "--rm", "--mount", "type=volume,source=data,target=/d", "busybox", "cat", "/d/f"])
                .ok(),
            "kept\n"
        );
        assert_eq!(run(&["volume", "ls", "-q"]).line(), "data");
    });
}

#[test]
fn exec_logs_stop_and_inspect() {
    for_both(|_, run| {
        run(&[
            "run",
            "-d",
            "--name",
            "box",
            "busybox",
            "sh",
            "-c",
            "trap 'echo bye; exit 3' TERM; echo one; echo two >&2; while :; do sleep 0.05; done",
        ])
        .ok();
        eventually("both lines are logged", || {
            let logs = run(&["logs", "box"]);
            (logs.stdout.as_str(), logs.stderr.as_str()) == ("one\n", "two\n")
        });
        assert_eq!(
            run(&["exec", "-e", "X=5", "-w", "/etc", "box", "sh", "-c", "echo $X $PWD"]).line(),
            "5 /etc"
        );
        assert_eq!(run(&["exec", "box", "sh", "-c", "exit 6"]).code, 6);
        assert_eq!(run(&["exec", "box", "nosuch"]).code, 127);
        assert_eq!(run(&["ps", "--format", "{{.Names}} {{.State}}"]).line(), "box running");
        run(&["pause", "box"]).ok();
        assert_eq!(run(&["inspect", "-f", "{{.State.Status}}", "box"]).line(), "paused");
        run(&["unpause", "box"]).ok();
        run(&["stop", "box"]).ok();
        assert_eq!(
            run(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"]).line(),
            "exited 3"
        );
        assert_eq!(run(&["logs", "--tail", "1", "box"]).stdout, "bye\n");
        run(&["start", "box"]).ok();
        run(&["kill", "box"]).ok();
        assert_eq!(run(&["wait", "box"]).line(), "137");
        run(&["rename", "box", "crate"]).ok();
        run(&["rm", "crate"]).ok();
        run(&["inspect", "box"]).fails(1, "No such");
    });
}

#[test]
fn copying_in_and_out() {
    for_both(|world, run| {
        let file = world.path("in");
        std::fs::write(&file, "payload").unwrap();
        run(&["create", "--name", "box", "busybox", "cat", "/tmp/in"]).ok();
        run(&["cp", file.to_str().unwrap(), "box:/tmp/in"]).ok();
        assert_eq!(run(&["start", "-a", "box"]).ok(), "payload");
        let out = world.path("out");
        run(&["cp", "box:/tmp/in", out.to_str().unwrap()]).ok();
        assert_eq!(std::fs::read_to_string(out).unwrap(), "payload");
    });
}

#[test]
fn a_terminal_has_a_size_and_a_name() {
    for name in CLIENTS {
        let world = World::new();
        let mut command = if name == "docker" { world.docker_command() } else { world.naru_command() };
        command.args(["run", "-d", "-t", "--name", "box", "busybox", "sh", "-c", "tty; sleep 1000"]);
        crate::world::run(&mut command).ok();
        eventually("the terminal is named", || world.naru(["logs", "box"]).stdout == "/dev/pts/0\r\n");
    }
}

#[test]
fn a_restart_policy_works_without_the_engine() {
    let world = World::new();
    world
        .naru([
            "run",
            "-d",
            "--name",
            "again",
            "--restart",
            "on-failure:2",
            "busybox",
            "sh",
            "-c",
            "echo run; exit 1",
        ])
        .ok();
    eventually("it ran three times", || world.naru(["logs", "again"]).stdout == "run\nrun\nrun\n");
    eventually("it has given up", || {
        world.naru(["inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "again"]).line() == "exited 2"
    });
}

#[test]
fn a_hundred_lives_leave_nothing() {
    let world = World::new();
    for _ in 0..100 {
        let id = world.naru(["run", "-d", "-p", "8080", "busybox", "sleep", "1000"]).line();
        world.naru(["rm", "-f", &id]).ok();
    }
    // `World::drop` looks for mounts, processes and cgroups; links and nft elements are looked for here.
    let links = || {
        crate::world::run(world.command("ip").args(["-o", "link"]))
            .ok()
            .lines()
            .filter(|line| line.contains("veth"))
            .count()
    };
    eventually("at most the warm pool's links are left", || links() <= 4);
    let rules = crate::world::run(world.command("nft").args(["list", "ruleset"])).ok();
    assert!(!rules.contains("8080"), "{rules}");
    assert_eq!(std::fs::read_dir(world.path("root/containers")).unwrap().count(), 0);
}

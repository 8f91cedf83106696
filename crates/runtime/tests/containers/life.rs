//! Hooks, `--init`, and how much a launch costs.

use std::fs;
use std::process::Command;

use runtime::{Hook, Hooks};

use crate::world::World;

pub const CASES: &[crate::Case] = &[
    ("hooks_run_in_their_order_and_places", hooks),
    ("hooks_that_fail", failing_hooks),
    ("init_reaps_and_passes_signals_on", init),
    ("few_system_calls", system_calls),
    (ONE_LAUNCH, one_launch),
];

const ONE_LAUNCH: &str = "one_default_launch";

fn hook(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin:/usr/bin".into(), "MARK=hook".into()],
        timeout: Some(10),
    }
}

fn planned(world: &World) -> Hooks {
    Hooks {
        id: "the-id".into(),
        bundle: world.folder.path().to_owned(),
        annotations: [("key".to_owned(), "value".to_owned())].into(),
        ..Hooks::default()
    }
}

fn hooks() {
    let world = World::new();
    let log = world.path("log");
    let write = |name: &str, log: &str| hook(&format!("echo {name} $MARK $(hostname) $(cat) >> {log}"));
    let outside = |name: &str| vec![write(name, log.to_str().unwrap())];
    let mut plan = world.script("cat /tmp/log; read x < /tmp/fifo");
    let mut all = planned(&world);
    all.prestart = outside("prestart");
    all.create_runtime = outside("createRuntime");
    all.create_container = outside("createContainer");
    all.start_container = vec![write("startContainer", "/tmp/log")];
    all.poststart = outside("poststart");
    all.poststop = outside("poststop");
    plan.hooks = Some(all);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.root().join("tmp/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let (launched, streams) = world.start(&plan).unwrap();
    fs::write(world.root().join("tmp/fifo"), "\n").unwrap();
    let output = crate::world::finish(&launched, streams);
    runtime::run_poststop_hooks(&plan).unwrap();
    world.nothing_is_left();

    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let log = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let state =
        |line: &str| -> serde_json::Value { serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap() };
    let check = |line: &str, start: &str, status: &str, pid: Option<i32>| {
        assert!(line.starts_with(start), "{line}");
        let state = state(line);
        assert_eq!(state["status"], status, "{line}");
        assert_eq!(state["pid"].as_i64(), pid.map(i64::from), "{line}");
        assert_eq!((&state["id"], &state["annotations"]["key"]), (&"the-id".into(), &"value".into()));
    };
    let pid = Some(launched.pid);
    check(lines[0], &format!("prestart hook {host} "), "creating", pid);
    check(lines[1], &format!("createRuntime hook {host} "), "creating", pid);
    // In the container's namespaces, with the host's files; the name is not set yet.
    check(lines[2], "createContainer hook ", "creating", Some(1));
    check(lines[3], &format!("poststart hook {host} "), "running", pid);
    check(lines[4], &format!("poststop hook {host} "), "stopped", None);
    check(output.stdout.trim_end(), "startContainer hook box ", "created", Some(1));
}

fn failing_hooks() {
    let world = World::new();
    let mut plan = world.plan(&["true"]);
    plan.hooks = Some(Hooks { create_runtime: vec![hook("echo went wrong >&2; exit 3")], ..planned(&world) });
    assert_eq!(
        world.run(&plan).unwrap_err().message,
        "error running createRuntime hook #0: exit status: 3, output: went wrong"
    );
    plan.hooks = Some(Hooks { start_container: vec![hook("exit 0"), hook("exit 4")], ..planned(&world) });
    let message = world.run(&plan).unwrap_err().message;
    assert!(message.starts_with("error running startContainer hook #1: exit status: 4"), "{message}");
    let slow = Hook { timeout: Some(0), ..hook("sleep 100") };
    plan.hooks = Some(Hooks { prestart: vec![slow], ..planned(&world) });
    let message = world.run(&plan).unwrap_err().message;
    assert_eq!(message, "error running prestart hook #0: hook ran past specified timeout of 0.0s");
}

/// The harness itself plays `--init` inside the container: see `main`.
fn init() {
    let world = World::new();
    let own = std::env::current_exe().unwrap();
    fs::copy(own, world.root().join("bin/init")).unwrap();
    let run = |script: &str| world.run(&world.plan(&["init", crate::INIT, "sh", "-c", script])).unwrap();
    let output = run(
        "echo $$ $PPID; (sleep 0.01 &); sleep 0.1; cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z; exit 5",
    );
    assert_eq!(
        (output.stdout.split('\n').next().unwrap().ends_with(" 1"), output.code),
        (true, 5),
        "{output:?}"
    );
    assert!(output.stdout.ends_with("\n0\n"), "{output:?}");
    assert_eq!(run("kill -9 $$").code, 137);
    let output = world.run(&world.plan(&["init", crate::INIT, "nosuch"])).unwrap();
    assert_eq!((output.stderr.as_str(), output.code), ("exec nosuch: no such file or directory\n", 127));

    let script = "trap 'echo got it; exit 6' TERM; echo ready; while true; do sleep 0.01; done";
    let (launched, streams) = world.start(&world.plan(&["init", crate::INIT, "sh", "-c", script])).unwrap();
    let mut byte = [0; 6];
    rustix::io::read(&streams.stdout, &mut byte).unwrap();
    assert_eq!(&byte, b"ready\n");
    sys::signal::send(&launched.pidfd, sys::signal::TERM).unwrap();
    let output = crate::world::finish(&launched, streams);
    assert_eq!((output.stdout.as_str(), output.code), ("got it\n", 6));
}

fn one_launch() {
    // Whatever started the tests may ignore some.
    sys::signal::restore_default(sys::signal::ignored().unwrap() & !sys::signal::bit(13)).unwrap();
    let world = World::new();
    let names = ["upper", "work"].map(|name| world.path(name));
    names.iter().for_each(|name| fs::create_dir(name).unwrap());
    let mut plan = world.plan(&["/bin/true"]);
    plan.rootfs = runtime::RootFs::Overlay {
        lower: vec![world.root()],
        upper: names[0].clone(),
        work: names[1].clone(),
    };
    assert_eq!(world.run(&plan).unwrap().code, 0);
}

/// The promise: at most 130 system calls between clone and `execve` for Docker's default container, in one process.
fn system_calls() {
    const BAR: usize = 130;
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let own = std::env::current_exe().unwrap();
    let strace = Command::new("strace")
        .args(["-f", "-o"])
        .arg(&trace)
        .arg(own)
        .args([crate::ONE, ONE_LAUNCH])
        .output();
    let Ok(output) = strace else {
        println!("skipped: no strace");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(trace).unwrap();
    let lines: Vec<(&str, &str)> =
        trace.lines().filter_map(|line| line.split_once(char::is_whitespace)).collect();
    let clones =
        |(_, call): &&(&str, &str)| call.trim_start().starts_with("clone3(") || call.contains("fork(");
    assert_eq!(lines.iter().filter(clones).count(), 1, "one clone");
    let launcher = lines[0].0;
    let child: Vec<&str> = lines
        .iter()
        // A debug build checks every descriptor that it closes.
        .filter(|(_, call)| !call.contains("F_GETFD"))
        .filter(|(pid, call)| {
            *pid != launcher && !call.contains(" resumed>") && !call.trim_start().starts_with(['+', '-'])
        })
        .map(|(_, call)| call.trim())
        .collect();
    let end = child.iter().position(|call| call.starts_with("execve(")).unwrap();
    println!("{}", child[..=end].join("\n"));
    println!("{} system calls between clone and execve", end + 1);
    assert!(end < BAR, "{} system calls", end + 1);
}

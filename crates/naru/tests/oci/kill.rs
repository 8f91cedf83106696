//! The runtime itself is killed, before each of its steps: what `delete --force` is given is enough to remove everything.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::world::{World, wait_until};

/// The calls by which the runtime changes something, lets a process of the container go on, or listens to how far it has come.
const STEPS: [&str; 17] = [
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "write",
    "sendmsg",
    "recvmsg",
    "clone3",
    "bind",
    "connect",
    "setns",
    "fsmount",
    "pidfd_send_signal",
    "waitid",
];

/// Runs a verb until it makes a call for the `step`th time, where it is killed; `false` when it does not.
fn killed_at(world: &World, verb: &[&str], call: &str, step: usize) -> bool {
    let command = world.command(verb);
    let status = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", "signal=none", "-e"])
        .arg(format!("inject={call}:signal=SIGKILL:when={step}"))
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    // strace ends as what it traced.
    match (status.signal(), status.code()) {
        (Some(9), _) => true,
        (_, Some(0)) => false,
        other => panic!("{verb:?} at {call} {step}: {other:?}"),
    }
}

fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success()) || {
        eprintln!("skipped: needs strace");
        false
    }
}

/// Whether a process of the container, or of ours on its way to become one, is there: they have its id in their environment or
/// in their arguments.
fn has_process(world: &World) -> bool {
    let is_its = |text: Vec<u8>| text.windows(world.id.len()).any(|part| part == world.id.as_bytes());
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        ["cmdline", "environ"].iter().any(|file| std::fs::read(entry.path().join(file)).is_ok_and(is_its))
    })
}

/// Kills a verb at each step, on a container that `before` has made ready, and deletes it.
fn at_each_step(args: &[&str], before: &[&str], verb: &[&str]) {
    let Some(world) = World::new(args).filter(|_| has_strace()) else { return };
    world.change(|config| config["process"]["env"] = json!(["PATH=/bin", format!("WORLD={}", world.id)]));
    let bundle = world.bundle();
    let with_bundle = |words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if ["create", "run"].contains(&words[0].as_str()) {
            words.extend(["--bundle".to_owned(), bundle.to_str().unwrap().to_owned()]);
        }
        words.push(world.id.clone());
        words
    };
    let mut steps = 0;
    for call in STEPS {
        for step in 1.. {
            if !before.is_empty() {
                world.launch(before).ok();
            }
            let mut words = with_bundle(verb);
            if verb[0] == "exec" {
                words.extend(["sleep", "100"].map(str::to_owned));
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let killed = killed_at(&world, &words, call, step);
            world.verb(&["delete", "--force"]).ok();
            world.check_nothing_left();
            // One that was born and not yet in its cgroup goes by itself.
            wait_until("the last process to go", || !has_process(&world));
            if !killed {
                break;
            }
            steps += 1;
        }
    }
    println!("{} was killed at {steps} steps", verb[0]);
    assert!(steps > 3, "{} has more steps than that", verb[0]);
}

#[test]
fn while_it_creates() {
    at_each_step(&["sleep", "100"], &[], &["create"]);
}

#[test]
fn while_it_runs() {
    at_each_step(&["true"], &[], &["run"]);
}

#[test]
fn while_it_starts() {
    at_each_step(&["sleep", "100"], &["create"], &["start"]);
}

#[test]
fn while_it_executes() {
    at_each_step(&["sleep", "100"], &["run", "-d"], &["exec", "-d"]);
}

#[test]
fn while_it_deletes() {
    at_each_step(&["sleep", "100"], &["create"], &["delete", "--force"]);
}

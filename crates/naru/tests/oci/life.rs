//! A container's life, command by command (runtime.md, "Lifecycle").

use serde_json::json;

use crate::world::{World, wait_until};

#[test]
fn created_started_killed_deleted() {
    let Some(world) = World::new(&["sh", "-c", "echo here > /here; exec sleep 100"]) else { return };
    let pid_file = world.path("pid");
    world.change(|config| config["annotations"] = json!({ "org.example.key": "value" }));
    world.launch(&["create", "--pid-file", pid_file.to_str().unwrap()]).ok();
    let state = world.state();
    assert_eq!(state["ociVersion"], "1.2.0");
    assert_eq!(state["id"], json!(world.id));
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], json!(world.bundle()));
    assert_eq!(state["annotations"]["org.example.key"], "value");
    let pid = state["pid"].as_i64().unwrap();
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), pid.to_string());
    // It is in its namespaces and cgroup already, and the program has not run.
    let namespace = |pid: &str, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for kind in ["pid", "net", "ipc", "uts", "mnt"] {
        assert_ne!(namespace(&pid.to_string(), kind), namespace("self", kind), "{kind}");
    }
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroups.contains(&world.id), "{cgroups}");
    assert_eq!(world.file("here"), "");

    world.verb(&["start"]).ok();
    wait_until("the program", || world.file("here") == "here\n");
    assert_eq!(world.status(), "running");
    assert_eq!(world.state()["pid"], json!(pid));
    assert!(world.verb(&["start"]).failed().contains("cannot start an already running container"));
    assert!(world.verb(&["delete"]).failed().contains("that is not stopped: running"));
    assert_eq!(world.status(), "running");

    world.oci(&["kill", &world.id, "KILL"]).ok();
    world.wait_for_status("stopped");
    assert_eq!(world.state()["pid"], 0);
    assert!(world.oci(&["kill", &world.id, "0"]).code != 0);
    assert!(world.verb(&["kill"]).failed().contains("container not running"));
    assert!(world.verb(&["start"]).failed().contains("cannot start a container that has stopped"));
    world.verb(&["delete"]).ok();
    world.check_nothing_left();
    assert!(world.verb(&["delete"]).failed().contains("container does not exist"));
    assert!(world.verb(&["state"]).failed().contains("container does not exist"));
    world.verb(&["delete", "--force"]).ok();
}

#[test]
fn a_created_container_is_deleted_before_it_ran() {
    let Some(world) = World::new(&["touch", "/ran"]) else { return };
    world.launch(&["create"]).ok();
    world.verb(&["delete"]).ok();
    world.check_nothing_left();
    assert!(!world.bundle().join("rootfs/ran").exists());
}

#[test]
fn force_ends_a_running_one() {
    let Some(world) = World::new(&["sh", "-c", "sleep 100 & exec sleep 100"]) else { return };
    world.launch(&["run", "--detach"]).ok();
    assert_eq!(world.status(), "running");
    world.verb(&["delete", "--force"]).ok();
    world.check_nothing_left();
}

#[test]
fn an_id_is_taken_once() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    let pid = world.state()["pid"].clone();
    assert!(world.launch(&["create"]).failed().contains("container with given ID already exists"));
    assert_eq!((world.status().as_str(), &world.state()["pid"]), ("running", &pid));
    for id in ["a/b", "..", ".", "a b", ""] {
        let bundle = world.bundle();
        let error = world.oci(&["create", "--bundle", bundle.to_str().unwrap(), id]).failed();
        assert!(
            error.contains("invalid container ID format") || error.contains("cannot be empty"),
            "{error}"
        );
    }
}

#[test]
fn run_stays_and_passes_on_code_output_and_signals() {
    let Some(world) = World::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]) else { return };
    let done = world.launch(&["run"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (7, "out\n", "err\n"));
    world.check_nothing_left();

    world.change(|config| config["process"]["args"] = json!(["sh", "-c", "kill -9 $$"]));
    // A first process ignores what it sends itself.
    assert_eq!(world.launch(&["run"]).code, 0);

    let script = "trap 'echo term; exit 9' TERM; echo > /ready; while :; do sleep 0.01; done";
    world.change(|config| config["process"]["args"] = json!(["sh", "-c", script]));
    let bundle = world.bundle();
    let mut command = world.command(&["run", "--bundle", bundle.to_str().unwrap(), &world.id]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("the trap", || world.bundle().join("rootfs/ready").exists());
    sys_kill(child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(9), &b"term\n"[..]));
    world.check_nothing_left();
}

fn sys_kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

#[test]
fn what_cannot_run_leaves_nothing() {
    let Some(world) = World::new(&["nope"]) else { return };
    for verb in ["create", "run"] {
        let error = world.launch(&[verb]).failed();
        assert!(error.contains("exec: \\\"nope\\\": executable file not found in $PATH"), "{error}");
        world.check_nothing_left();
    }
    world.change(|config| config["process"]["args"] = json!(["true"]));
    world.change(|config| config["mounts"][0]["source"] = json!("/nope"));
    world.change(|config| config["mounts"][0]["type"] = json!("bind"));
    let error = world.launch(&["create"]).failed();
    assert!(error.contains("/nope") && error.contains("no such file or directory"), "{error}");
    world.check_nothing_left();
    let error = world.launch(&["create", "--console-socket", "/nope"]).failed();
    assert!(error.contains("cannot use console socket"), "{error}");
}

#[test]
fn a_bad_configuration_is_named() {
    let Some(world) = World::new(&["true"]) else { return };
    let check = |change: &dyn Fn(&mut serde_json::Value), message: &str| {
        let file = world.bundle().join("config.json");
        let before = std::fs::read(&file).unwrap();
        world.change(change);
        let error = world.launch(&["create"]).failed();
        assert!(error.contains(message), "{error}");
        world.check_nothing_left();
        std::fs::write(&file, before).unwrap();
    };
    check(&|config| config["ociVersion"] = json!("3.0.0"), "ociVersion: unsupported version");
    check(&|config| config["process"]["user"]["uid"] = json!("x"), "process.user.uid: invalid type");
    check(&|config| config["process"]["args"] = json!([]), "args must not be empty");
    check(&|config| config["process"]["cwd"] = json!("x"), "Cwd must be an absolute path");
    check(&|config| config["root"] = json!(null), "root.path: missing");
    check(&|config| config["root"]["path"] = json!("nope"), "invalid rootfs");
    check(&|config| config["linux"]["intelRdt"] = json!({}), "linux.intelRdt: not supported");
    std::fs::write(world.bundle().join("config.json"), "{").unwrap();
    assert!(world.launch(&["create"]).failed().contains("config.json"));
    std::fs::remove_file(world.bundle().join("config.json")).unwrap();
    assert!(world.launch(&["create"]).failed().contains("not found"));
}

#[test]
fn errors_are_logged_as_engines_read_them() {
    let Some(world) = World::new(&["true"]) else { return };
    let log = world.path("log");
    let log = log.to_str().unwrap();
    assert_eq!(
        world.oci(&["--log", log, "--log-format", "json", "state", "nope"]).failed(),
        "container does not exist\n"
    );
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!((&line["level"], &line["msg"]), (&json!("error"), &json!("container does not exist")));
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    world.oci(&["--log", log, "kill", "nope"]).failed();
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.lines().nth(1).unwrap().ends_with("level=error msg=\"container does not exist\""), "{text}");
    assert!(world.oci(&["checkpoint", "x"]).failed().contains("not supported"));
    assert!(world.oci(&["--version"]).ok().starts_with("naru-oci version "));
}

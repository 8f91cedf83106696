//! What can be asked of, and done to, a container that runs.

use std::io::{BufRead, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::{World, wait_until};

#[test]
fn listed_and_its_processes_too() {
    let Some(world) = World::new(&["sh", "-c", "sleep 100 & echo > /ready; wait"]) else { return };
    assert_eq!(world.oci(&["list", "--format", "json"]).ok(), "null\n");
    world.launch(&["run", "-d"]).ok();
    wait_until("the program", || world.bundle().join("rootfs/ready").exists());
    let list: Value = serde_json::from_str(&world.oci(&["list", "-f", "json"]).ok()).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["owner"]), (&json!(world.id), &json!("root")));
    assert_eq!(world.oci(&["list", "-q"]).ok(), format!("{}\n", world.id));
    let table = world.oci(&["list"]).ok();
    let titles: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert!(table.lines().nth(1).unwrap().contains("running"), "{table}");

    let pids: Vec<i64> = serde_json::from_str(&world.verb(&["ps", "--format", "json"]).ok()).unwrap();
    assert_eq!(pids.len(), 2);
    assert!(pids.contains(&world.state()["pid"].as_i64().unwrap()));
    let table = world.verb(&["ps"]).ok();
    assert!(table.starts_with("UID "), "{table}");
    assert!(table.lines().any(|line| line.starts_with("root") && line.ends_with("sleep 100")), "{table}");
}

#[test]
fn paused_and_resumed() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    assert!(world.verb(&["resume"]).failed().contains("container not paused"));
    world.verb(&["pause"]).ok();
    assert_eq!(world.status(), "paused");
    assert!(world.verb(&["pause"]).failed().contains("container not running or created: paused"));
    assert!(world.oci(&["exec", &world.id, "true"]).failed().contains("cannot exec in a paused container"));
    assert!(world.verb(&["delete"]).failed().contains("that is not stopped: paused"));
    world.verb(&["resume"]).ok();
    assert_eq!(world.status(), "running");
    world.verb(&["pause"]).ok();
    // What is frozen dies all the same.
    world.oci(&["kill", &world.id, "KILL"]).ok();
    world.wait_for_status("stopped");
}

#[test]
fn all_its_processes_get_a_signal() {
    // The first must not end, which would end the other.
    let script = "trap 'echo got >> /got' TERM; sh -c 'trap \"echo got >> /got; exit\" TERM; echo >> /ready; \
                  while :; do sleep 0.01; done' & echo >> /ready; while :; do sleep 0.01; done";
    let Some(world) = World::new(&["sh", "-c", script]) else { return };
    world.launch(&["run", "-d"]).ok();
    wait_until("both", || world.file("ready").len() == 2);
    world.oci(&["kill", "--all", &world.id, "15"]).ok();
    wait_until("both to have heard", || world.file("got").lines().count() == 2);
    assert!(world.oci(&["kill", &world.id, "NOPE"]).failed().contains("unknown signal \\\"NOPE\\\""));
}

#[test]
fn a_process_for_a_paused_container_waits_and_can_be_called_off() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    world.verb(&["pause"]).ok();
    let start = || world.command(&["exec", "--ignore-paused", &world.id, "true"]).spawn().unwrap();
    let (mut one, mut other) = (start(), start());
    // Until it has looked, a signal ends it all the same.
    rustix::process::kill_process(rustix::process::Pid::from_child(&one), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(one.wait().unwrap().signal(), Some(15));
    let tasks = |kind: &str| world.verb(&["ps", "-f", kind]).ok();
    assert_eq!(tasks("json").matches(',').count(), 0, "nobody comes into a frozen cgroup");
    world.verb(&["resume"]).ok();
    assert!(other.wait().unwrap().success());
}

#[test]
fn limits_are_updated() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    let limit = |file: &str| {
        let found =
            world.cgroups().into_iter().find_map(|folder| std::fs::read_to_string(folder.join(file)).ok());
        found.unwrap_or_default().trim().to_owned()
    };
    world.verb(&["update", "--pids-limit", "77"]).ok();
    assert_eq!(limit("pids.max"), "77");
    let bundle = world.path("resources.json");
    std::fs::write(&bundle, json!({ "pids": { "limit": 78 } }).to_string()).unwrap();
    world.verb(&["update", "--resources", bundle.to_str().unwrap()]).ok();
    assert_eq!(limit("pids.max"), "78");
    let mut command = world.command(&["update", "-r", "-", &world.id]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"pids":{"limit":79},"unknown":1}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(limit("pids.max"), "79");
    assert!(world.verb(&["update", "--memory", "much"]).failed().contains("invalid value for memory"));
    std::fs::write(&bundle, r#"{"pids":{"limit":"many"}}"#).unwrap();
    let error = world.verb(&["update", "-r", bundle.to_str().unwrap()]).failed();
    assert!(error.contains("pids.limit: invalid type"), "{error}");
}

#[test]
fn what_it_uses_is_told() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    let event: Value = serde_json::from_str(&world.verb(&["events", "--stats"]).ok()).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(world.id)));
    assert_eq!(event["data"]["pids"]["current"], 1);
    assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    let (cpuset, memory) = (&event["data"]["cpuset"], &event["data"]["memory"]);
    assert!(!cpuset["cpus"].as_array().unwrap().is_empty() && !cpuset["mems"].as_array().unwrap().is_empty());
    assert!(cpuset["sched_load_balance"].is_i64(), "{cpuset}");
    for part in ["usage", "swap", "kernel", "kernelTCP"] {
        assert!(memory[part]["limit"].is_u64() && memory[part]["failcnt"] == 0, "{part}: {memory}");
    }
    assert!(event["data"]["hugetlb"].is_object());
    // Again and again, until it ends.
    let mut command = world.command(&["events", "--interval", "20ms", &world.id]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().expect("an event").unwrap();
        assert!(line.contains("\"type\":\"stats\""), "{line}");
    }
    world.oci(&["kill", &world.id, "KILL"]).ok();
    lines.for_each(|line| drop(line.unwrap()));
    assert!(child.wait().unwrap().success());
    assert!(world.verb(&["events"]).failed().contains("is not running"));
}

#[test]
fn features_name_what_the_specification_names() {
    let Some(world) = World::new(&["true"]) else { return };
    let features: Value = serde_json::from_str(&world.oci(&["features"]).ok()).unwrap();
    assert_eq!(features["ociVersionMax"], "1.2.0");
    assert_eq!(features["hooks"].as_array().unwrap().len(), 6);
    assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")));
    assert!(features["linux"]["capabilities"].as_array().unwrap().contains(&json!("CAP_CHOWN")));
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

#[test]
fn every_verb_tells_its_flags() {
    let Some(world) = World::new(&["true"]) else { return };
    for (verb, flag) in [
        ("create", "--bundle value, -b value"),
        ("run", "--detach, -d"),
        ("exec", "--user value, -u value"),
        ("kill", "--all, -a"),
        ("update", "--memory value"),
        ("start", "--help, -h"),
    ] {
        for help in ["--help", "-h"] {
            let text = world.oci(&[verb, help]).ok();
            assert!(text.starts_with(&format!("naru oci {verb} - ")) && text.contains(flag), "{text}");
        }
    }
    // What follows the program is the program's.
    world.change(|config| config["process"]["args"] = json!(["sleep", "100"]));
    world.launch(&["run", "-d"]).ok();
    assert_eq!(world.oci(&["exec", &world.id, "echo", "--help"]).ok(), "--help\n");
}

#[test]
fn a_container_is_probed_and_one_that_has_ended_keeps_its_limits() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    world.oci(&["kill", &world.id, "0"]).ok();
    world.oci(&["kill", "--all", &world.id, "0"]).ok();
    world.oci(&["kill", &world.id, "KILL"]).ok();
    world.wait_for_status("stopped");
    assert!(world.oci(&["kill", &world.id, "0"]).failed().contains("container not running"));
    let error = world.oci(&["update", "--pids-limit", "5", &world.id]).failed();
    assert!(error.contains("container not running"), "{error}");
}

#[test]
fn capabilities_that_nobody_knows_are_warned_of() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.change(|config| {
        for set in ["bounding", "permitted"] {
            config["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_NOPE"));
        }
    });
    let log = world.path("log");
    let log = log.to_str().unwrap();
    let bundle = world.bundle();
    let words = ["--log", log, "--log-format", "json", "run", "-d", "--bundle", bundle.to_str().unwrap()];
    world.oci(&[&words[..], &[world.id.as_str()]].concat()).ok();
    let line: Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    assert_eq!(line["level"], "warning");
    assert_eq!(line["msg"], "ignoring unknown or unavailable capabilities: [CAP_NOPE]");
    let warned = world.oci(&["exec", "--cap", "CAP_NOPE", &world.id, "true"]);
    assert!(warned.err.contains("level=warning") && warned.err.contains("[CAP_NOPE]"), "{}", warned.err);
    assert_eq!(warned.code, 0);
    // A wrong field is still named.
    world.change(|config| config["process"]["user"]["uid"] = json!("root"));
    let error = world.oci(&["run", "--bundle", bundle.to_str().unwrap(), "another"]).failed();
    assert!(error.contains("process.user.uid: invalid type"), "{error}");
}

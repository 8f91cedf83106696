//! Hooks: in order, in their namespaces, told the container's state (runtime.md, "Lifecycle"; config.md, "POSIX-platform Hooks").

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::world::World;

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A script on the host and in the root that appends its name, its mount namespace's and the state to a file. The host's hooks
/// write to the same file as the container's, which have its root as theirs only in startContainer.
fn with_hooks(world: &World) {
    let rootfs = world.bundle().join("rootfs");
    let inside = "#!/bin/sh\nread -r state; echo \"$1 $state\" >> /log\n";
    std::fs::write(rootfs.join("bin/hook"), inside).unwrap();
    let log = rootfs.join("log");
    let outside = format!("#!/bin/sh\nread -r state; echo \"$1 $state\" >> {}\n", log.display());
    let script = world.path("hook");
    std::fs::write(&script, outside).unwrap();
    for file in [&script, &rootfs.join("bin/hook")] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    world.change(|config| {
        for kind in KINDS {
            let path = if kind == "startContainer" { json!("/bin/hook") } else { json!(script) };
            config["hooks"][kind] = json!([{ "path": path, "args": ["hook", kind], "env": ["PATH=/bin"] }]);
        }
    });
}

/// What the hooks were told: kind, state.
fn told(world: &World) -> Vec<(String, Value)> {
    let line = |line: &str| {
        let (kind, state) = line.split_once(' ').unwrap();
        (kind.to_owned(), serde_json::from_str(state).unwrap_or_default())
    };
    world.file("log").lines().map(line).collect()
}

fn kinds(world: &World) -> Vec<String> {
    told(world).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn each_in_its_turn() {
    let Some(world) = World::new(&["sh", "-c", "echo program {} >> /log; exec sleep 100"]) else { return };
    with_hooks(&world);
    world.launch(&["create"]).ok();
    assert_eq!(kinds(&world), ["prestart", "createRuntime", "createContainer"]);
    let pid = world.state()["pid"].clone();
    world.verb(&["start"]).ok();
    crate::world::wait_until("all of them", || told(&world).len() == 6);
    world.oci(&["kill", &world.id, "KILL"]).ok();
    world.wait_for_status("stopped");
    world.verb(&["delete"]).ok();
    let told = told(&world);
    let order: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    // The program and the poststart hooks run side by side.
    assert_eq!(&order[..4], ["prestart", "createRuntime", "createContainer", "startContainer"]);
    assert_eq!(order[6..], ["poststop"]);
    assert!(order[4..6].contains(&"program") && order[4..6].contains(&"poststart"), "{order:?}");
    for (kind, state) in told.iter().filter(|(kind, _)| kind != "program") {
        let status = match kind.as_str() {
            "startContainer" => "created",
            "poststart" => "running",
            "poststop" => "stopped",
            _ => "creating",
        };
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!((&state["id"], &state["bundle"]), (&json!(world.id), &json!(world.bundle())), "{kind}");
        if ["prestart", "createRuntime", "poststart"].contains(&kind.as_str()) {
            assert_eq!(state["pid"], pid, "{kind}");
        }
    }
}

#[test]
fn a_failing_one_ends_it() {
    let Some(world) = World::new(&["touch", "/ran"]) else { return };
    with_hooks(&world);
    world.change(|config| config["hooks"]["createRuntime"][0]["path"] = json!("/bin/false"));
    let error = world.launch(&["create"]).failed();
    assert!(error.contains("error running createRuntime hook #0"), "{error}");
    assert_eq!(kinds(&world), ["prestart", "poststop"]);
    world.check_nothing_left();

    world.change(|config| {
        config["hooks"] = json!({ "startContainer": [{ "path": "/bin/false" }] });
    });
    world.launch(&["create"]).ok();
    let error = world.verb(&["start"]).failed();
    assert!(error.contains("error running startContainer hook #0"), "{error}");
    world.wait_for_status("stopped");
    assert!(!world.bundle().join("rootfs/ran").exists());
}

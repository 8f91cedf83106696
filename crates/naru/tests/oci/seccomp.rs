//! A filter's notifications go to the listener that the configuration names.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn notifications_go_to_the_listener() {
    let Some(world) = World::new(&["busybox", "mkdir", "/made"]) else { return };
    let path = world.path("listener.sock");
    let listener = UnixListener::bind(&path).unwrap();
    world.change(|config| {
        config["annotations"] = json!({ "key": "value" });
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "meta",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
        });
    });
    let bundle = world.bundle();
    for no_new_privileges in [true, false] {
        world.change(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges));
        let mut command = world.command(&["run", "--bundle", bundle.to_str().unwrap(), &world.id]);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (socket, _) = listener.accept().unwrap();
        let mut buffer = [0; 8192];
        let (count, fds) = sys::fdpass::recv(&socket, &mut buffer).unwrap();
        let told: Value = serde_json::from_slice(&buffer[..count]).unwrap();
        assert_eq!((&told["fds"], &told["metadata"]), (&json!(["seccompFd"]), &json!("meta")));
        assert_eq!((&told["state"]["id"], &told["state"]["bundle"]), (&json!(world.id), &json!(bundle)));
        assert_eq!(told["state"]["annotations"]["key"], "value");
        assert_eq!(told["pid"], told["state"]["pid"]);
        let pid = told["pid"].as_i64().unwrap();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert_eq!(fds.len(), 1);
        // A call that nobody answers any more is not there: the container does not hang.
        drop(fds);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("Function not implemented"), "{error}");
    }
    world.change(|config| config["linux"]["seccomp"]["listenerPath"] = json!("/nope"));
    assert!(world.launch(&["run"]).failed().contains("connect to seccomp listener /nope"));
    world.change(|config| config["linux"]["seccomp"]["listenerPath"] = json!(null));
    assert!(world.launch(&["run"]).failed().contains("linux.seccomp.listenerPath: missing"));
}

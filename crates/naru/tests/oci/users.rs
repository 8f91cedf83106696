//! A user namespace that is there already: what containers of one pod share.

use serde_json::json;

use crate::world::{World, wait_until};

#[test]
fn a_container_joins_the_user_namespace_of_another() {
    let Some(first) = World::new(&["sleep", "100"]) else { return };
    let mapped = |config: &mut serde_json::Value| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
        for kind in ["uidMappings", "gidMappings"] {
            config["linux"][kind] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        }
    };
    let open_root = |world: &World| {
        // The root must be reachable by the mapped user.
        use std::os::unix::fs::{PermissionsExt, chown};
        std::fs::set_permissions(world.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        chown(world.bundle().join("rootfs"), Some(100_000), Some(100_000)).unwrap();
    };
    first.change(mapped);
    open_root(&first);
    first.launch(&["run", "-d"]).ok();
    let pid = first.state()["pid"].as_i64().unwrap();

    let script = "cat /proc/self/uid_map > /told; echo $$ >> /told; exec sleep 100";
    let Some(second) = World::new(&["sh", "-c", script]) else { return };
    open_root(&second);
    second.change(|config| {
        let path = format!("/proc/{pid}/ns/user");
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user", "path": path }));
    });
    second.launch(&["create"]).ok();
    let other = second.state()["pid"].as_i64().unwrap();
    let namespace = |pid: i64, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    assert_eq!(namespace(pid, "user"), namespace(other, "user"));
    for kind in ["pid", "net", "mnt", "uts", "ipc"] {
        assert_ne!(namespace(pid, kind), namespace(other, kind), "{kind}");
    }
    second.verb(&["start"]).ok();
    wait_until("the program", || second.file("told").ends_with("\n1\n"));
    assert_eq!(second.file("told").split_whitespace().take(3).collect::<Vec<_>>(), ["0", "100000", "65536"]);
    let done = second.oci(&["exec", &second.id, "id", "-u"]);
    assert_eq!((done.code, done.out.as_str()), (0, "0\n"), "{}", done.err);
    second.verb(&["delete", "-f"]).ok();
    second.change(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.last_mut().unwrap()["path"] = json!("/nope");
    });
    assert!(second.launch(&["create"]).failed().contains("join the user namespace /nope"));
    second.check_nothing_left();
}

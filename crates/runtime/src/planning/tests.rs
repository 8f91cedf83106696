//! Configurations as JSON, and what becomes of them.

use serde_json::{Value, json};

use super::*;
use crate::defaults::spec_default;

fn host() -> HostFacts {
    let cgroup = cgroup::Host { hierarchies: Vec::new(), unified: Some("/sys/fs/cgroup".into()) };
    HostFacts {
        kernel: (6, 18),
        cgroup,
        last_capability: 40,
        time_namespaces: true,
        thermal_throttles: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".into()],
    }
}

/// Docker's default with `changes` merged in.
fn try_plan(changes: Value) -> Result<LaunchPlan> {
    fn merge(into: &mut Value, changes: Value) {
        match (into, changes) {
            (Value::Object(into), Value::Object(changes)) => {
                for (key, value) in changes {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, changes) => *into = changes,
        }
    }
    let mut value = serde_json::to_value(spec_default(&host())).unwrap();
    merge(&mut value, json!({"process": {"args": ["true"]}}));
    merge(&mut value, changes);
    let options = PlanOptions {
        rootfs: RootFs::Directory { path: "/root".into() },
        cgroup_path: Some("/naru/x".into()),
        user: None,
        seccomp: None,
        bundle: "/bundle".into(),
        id: "x".into(),
        host: host(),
    };
    plan(&serde_json::from_value(value).unwrap(), &options)
}

fn error(changes: Value) -> String {
    try_plan(changes).unwrap_err().message
}

#[test]
fn the_default() {
    let plan = try_plan(json!({})).unwrap();
    assert_eq!(plan.process.capabilities.bounding, 0xa804_25fb);
    assert_eq!(plan.process.capabilities.ambient, 0);
    assert!(plan.populate_dev && plan.process.create_cwd);
    assert_eq!(plan.devices.len(), 6);
    assert_eq!(plan.masked_paths.len(), 13);
    assert_eq!(plan.namespaces.cgroup, Namespace::New);
    assert_eq!(plan.namespaces.user, Namespace::Host);
    // Stored with every container.
    let json = serde_json::to_string(&plan).unwrap();
    assert!(json.len() < 6000, "{}", json.len());
    assert_eq!(serde_json::from_str::<LaunchPlan>(&json).unwrap(), plan);
}

#[test]
fn what_is_refused() {
    for (changes, message) in [
        (json!({"process": {"args": []}}), "args must not be empty"),
        (json!({"process": {"cwd": "relative"}}), "Cwd must be an absolute path"),
        (
            json!({"process": {"args": ["a\0b"]}}),
            "argument or environment variable \"a\\0b\" contains a NUL byte",
        ),
        (
            json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "mount"}]}}),
            "malformed spec file: duplicated namespace mnt",
        ),
        (json!({"linux": {"namespaces": []}}), "a container needs a new mount namespace"),
        (
            json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}),
            "User namespaces enabled, but no uid or gid mappings found",
        ),
        (
            json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}}}),
            "linux.seccomp.listenerPath: missing, and a rule says SCMP_ACT_NOTIFY",
        ),
        (
            json!({"linux": {"sysctl": {"kernel.panic": "1"}}}),
            "sysctl \"kernel.panic\" is not in a separate kernel namespace",
        ),
        (
            json!({"linux": {"sysctl": {"net/../kernel/panic": "1"}}}),
            "sysctl \"net/../kernel/panic\": not a name",
        ),
        (
            json!({"mounts": [{"destination": "/", "type": "tmpfs"}]}),
            "invalid mount: the destination can't be '/'",
        ),
        (json!({"mounts": [{"destination": "/x", "type": "bind"}]}), "mount /x: a bind mount needs a source"),
        (json!({"hooks": {"prestart": [{"path": "relative"}]}}), "hook relative: the path must be absolute"),
    ] {
        assert_eq!(error(changes), message);
    }
}

#[test]
fn sysctls_by_either_separator() {
    let sysctl = json!({"net.ipv4.conf.eth0/1.forwarding": "1", "net/ipv4/conf/eth0.1/rp_filter": "2", "kernel.msgmax": "3"});
    let plan = try_plan(json!({"linux": {"sysctl": sysctl}})).unwrap();
    let names: Vec<&str> = plan.sysctls.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["kernel/msgmax", "net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/rp_filter"]);
}

#[test]
fn a_volume() {
    let mount = json!({"destination": "data", "source": "volume", "options": ["rbind", "rro", "nosuid"]});
    let plan = try_plan(json!({"mounts": [mount]})).unwrap();
    let source = MountSource::Bind { path: "/bundle/volume".into(), recursive: true, nofollow: false };
    assert_eq!(plan.mounts[0].target, "/data");
    assert_eq!(plan.mounts[0].source, source);
    assert_eq!(plan.mounts[0].attributes, sys::mount::attr::NOSUID);
    assert_eq!(plan.mounts[0].recursive_attributes, sys::mount::attr::RDONLY);
    assert_eq!(plan.mounts[0].propagation, [Propagation { kind: PropagationKind::Slave, recursive: true }]);
}

#[test]
fn device_rules_end_with_the_nodes_that_must_work() {
    let plan = try_plan(json!({})).unwrap();
    let rules = &plan.resources.devices;
    assert!(!rules[0].allow && rules[0].kind == cgroup::DeviceKind::All);
    assert_eq!(rules.last().unwrap().major, Some(136));
    let all = json!({"linux": {"resources": {"devices": [{"allow": true, "access": "rwm"}]}}});
    let rules = try_plan(all).unwrap().resources.devices;
    assert_eq!(rules.len(), 1, "a privileged container: {rules:?}");
}

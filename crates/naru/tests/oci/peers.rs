//! The same asked of runc, where it is installed: shapes of output, and what a program sees of its container.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::World;

struct Runc<'a>(&'a World);

impl Runc<'_> {
    fn run(&self, words: &[&str]) -> String {
        let output = Command::new("runc")
            .arg("--root")
            .arg(self.0.path("runc"))
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

fn is_installed() -> bool {
    Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The names of all fields, and what kind of value each has.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(values) => values.iter().take(1).map(shape).collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

#[test]
fn state_and_list_have_runcs_shape() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    if !is_installed() {
        return;
    }
    let runc = Runc(&world);
    let bundle = world.bundle();
    world.launch(&["create"]).ok();
    let ours = [world.verb(&["state"]).ok(), world.oci(&["list", "-f", "json"]).ok()];
    world.verb(&["delete"]).ok();
    // What stays behind must not hold our pipe.
    let mut create = Command::new("runc");
    create.arg("--root").arg(world.path("runc")).args(["create", "--bundle"]).arg(&bundle).arg(&world.id);
    let status = create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let theirs = [runc.run(&["state", &world.id]), runc.run(&["list", "-f", "json"])];
    runc.run(&["delete", "--force", &world.id]);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let parse = |text: &str| shape(&serde_json::from_str(text).unwrap());
        assert_eq!(parse(ours), parse(theirs), "{ours}\n{theirs}");
    }
}

/// Whom it is, what is in /dev, which namespaces there are, what it may do, and the mounts that both make alike. (How paths are
/// masked, in which order mounts are made, and which v1 hierarchies a container without limits of theirs has, is our own business.)
const LOOK: &str = "
    id; pwd; echo $PATH
    ls /dev /dev/pts /proc/self/ns
    while read name value; do
        case $name in Cap*|Seccomp:|NoNewPrivs:|Groups:|SigBlk:|SigCgt:) echo $name $value;; esac
    done < /proc/self/status
    while read a target kind options; do
        case $target in /|/proc|/dev|/dev/*|/sys|/proc/bus|/proc/fs|/proc/irq|/proc/sys) echo $target $kind $options;; esac
    done < /proc/mounts | sort
    cat /proc/self/mountinfo | while read a b c d target options rest; do
        case $target in /) echo $rest;; esac
    done
    ulimit -a; cat /proc/self/oom_score_adj; umask
";

#[test]
fn a_program_sees_what_it_sees_with_runc() {
    let Some(world) = World::new(&["busybox", "sh", "-c", &LOOK.replace("sort", "busybox sort")]) else {
        return;
    };
    if !is_installed() {
        return;
    }
    let ours = world.launch(&["run"]).ok();
    let bundle = world.bundle();
    let theirs = Runc(&world).run(&["run", "--bundle", bundle.to_str().unwrap(), &world.id]);
    assert!(ours.contains("CapBnd:"), "{ours}");
    assert_eq!(ours, theirs);
}

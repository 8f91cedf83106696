//! Podman on this runtime: Debian's, with its conmon, in namespaces of its own.

use std::path::Path;

use crate::engines::say_in_namespaces;
use crate::world::World;

/// Runs the script `$2` with `pod`, a podman that has everything below `$1` and the runtime `$1/naru-oci`.
const STAGE: &str = r#"
    mount -t tmpfs run /run
    ip link set lo up
    cd "$1"
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' > policy.json
    printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n' > containers.conf
    printf '[engine]\nruntime_supports_json = ["naru-oci"]\n' >> containers.conf
    export CONTAINERS_CONF="$1/containers.conf"
    pod() {
        podman --root "$PWD/root" --runroot "$PWD/runroot" --tmpdir "$PWD/tmp" --storage-driver vfs \
            --cgroup-manager cgroupfs --runtime "$PWD/naru-oci" "$@"
    }
    tar --create --directory bundle/rootfs . | pod import - box > /dev/null 2>&1
    flags="--network none --cgroup-parent /$3"
    eval "$2"
    pod rm --all --force > /dev/null
    find /sys/fs/cgroup -depth -type d -path "*/$3*" -exec rmdir {} +
"#;

const SCRIPT: &str = r#"
    say() { echo "$@"; }
    state() { pod inspect --format "{{.State.$1}}" one; }
    say hello: $(pod run --rm $flags box echo hello)
    pod run --rm $flags box sh -c 'exit 7'; say exit: $?
    pod run --rm $flags box nope 2>&1 | sed "s#$PWD/##"; pod run --rm $flags box nope 2> /dev/null; say missing: $?
    pod run --detach --name one --memory 64m --pids-limit 50 $flags box sleep 1000 > /dev/null
    pod exec one cat /proc/self/cgroup | grep --quiet "/$3/libpod-" && say limited
    say exec: $(pod exec --user 5:6 --env A=1 one sh -c 'id -u; echo $A')
    pod exec one sh -c 'exit 4'; say exec exit: $?
    pod exec --detach one sleep 33 > /dev/null
    say top: $(pod top one args | grep --count sleep)
    pod pause one > /dev/null; say $(state Status); pod unpause one > /dev/null; say $(state Status)
    pod kill one > /dev/null; say killed: $(pod wait one)
    pod start one > /dev/null; say again: $(state Running)
    pod stop --time 0 one > /dev/null 2>&1; say stopped: $(state ExitCode)
    pod rm --force one > /dev/null
    say terminal: $(pod run --rm --tty $flags box tty | tr -d '\r')
    say left: $(find . -name state.json | wc --lines)
"#;

#[test]
fn podman_runs_its_containers_on_it() {
    let Some(world) = World::new(&["true"]) else { return };
    if !Path::new("/usr/bin/podman").exists() {
        eprintln!("skipped: needs Debian's podman");
        return;
    }
    let (said, complaints) = say_in_namespaces(&world, STAGE, SCRIPT);
    let expected = [
        "hello: hello",
        "exit: 7",
        "Error: naru-oci: create failed: unable to start container process: exec: \"nope\": executable file not found \
         in $PATH: OCI runtime attempted to invoke a command that was not found",
        "missing: 127",
        "limited",
        "exec: 5 1",
        "exec exit: 4",
        "top: 2",
        "paused",
        "running",
        "killed: 137",
        "again: true",
        "stopped: 137",
        "terminal: /dev/pts/0",
        "left: 0",
    ];
    assert_eq!(said, expected, "{complaints}");
}

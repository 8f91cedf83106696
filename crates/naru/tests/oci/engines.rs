//! Other engines on this runtime: Debian's dockerd (with its containerd and shim), told to use it, in namespaces of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{NARU, World};

/// Starts dockerd in `$1` with the runtime `$1/naru-oci`, runs the script `$2` against it, and ends it.
const STAGE: &str = r#"
    mount -t tmpfs run /run
    ip link set lo up
    cd "$1"
    dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/docker.pid" \
        --add-runtime "naru=$1/naru-oci" --default-runtime naru --bridge none --iptables=false --ip6tables=false \
        --storage-driver vfs --cgroup-parent "/$3" > dockerd.log 2>&1 &
    daemon=$!
    export DOCKER_HOST="unix://$1/docker.sock"
    tries=0
    until docker version > /dev/null 2>&1; do
        tries=$((tries + 1))
        test $tries -lt 200 && kill -0 $daemon || { cat dockerd.log; exit 1; }
        sleep 0.1
    done
    tar --create --directory bundle/rootfs . | docker import - box > /dev/null
    eval "$2"
    docker ps --all --quiet | xargs --no-run-if-empty docker rm --force > /dev/null
    kill $daemon
    wait $daemon
    find /sys/fs/cgroup -depth -type d -path "*/$3*" -exec rmdir {} +
"#;

const SCRIPT: &str = r#"
    say() { echo "$@"; }
    say hello: $(docker run --rm box echo hello)
    docker run --rm box sh -c 'exit 7'; say exit: $?
    docker run --rm box nope 2>&1 | head -n 1; docker run --rm box nope 2> /dev/null; say missing: $?
    docker run -d --name one --memory 64m --pids-limit 50 box sleep 1000 > /dev/null
    say exec: $(docker exec -u 5:6 -e A=1 one sh -c 'id -u; echo $A')
    docker exec one sh -c 'exit 4'; say exec exit: $?
    docker exec -d one sleep 33
    say top: $(docker top one | grep --count sleep)
    docker pause one > /dev/null; say $(docker inspect --format '{{.State.Status}}' one); docker unpause one > /dev/null
    docker update --pids-limit 40 one > /dev/null; say update: $?
    docker stop --time 0 one > /dev/null; say stopped: $(docker inspect --format '{{.State.ExitCode}}' one)
    docker start one > /dev/null; say again: $(docker inspect --format '{{.State.Running}}' one)
    docker rm --force one > /dev/null
    say terminal: $(script --quiet --return --command 'docker run --rm -t box tty' /dev/null)
    say left: $(find exec -name state.json -path '*moby*' | wc --lines)
"#;

#[test]
fn dockerd_runs_its_containers_on_it() {
    let Some(world) = World::new(&["true"]) else { return };
    let is_there = |program: &str| Path::new("/usr/sbin").join(program).exists();
    if !is_there("dockerd") || !Path::new("/usr/bin/containerd").exists() {
        eprintln!("skipped: needs Debian's docker.io");
        return;
    }
    let (said, complaints) = say_in_namespaces(&world, STAGE, SCRIPT);
    let expected = [
        "hello: hello",
        "exit: 7",
        "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: create failed: \
         unable to start container process: exec: \"nope\": executable file not found in $PATH: unknown",
        "missing: 127",
        "exec: 5 1",
        "exec exit: 4",
        "top: 2",
        "paused",
        "update: 0",
        "stopped: 137",
        "again: true",
        "terminal: /dev/pts/0",
        "left: 0",
    ];
    assert_eq!(said, expected, "{complaints}");
}

/// Runs `stage` in a network and a mount namespace, with the world's folder, which has the runtime as `naru-oci`, the script and the
/// name of the cgroup as arguments. The lines that it said, and what went to standard error.
pub fn say_in_namespaces(world: &World, stage: &str, script: &str) -> (Vec<String>, String) {
    std::os::unix::fs::symlink(NARU, world.path("naru-oci")).unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "timeout", "120", "sh", "-c", stage, "sh"])
        .arg(world.path("").to_str().unwrap().trim_end_matches('/'))
        .args([script, &world.id])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let said = text.lines().map(str::to_owned).collect();
    (said, String::from_utf8_lossy(&output.stderr).into_owned())
}

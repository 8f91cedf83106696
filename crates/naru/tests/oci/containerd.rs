//! containerd on this runtime: Debian's, with its shim for runc and the client `ctr`, in namespaces of its own.

use std::path::Path;

use crate::engines::say_in_namespaces;
use crate::world::World;

/// Starts containerd below `$1`, runs the script `$2` with `c`, its client, and ends it.
const STAGE: &str = r#"
    mount -t tmpfs run /run
    ip link set lo up
    cd "$1"
    {
        echo "version = 2"
        echo "root = '$1/root'"
        echo "state = '$1/shims'"
        echo "disabled_plugins = ['io.containerd.grpc.v1.cri']"
        echo "[grpc]"
        echo "address = '$1/containerd.sock'"
    } > containerd.toml
    containerd --config containerd.toml > containerd.log 2>&1 &
    daemon=$!
    c() { ctr --address containerd.sock "$@"; }
    tries=0
    until c version > /dev/null 2>&1; do
        tries=$((tries + 1))
        test $tries -lt 200 && kill -0 $daemon || { cat containerd.log; exit 1; }
        sleep 0.1
    done
    eval "$2"
    kill $daemon
    wait $daemon
    find /sys/fs/cgroup -depth -type d -path "*/$3*" -exec rmdir {} +
"#;

const SCRIPT: &str = r#"
    say() { echo "$@"; }
    cgroup=$3 root=$PWD/bundle/rootfs
    run() { c run --runc-binary "$PWD/naru-oci" --cgroup "/$cgroup/one" --rootfs "$@"; }
    status() { c task ls | sed -n 's/^one .* //p'; }
    say hello: $(run --rm $root one /bin/echo hello)
    run --rm $root one /bin/sh -c 'exit 7'; say exit: $?
    run --rm $root one nope 2>&1
    c container rm one 2> /dev/null
    run --detach $root one /bin/sleep 1000
    say $(status)
    say exec: $(c task exec --exec-id first --user 5:6 one /bin/id -u)
    c task exec --exec-id second one /bin/sh -c 'exit 4'; say exec exit: $?
    say terminal: $(script --quiet --return --command "ctr --address containerd.sock task exec --exec-id third --tty one /bin/tty" /dev/null | grep --only-matching '/dev/pts/[0-9]*')
    c task pause one; say $(status); c task resume one; say $(status)
    say processes: $(c task ps one | grep --count '^[0-9]')
    c task kill --signal KILL one
    tries=0
    until test "$(status)" = STOPPED; do
        tries=$((tries + 1)); test $tries -lt 500 || break; sleep 0.02
    done
    say $(status)
    c task rm one 2> /dev/null; say code: $?
    c container rm one
    say left: $(c container ls --quiet) $(find . -name state.json | wc --lines)
"#;

#[test]
fn containerd_runs_its_containers_on_it() {
    let Some(world) = World::new(&["true"]) else { return };
    if !["containerd", "ctr"].iter().all(|name| Path::new("/usr/bin").join(name).exists()) {
        eprintln!("skipped: needs Debian's containerd");
        return;
    }
    let (said, complaints) = say_in_namespaces(&world, STAGE, SCRIPT);
    let expected = [
        "hello: hello",
        "exit: 7",
        "ctr: failed to create shim task: OCI runtime create failed: create failed: unable to start container process: \
         exec: \"nope\": executable file not found in $PATH: unknown",
        "RUNNING",
        "exec: 5",
        "exec exit: 4",
        "terminal: /dev/pts/0",
        "PAUSED",
        "RUNNING",
        "processes: 1",
        "STOPPED",
        "code: 0",
        "left: 0",
    ];
    assert_eq!(said, expected, "{complaints}");
}

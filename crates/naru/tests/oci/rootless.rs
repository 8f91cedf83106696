//! `naru oci` as an ordinary user: one made for the test, whom only the test's own mount namespace knows.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{NARU, World};

/// Makes the user, gives him the folder `$1`, and runs the script `$3` as him; `$2` is the binary.
const STAGE: &str = r#"
    set -e
    make_user "$1" /nonexistent "$2"
    cd "$1"
    chown 54321:54321 . bundle bundle/rootfs
    export XDG_RUNTIME_DIR="$1/run"
    exec_as_user sh -c "$PRELUDE $3"
"#;

/// What the scripts have in common: words for the commands, and a change of the configuration by `jq`.
const PRELUDE: &str = r#"
    # Into a file, since containers that stay would keep a pipe open.
    naru() { "$XDG_RUNTIME_DIR/../naru" oci "$@" > said 2>&1 < /dev/null; sed 's/.*msg=//' said; }
    change() { jq "$@" < bundle/config.json > new.json && cat new.json > bundle/config.json; }
    spec() {
        rm -f bundle/config.json
        naru spec --rootless --bundle bundle
        change --arg script "$1" \
            '.process.terminal = false | .root.readonly = false | .process.args = ["sh", "-c", $script]'
    }
    wait_for() {
        tries=0
        until eval "$1"; do
            tries=$((tries + 1))
            test $tries -lt 1000 || { echo "waited in vain for $1"; break; }
            sleep 0.01
        done
    }
    launch() { verb=$1; shift; naru $verb --bundle bundle "$@"; }
    status() { naru state $1 | jq -r .status; }
    say() { echo "$@"; }
    ranges='[{containerID: 0, hostID: 54321, size: 1}, {containerID: 1, hostID: 600000, size: 65536}]'
"#;

/// What the script said, line by line. `None` where it cannot be tried.
fn as_user(script: &str, hidden: bool) -> Option<Vec<String>> {
    let world = World::new(&["true"])?;
    let needed = ["/usr/bin/jq", "/usr/bin/setpriv"].iter().all(|program| Path::new(program).exists());
    if !needed || (!hidden && !Path::new("/usr/bin/newuidmap").exists()) {
        eprintln!("skipped: needs jq, util-linux and uidmap");
        return None;
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "timeout", "60", "sh", "-c"])
        .args([&format!("{}\n{STAGE}", testkit::ORDINARY_USER), "sh"])
        .arg(world.path("").to_str().unwrap().trim_end_matches('/'))
        .args([NARU, script])
        .env("PRELUDE", PRELUDE)
        .env("ALONE", if hidden { "1" } else { "" })
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.extend(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned));
    // Nothing of the user's container is left, and the host does not know him.
    assert!(!std::fs::read_to_string("/etc/passwd").unwrap().contains("rootless:x:54321"));
    let left = std::fs::read_dir(world.path("run/naru-oci")).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(left, 0, "{lines:#?}");
    Some(lines)
}

#[test]
fn a_user_alone_runs_containers_as_himself() {
    let script = r#"
        spec 'id; cat /proc/self/uid_map /proc/self/setgroups; touch /made; echo > /dev/null; ls /sys/class > /dev/null && exit 7'
        launch run one
        say made by $(stat -c %u:%g bundle/rootfs/made)
        spec 'exec sleep 1000'
        change '(.mounts[] | select(.type == "devpts").options) += ["gid=5"]'
        launch run --detach one
        say $(naru list --quiet) is $(status one)
        say exec: $(naru exec one sh -c 'id -u; hostname; cat /proc/self/status | grep CapEff')
        say terminal: $(script --quiet --return --command "$XDG_RUNTIME_DIR/../naru oci exec -t one tty" /dev/null | tr -d '\r' | sed 's/^^@//')
        naru exec --detach one sleep 1001
        say processes: $(naru ps one | grep -c 'sleep 100[01]')
        naru pause one
        naru kill one KILL
        wait_for 'test "$(status one)" = stopped'
        naru delete one
        launch create one
        say $(status one)
        naru start one
        say exec: $(naru exec one cat /proc/1/cmdline | tr '\0' ' ')
        naru delete --force one
        change ".linux.uidMappings = $ranges"
        launch run one
        change '.linux.resources.memory.limit = 10000000 | .linux.uidMappings[1:] = []'
        launch run one
        change 'del(.linux.resources) | .linux.namespaces -= [{type: "user"}]'
        launch run one
        say $(naru list --quiet)
    "#;
    let Some(said) = as_user(script, true) else { return };
    let expected = [
        "uid=0 gid=0",
        "         0      54321          1",
        "deny",
        "made by 54321:54321",
        "one is running",
        "exec: 0 naru CapEff: 0000000020000420",
        "terminal: /dev/pts/0",
        "processes: 2",
        "\"the container has no cgroup\"",
        "created",
        "exec: sleep 1000",
        "\"unable to start container process: mapping ids other than one's own needs newuidmap (package uidmap), which is not installed\"",
        "\"run failed: cannot set limits: the container could not join or create a cgroup (rootless, and none is delegated)\"",
        "\"unable to start container process: rootless container requires user namespaces\"",
        "",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_user_with_ranges_has_many_users_inside() {
    let script = r#"
        spec 'exec sleep 1000'
        change ".linux.uidMappings = $ranges | .linux.gidMappings = $ranges | .linux.namespaces += [{type: \"network\"}]"
        launch run --detach one
        naru exec one sh -c 'mkdir -p /tmp && chmod 1777 /tmp'
        naru exec --user 1000:1000 --additional-gids 5 one sh -c 'id; touch /tmp/x'
        say owner: $(stat -c %u:%g bundle/rootfs/tmp/x)
        say groups: $(naru exec one cat /proc/self/setgroups)
        pid=$(naru state one | jq .pid)
        cp -r bundle/rootfs second
        rm -rf bundle/rootfs/made
        # Another one in the same namespaces.
        spec 'for kind in user net pid; do readlink /proc/self/ns/$kind; done > /second; exec sleep 1000'
        change --arg pid "$pid" 'del(.linux.uidMappings, .linux.gidMappings)
            | (.linux.namespaces[] | select(.type == "user" or .type == "pid")) |= (.path = "/proc/\($pid)/ns/\(.type)")
            | .linux.namespaces += [{type: "network", path: "/proc/\($pid)/ns/net"}]'
        launch run --detach two
        naru exec one sh -c 'for kind in user net pid; do readlink /proc/1/ns/$kind; done' > first
        wait_for 'test "$(wc -l < bundle/rootfs/second)" = 3'
        cmp first bundle/rootfs/second && say same
        say exec: $(naru exec two id -u)
        naru delete --force two
        naru delete --force one
        # He himself is somebody else inside.
        spec 'id; touch /home-made'
        change '([{containerID: 0, hostID: 600000, size: 1000}, {containerID: 1000, hostID: 54321, size: 1}]) as $keep
            | .linux.uidMappings = $keep | .linux.gidMappings = $keep | .process.user = {uid: 1000, gid: 1000}'
        launch run one
        say owner: $(stat -c %u:%g bundle/rootfs/home-made)
        change '.linux.uidMappings[0].hostID = 1'
        launch run one
    "#;
    let Some(said) = as_user(script, false) else { return };
    let expected = [
        "uid=1000 gid=1000 groups=5",
        "owner: 600999:600999",
        "groups: allow",
        "same",
        "exec: 0",
        "uid=1000 gid=1000",
        "owner: 54321:54321",
        "\"unable to start container process: newuidmap refused the mapping: uid range [0-1000) -> [1-1001) not allowed (exit status: 1)\"",
    ];
    assert_eq!(said, expected);
}

#[test]
fn hooks_of_a_users_container_run_where_the_user_is() {
    let script = r#"
        cat > hook <<'END'
#!/bin/sh
read -r state
here=inside; test "$(readlink /proc/self/ns/mnt)" = "$2" && here=outside
who=other; test "$(readlink /proc/self/ns/user)" = "$3" && who=ours
pid=$(echo "$state" | jq .pid)
exists=gone; test -e /proc/$pid && exists=there
echo "$1 $(echo "$state" | jq -r .status) $here $who $(id -u) $exists" >> "$4"
END
        chmod 755 hook
        spec 'exec true'
        change --arg hook "$PWD/hook" --arg mnt "$(readlink /proc/self/ns/mnt)" --arg user "$(readlink /proc/self/ns/user)" --arg log "$PWD/log" '
            def hook(kind): [{path: $hook, args: ["hook", kind, $mnt, $user, $log], env: ["PATH=/usr/bin:/bin"]}];
            .hooks = {prestart: hook("prestart"), createRuntime: hook("createRuntime"), createContainer: hook("createContainer"),
                poststart: hook("poststart"), poststop: hook("poststop")}'
        launch run one
        sed 's/^/run: /' log; rm log
        launch create one
        sed 's/^/create: /' log; rm log
        naru start one
        wait_for 'test "$(status one)" = stopped'
        naru delete one
        sed 's/^/later: /' log; rm log
        # One that fails ends it. Nobody stays behind.
        change '.hooks.createRuntime[0].path = "/bin/false"'
        launch run one
        sed 's/^/failed: /' log
        wait_for '! pgrep -f "$XDG_RUNTIME_DIR/../naru" > /dev/null'
    "#;
    let Some(said) = as_user(script, true) else { return };
    let expected = [
        "run: prestart creating outside ours 54321 there",
        "run: createRuntime creating outside ours 54321 there",
        "run: createContainer creating inside other 0 there",
        "run: poststart running outside ours 54321 there",
        "run: poststop stopped outside ours 54321 gone",
        "create: prestart creating outside ours 54321 there",
        "create: createRuntime creating outside ours 54321 there",
        "create: createContainer creating inside other 0 there",
        "later: poststart running outside ours 54321 there",
        "later: poststop stopped outside ours 54321 gone",
        "\"run failed: unable to start container process: error running createRuntime hook #0: exit status: 1, output: \"",
        "failed: prestart creating outside ours 54321 there",
        "failed: poststop stopped outside ours 54321 gone",
    ];
    assert_eq!(said, expected);
}

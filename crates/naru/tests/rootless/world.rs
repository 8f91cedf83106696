//! A user with a home and a runtime folder of his own, in private mount and network namespaces; all his processes end with the world.

use std::path::Path;
use std::process::{Command, Stdio};

const NARU: &str = env!("CARGO_BIN_EXE_naru");

/// Makes the user with the folder `$1`, and runs the scripts `$4` and `$3` as him; `$2` is the binary. He and all whom he starts see a pid
/// namespace of their own, so that nobody outlives him.
const STAGE: &str = r#"
    set -e
    make_user "$1" "$1/home" "$2"
    cd "$1"
    mkdir -p home/rootfs/bin home/rootfs/etc
    cp /bin/busybox home/rootfs/bin
    for name in sh cat id ls sleep echo chown stat touch ip wget nc httpd sed timeout; do ln -s busybox home/rootfs/bin/$name; done
    # With the host's /usr as a volume its programs run.
    for name in lib lib64; do ln -s usr/$name home/rootfs/$name; done
    chown -R 54321:54321 home
    cd home
    exec_as_user env -i PATH="$PATH" HOME="$1/home" XDG_RUNTIME_DIR="$1/run" NARU="$1/naru" sh -c "$4 $3"
"#;

/// What the scripts have in common.
const PRELUDE: &str = r#"
    naru() { "$NARU" "$@" < /dev/null; }
    say() { echo "$@"; }
    # The processes of a name that were called with a word.
    called() {
        for pid in /proc/[0-9]*; do
            case "$(cat $pid/comm 2> /dev/null)" in
            $1) case " $({ tr '\0' ' ' < $pid/cmdline; } 2> /dev/null)" in *$2*) echo ${pid#/proc/};; esac;;
            esac
        done
    }
    engine() { called naru ' engine '; }
    # Nobody reaps orphans here, and what a process had is closed by its last thread.
    gone() {
        test ! -e /proc/$1 || {
            { grep --quiet ') Z' /proc/$1/stat 2> /dev/null || test ! -e /proc/$1; } && test $(ls /proc/$1/task 2> /dev/null | wc -l) -le 1
        }
    }
    wait_for() {
        tries=0
        until eval "$1"; do
            tries=$((tries + 1))
            test $tries -lt 1000 || { echo "waited in vain for $1"; break; }
            sleep 0.02
        done
    }
    tar --create --directory rootfs . | "$NARU" import - box > /dev/null
"#;

/// What the script said, line by line, also to standard error. `None` where it cannot be tried. `setup`: more that root does first.
pub fn as_user(script: &str, alone: bool, setup: &str) -> Option<Vec<String>> {
    let is_root = rustix::process::geteuid().is_root();
    let needed = ["/bin/busybox", "/usr/bin/setpriv", "/usr/bin/newuidmap", "/bin/ip"];
    if !is_root || !needed.iter().all(|program| Path::new(program).exists()) {
        eprintln!("skipped: needs root, busybox-static, iproute2, util-linux and uidmap");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--net",
        ])
        .args(["timeout", "120", "sh", "-c", &format!("{setup}\n{}\n{STAGE}", testkit::ORDINARY_USER), "sh"])
        .arg(folder.path())
        .args([NARU, script, PRELUDE])
        .env("ALONE", if alone { "1" } else { "" })
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    assert!(!std::fs::read_to_string("/etc/passwd").unwrap().contains("rootless:x:54321"));
    Some(said)
}

//! Power loss for real: ext4 on a loop device is shut down under a killed pull, once with its journal written but no data, once
//! with nothing written since the last sync; what is found after mounting it again must be whole or forgotten.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use store::Store;

use crate::crash::{STORE, check_whole, old_image, pull_and_remove};
use crate::world::{World, has};

/// EXT4_IOC_SHUTDOWN (linux/ext4.h) with a flag: 1 writes the journal, 2 does not.
const SHUTDOWN: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die $!;
    my $flag = pack("I", $ARGV[1]);
    ioctl($folder, 0x8004587d, $flag) or die $!;
"#;

/// `$1` disk, `$2` mount point, `$3` shut-down program, `$4` its flag, `$5` this program, the rest: how it is killed.
const ROUND: &str = r#"
    set -e
    disk=$1 point=$2 shutdown=$3 flag=$4 program=$5
    shift 5
    mount -o loop,commit=300 "$disk" "$point"
    strace -f -qq -o /dev/null "$@" "$program" crash::victim --exact --ignored --test-threads=1 -q || true
    perl -e "$shutdown" "$point" "$flag"
    umount "$point"
    mount -o loop "$disk" "$point"
    "$program" power::survivor --exact --ignored --test-threads=1 --nocapture -q
    umount "$point"
"#;

/// Makes the disk `$1` with the store that a round starts with, mounted at `$2`, by this program, `$3`.
const PREPARE: &str = r#"
    set -e
    truncate -s 48M "$1"
    mkfs.ext4 -q -F -J size=4 "$1"
    mount -o loop "$1" "$2"
    "$3" power::beginning --exact --ignored --test-threads=1 --nocapture -q
    umount "$2"
"#;

/// In a mount namespace of its own, which takes mount and loop device with it.
fn script(script: &str, store: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args(arguments)
        .env(STORE, store)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(()),
        false => Err(text(&output.stdout) + &text(&output.stderr)),
    }
}

/// Not tests: what the scripts run where the disk is mounted.
#[test]
#[ignore = "run by another test"]
fn beginning() {
    let Some(root) = std::env::var_os(STORE) else { return };
    let home = tempfile::Builder::new().prefix("unused").tempdir().unwrap();
    let world = World { home, store: Store::open(Path::new(&root)).unwrap() };
    old_image(&world);
    world.store.flush().unwrap();
}

#[test]
#[ignore = "run by another test"]
fn survivor() {
    let Some(root) = std::env::var_os(STORE) else { return };
    let root = Path::new(&root);
    std::fs::write(root.join("unsynced/boot"), "another boot").unwrap();
    let store = Store::open(root).unwrap();
    for record in store.images().unwrap() {
        // Layers that were not synced are unpacked again at the next use.
        store.ensure_layers(&record.id).unwrap();
    }
    check_whole(&store, "after the power loss");
    // What was not synced may be forgotten, and can be brought again.
    let home = tempfile::Builder::new().prefix("unused").tempdir().unwrap();
    let world = World { home, store };
    if world.store.image("app").is_err() {
        old_image(&world);
    }
    let store = &world.store;
    pull_and_remove(store).unwrap();
    for record in store.images().unwrap() {
        if record.names.is_empty() {
            store.delete_image(&record.id).unwrap();
        }
    }
    check_whole(store, "pulled again");
    assert_eq!(store.images().unwrap().len(), 1);
}

#[test]
fn power_fails_at_every_kind_of_step_and_nothing_is_half() {
    if !["strace", "perl", "mkfs.ext4"].into_iter().all(has) {
        return;
    }
    let home = tempfile::Builder::new().prefix("naru-power-").tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let program = text(&std::env::current_exe().unwrap());
    let (disk, point) = (path("disk"), path("point"));
    std::fs::create_dir(&point).unwrap();
    let store = point.join("store");
    if let Err(error) = script(PREPARE, &store, &[&text(&disk), &text(&point), &program]) {
        // A container may have no loop devices; anything else is a failure.
        assert!(error.contains("loop"), "{error}");
        eprintln!("skipped: no loop device to be had: {error}");
        return;
    }
    let mut rounds = Vec::new();
    for call in ["renameat2", "rename", "fsync", "unlinkat", "syncfs"] {
        for number in 1..=3 {
            for flag in ["1", "2"] {
                rounds.push((call, number, flag));
            }
        }
    }
    let queue = Mutex::new(rounds.iter());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (disk, queue, program, home) = (&disk, &queue, &program, &home);
            scope.spawn(move || {
                while let Some((call, number, flag)) = { queue.lock().unwrap().next() } {
                    let own = home.path().join(format!("disk-{thread}"));
                    let point = home.path().join(format!("point-{thread}"));
                    std::fs::create_dir_all(&point).unwrap();
                    std::fs::copy(disk, &own).unwrap();
                    let trace = format!("trace={call}");
                    let inject = format!("inject={call}:signal=SIGKILL:when={number}");
                    let arguments =
                        [&text(&own), &text(&point), SHUTDOWN, flag, program, "-e", &trace, "-e", &inject];
                    let outcome = script(ROUND, &point.join("store"), &arguments);
                    outcome.unwrap_or_else(|error| panic!("killed at {call} {number}, flag {flag}: {error}"));
                }
            });
        }
    });
}

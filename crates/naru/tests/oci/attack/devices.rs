//! A /dev of the attacker's image, whose names change while the runtime uses them: a null device that is a link would
//! "mask" paths by whatever it points to (CVE-2025-31133), a terminal or console that is a link would put something else at
//! /dev/console or the terminal somewhere else (CVE-2025-52565). Stopped by never using the container's own: the host's null
//! device and the terminal are mounted by descriptor, and the console may not be a link.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;

use super::races::Race;
use crate::world::World;

/// What the container sees: kind of file and device number of each path, and whether a victim could be written.
const LOOK: &str = "for path in $PATHS; do busybox stat -c '%n %F %t:%T' $path; done";

/// A container whose /dev is the image's, with a link to `victim` that takes the place of `name`.
fn world_with_dev(name: &str, victim: &str) -> Option<(World, PathBuf)> {
    let world = World::new(&["busybox", "sh", "-c", LOOK])?;
    let dev = world.bundle().join("rootfs/dev");
    std::fs::create_dir(&dev).unwrap();
    symlink(victim, dev.join(format!("evil-{name}"))).unwrap();
    world.change(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| {
            !mount["destination"].as_str().unwrap().starts_with("/dev") || mount["destination"] == "/dev/pts"
        });
        config["process"]["env"].as_array_mut().unwrap().push(json!("PATHS=/proc/keys /proc/timer_list"));
    });
    Some((world, dev))
}

#[test]
fn paths_are_masked_by_the_null_device_whatever_the_containers_is() {
    let Some((world, dev)) = world_with_dev("null", "/proc/sys/kernel/domainname") else { return };
    mknodat(CWD, dev.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))
        .unwrap();
    let race = Race::between(&dev.join("null"), &dev.join("evil-null"));
    for _ in 0..25 {
        race.turn();
        let said = world.launch(&["run"]).ok();
        for path in ["/proc/keys", "/proc/timer_list"] {
            assert!(said.contains(&format!("{path} character special file 1:3")), "{said}");
        }
    }
}

#[test]
fn the_console_is_no_link() {
    // A link that stays: the terminal must not be put where it leads.
    let Some((world, dev)) = world_with_dev("console", "/proc/sys/kernel/domainname") else { return };
    std::fs::rename(dev.join("evil-console"), dev.join("console")).unwrap();
    world.change(|config| config["process"]["terminal"] = json!(true));
    let error = world.launch(&["run"]).failed();
    assert!(
        error.contains("mount the terminal on /dev/console: too many levels of symbolic links"),
        "{error}"
    );
    world.check_nothing_left();
}

/// A container with a terminal whose /dev/pts is a volume of files that look like terminals.
fn world_with_terminals() -> Option<World> {
    let (world, _) = world_with_dev("pts", "/nowhere")?;
    let fake = world.path("fake");
    std::fs::create_dir(&fake).unwrap();
    std::fs::create_dir(fake.join("pts")).unwrap();
    for name in (0..200).map(|number| number.to_string()).chain(["ptmx".to_owned()]) {
        std::fs::write(fake.join(name), "fake").unwrap();
    }
    world.change(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["args"] =
            json!(["busybox", "stat", "-L", "-c", "%F %t", "/dev/console", "/proc/self/fd/0"]);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/dev/pts");
        mounts
            .push(json!({ "destination": "/dev/pts", "type": "bind", "source": fake, "options": ["bind"] }));
    });
    Some(world)
}

#[test]
fn a_file_is_no_terminal() {
    let Some(world) = world_with_terminals() else { return };
    let error = world.launch(&["run"]).failed();
    assert!(error.contains("open a terminal in /dev/pts of the container: it is not devpts"), "{error}");
}

#[test]
fn the_other_end_of_a_terminal_has_no_name() {
    let Some(world) = world_with_terminals() else { return };
    // Something makes true terminals, but under the name of the one that is made lies a file.
    world.change(|config| {
        for (target, source) in [("/dev/pts/pts", "/dev/pts"), ("/dev/pts/ptmx", "/dev/pts/ptmx")] {
            let bind =
                json!({ "destination": target, "type": "bind", "source": source, "options": ["bind", "rw"] });
            config["mounts"].as_array_mut().unwrap().push(bind);
        }
    });
    let bundle = world.bundle();
    let said = world.oci(&["run", "--bundle", bundle.to_str().unwrap(), &world.id]).ok();
    // 0x88 is 136, the terminals' major number.
    assert_eq!(said.matches("character special file 88").count(), 2, "{said}");
}

#[test]
fn the_terminal_is_the_one_that_was_made() {
    // What is at /dev/pts changes: a folder to mount on, or a link to a folder with files that look like terminals.
    let Some((world, dev)) = world_with_dev("pts", "/fake") else { return };
    let fake = world.bundle().join("rootfs/fake");
    for folder in [&fake, &dev.join("pts")] {
        std::fs::create_dir(folder).unwrap();
    }
    for name in ["ptmx", "0", "1"] {
        std::fs::write(fake.join(name), "fake").unwrap();
    }
    world.change(|config| {
        config["process"]["terminal"] = json!(true);
        let look =
            "busybox stat -c '%F %t' /dev/console; busybox tty; busybox stat -c '%F %t' -L /proc/self/fd/0";
        config["process"]["args"] = json!(["busybox", "sh", "-c", look]);
    });
    let race = Race::between(&dev.join("pts"), &dev.join("evil-pts"));
    let mut ran = 0;
    for _ in 0..25 {
        race.turn();
        let bundle = world.bundle();
        let done = world.oci(&["run", "--bundle", bundle.to_str().unwrap(), &world.id]);
        assert!(!done.out.contains("fake") && !done.out.contains("regular file"), "{}", done.out);
        if done.code == 0 {
            ran += 1;
            // 0x88 is 136, the terminals' major number.
            assert_eq!(done.out.matches("character special file 88").count(), 2, "{}", done.out);
        }
        world.verb(&["delete", "--force"]).ok();
        for name in ["ptmx", "0", "1"] {
            assert_eq!(std::fs::read_to_string(fake.join(name)).unwrap(), "fake");
        }
    }
    println!("{ran} of 25 containers ran, the others were refused");
}

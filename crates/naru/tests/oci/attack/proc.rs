//! A /proc that is not what it says (CVE-2019-16884, -19921, 2023-27561, 2025-52881): the runtime writes labels and sysctls there,
//! and a link or a volume in its place would take the writes, or send them elsewhere. Stopped by mounting proc and sysfs on
//! ordinary folders only, by refusing mounts inside /proc, and by writing through the host's own procfs, crossing no mount.

use std::os::unix::fs::symlink;

use serde_json::json;

use super::races::Race;
use crate::world::World;

#[test]
fn as_a_link_is_refused() {
    let Some(world) = World::new(&["true"]) else { return };
    let rootfs = world.bundle().join("rootfs");
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        for target in ["/elsewhere", "elsewhere", "/tmp/../elsewhere"] {
            std::fs::create_dir_all(rootfs.join("elsewhere")).unwrap();
            let _ = std::fs::remove_dir(rootfs.join(name));
            symlink(target, rootfs.join(name)).unwrap();
            let error = world.launch(&["run"]).failed();
            assert!(
                error.contains(kind) && error.contains("must be mounted on ordinary directory"),
                "{error}"
            );
            world.check_nothing_left();
            std::fs::remove_file(rootfs.join(name)).unwrap();
        }
    }
}

#[test]
fn as_a_link_every_other_moment() {
    let look = "busybox stat -f -c %t /proc; echo $(busybox ls /elsewhere)";
    let Some(world) = World::new(&["busybox", "sh", "-c", look]) else { return };
    let rootfs = world.bundle().join("rootfs");
    std::fs::create_dir_all(rootfs.join("elsewhere")).unwrap();
    std::fs::create_dir_all(rootfs.join("proc")).unwrap();
    symlink("/elsewhere", rootfs.join("evil")).unwrap();
    let race = Race::between(&rootfs.join("proc"), &rootfs.join("evil"));
    for _ in 0..25 {
        race.turn();
        let done = world.launch(&["run"]);
        // 9fa0 is procfs. Nothing may have been mounted where the link leads.
        assert!(done.code != 0 || done.out.ends_with("\n\n"), "{}", done.out);
        world.verb(&["delete", "--force"]).ok();
    }
}

#[test]
fn as_a_volume_takes_no_writes() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    let fake = world.path("fake");
    let files = ["sys/net/ipv4/ping_group_range", "self/attr/exec", "thread-self/attr/exec"];
    for file in files {
        std::fs::create_dir_all(fake.join(file).parent().unwrap()).unwrap();
        std::fs::write(fake.join(file), "untouched").unwrap();
    }
    let volume = |target: &str, source: &std::path::Path| json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind"] });
    // Inside of procfs, after it: refused.
    for (target, source) in [("/proc", fake.clone()), ("/proc/sys/net", fake.join("sys/net"))] {
        world.change(|config| config["mounts"].as_array_mut().unwrap().push(volume(target, &source)));
        let error = world.launch(&["run", "-d"]).failed();
        assert!(
            error.contains(target) && error.contains("cannot be mounted because it is inside /proc"),
            "{error}"
        );
        world.check_nothing_left();
        world.change(|config| drop(config["mounts"].as_array_mut().unwrap().pop()));
    }
    // In the place of procfs: the container's own affair, but what the runtime writes reaches the kernel.
    world.change(|config| {
        config["mounts"][0] = volume("/proc", &fake);
        config["linux"]["sysctl"] = json!({ "net.ipv4.ping_group_range": "3 4" });
    });
    world.launch(&["run", "-d"]).ok();
    for file in files {
        assert_eq!(std::fs::read_to_string(fake.join(file)).unwrap(), "untouched", "{file}");
    }
    let pid = world.state()["pid"].to_string();
    let told = world.shell(&format!("nsenter -t {pid} -n cat /proc/sys/net/ipv4/ping_group_range")).ok();
    assert_eq!(told.split_whitespace().collect::<Vec<_>>(), ["3", "4"]);
    // The same for a process that comes later, and for a label, which the kernel must hear, if only to refuse it: a process that
    // runs without the label that it was to have has got rid of it.
    let error = world.oci(&["exec", "--process-label", "no:such:label", &world.id, "true"]).failed();
    assert!(error.contains("error setting exec label no:such:label"), "{error}");
    world.verb(&["delete", "--force"]).ok();
    world.change(|config| config["process"]["selinuxLabel"] = json!("no:such:label"));
    let error = world.launch(&["run", "-d"]).failed();
    assert!(error.contains("error setting exec label no:such:label"), "{error}");
    for file in files {
        assert_eq!(std::fs::read_to_string(fake.join(file)).unwrap(), "untouched", "{file}");
    }
}
